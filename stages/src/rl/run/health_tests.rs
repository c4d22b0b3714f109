//! What detectors make of whole stages, and optimizers that go on.

use curricle_engine::stage::{Kind, Runtime};
use serde_json::{Value, json};

use super::tests::{bench, grpo_with, practised, with};
use crate::kinds::grpo::Grpo;
use crate::kinds::sft::Sft;
use crate::testing::{Bench, alerts, seen};

/// The note that a stage leaves beside its model.
fn note(bench: &Bench, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(bench.model(name).join("health.json")).unwrap()).unwrap()
}

/// Rewards that never differ within a group: random weights answer nothing rightly.
fn hopeless(select: &Value, health: &Value) -> Value {
    with(&json!({ "steps": 8, "updates": 1, "epochs": 1, "kl": { "coef": 0.0 }, "select": select,
                  "reward": { "accuracy": 1.0, "format": 0.0 }, "health": health }))
}

fn run(bench: &Bench, model: &str, params: &Value, name: &str) -> Vec<curricle_engine::exec::StageEvent> {
    let runtime = Runtime { threads: 2, ..Runtime::default() };
    bench.run_on(model, &Kind::<Grpo>::NEW, params, name, &runtime, None).unwrap()
}

/// Groups that are all wrong: said once; PAD selects nothing, and not a bit of the weights moves. As released, it falls back
/// to the whole batch.
#[test]
fn stagnation_is_said_and_pad_makes_no_update() {
    let bench = Bench::drawn();
    let health = json!({ "window": 3 });
    let pad = json!({ "kind": "pad", "low": 0.03, "ratio": 1.0 });
    let events = run(&bench, "base", &hopeless(&pad, &health), "pad");
    assert_eq!(seen(&events, "zero_variance"), [1.0; 8], "random weights got something right");
    let stagnant: Vec<_> = alerts(&events).into_iter().filter(|(_, name, _)| *name == "stagnation").collect();
    assert_eq!(stagnant, [(3, "stagnation", "warn")], "once, when the window is full");
    assert_eq!(seen(&events, "selected"), [0.0; 8]);
    assert!(seen(&events, "loss").is_empty(), "there was nothing to update with");
    assert!(bench.weights("pad") == bench.weights("base"), "no sample, no update");

    let events = run(&bench, "base", &hopeless(&json!({ "kind": "pad-released" }), &health), "released");
    assert_eq!(seen(&events, "selected"), [16.0; 8], "the whole batch");
    assert_eq!(seen(&events, "loss").len(), 8);
    assert_eq!(alerts(&events).iter().filter(|(_, name, _)| *name == "stagnation").count(), 1);
}

#[test]
fn a_detector_may_end_the_stage_with_the_model_as_it_is() {
    let bench = Bench::drawn();
    let pad = json!({ "kind": "pad", "low": 0.03, "ratio": 1.0 });
    let health = json!({ "window": 3, "stagnation": { "action": "stop" } });
    let events = run(&bench, "base", &hopeless(&pad, &health), "stopped");
    assert!(alerts(&events).contains(&(3, "stagnation", "stop")), "{:?}", alerts(&events));
    assert_eq!(seen(&events, "reward").len(), 3);
    let note = note(&bench, "stopped");
    let ended = json!({ "step": 3, "of": 8, "detector": "stagnation", "action": "stop", "model_after_step": 3 });
    assert_eq!(note["ended"], ended);
    assert_eq!(note["alerts"][0]["step"], 3);
}

/// Stopped and resumed, a stage says the same at the same steps, keeps the same best model and ends with the same bytes.
#[test]
fn the_best_model_survives_a_stop() {
    let bench = practised();
    // A rate that ruins the model, and a detector that sees it.
    let params = with(&json!({ "lr": 0.1, "updates": 1, "epochs": 1, "steps": 24, "save_optimizer": true, "health": {
        "window": 2, "reward_collapse": { "action": "rollback", "share": 0.7 } } }));
    let events = grpo_with(&bench, &params, "straight", 2, None).unwrap();
    let (said, told) = (alerts(&events), note(&bench, "straight"));
    let &(end, ..) = said.iter().find(|(_, name, _)| *name == "reward_collapse").expect("it ruins the model");
    assert_eq!(seen(&events, "reward").len(), end);
    let kept = told["ended"]["model_after_step"].as_u64().unwrap() as usize;
    assert!(kept + 1 < end, "the best model is an earlier one: {told}");
    assert!(end > 3, "too early to stop in between: {end}");

    let mut again = Vec::new();
    let stopped = grpo_with(&bench, &params, "broken", 1, Some(1));
    assert!(stopped.is_err());
    again.extend(grpo_with(&bench, &params, "broken", 2, None).unwrap());
    assert!(alerts(&again).contains(said.last().unwrap()), "{said:?}, then {:?}", alerts(&again));
    assert_eq!(note(&bench, "broken"), told);
    assert!(bench.weights("straight") == bench.weights("broken"), "a stop changed the kept weights");
    let moments = |name: &str| std::fs::read(bench.output(name, "optimizer").join("optimizer.safetensors")).unwrap();
    assert!(moments("straight") == moments("broken"), "a stop changed the kept moments");

    // The kept model is the one that a stage of so many steps leaves, and so are its optimizer's moments.
    let short = json!({ "lr": 0.1, "updates": 1, "epochs": 1, "steps": kept, "save_optimizer": true, "health": { "window": 2 } });
    if kept > 0 {
        grpo_with(&bench, &with(&short), "short", 2, None).unwrap();
        assert!(moments("short") == moments("straight"), "moments of another step");
    }
    let short = if kept > 0 { "short" } else { "cold" };
    assert!(bench.weights(short) == bench.weights("straight"));
}

/// Questions with images are asked before the first step and every few; a model that is ruined answers fewer.
#[test]
fn images_are_watched() {
    let bench = practised();
    let watch = json!({ "action": "rollback", "every": 6, "drop": 0.1, "p": 1.0, "max_new_tokens": 64 });
    let params = with(&json!({ "lr": 0.1, "updates": 1, "epochs": 1, "steps": 18, "freeze": [],
                               "health": { "image_accuracy": watch } }));
    let events = grpo_with(&bench, &params, "straight", 2, None).unwrap();
    let said = alerts(&events);
    let looks = seen(&events, "image_accuracy");
    let found = said.iter().find(|(_, name, _)| *name == "image_accuracy");
    let &(end, _, action) = found.unwrap_or_else(|| panic!("{looks:?} {:?}", events[0]));
    assert_eq!((action, end % 6), ("rollback", 0));
    assert_eq!(looks.len(), end / 6);
    let told = note(&bench, "straight");
    assert!(told["ended"]["model_after_step"].as_u64().unwrap() < end as u64, "{told}");

    assert!(grpo_with(&bench, &params, "broken", 1, Some(1)).is_err());
    grpo_with(&bench, &params, "broken", 2, None).unwrap();
    assert_eq!(note(&bench, "broken"), told);
    assert!(bench.weights("straight") == bench.weights("broken"));
}

/// Rows that the model answers rightly before it learns from them.
#[test]
fn solved_rows_end_a_cold_start_before_it_begins() {
    let bench = Bench::sums();
    let sft = |model: &str, params: &Value, name: &str| {
        bench.run_on(model, &Kind::<Sft>::NEW, params, name, &Runtime::default(), None).unwrap()
    };
    let learn = json!({ "steps": 400, "batch": 12, "micro_batch": 12, "lr": 1e-2, "schedule": "cosine" });
    sft("base", &learn, "cold");
    let ask = json!({ "solved": { "action": "stop", "above": 0.5, "rows": 8, "max_new_tokens": 12 } });
    let again = json!({ "steps": 5, "batch": 12, "micro_batch": 12, "health": ask });
    assert!(alerts(&sft("base", &again, "new")).is_empty(), "random weights solve nothing");
    let events = sft("cold", &again, "again");
    assert_eq!(alerts(&events), [(0, "solved", "stop")], "{events:?}");
    assert!(seen(&events, "loss").is_empty());
    assert!(bench.weights("again") == bench.weights("cold"));
    assert_eq!(note(&bench, "again")["ended"]["model_after_step"], 0);
}

#[test]
fn how_far_updates_are_from_the_rollout_is_reported() {
    let bench = bench();
    // Luck moves a model that knows nothing yet.
    let luck = json!({ "steps": 4, "reward": { "accuracy": 0.0, "format": 0.0, "luck": 1.0 } });
    let events = grpo_with(&bench, &with(&luck), "far", 2, None).unwrap();
    let number = |name| seen(&events, name);
    assert!(number("ratio_max").iter().all(|&max| max > 1.0), "{:?}", number("ratio_max"));
    assert!(number("ratio_ess").iter().all(|&ess| ess > 0.0 && ess <= 1.0 + 1e-9));
    assert!(number("old_kl_k3").iter().all(|&kl| kl > 0.0), "{:?}", number("old_kl_k3"));
    let sides = number("clip_low").into_iter().zip(number("clip_high")).map(|(low, high)| low + high);
    assert!(sides.zip(number("clip_fraction")).all(|(sides, all)| (sides - all).abs() < 0.2), "tokens against steps");
    let once = with(&json!({ "steps": 2, "updates": 1, "epochs": 1 }));
    assert!(seen(&grpo_with(&bench, &once, "once", 2, None).unwrap(), "ratio_max").is_empty(), "no model has moved");
}

/// Two stages with the state between them are one stage, where the data and the schedule are the same.
#[test]
fn an_optimizer_goes_on() {
    let mut bench = Bench::sums();
    let params = |steps: usize| {
        json!({ "steps": steps, "batch": 12, "micro_batch": 12, "lr": 1e-2, "save_optimizer": true,
                "schedule": "constant" })
    };
    let runtime = Runtime::default();
    let sft = |bench: &Bench, model: &str, name: &str, params: &Value| {
        bench.run_on(model, &Kind::<Sft>::NEW, params, name, &runtime, None).unwrap()
    };
    sft(&bench, "base", "six", &params(6));
    sft(&bench, "base", "three", &params(3));
    sft(&bench, "three", "anew", &params(3));
    bench.optimizer = Some("three".to_owned());
    let mut keep = params(3);
    keep["optimizer_state"] = json!("keep");
    let events = sft(&bench, "three", "goes_on", &keep);
    assert!(bench.weights("six") != bench.weights("anew"), "moments make a difference");
    let apart = |name: &str| {
        let (six, other) = (bench.tensors("six"), bench.tensors(name));
        let float = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
        let square = |(name, bytes): (&String, &Vec<u8>)| {
            let pairs = bytes.chunks(4).zip(other[name].chunks(4));
            pairs.map(|(a, b)| f64::from(float(a) - float(b)).powi(2)).sum::<f64>()
        };
        six.iter().map(square).sum::<f64>().sqrt()
    };
    // The rows of an epoch come in another order in another stage, and their sum is rounded otherwise.
    assert!(apart("goes_on") < 1e-2 * apart("anew"), "{} and {}", apart("goes_on"), apart("anew"));
    let said = format!("{events:?}");
    assert!(said.contains("the optimizer goes on with the moments of"), "{said}");

    // Into another kind of stage, with a part frozen that was not: its moments are dropped, and that is said.
    let rl = with(&json!({ "steps": 1, "optimizer_state": "keep", "freeze": ["embed", "vision"] }));
    let events = bench.run_on("three", &Kind::<Grpo>::NEW, &rl, "rl", &runtime, None).unwrap();
    assert!(format!("{events:?}").contains("are dropped: frozen"), "{events:?}");
    bench.optimizer = Some("rl".to_owned());
    assert!(bench.run_on("three", &Kind::<Sft>::NEW, &keep, "none", &runtime, None).is_err(), "`rl` left no state");
}
