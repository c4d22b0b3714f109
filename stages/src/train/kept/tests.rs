//! Stages that end by a rule, and the states that they keep.

use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{AnyKind, Kind, Runtime, StageError};
use serde_json::{Value, json};

use crate::kinds::grpo::Grpo;
use crate::kinds::sft::Sft;
use crate::testing::{Bench, seen};

const SFT: &Kind<Sft> = &Kind::NEW;
const GRPO: &Kind<Grpo> = &Kind::NEW;

/// `base` with some of its parameters replaced.
fn with(mut base: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

/// A rate at which the loss does not only fall; constant, so that a run of fewer steps is the beginning of one of more.
fn sft(changes: &Value) -> Value {
    with(json!({ "steps": 30, "batch": 4, "micro_batch": 2, "lr": 5e-2, "look_every": 2 }), changes)
}

fn grpo(changes: &Value) -> Value {
    let base = json!({
        "steps": 20, "prompts": 4, "group": 4, "micro_batch": 4, "max_new_tokens": 10, "lr": 1e-2,
        "select": { "kind": "none" }, "reward": { "accuracy": 1.0, "format": 0.5 }, "health": { "window": 2 },
    });
    with(base, changes)
}

/// A model that is rewarded now and then: random weights never are.
fn practised() -> Bench {
    let bench = Bench::sums();
    let params = json!({ "steps": 120, "batch": 6, "micro_batch": 3, "lr": 1e-2 });
    bench.run(SFT, &params, "cold", &Runtime::default(), None).unwrap();
    bench
}

fn attempt(
    bench: &Bench,
    kind: &dyn AnyKind,
    params: &Value,
    name: &str,
    stop: Option<usize>,
) -> Result<Vec<StageEvent>, StageError> {
    let from = if kind.name() == "grpo" { "cold" } else { "base" };
    let runtime = Runtime { threads: 2, checkpoint_every: 3, ..Runtime::default() };
    bench.run_on(from, kind, params, name, &runtime, stop)
}

fn run(bench: &Bench, kind: &dyn AnyKind, params: &Value, name: &str) -> Vec<StageEvent> {
    attempt(bench, kind, params, name, None).unwrap()
}

/// Asks to stop at each of these steps, and in the end for all of it. A step or more passes before anybody listens.
fn broken(bench: &Bench, kind: &dyn AnyKind, params: &Value, stops: &[usize]) -> Vec<StageEvent> {
    let asked = stops.iter().map(|stop| attempt(bench, kind, params, "broken", Some(*stop)));
    let stopped = asked.filter(|done| matches!(done, Err(StageError::Interrupted { .. }))).count();
    assert!(stopped > 0, "nobody listened");
    run(bench, kind, params, "broken")
}

fn weights(bench: &Bench, name: &str, port: &str) -> Vec<u8> {
    std::fs::read(bench.output(name, port).join("model.safetensors")).unwrap()
}

/// A note beside a model: `stop.json` or `kept.json`.
fn note(bench: &Bench, name: &str, port: &str, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(bench.output(name, port).join(file)).unwrap()).unwrap()
}

fn logged(events: &[StageEvent], part: &str) -> bool {
    events.iter().any(|event| matches!(event, StageEvent::Log { message } if message.contains(part)))
}

#[test]
fn each_rule_ends_a_stage_and_the_note_says_which() {
    let bench = Bench::sums();
    for (rule, stop) in [
        ("tokens", json!({ "tokens": 300 })),
        ("metric", json!({ "metric": { "name": "val_loss", "below": 5.0 } })),
        ("plateau", json!({ "plateau": { "metric": "val_loss", "patience": 1, "min_delta": 100.0 } })),
        ("wall_time", json!({ "wall_time": "1s" })),
    ] {
        let events = run(&bench, SFT, &sft(&json!({ "steps": 100_000, "stop": stop })), rule);
        let note = note(&bench, rule, "model", "stop.json");
        let done = seen(&events, "loss").len();
        assert_eq!(
            (&note["rule"], note["step"].as_u64(), note["of"].as_u64()),
            (&json!(rule), Some(done as u64), Some(100_000))
        );
        assert!(logged(&events, &format!("stopped after step {done} of 100000 (`stop.{rule}`)")), "{events:?}");
        if rule == "plateau" {
            assert_eq!(done, 4, "the second look is no better by so much");
        }
        if rule == "tokens" {
            assert!(!seen(&events, "val_loss").is_empty(), "a stage looks where it ends");
        }
    }
}

/// Kept states are those of their steps, and neither two stops on the way nor the rules change a byte.
#[test]
fn kept_states_are_those_of_their_steps_and_survive_stops() {
    let bench = Bench::sums();
    let keep = json!({ "best": "val_loss", "steps": [4, 9] });
    let plateau = json!({ "plateau": { "metric": "val_loss", "patience": 1 } });
    let params = sft(&json!({ "keep": keep, "stop": plateau }));
    let events = run(&bench, SFT, &params, "straight");
    let looks = seen(&events, "val_loss");
    let best = (0..looks.len()).min_by(|a, b| looks[*a].total_cmp(&looks[*b])).unwrap();
    let (best_step, last) = (2 * (best + 1), seen(&events, "loss").len());
    assert!(best_step < last, "the best look is the last one: {looks:?}");
    assert_eq!(
        note(&bench, "straight", "model@best", "kept.json"),
        json!({
            "after_step": best_step, "metric": "val_loss", "value": looks[best]
        })
    );
    for (port, steps) in [("model@best", best_step), ("model@step=4", 4), ("model@step=9", 9), ("model", last)] {
        run(&bench, SFT, &sft(&json!({ "steps": steps })), port);
        assert!(weights(&bench, "straight", port) == weights(&bench, port, "model"), "{port}, of step {steps}");
        assert!(bench.output("straight", port).join("tokenizer.json").is_file());
    }
    broken(&bench, SFT, &params, &[2, 5]);
    for port in ["model", "model@best", "model@step=4", "model@step=9"] {
        assert!(weights(&bench, "straight", port) == weights(&bench, "broken", port), "stops changed {port}");
    }
    assert_eq!(note(&bench, "straight", "model", "stop.json")["step"], last);
    for (port, file) in [("model", "stop.json"), ("model@best", "kept.json")] {
        assert_eq!(note(&bench, "straight", port, file), note(&bench, "broken", port, file));
    }
}

#[test]
fn a_state_that_is_never_reached_is_the_last_one() {
    let bench = Bench::sums();
    let keep = json!({ "best": "val_loss", "steps": [20] });
    let params = sft(&json!({ "keep": keep, "stop": { "tokens": 1 } }));
    let events = run(&bench, SFT, &params, "short");
    assert_eq!(seen(&events, "loss").len(), 1);
    assert!(logged(&events, "it ends after step 1, before step 20"), "{events:?}");
    assert_eq!(note(&bench, "short", "model@step=20", "kept.json"), json!({ "after_step": 1, "instead_of": 20 }));
    for port in ["model@step=20", "model@best"] {
        assert!(weights(&bench, "short", port) == weights(&bench, "short", "model"), "{port}");
    }
}

/// The best state by reward is the one that wrote the last of the best window's completions; adapters are kept as adapters.
#[test]
fn reinforcement_learning_keeps_what_earned_the_most() {
    let bench = practised();
    let keep = json!({ "best": "reward", "steps": [5] });
    let plateau = json!({ "plateau": { "metric": "reward", "patience": 9 }, "tokens": 100_000 });
    let params = grpo(&json!({ "keep": keep, "stop": plateau }));
    let events = run(&bench, GRPO, &params, "straight");
    let rewards = seen(&events, "reward");
    let means: Vec<f64> = rewards.windows(2).map(|pair| pair.iter().sum::<f64>() / 2.0).collect();
    // The first of the greatest; the window that begins at place i ends with step i + 2, whose rollout is of the state before.
    let best = (0..means.len()).rev().max_by(|a, b| means[*a].total_cmp(&means[*b])).unwrap();
    let told = note(&bench, "straight", "model@best", "kept.json");
    assert_eq!(
        (told["after_step"].as_u64(), told["value"].as_f64()),
        (Some(best as u64 + 1), Some(means[best])),
        "{means:?}"
    );
    let ended = rewards.len();
    for (port, steps) in [("model@best", best + 1), ("model@step=5", 5), ("model", ended)] {
        run(&bench, GRPO, &grpo(&json!({ "steps": steps })), port);
        assert!(weights(&bench, "straight", port) == weights(&bench, port, "model"), "{port}, of step {steps}");
    }
    broken(&bench, GRPO, &params, &[2, 4]);
    for port in ["model", "model@best", "model@step=5"] {
        assert!(weights(&bench, "straight", port) == weights(&bench, "broken", port), "stops changed {port}");
    }
    assert_eq!(note(&bench, "broken", "model@best", "kept.json"), told);

    let adapted =
        grpo(&json!({ "steps": 4, "lora": { "rank": 2 }, "keep": { "steps": [2] }, "stop": { "tokens": 1_000_000 } }));
    run(&bench, GRPO, &adapted, "adapted");
    run(&bench, GRPO, &grpo(&json!({ "steps": 2, "lora": { "rank": 2 } })), "half");
    let adapter =
        |name: &str, port: &str| std::fs::read(bench.output(name, port).join("adapter_model.safetensors")).unwrap();
    assert!(adapter("adapted", "model@step=2") == adapter("half", "model"));
    assert!(adapter("adapted", "model") != adapter("half", "model"));
}
