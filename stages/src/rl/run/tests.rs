use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{Kind, Runtime, StageError};
use serde_json::{Value, json};

use crate::kinds::evaluate::Evaluate;
use crate::kinds::grpo::Grpo;
use crate::kinds::sft::Sft;
use crate::testing::{Bench, seen};

/// Rows with drawings, and a model `cold` that has seen boxed answers: random weights are never rewarded.
pub(super) fn bench() -> Bench {
    let bench = Bench::drawn();
    let params = json!({ "steps": 60, "batch": 6, "micro_batch": 3, "lr": 1e-2 });
    bench.run(&Kind::<Sft>::NEW, &params, "cold", &Runtime::default(), None).unwrap();
    bench
}

fn params() -> Value {
    json!({
        "steps": 24, "prompts": 4, "group": 4, "micro_batch": 3, "rollout_batch": 5, "max_new_tokens": 12, "updates": 2,
        "epochs": 2, "lr": 1e-2, "kl": { "coef": 1e-2 }, "freeze": ["vision"], "select": { "kind": "none" },
        "reward": { "accuracy": 1.0, "format": 0.5 }, "max_grad_norm": 1.0,
    })
}

fn grpo(bench: &Bench, name: &str, threads: usize, stop: Option<usize>) -> Result<Vec<StageEvent>, StageError> {
    grpo_with(bench, &params(), name, threads, stop)
}

pub(super) fn grpo_with(
    bench: &Bench,
    params: &Value,
    name: &str,
    threads: usize,
    stop: Option<usize>,
) -> Result<Vec<StageEvent>, StageError> {
    let runtime = Runtime { threads, checkpoint_every: 2, ..Runtime::default() };
    bench.run_on("cold", &Kind::<Grpo>::NEW, params, name, &runtime, stop)
}

/// The parameters above with some of them replaced.
pub(super) fn with(changes: &Value) -> Value {
    let mut params = params();
    for (key, value) in changes.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

#[test]
fn a_frozen_tower_keeps_its_bytes_while_the_rest_leaves_the_reference() {
    let bench = bench();
    let events = grpo(&bench, "rl", 2, None).unwrap();
    assert_eq!(seen(&events, "reward").len(), 24);
    let kl = seen(&events, "kl");
    assert!(kl.iter().all(|kl| *kl >= 0.0) && kl.iter().any(|kl| *kl > 0.0), "{kl:?}");
    let (before, after) = (bench.tensors("cold"), bench.tensors("rl"));
    assert_eq!(before.len(), after.len());
    for (name, bytes) in &before {
        let frozen = name.starts_with("visual.") && !name.starts_with("visual.merger.");
        assert_eq!(*bytes == after[name], frozen, "{name}");
    }
}

#[test]
fn neither_lanes_nor_interruptions_nor_checkpointing_change_a_byte() {
    let bench = bench();
    grpo(&bench, "one", 1, None).unwrap();
    grpo(&bench, "two", 2, None).unwrap();
    assert!(bench.weights("one") == bench.weights("two"), "the number of lanes changed the weights");
    for stop in [2, 9] {
        assert!(matches!(grpo(&bench, "broken", 2, Some(stop)), Err(StageError::Interrupted { .. })));
    }
    grpo(&bench, "broken", 1, None).unwrap();
    assert!(bench.weights("one") == bench.weights("broken"), "interruptions changed the weights");
    let runtime = Runtime { threads: 2, gradient_checkpointing: true, ..Runtime::default() };
    bench.run_on("cold", &Kind::<Grpo>::NEW, &params(), "inputs", &runtime, None).unwrap();
    assert!(bench.weights("one") == bench.weights("inputs"), "gradient checkpointing changed the weights");
}

/// Rollouts, log-probabilities and gradients are shared out; a step of several devices is that of one, but for rounding.
#[test]
fn several_devices_do_what_one_does() {
    let bench = bench();
    let params = with(&json!({ "steps": 2, "micro_batch": 2, "updates": 1, "epochs": 1, "reward": { "luck": 1.0 } }));
    let run = |device: &str| {
        let runtime = Runtime { threads: 2, device: device.into(), ..Runtime::default() };
        bench.run_on("cold", &Kind::<Grpo>::NEW, &params, device, &runtime, None).unwrap()
    };
    let (one, several) = (run("cpu"), run("cpu*2"));
    for name in ["reward", "length", "selected"] {
        assert_eq!(seen(&one, name)[0].to_bits(), seen(&several, name)[0].to_bits(), "{name}: the same tokens");
    }
    for name in ["loss", "kl", "entropy", "grad_norm"] {
        let (one, several) = (seen(&one, name)[0], seen(&several, name)[0]);
        assert!((one - several).abs() <= 1e-5 * one.abs().max(1.0), "{name}: {one} and {several}");
    }
    assert!(bench.weights("cpu") != bench.weights("cpu*2"), "gradients add up in another order");
}

#[test]
fn bfloat16_rolls_out_and_learns_with_float32_masters() {
    let bench = bench();
    let run = |name: &str, runtime: &Runtime, stop| {
        let mut params = params();
        params["precision"] = json!("bf16");
        params["steps"] = json!(8);
        bench.run_on("cold", &Kind::<Grpo>::NEW, &params, name, runtime, stop)
    };
    let runtime = Runtime { threads: 2, checkpoint_every: 2, ..Runtime::default() };
    let events = run("straight", &runtime, None).unwrap();
    for name in ["loss", "kl", "grad_norm", "reward"] {
        assert!(seen(&events, name).iter().all(|value| value.is_finite()), "{name}");
    }
    assert!(seen(&events, "grad_norm").iter().any(|norm| *norm > 0.0));
    let (before, after) = (bench.tensors("cold"), bench.tensors("straight"));
    for (name, bytes) in &after {
        let frozen = name.starts_with("visual.") && !name.starts_with("visual.merger.");
        assert_eq!(*bytes == before[name], frozen, "{name}");
    }
    assert!(matches!(run("broken", &runtime, Some(2)), Err(StageError::Interrupted { .. })));
    run("broken", &Runtime { threads: 1, gradient_checkpointing: true, ..runtime.clone() }, None).unwrap();
    assert!(bench.weights("straight") == bench.weights("broken"));

    let accuracy = |precision| {
        let params = json!({ "max_new_tokens": 12, "precision": precision });
        let events = bench.run_on("straight", &Kind::<Evaluate>::NEW, &params, precision, &runtime, None).unwrap();
        *seen(&events, "accuracy").last().unwrap()
    };
    let (narrow, wide) = (accuracy("bf16"), accuracy("f32"));
    assert!((narrow - wide).abs() < 0.2, "accuracy {narrow} in bfloat16, {wide} in float32");
}

/// As [`bench`], with a model that knows some of the answers.
pub(super) fn practised() -> Bench {
    let bench = Bench::drawn();
    let params = json!({ "steps": 240, "batch": 6, "micro_batch": 3, "lr": 1e-2 });
    bench.run(&Kind::<Sft>::NEW, &params, "cold", &Runtime::default(), None).unwrap();
    bench
}

/// Rules and terms that carry something from step to step: stopped and resumed, they end with the same bytes.
#[test]
fn what_is_remembered_survives_a_stop() {
    let bench = practised();
    let adaptive = json!({ "coef": 0.1, "schedule": "adaptive", "adaptive": { "target": 1.0, "step": 0.05 } });
    for (name, changes, number) in [
        ("ssr", json!({ "select": { "kind": "ssr", "replay": { "capacity": 9, "share": 0.5 } } }), "replayed"),
        (
            "greso",
            json!({ "select": { "kind": "greso", "skip": { "floor": 0.3 }, "refill": { "rounds": 2 } } }),
            "skipped",
        ),
        ("dapo", json!({ "select": { "kind": "dapo", "refill": { "rounds": 3 } } }), "rounds"),
        ("adaptive", json!({ "entropy": adaptive }), "entropy_coef"),
    ] {
        let params = with(&changes);
        let events = grpo_with(&bench, &params, name, 2, None).unwrap();
        assert!(seen(&events, number).iter().any(|&value| value > 0.0), "{name}: nothing happened");
        let broken = format!("{name}-broken");
        for stop in [5, 16] {
            let stopped = grpo_with(&bench, &params, &broken, 1, Some(stop));
            assert!(matches!(stopped, Err(StageError::Interrupted { .. })), "{name}");
        }
        grpo_with(&bench, &params, &broken, 2, None).unwrap();
        assert!(bench.weights(name) == bench.weights(&broken), "{name}: a stop changed the weights");
        assert!(bench.weights(name) != bench.weights("cold"), "{name} learnt nothing");
    }
}

#[test]
fn the_divergence_may_count_in_the_reward() {
    let bench = bench();
    let kl = |coef: f64| json!({ "coef": coef, "in": "reward", "estimator": "k1" });
    let events = grpo_with(&bench, &with(&json!({ "kl": kl(0.5) })), "held", 2, None).unwrap();
    assert!(seen(&events, "kl").iter().any(|kl| kl.abs() > 0.0));
    grpo_with(&bench, &with(&json!({ "kl": kl(0.0) })), "free", 2, None).unwrap();
    assert!(bench.weights("held") != bench.weights("free"));
}

/// Every choice that no other test runs, from prompts to weights.
#[test]
fn every_choice_runs() {
    let bench = practised();
    for (name, changes) in [
        ("filter", json!({ "select": { "kind": "filter" }, "objective": "gspo", "mean": "sequence" })),
        ("random", json!({ "select": { "kind": "random" }, "objective": "cispo", "advantage": { "kind": "batch" } })),
        ("released", json!({ "select": { "kind": "pad-released" }, "objective": "sapo", "mean": "sequence" })),
        ("drgrpo", json!({ "mean": "constant", "advantage": { "kind": "centred" } })),
        ("rloo", json!({ "objective": "reinforce", "advantage": { "kind": "leave-one-out" }, "updates": 1 })),
        ("gdpo", json!({ "advantage": { "kind": "per-reward" }, "kl": { "coef": 0.1, "estimator": "k3-corrected" } })),
        ("sampled", json!({ "entropy": { "coef": 0.01, "kind": "sampled", "schedule": "exponential", "warmup": 2 } })),
    ] {
        let mut params = with(&changes);
        params["steps"] = 8.into();
        let events = grpo_with(&bench, &params, name, 2, None).unwrap();
        for number in ["loss", "grad_norm", "entropy", "ess"] {
            assert!(seen(&events, number).iter().all(|value| value.is_finite()), "{name}: {number}");
        }
        assert!(seen(&events, "entropy").iter().all(|entropy| *entropy > 0.0), "{name}");
        let waits = seen(&events, "wait_share");
        assert!(waits.len() == 8 && waits.iter().all(|share| (0.0..=1.0).contains(share)), "{name}: {waits:?}");
        let duplicates = seen(&events, "duplicates").iter().any(|&count| count > 0.0);
        assert!(!duplicates || name == "released", "{name}: a sample was taken twice");
    }
}

/// The stage's own start is no step away at first; another model is.
#[test]
fn another_model_may_be_the_reference() {
    let mut bench = bench();
    let kl = |events: &[StageEvent]| seen(events, "kl")[0];
    let params = with(&json!({ "steps": 2, "updates": 1, "epochs": 1, "reward": { "luck": 1.0 } }));
    assert!(kl(&grpo_with(&bench, &params, "own", 2, None).unwrap()).abs() < 1e-6);
    bench.reference = Some("base".to_owned());
    assert!(kl(&grpo_with(&bench, &params, "named", 2, None).unwrap()) > 0.1);
    assert!(bench.weights("own") != bench.weights("named"));
}

/// Where groups differ in style and not in accuracy, PAD selects none of their samples.
#[test]
fn pad_sees_accuracy_alone() {
    let bench = bench();
    let style = json!({ "accuracy": 1.0, "format": 1.0 });
    let pad = json!({ "select": { "kind": "pad", "low": 0.03, "ratio": 1.0 }, "reward": style });
    let events = grpo_with(&bench, &with(&pad), "pad", 2, None).unwrap();
    let (selected, zero) = (seen(&events, "selected"), seen(&events, "zero_variance"));
    for (selected, zero) in selected.iter().zip(&zero) {
        assert!(*selected <= 16.0 * (1.0 - zero) + 1e-9, "{selected} of 16 samples with {zero} of the groups alike");
    }
    let style = seen(&events, "format");
    let tempted = |step: usize| style[step] > 0.0 && style[step] < 1.0 && zero[step] > 1.0 - 1e-9;
    assert!((0..style.len()).any(tempted), "no step has groups that differ in style alone: {style:?} {zero:?}");
}
