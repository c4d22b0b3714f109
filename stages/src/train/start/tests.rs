use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{AnyKind, Kind, Runtime, StageError};
use serde_json::{Value, json};

use super::{Change, Start};
use crate::kinds::export::Export;
use crate::kinds::grpo::Grpo;
use crate::kinds::merge::Merge;
use crate::kinds::sft::Sft;
use crate::model::lora::Lora;
use crate::model::weights::{self, export};
use crate::model::{ModelConfig, Qwen2_5Vl, fixture, peft};
use crate::testing::{Bench, peak, seen};
use crate::train::freeze::{Learns, Part};
use crate::train::precision::Precision;

const ADAPTER: &str = "adapter_model.safetensors";

fn sft(bench: &Bench, name: &str, threads: usize, stop: Option<usize>) -> Result<Vec<StageEvent>, StageError> {
    let runtime = Runtime { threads, checkpoint_every: 4, ..Runtime::default() };
    bench.run(&Kind::<Sft>::NEW, &params(), name, &runtime, stop)
}

fn params() -> Value {
    let lora = json!({ "rank": 4, "alpha": 8.0, "dropout": 0.2, "targets": ["*"] });
    json!({ "steps": 12, "batch": 5, "micro_batch": 2, "lr": 1e-2, "lora": lora })
}

fn after(bench: &Bench, model: &str, kind: &dyn AnyKind, params: &Value, name: &str) -> Result<(), StageError> {
    bench.run_on(model, kind, params, name, &Runtime::default(), None).map(drop)
}

fn file(bench: &Bench, model: &str, name: &str) -> Vec<u8> {
    std::fs::read(bench.model(model).join(name)).unwrap()
}

#[test]
fn an_adapter_learns_beside_weights_that_stay() {
    let bench = Bench::drawn();
    let losses = seen(&sft(&bench, "tuned", 1, None).unwrap(), "loss");
    assert!(losses[11] < losses[0], "{losses:?}");
    assert!(bench.weights("tuned") == bench.weights("base"), "the base changed");
    assert_eq!(file(&bench, "tuned", "config.json"), file(&bench, "base", "config.json"));
    let found = peft::read(&bench.model("tuned")).unwrap().unwrap();
    assert_eq!((found.lora.rank, found.lora.scale(), found.lora.dropout), (4, 2.0, 0.2));
    let checkpoint = bench.model("tuned").join("../../work/checkpoints/step-00000008/tensors.safetensors");
    let bytes = std::fs::read(checkpoint).unwrap();
    let names: Vec<String> =
        safetensors::SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(str::to_owned).collect();
    assert!(names.iter().all(|name| name.contains(".lora.")), "a checkpoint holds what learns: {names:?}");
}

#[test]
fn neither_lanes_nor_interruptions_nor_checkpointing_change_what_is_dropped() {
    let bench = Bench::sums();
    sft(&bench, "one", 1, None).unwrap();
    sft(&bench, "two", 2, None).unwrap();
    for stop in [3, 7] {
        assert!(matches!(sft(&bench, "broken", 2, Some(stop)), Err(StageError::Interrupted { .. })));
    }
    sft(&bench, "broken", 2, None).unwrap();
    let runtime = Runtime { gradient_checkpointing: true, ..Runtime::default() };
    bench.run(&Kind::<Sft>::NEW, &params(), "again", &runtime, None).unwrap();
    for other in ["two", "broken", "again"] {
        assert!(file(&bench, "one", ADAPTER) == file(&bench, other, ADAPTER), "{other} differs");
    }
}

#[test]
fn an_adapter_goes_on_learning_is_merged_and_exported() {
    let bench = Bench::sums();
    sft(&bench, "tuned", 1, None).unwrap();
    let grpo = json!({
        "steps": 3, "prompts": 2, "group": 4, "max_new_tokens": 6, "lr": 1e-2, "kl": { "coef": 0.1 }, "freeze": ["vision"],
    });
    after(&bench, "tuned", &Kind::<Grpo>::NEW, &grpo, "asked").unwrap();
    assert!(bench.weights("asked") == bench.weights("base"), "the base changed");
    assert!(peft::read(&bench.model("asked")).unwrap().is_some());

    let more = json!({ "steps": 2, "lora": { "rank": 2 } });
    let error = after(&bench, "tuned", &Kind::<Sft>::NEW, &more, "twice").unwrap_err().to_string();
    assert!(error.contains("has an adapter already"), "{error}");

    after(&bench, "tuned", &Kind::<Merge>::NEW, &json!({}), "merged").unwrap();
    assert!(peft::read(&bench.model("merged")).unwrap().is_none());
    let (before, merged) = (bench.tensors("base"), bench.tensors("merged"));
    assert_eq!(before.keys().collect::<Vec<_>>(), merged.keys().collect::<Vec<_>>());
    for (name, bytes) in &before {
        let linear = name.ends_with("_proj.weight");
        // Rows of text do not reach the tower: its adapters keep a `B` of zeros.
        let learnt = linear && !name.starts_with("visual.");
        assert_eq!(bytes != &merged[name], learnt, "{name}");
    }
    assert!(after(&bench, "base", &Kind::<Merge>::NEW, &json!({}), "nothing").is_err());

    let export = |params: Value, name: &str| {
        after(&bench, "tuned", &Kind::<Export>::NEW, &params, name).unwrap();
        bench.model(name).with_file_name("export")
    };
    let full = export(json!({}), "full");
    assert!(std::fs::read(full.join("model.safetensors")).unwrap() == bench.weights("merged"));
    assert!(!full.join(ADAPTER).exists());
    let alone = export(json!({ "adapter": "peft", "base": "org/base" }), "alone");
    assert!(std::fs::read(alone.join(ADAPTER)).unwrap() == file(&bench, "tuned", ADAPTER));
    assert!(!alone.join("model.safetensors").exists() && alone.join("tokenizer.json").exists());
    assert_eq!(peft::read(&alone).unwrap().unwrap().base.as_deref(), Some("org/base"));
}

#[test]
fn adapters_learn_from_rewards_the_same_on_every_path() {
    let bench = Bench::sums();
    sft(&bench, "tuned", 1, None).unwrap();
    let params = json!({
        "steps": 4, "prompts": 3, "group": 4, "micro_batch": 3, "max_new_tokens": 6, "updates": 2, "epochs": 2, "lr": 1e-2,
        "kl": { "coef": 0.1 }, "select": { "kind": "none" }, "reward": { "accuracy": 1.0, "format": 0.5 },
    });
    let grpo = |name: &str, threads: usize, stop: Option<usize>| {
        let runtime = Runtime { threads, checkpoint_every: 1, ..Runtime::default() };
        bench.run_on("tuned", &Kind::<Grpo>::NEW, &params, name, &runtime, stop)
    };
    grpo("one", 1, None).unwrap();
    grpo("two", 2, None).unwrap();
    assert!(matches!(grpo("broken", 2, Some(2)), Err(StageError::Interrupted { .. })));
    grpo("broken", 1, None).unwrap();
    for other in ["two", "broken"] {
        assert!(file(&bench, "one", ADAPTER) == file(&bench, other, ADAPTER), "{other} differs");
    }
}

#[test]
fn bfloat16_adapters_keep_their_masters_and_leave_the_base() {
    let bench = Bench::drawn();
    let mut params = params();
    params["precision"] = json!("bf16");
    let losses = seen(&bench.run(&Kind::<Sft>::NEW, &params, "tuned", &Runtime::default(), None).unwrap(), "loss");
    assert!(losses[11] < losses[0], "{losses:?}");
    assert!(bench.weights("tuned") == bench.weights("base"), "the base changed");
    let bytes = file(&bench, "tuned", ADAPTER);
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, tensor) in tensors.iter().filter(|(name, _)| name.contains("language_model")) {
        assert!(tensor.data().as_chunks::<4>().0.iter().any(|value| value[..2] != [0, 0]), "{name} was rounded");
    }
}

#[test]
fn tokens_are_added_to_a_model_in_bfloat16_with_frozen_parts() {
    let bench = Bench::sums();
    let params = json!({
        "steps": 1, "batch": 4, "precision": "bf16", "freeze": ["vision", "merger", "text"], "add_tokens": ["<think>", "<plan>"],
    });
    bench.run(&Kind::<Sft>::NEW, &params, "grown", &Runtime::default(), None).unwrap();
    let (before, after) = (bench.tensors("base"), bench.tensors("grown"));
    for (name, bytes) in &before {
        assert_eq!(*bytes == after[name], !name.contains("embed_tokens"), "{name}");
    }
    assert!(after["model.embed_tokens.weight"].len() > before["model.embed_tokens.weight"].len());
}

/// A model, what is frozen, adapters and tokens that it gets.
type Case<'a> = (&'a str, &'a [Part], Option<&'a Lora>, &'a [String]);

/// What is read straight into the format in which it is held is what was read in float32 and then rounded, whatever learns.
#[test]
fn a_model_is_held_as_if_all_of_it_had_been_read_wide() {
    let bench = Bench::sums();
    sft(&bench, "tuned", 1, None).unwrap();
    let lora = Lora { rank: 2, ..Lora::default() };
    let tokens = ["<more>".to_owned(), "<most>".to_owned()];
    let bits = |model: &Qwen2_5Vl| -> Vec<_> {
        let of = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        export(model).into_iter().map(|(name, (shape, values))| (name, shape, of(&values))).collect()
    };
    let cases: [Case<'_>; 5] = [
        ("base", &[Part::Vision, Part::Text], None, &[]),
        ("base", &[Part::Embed, Part::Vision], None, &tokens),
        ("base", &[], None, &tokens),
        ("base", &[Part::Vision], Some(&lora), &[]),
        ("tuned", &[Part::Vision], None, &[]),
    ];
    for (name, frozen, lora, tokens) in cases {
        let folder = bench.model(name);
        let open = |precision| {
            let change = Change { lora, frozen, tokens, precision, seed: 3 };
            Start::open(&folder, change, &fixture::device()).unwrap().model
        };
        let (wide, held) = (open(Precision::F32), open(Precision::Bf16));
        let learns = Learns::of(&wide, frozen);
        let expected = Precision::Bf16.hold(wide, |path| learns.at(path));
        assert!(bits(&held) == bits(&expected), "{name} without {frozen:?}");
        let view = Precision::Bf16.view(&held);
        assert!(
            bits(&view) == bits(&Precision::Bf16.view(&expected)),
            "{name} without {frozen:?}, as it is computed with"
        );
    }
    let folder = bench.model("tuned");
    let config = ModelConfig::read(&folder).unwrap();
    let read = Precision::Bf16.read(&folder, &config, &fixture::device()).unwrap();
    let before = Precision::Bf16.view(&weights::load(&folder, &config, &fixture::device()).unwrap());
    assert!(bits(&read) == bits(&before), "an adapter is computed with in the format of its base");
}

/// Where only adapters learn, no more than half of a float32 model is ever there, and a few tensors.
#[test]
fn a_frozen_model_is_never_wide() {
    let bench = Bench::sums();
    let folder = bench.model("base");
    let lora = Lora { rank: 1, ..Lora::default() };
    let open = |precision| {
        let change = Change { lora: Some(&lora), frozen: &[], tokens: &[], precision, seed: 3 };
        let mut start = None;
        let held = peak(|| start = Some(Start::open(&folder, change, &fixture::device()).unwrap()));
        (held, export(&start.unwrap().model).values().map(|(_, values)| 4 * values.len()).sum::<usize>())
    };
    let _warm = open(Precision::F32);
    crate::train::lanes::single().unwrap().install(|| {
        let ((wide, whole), (narrow, _)) = (open(Precision::F32), open(Precision::Bf16));
        assert!(wide > whole, "the count is of another thread: {wide} of {whole}");
        assert!(wide - narrow > whole / 3, "{wide} bytes in float32, {narrow} in bfloat16, of {whole}");
    });
}
