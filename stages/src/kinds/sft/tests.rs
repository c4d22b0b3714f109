use curricle_datasets::Processor;
use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{Kind, Problems, Runtime, StageError, StageKind};
use serde_json::{Value, json};

use super::Sft;
use crate::model::ModelConfig;
use crate::testing::{Bench, seen};

fn sft(bench: &Bench, name: &str, threads: usize, stop: Option<usize>) -> Result<Vec<StageEvent>, StageError> {
    let runtime = Runtime { threads, checkpoint_every: 4, ..Runtime::default() };
    bench.run(&Kind::<Sft>::NEW, &params(), name, &runtime, stop)
}

fn params() -> Value {
    json!({
        "steps": 60, "batch": 5, "micro_batch": 2, "lr": 1e-2, "schedule": "cosine", "warmup": 2.0, "weight_decay": 0.1,
        "look_every": 7,
    })
}

#[test]
fn it_learns_and_says_so() {
    let bench = Bench::sums();
    let events = sft(&bench, "tuned", 1, None).unwrap();
    let losses = seen(&events, "loss");
    assert_eq!(losses.len(), 60);
    assert!(losses[59] < 0.5 * losses[0], "{losses:?}");
    assert_eq!(seen(&events, "val_loss").len(), 9);
    assert!(bench.model("tuned").join("tokenizer.json").is_file());
    let mut waits = seen(&events, "wait_share");
    assert!(waits.len() == 60 && waits.iter().all(|share| (0.0..=1.0).contains(share)), "{waits:?}");
    waits.sort_by(f64::total_cmp);
    assert!(waits[30] < 0.2, "rows were not there when they were needed: {waits:?}");
}

#[test]
fn the_number_of_lanes_changes_no_byte() {
    let bench = Bench::sums();
    sft(&bench, "one", 1, None).unwrap();
    sft(&bench, "three", 3, None).unwrap();
    assert_eq!(bench.weights("one"), bench.weights("three"));
}

#[test]
fn gradient_checkpointing_changes_no_byte() {
    let bench = Bench::drawn();
    for (name, gradient_checkpointing) in [("all", false), ("inputs", true)] {
        let runtime = Runtime { threads: 2, gradient_checkpointing, ..Runtime::default() };
        bench.run(&Kind::<Sft>::NEW, &params(), name, &runtime, None).unwrap();
    }
    assert!(bench.weights("all") == bench.weights("inputs"));
}

#[test]
fn interrupted_twice_and_resumed_it_ends_in_the_same_bytes() {
    let bench = Bench::sums();
    sft(&bench, "straight", 2, None).unwrap();
    for stop in [3, 20] {
        assert!(matches!(sft(&bench, "broken", 2, Some(stop)), Err(StageError::Interrupted { .. })));
    }
    let events = sft(&bench, "broken", 2, None).unwrap();
    assert!(matches!(events[0], StageEvent::Resumed { step } if step >= 20), "{:?}", events[0]);
    assert_eq!(bench.weights("straight"), bench.weights("broken"));
}

#[test]
fn frozen_parts_keep_their_bytes_and_a_plateau_stops() {
    let bench = Bench::sums();
    let mut params = params();
    params["freeze"] = json!(["text", "vision", "merger"]);
    params["lr"] = json!(1e-12);
    params["stop"] = json!({ "plateau": { "metric": "loss", "patience": 1 } });
    let events = bench.run(&Kind::<Sft>::NEW, &params, "frozen", &Runtime::default(), None).unwrap();
    let last = events.iter().filter_map(|event| match event {
        StageEvent::Progress { step, .. } => Some(*step),
        _ => None,
    });
    assert!(last.max().unwrap() < 60);
    let projection = "model.layers.0.mlp.up_proj.weight";
    assert_eq!(bench.tensors("base")[projection], bench.tensors("frozen")[projection]);
}

/// Steps on drawings with the tower frozen.
fn precise(precision: &str) -> Value {
    json!({
        "steps": 20, "batch": 6, "micro_batch": 2, "lr": 1e-2, "freeze": ["vision"], "precision": precision,
    })
}

#[test]
#[expect(clippy::print_stderr, reason = "the measured differences are worth seeing")]
fn bfloat16_learns_like_float32() {
    let bench = Bench::drawn();
    let losses = |precision| {
        let events = bench.run(&Kind::<Sft>::NEW, &precise(precision), precision, &Runtime::default(), None).unwrap();
        seen(&events, "loss")
    };
    let (narrow, wide) = (losses("bf16"), losses("f32"));
    eprintln!("losses in bfloat16 {narrow:?}, in float32 {wide:?}");
    assert!(wide[19] < 0.5 * wide[0], "{wide:?}");
    for (narrow, wide) in narrow.iter().zip(&wide) {
        assert!((narrow / wide - 1.0).abs() < 0.01 && narrow.to_bits() != wide.to_bits(), "{narrow} {wide}");
    }
}

#[test]
fn bfloat16_keeps_its_masters_and_what_is_frozen() {
    let bench = Bench::drawn();
    let run = |name: &str, runtime: &Runtime, stop| bench.run(&Kind::<Sft>::NEW, &precise("bf16"), name, runtime, stop);
    let runtime = Runtime { threads: 2, checkpoint_every: 2, ..Runtime::default() };
    run("straight", &runtime, None).unwrap();
    let (before, after) = (bench.tensors("base"), bench.tensors("straight"));
    for (name, bytes) in &after {
        let frozen = name.starts_with("visual.") && !name.starts_with("visual.merger.");
        assert_eq!(*bytes == before[name], frozen, "{name}");
        let wide = bytes.as_chunks::<4>().0.iter().any(|value| value[..2] != [0, 0]);
        assert!(wide || frozen, "{name} was rounded");
    }
    assert!(matches!(run("broken", &runtime, Some(3)), Err(StageError::Interrupted { .. })));
    run("broken", &Runtime { threads: 1, gradient_checkpointing: true, ..runtime }, None).unwrap();
    assert!(bench.weights("straight") == bench.weights("broken"));
}

#[test]
fn added_tokens_get_rows_and_are_one_token_in_what_follows() {
    let bench = Bench::sums();
    let tokens = ["<plan>", "</plan>"];
    let mut params = params();
    params["steps"] = json!(2);
    params["add_tokens"] = json!(tokens);
    bench.run(&Kind::<Sft>::NEW, &params, "grown", &Runtime::default(), None).unwrap();
    let rows = |name: &str| ModelConfig::read(&bench.model(name)).unwrap().text.vocab_size;
    assert_eq!(rows("grown"), rows("base") + 2);
    let processor = Processor::open(&bench.model("grown")).unwrap();
    assert_eq!(processor.vocab_size(), rows("grown"));
    for (place, token) in tokens.iter().enumerate() {
        assert_eq!(processor.encode(token).unwrap(), [(rows("base") + place) as u32]);
    }
    // Asked for again, they are there: nothing grows, and the stage goes on from the same rows.
    bench.run_on("grown", &Kind::<Sft>::NEW, &params, "again", &Runtime::default(), None).unwrap();
    assert_eq!(rows("again"), rows("grown"));
    let tokenizer = |name: &str| std::fs::read(bench.model(name).join("tokenizer.json")).unwrap();
    assert!(tokenizer("again") == tokenizer("grown"));
}

#[test]
fn tokens_that_could_not_learn_are_refused() {
    let told = |params: Value| {
        let mut problems = Problems::default();
        Sft::validate(&serde_json::from_value(params).unwrap(), &mut problems);
        problems.into_vec().into_iter().map(|problem| problem.message).collect::<Vec<_>>()
    };
    assert!(told(json!({ "add_tokens": ["<think>", "</think>"], "freeze": ["vision"] })).is_empty());
    assert!(told(json!({ "add_tokens": ["<think>"], "lora": {} }))[0].contains("`lora`"));
    assert!(told(json!({ "add_tokens": ["<think>"], "freeze": ["embed"] }))[0].contains("frozen"));
    assert_eq!(told(json!({ "add_tokens": ["<a>", " ", "<a>"] })), ["is blank", "`<a>` is there twice"]);
}

/// A step that would spoil the weights is left out and counted; where no other follows, the stage gives up.
#[test]
fn steps_that_are_not_finite_are_left_out() {
    let bench = Bench::sums();
    let run = |name: &str, steps: usize| {
        let params = json!({ "steps": steps, "batch": 12, "micro_batch": 12, "lr": 1e30 });
        bench.run(&Kind::<Sft>::NEW, &params, name, &Runtime::default(), None)
    };
    run("one", 1).unwrap();
    let events = run("five", 5).unwrap();
    assert_eq!(seen(&events, "not_finite"), [0.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(seen(&events, "loss").len(), 1);
    assert!(bench.weights("one") == bench.weights("five"), "a step that was left out changed the weights");
    let error = run("twenty", 20).unwrap_err().to_string();
    assert!(error.contains("the last 10 steps up to 11 are not finite"), "{error}");
}
