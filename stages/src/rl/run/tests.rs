use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{Kind, Runtime, StageError};
use serde_json::{Value, json};

use crate::kinds::evaluate::Evaluate;
use crate::kinds::grpo::Grpo;
use crate::kinds::sft::Sft;
use crate::testing::{Bench, seen};

/// Rows with drawings, and a model `cold` that has seen boxed answers: random weights are never rewarded.
fn bench() -> Bench {
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
    let runtime = Runtime { threads, checkpoint_every: 2, ..Runtime::default() };
    bench.run_on("cold", &Kind::<Grpo>::NEW, &params(), name, &runtime, stop)
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
