//! Estimates beside what was measured: peaks of `VmHWM` of worker processes (BENCHMARKS.md says how), in MiB.

use std::collections::BTreeMap;
use std::sync::Arc;

use curricle_engine::stage::{Estimate, Extent, Facts, Length, Runtime};
use serde_json::{Value, json};

use crate::KINDS;

/// SmolLM2-135M in this architecture.
fn smollm() -> Extent {
    let config = json!({
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "vocab_size": 49216, "tie_word_embeddings": true, "max_position_embeddings": 8192,
        "vision_config": {
            "depth": 4, "hidden_size": 128, "intermediate_size": 320, "num_heads": 4, "window_size": 112,
            "fullatt_block_indexes": [1, 3],
        },
    });
    let pixel_bounds = Some([3136.0, 112_896.0]);
    Extent { config: Some(Arc::new(config)), template: Some(10.0), pixel_bounds, ..Extent::default() }
}

fn estimate(kind: &str, params: &Value, inputs: &[(&str, Extent)], runtime: &Runtime) -> Estimate {
    let kind = KINDS.iter().find(|known| known.name() == kind).unwrap();
    let stage = kind.decode(params).unwrap();
    let inputs: BTreeMap<_, _> = inputs.iter().map(|(port, known)| ((*port).to_owned(), known.clone())).collect();
    stage.estimate(&Facts { inputs: &inputs, runtime, threads: runtime.threads.max(1), gpu: false })
}

fn threads(threads: usize) -> Runtime {
    Runtime { threads, ..Runtime::default() }
}

#[track_caller]
fn within_a_quarter(estimate: &Estimate, measured_mib: f64) {
    let peak = estimate.peak().unwrap();
    let found = peak.memory.total() as f64 / f64::from(1 << 20);
    assert!((found / measured_mib - 1.0).abs() < 0.25, "{found:.0} MiB, measured {measured_mib}: {peak:?}");
}

/// Four rows of about 510 tokens, most of them learnt from, one step.
#[test]
fn the_memory_of_a_training_step_is_about_what_was_measured() {
    let rows = Extent {
        rows: Some(4.0),
        prompt: Some(Length::always(3.0)),
        answer: Some(Length::always(490.0)),
        images: Some(0.0),
        ..Extent::default()
    };
    for (checkpointing, precision, measured) in [(false, "f32", 3361.0), (true, "f32", 2345.0), (true, "bf16", 2289.0)]
    {
        let params = json!({ "steps": 1, "batch": 4, "micro_batch": 4, "precision": precision });
        let runtime = Runtime { gradient_checkpointing: checkpointing, ..threads(1) };
        within_a_quarter(&estimate("sft", &params, &[("model", smollm()), ("data", rows.clone())], &runtime), measured);
    }
}

const INSTRUCTION: &str = "Think step by step within <think> </think> tags, then put the final answer in \\boxed{}.";

fn puzzles() -> Extent {
    Extent {
        rows: Some(360.0),
        prompt: Some(Length { mean: 22.0, marks: [22.0, 26.0, 32.0, 36.0, 40.0] }),
        answer: Some(Length::always(5.0)),
        images: Some(1.0),
        pixels: Some(336.0 * 336.0),
        ..Extent::default()
    }
}

fn gsm8k() -> Extent {
    Extent {
        rows: Some(392.0),
        // Of the first 408 rows, with prompts of [58, 90, 125, 179, 179] tokens and whole rows of [183, 282, 428, 556, 556].
        prompt: Some(Length { mean: 61.0, marks: [58.0, 90.0, 125.0, 179.0, 179.0] }),
        answer: Some(Length { mean: 135.0, marks: [130.0, 197.0, 308.0, 382.0, 382.0] }),
        images: Some(0.0),
        ..Extent::default()
    }
}

/// `recipes/puzzle-real.toml` with SmolLM2-135M on two cores, with fewer steps.
#[test]
fn the_memory_of_real_stages_is_about_what_was_measured() {
    let of = |kind: &str, params: &Value, data: Extent| {
        let mut params = params.clone();
        params["instruction"] = json!(INSTRUCTION);
        estimate(kind, &params, &[("model", smollm()), ("data", data)], &threads(2))
    };
    let sft = |steps: usize| json!({ "steps": steps, "batch": 4, "micro_batch": 2 });
    within_a_quarter(&of("sft", &sft(3), puzzles()), 4219.0);
    let mut frozen = sft(4);
    frozen["freeze"] = json!(["vision", "merger"]);
    within_a_quarter(&of("sft", &frozen, gsm8k()), 3738.0);
    let grpo = json!({ "steps": 1, "prompts": 4, "group": 6, "micro_batch": 2, "max_new_tokens": 128 });
    within_a_quarter(&of("grpo", &grpo, puzzles()), 3081.0);
    let with_kl = json!({
        "steps": 1, "prompts": 2, "group": 4, "micro_batch": 2, "max_new_tokens": 128, "freeze": ["vision"],
        "kl": { "coef": 2e-3 },
    });
    within_a_quarter(&of("grpo", &with_kl, gsm8k()), 2532.0);
    let evaluate = json!({ "limit": 8, "batch": 4, "max_new_tokens": 128 });
    within_a_quarter(&of("evaluate", &evaluate, puzzles()), 1138.0);
    within_a_quarter(&of("evaluate", &evaluate, gsm8k()), 1085.0);
    within_a_quarter(&estimate("export", &json!({}), &[("model", smollm())], &threads(2)), 911.0);
}

/// 6 N a token with all weights learning (Kaplan et al. 2020): N without the embedding's table, and the head's where it counts.
#[test]
fn operations_of_long_training_are_six_a_weight_and_token() {
    let rows =
        Extent { prompt: Some(Length::always(0.0)), images: Some(0.0), answer: Some(Length::always(100.0)), ..gsm8k() };
    let model = Extent { template: Some(0.0), ..smollm() };
    let params = json!({ "steps": 10, "batch": 4, "freeze": ["vision", "merger"] });
    let found = estimate("sft", &params, &[("model", model), ("data", rows)], &threads(1));
    let (tokens, weights) = (found.tokens.unwrap(), 134_580_672.0);
    assert!((tokens - 4000.0).abs() < 1e-6, "{tokens}");
    let simple = 6.0 * weights * tokens;
    assert!((found.flops.unwrap() / simple - 1.0).abs() < 0.1, "{:e} {simple:e}", found.flops.unwrap());
}

#[test]
fn a_group_reads_its_prompt_once() {
    let of = |prompts: usize, group: usize| {
        let params = json!({ "steps": 1, "prompts": prompts, "group": group, "max_new_tokens": 1 });
        let found = estimate("grpo", &params, &[("model", smollm()), ("data", gsm8k())], &threads(1));
        (found.flops.unwrap(), found.peak().unwrap().memory.kv_cache)
    };
    let ((many, _), (few, _)) = (of(16, 2), of(4, 8));
    assert!(few < 0.95 * many, "{few:e} {many:e}");
}

#[test]
fn adapters_cost_no_moments_of_the_weights() {
    let of = |lora: Value| {
        let params = json!({ "steps": 10, "batch": 4, "lora": lora });
        estimate("sft", &params, &[("model", smollm()), ("data", gsm8k())], &threads(1))
    };
    let (full, low) = (of(Value::Null), of(json!({ "rank": 8 })));
    // r · (in + out) of q, k, v, o, gate, up, down: 8 · (1152 + 768 + 768 + 1152 + 3 · 2112), 30 times.
    assert_eq!(low.trained, Some(8 * 10_176 * 30));
    assert!(low.peak().unwrap().memory.optimizer * 20 < full.peak().unwrap().memory.optimizer);
    assert!(low.flops.unwrap() < full.flops.unwrap());
    assert_eq!(low.makes["model"].adapter, low.trained);
}

#[test]
fn what_flows_on_is_known_before_it_is_made() {
    let synthesize = json!({ "train": 100, "tasks": { "count": {}, "arithmetic": { "weight": 3.0 } } });
    let rows = estimate("synthesize", &synthesize, &[], &threads(1)).makes["train"].clone();
    assert_eq!((rows.rows, rows.images, rows.pixels), (Some(100.0), Some(0.25), Some(7056.0)));
    let init = estimate("init", &json!({}), &[("data", rows.clone())], &threads(1));
    let model = init.makes["model"].clone();
    let sft = estimate("sft", &json!({ "epochs": 2, "batch": 10 }), &[("model", model), ("data", rows)], &threads(1));
    assert_eq!(sft.parameters, init.parameters);
    assert!(sft.flops.unwrap() > 0.0 && sft.notes.is_empty(), "{:?}", sft.notes);
}

#[test]
fn nothing_is_made_up_about_a_model_that_nobody_knows() {
    let known = |config: Value| Extent { config: Some(Arc::new(config)), ..Extent::default() };
    for kind in ["sft", "grpo", "evaluate", "merge", "export"] {
        let unseen = estimate(kind, &json!({}), &[("model", Extent::default())], &threads(1));
        assert!(unseen.phases.is_empty() && unseen.flops.is_none(), "{kind}");
        assert!(unseen.notes[0].contains("nothing is known of the model on `model`"), "{kind}: {:?}", unseen.notes);
        let part = estimate(kind, &json!({}), &[("model", known(json!({ "hidden_size": 8 })))], &threads(1));
        assert!(part.notes[0].contains("does not say its `vision_config.window_size`"), "{kind}: {:?}", part.notes);
    }
    let rows = estimate("sft", &json!({}), &[("model", smollm()), ("data", Extent::default())], &threads(1));
    assert!(
        rows.flops.is_none() && rows.bound && rows.peak().is_some(),
        "memory is bounded by the longest row allowed"
    );
    assert!(rows.notes.iter().any(|note| note.contains("how many rows")), "{:?}", rows.notes);
}

#[test]
fn checkpoints_are_on_disk_only_where_some_are_written() {
    let of = |steps: usize, every: usize| {
        let runtime = Runtime { checkpoint_every: every, ..threads(1) };
        let params = json!({ "steps": steps });
        estimate("sft", &params, &[("model", smollm()), ("data", gsm8k())], &runtime).checkpoint_bytes.unwrap()
    };
    // Weights and two moments, 12 bytes a parameter but 4 of the tower, which rows of text never reach.
    let one = 4 * 136_049_280 + 8 * 134_580_672;
    assert_eq!([of(50, 50), of(100, 0), of(60, 50), of(1000, 50)], [0, 0, one, 3 * one]);
}

#[test]
fn moments_that_are_kept_are_on_disk() {
    let of = |save: bool| {
        let params = json!({ "steps": 1, "save_optimizer": save });
        estimate("sft", &params, &[("model", smollm()), ("data", gsm8k())], &threads(1)).output_bytes.unwrap()
    };
    assert_eq!([of(false), of(true)], [4 * 136_049_280, 4 * 136_049_280 + 8 * 134_580_672]);
}
