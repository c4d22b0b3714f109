use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use curricle_datasets::{Encoded, ImagePatches};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;

use super::{BASE, CONFIG, ENDS, Lora, PREFIX, Peft, TENSORS, parse, read, save, targets};
use crate::model::adapters::tests::{adapted, states};
use crate::model::lora::in_memory;
use crate::model::weights::{self, export, load, open_file, value};
use crate::model::{Batch, ModelConfig, Padding, Qwen2_5Vl, fixture};

fn peft() -> Peft {
    let lora = Lora { rank: 3, alpha: 6.0, dropout: 0.25, targets: Vec::new(), ..Lora::default() };
    Peft { lora, base: Some("org/base".to_owned()) }
}

/// A folder with the fixture's model and its adapter.
fn folder() -> (tempfile::TempDir, Qwen2_5Vl) {
    let (dir, model) = (tempfile::tempdir().unwrap(), adapted(0.25));
    weights::save(&model, &fixture::config(), dir.path()).unwrap();
    save(&model, &peft(), dir.path()).unwrap();
    (dir, model)
}

#[test]
fn an_adapter_comes_back_with_its_base() {
    let (dir, model) = folder();
    let again = load(dir.path(), &fixture::config(), &fixture::device()).unwrap();
    assert_eq!(export(&again), export(&model));
    assert_eq!(states(&again), states(&model));
    assert_eq!(read(dir.path()).unwrap(), Some(peft()));
    let files = |dir: &tempfile::TempDir| [TENSORS, CONFIG].map(|name| fs::read(dir.path().join(name)).unwrap());
    let second = tempfile::tempdir().unwrap();
    save(&again, &peft(), second.path()).unwrap();
    assert!(files(&dir) == files(&second), "the same adapter is the same bytes");
}

#[test]
fn a_folder_without_an_adapter_has_none() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read(dir.path()).unwrap(), None);
}

#[test]
fn settings_that_are_not_computed_are_told_at_once() {
    let json = serde_json::json!({
        "peft_type": "LORA", "r": 0, "lora_alpha": "x", "lora_dropout": 1.0, "bias": "all", "use_dora": true,
        "modules_to_save": ["embed_tokens"], "rank_pattern": { "q_proj": 4 }, "alpha_pattern": {}, "layer_replication": null,
    });
    let wrong = parse(&json).unwrap_err().join("\n");
    for part in
        ["`r` is 0", "`lora_alpha`", "`lora_dropout`", "`bias`", "`use_dora`", "`modules_to_save`", "`rank_pattern`"]
    {
        assert!(wrong.contains(part), "{part} not in\n{wrong}");
    }
    assert!(!wrong.contains("alpha_pattern") && !wrong.contains("layer_replication"), "{wrong}");
    assert!(parse(&serde_json::json!({ "peft_type": "IA3", "r": 1, "lora_alpha": 1 })).is_err());
}

#[test]
fn tensors_that_are_not_the_models_are_told_at_once() {
    let (dir, _) = folder();
    let mut shallow = fixture::config();
    shallow.text.num_hidden_layers = 1;
    weights::save(&shallow.init(7, &fixture::device()), &shallow, dir.path()).unwrap();
    let error = load(dir.path(), &shallow, &fixture::device()).unwrap_err().to_string();
    assert!(error.contains("14 unknown: base_model.model.model.language_model.layers.1.mlp"), "{error}");
    let json = fs::read_to_string(dir.path().join(CONFIG)).unwrap();
    fs::write(dir.path().join(CONFIG), json.replace("\"r\": 3", "\"r\": 4")).unwrap();
    let error = load(dir.path(), &fixture::config(), &fixture::device()).map(drop).unwrap_err().to_string();
    assert!(error.contains("missing: model.layers.1"), "the base comes first: {error}");
    weights::save(&fixture::model(), &fixture::config(), dir.path()).unwrap();
    let error = load(dir.path(), &fixture::config(), &fixture::device()).map(drop).unwrap_err().to_string();
    assert!(error.contains("52 unfit") && error.contains("shape [3, 16], expected [4, 16]"), "{error}");
}

#[test]
fn targets_are_as_short_as_they_can_be() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let with = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj", "model.visual.merger.mlp.0"];
    let without = ["model.layers.0.self_attn.k_proj", "model.visual.blocks.0.mlp.up_proj", "model.visual.merger.mlp.2"];
    let expected = ["layers.0.mlp.up_proj", "mlp.0", "q_proj"];
    assert_eq!(targets(&set(&with), &set(&without)), set(&expected));
}

/// The base, and adapters that PEFT made for it with the logits that it computed: `tests/golden/lora.py` writes them.
struct Golden {
    dir: PathBuf,
    bytes: Vec<u8>,
}

impl Golden {
    fn open() -> Self {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/lora");
        let bytes = fs::read(dir.join("golden.safetensors")).unwrap();
        Self { dir, bytes }
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        file.tensor(name).unwrap().data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    fn row(&self) -> Encoded {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let ids = file.tensor("input_ids").unwrap().data().chunks_exact(8).map(|b| u32::from(b[0])).collect::<Vec<_>>();
        let image = ImagePatches { grid: [1, 4, 6], patches: self.floats("pixel_values") };
        Encoded { target: vec![true; ids.len()], ids, images: vec![Arc::new(image)] }
    }

    /// A folder as a stage leaves it: the base with an adapter beside it.
    fn folder(&self, adapter: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for from in [self.dir.join("base"), self.dir.join(adapter)] {
            for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
                fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
            }
        }
        dir
    }

    fn logits(&self, model: &Qwen2_5Vl, config: &ModelConfig) -> Vec<f32> {
        let batch = Batch::new(&[&self.row()], Padding::Right, 0, config, &fixture::device());
        model.logits(model.hidden(&batch)).into_data().iter::<f32>().collect()
    }
}

#[test]
fn adapters_of_peft_give_its_logits_beside_the_base_and_merged() {
    let golden = Golden::open();
    for name in ["all", "some"] {
        let dir = golden.folder(name);
        let config = ModelConfig::read(dir.path()).unwrap();
        let mut model = load(dir.path(), &config, &fixture::device()).unwrap();
        assert!(model.is_adapted());
        let near = |what: &str, model: &Qwen2_5Vl| {
            let (ours, theirs) = (golden.logits(model, &config), golden.floats(what));
            assert_eq!(ours.len(), theirs.len());
            let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-5, "{what}: {apart}");
        };
        near(&format!("logits.{name}"), &model);
        near(&format!("merged.{name}"), &model.merged());
        near("logits.base", &load(&golden.dir.join("base"), &config, &fixture::device()).unwrap());
    }
}

#[test]
fn what_is_written_is_what_peft_writes() {
    let golden = Golden::open();
    for name in ["all", "some"] {
        let dir = golden.folder(name);
        let config = ModelConfig::read(dir.path()).unwrap();
        let model = load(dir.path(), &config, &fixture::device()).unwrap();
        let out = tempfile::tempdir().unwrap();
        save(&model, &read(dir.path()).unwrap().unwrap(), out.path()).unwrap();
        let tensors = |dir: &Path| {
            let file = open_file(&dir.join(TENSORS)).unwrap();
            let values = |view: &TensorView<'_>| (0..view.shape().iter().product()).map(|i| value(view, i)).collect();
            let whole = |(name, view): (String, TensorView<'_>)| (name, (view.shape().to_vec(), values(&view)));
            file.tensors().map(whole).filter(|(name, _)| !name.ends_with(BASE)).collect::<Vec<(_, (_, Vec<f32>))>>()
        };
        assert_eq!(tensors(out.path()), tensors(dir.path()));
        let json = |dir: &Path| -> Value { serde_json::from_slice(&fs::read(dir.join(CONFIG)).unwrap()).unwrap() };
        let (ours, theirs) = (json(out.path()), json(dir.path()));
        for (key, value) in ours.as_object().unwrap().iter().filter(|(key, _)| *key != "target_modules") {
            assert_eq!(value, &theirs[key], "{key}");
        }
        // PEFT adapts the modules whose names end in a target.
        let layers: BTreeSet<String> = tensors(dir.path())
            .iter()
            .filter_map(|(name, _)| Some(name.strip_prefix(PREFIX)?.strip_suffix(ENDS[0])?.to_owned()))
            .collect();
        let targets: Vec<String> = serde_json::from_value(ours["target_modules"].clone()).unwrap();
        assert!(targets.len() <= 12, "{targets:?}");
        let mut model = model.clone();
        let names = model.sites().into_iter().map(|site| in_memory(&site.name)).collect::<Vec<_>>();
        let fits = |name: &&String| targets.iter().any(|end| name == &end || name.ends_with(&format!(".{end}")));
        assert_eq!(names.iter().filter(fits).cloned().collect::<BTreeSet<_>>(), layers);
    }
}

#[test]
fn a_stored_weight_of_another_base_is_refused() {
    let golden = Golden::open();
    let dir = golden.folder("all");
    let config = ModelConfig::read(dir.path()).unwrap();
    let base = load(&golden.dir.join("base"), &config, &fixture::device()).unwrap();
    let (grown, config) = base.with_tokens(config, 41);
    weights::save(&grown, &config, dir.path()).unwrap();
    let error = load(dir.path(), &config, &fixture::device()).map(drop).unwrap_err().to_string();
    assert!(error.contains("lm_head.base_layer.weight (not the weight of the base)"), "{error}");
}
