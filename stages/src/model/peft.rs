//! An adapter ⇄ `adapter_config.json` and `adapter_model.safetensors`, as PEFT 0.21 writes and reads them.
//!
//! A tensor is called `base_model.model.LAYER.lora_A.weight` (`[r, in]`) or `….lora_B.weight` (`[out, r]`), where `LAYER` is
//! the module's name in memory; names as on the hub are read as well. An adapter of the vision tower's fused `qkv` is one
//! adapter: one `A` for queries, keys and values, and a `B` with the rows of all three. What PEFT may add beyond plain
//! low-rank adapters (`DoRA`, biases, whole modules, ranks by layer) is refused, all at once. Reference: PEFT's
//! `LoraConfig`, `save_and_load.py`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData, bf16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, View};
use serde_json::{Value, json};

use super::adapters::Site;
use super::linear::Adapter;
use super::lora::{Lora, in_memory};
use super::names::hub_name;
use super::vlm::Qwen2_5Vl;
use super::weights::{File, Mismatch, WeightsError, WeightsErrorKind, at, open_file, value, write_tensors};

/// Numbers of an adapter, and what it was made for.
pub const CONFIG: &str = "adapter_config.json";
/// Its tensors.
const TENSORS: &str = "adapter_model.safetensors";
const PREFIX: &str = "base_model.model.";
const BASE: &str = ".base_layer.weight";
const ENDS: [&str; 2] = [".lora_A.weight", ".lora_B.weight"];

/// No adapter comes near; a larger number in a file is damage.
const LARGEST_RANK: u64 = 1 << 16;

/// Settings of PEFT that change what is computed, or store other tensors; none may be on.
const UNSUPPORTED: [&str; 16] = [
    "use_dora",
    "lora_bias",
    "fan_in_fan_out",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "velora_config",
    "monteclora_config",
    "kasa_config",
];

/// What `adapter_config.json` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Peft {
    /// Rank, factor and dropout. Which layers have an adapter is the model's to say.
    pub lora: Lora,
    /// Where the base came from (`base_model_name_or_path`).
    pub base: Option<String>,
}

/// Reads `adapter_config.json` of a model folder; none where there is no adapter.
pub fn read(dir: &Path) -> Result<Option<Peft>, WeightsError> {
    let path = dir.join(CONFIG);
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|e| at(&path)(e.into()))?;
    let wrong = |mistakes| at(&path)(WeightsErrorKind::Adapter(mistakes));
    let json = serde_json::from_str(&text).map_err(|e| wrong(vec![format!("not JSON: {e}")]))?;
    parse(&json).map(Some).map_err(wrong)
}

fn parse(json: &Value) -> Result<Peft, Vec<String>> {
    let mut wrong = Vec::new();
    if json["peft_type"] != "LORA" {
        wrong.push(format!("`peft_type` is {}; only \"LORA\" is computed here", json["peft_type"]));
    }
    let on = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(items) => !items.is_empty(),
        _ => true,
    };
    for name in UNSUPPORTED.into_iter().filter(|name| on(&json[*name])) {
        wrong.push(format!("`{name}` is set, and not computed here; merge the adapter with PEFT"));
    }
    if !json["bias"].is_null() && json["bias"] != "none" {
        wrong.push(format!("`bias` is {}: only \"none\" is computed here", json["bias"]));
    }
    let rank = json["r"].as_u64().filter(|rank| (1..=LARGEST_RANK).contains(rank));
    if rank.is_none() {
        wrong.push(format!("`r` is {}, no rank", json["r"]));
    }
    let alpha = json["lora_alpha"].as_f64().filter(|alpha| alpha.is_finite());
    if alpha.is_none() {
        wrong.push(format!("`lora_alpha` is {}, no number", json["lora_alpha"]));
    }
    let dropout = if json["lora_dropout"].is_null() { Some(0.0) } else { json["lora_dropout"].as_f64() };
    let dropout = dropout.filter(|dropout| (0.0..1.0).contains(dropout));
    if dropout.is_none() {
        wrong.push(format!("`lora_dropout` is {}, no probability below 1", json["lora_dropout"]));
    }
    match (rank, alpha, dropout) {
        (Some(rank), Some(alpha), Some(dropout)) if wrong.is_empty() => Ok(Peft {
            lora: Lora { rank: rank as usize, alpha, rslora: json["use_rslora"] == true, dropout, targets: Vec::new() },
            base: json["base_model_name_or_path"].as_str().map(str::to_owned),
        }),
        _ => Err(wrong),
    }
}

/// `model` with the adapter of its folder, or as it is where there is none.
pub(super) fn attach(dir: &Path, mut model: Qwen2_5Vl, device: &Device) -> Result<Qwen2_5Vl, WeightsError> {
    let Some(Peft { lora, .. }) = read(dir)? else { return Ok(model) };
    let path = dir.join(TENSORS);
    let file = open_file(&path)?;
    let found = matched(&file, &mut model, lora.rank).map_err(|m| at(&path)(WeightsErrorKind::Strange(m.into())))?;
    for site in model.sites() {
        let Some([Some(a), Some(b)]) = found.get(&site.name) else { continue };
        let [input, output] = site.dims();
        let turned = |view: &TensorView<'_>, rows: usize, columns: usize| {
            let values = (0..rows * columns).map(|i| value(view, i % columns * rows + i / columns)).collect();
            Tensor::from_data(TensorData::new(values, [rows, columns]), device)
        };
        let (a, b) = (turned(a, input, lora.rank), turned(b, lora.rank, output));
        *site.adapter = Some(Adapter::new(a, b, lora.scale(), lora.dropout));
    }
    Ok(model)
}

/// Layer → `A` and `B` as stored, if both are there and fit.
type Pairs<'a> = BTreeMap<String, [Option<TensorView<'a>>; 2]>;

fn matched<'a>(file: &'a File, model: &mut Qwen2_5Vl, rank: usize) -> Result<Pairs<'a>, Mismatch> {
    let (mut found, mut wrong) = (Pairs::new(), Mismatch::default());
    let layers: BTreeMap<String, [usize; 2]> =
        model.sites().into_iter().map(|site| (site.name.clone(), site.dims())).collect();
    for (name, view) in file.tensors() {
        // PEFT stores the weight of an adapted head as well.
        if let Some(layer) = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(BASE)) {
            let layer = hub_name(layer);
            match model.sites().into_iter().find(|site| site.name == layer) {
                None => wrong.unknown.push(name),
                Some(site) if same(&site, &view) => {}
                Some(_) => wrong.unfit.push((name, "not the weight of the base".to_owned())),
            }
            continue;
        }
        let split = ENDS.iter().position(|end| name.ends_with(end)).and_then(|half| {
            let layer = hub_name(name.strip_prefix(PREFIX)?.strip_suffix(ENDS[half])?);
            Some((half, *layers.get(&layer)?, layer))
        });
        let Some((half, [input, output], layer)) = split else {
            wrong.unknown.push(name);
            continue;
        };
        wrong.look(&name, &view, &if half == 0 { [rank, input] } else { [output, rank] });
        if found.entry(layer).or_default()[half].replace(view).is_some() {
            wrong.twice.push(name);
        }
    }
    for (layer, halves) in &found {
        let absent = ENDS.iter().zip(halves).filter(|(_, half)| half.is_none());
        wrong.missing.extend(absent.map(|(end, _)| format!("{PREFIX}{}{end}", in_memory(layer))));
    }
    if found.is_empty() {
        wrong.missing.extend(ENDS.map(|end| format!("{PREFIX}….{end}")));
    }
    if wrong.is_none() { Ok(found) } else { Err(wrong) }
}

/// Is the stored tensor the weight of this layer?
fn same(site: &Site<'_>, stored: &TensorView<'_>) -> bool {
    let [input, output] = site.dims();
    let mut wrong = Mismatch::default();
    wrong.look("", stored, &[output, input]);
    let [weight] = site.weights.as_slice() else { return false };
    // A layer that was read into 16 bits knows no more of itself.
    let narrow = weight.val().dtype() == DType::BF16;
    let theirs = |i| if narrow { bf16::from_f32(value(stored, i)).to_f32() } else { value(stored, i) };
    let ours = || weight.val().transpose().into_data_as::<f32>();
    wrong.is_none() && ours().iter::<f32>().enumerate().all(|(i, ours)| ours.to_bits() == theirs(i).to_bits())
}

/// Writes a model's adapter into a folder, as PEFT does.
pub fn save(model: &Qwen2_5Vl, peft: &Peft, dir: &Path) -> Result<(), WeightsError> {
    // Its weights are shared with `model`, not copied.
    let mut model = model.clone();
    let (mut tensors, mut with, mut without) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for Site { name, adapter, .. } in model.sites() {
        let name = in_memory(&name);
        let Some(adapter) = adapter else {
            without.insert(name);
            continue;
        };
        for (end, tensor) in ENDS.iter().zip([&adapter.a, &adapter.b]) {
            tensors.insert(format!("{PREFIX}{name}{end}"), Turned::new(tensor.val()));
        }
        with.insert(name);
    }
    // No linear layer, but PEFT would take it for one that a target may name.
    without.insert("model.visual.patch_embed.proj".to_owned());
    let lora = &peft.lora;
    let whole = lora.alpha.fract() == 0.0 && lora.alpha.abs() < 1e9;
    let config = json!({
        "alpha_pattern": {},
        "auto_mapping": null,
        "base_model_name_or_path": peft.base,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_alpha": if whole { json!(lora.alpha as i64) } else { json!(lora.alpha) },
        "lora_dropout": lora.dropout,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": lora.rank,
        "rank_pattern": {},
        "target_modules": targets(&with, &without),
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": lora.rslora,
    });
    write_tensors(&dir.join(TENSORS), tensors)?;
    let path = dir.join(CONFIG);
    fs::write(&path, format!("{config:#}\n")).map_err(|e| at(&path)(e.into()))
}

/// The shortest ends of names that fit all layers `with` an adapter and none `without`: PEFT looks for modules so called.
fn targets(with: &BTreeSet<String>, without: &BTreeSet<String>) -> BTreeSet<String> {
    let shortest = |name: &String| {
        let dots = name.rmatch_indices('.').map(|(dot, _)| &name[dot + 1..]);
        // `0` alone would fit the first of any list of modules.
        let mut ends = dots.filter(|end| !end.bytes().all(|byte| byte.is_ascii_digit())).chain([name.as_str()]);
        let alone = |end: &&str| !without.iter().any(|other| other == end || other.ends_with(&format!(".{end}")));
        ends.find(alone).unwrap_or(name).to_owned()
    };
    with.iter().map(shortest).collect()
}

/// A matrix of ours as it is stored: turned, in 32-bit floats.
struct Turned {
    shape: [usize; 2],
    values: Vec<u8>,
}

impl Turned {
    fn new(tensor: Tensor<2>) -> Self {
        let tensor = tensor.without_autodiff().transpose();
        let shape = tensor.dims();
        let values = tensor.into_data_as::<f32>().iter::<f32>().flat_map(f32::to_le_bytes).collect();
        Self { shape, values }
    }
}

impl View for Turned {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::from(&self.values)
    }

    fn data_len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests;
