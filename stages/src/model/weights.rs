//! Safetensors ⇄ models, by the hub's names.
//!
//! Reads `model.safetensors` or the shards of `model.safetensors.index.json`, in bfloat16, float16 or float32, with the
//! hub's names or those of a model in memory, and the adapter beside them where there is one. All missing, unknown and
//! misshapen tensors are told in one error before any weight is touched. Files are mapped, and go tensor by tensor in both
//! directions, each straight into the number format that is wanted of it: the model is never in memory twice, nor wider than it
//! is held. Which field has which name is [`super::names`]'s.

mod file;
mod save;

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor, TensorData, bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

pub(super) use file::{File, open_file};
pub(super) use save::write_tensors;
pub use save::{Format, Precision, copy_base, export, save, save_as};
pub(crate) use save::{Pick, export_with};

use super::config::{ConfigError, ModelConfig};
pub(crate) use super::names::hub_name;
pub use super::names::{Named, is_adapter, parameters};
use super::names::{Path, Slot};
use super::peft;
use super::vlm::Qwen2_5Vl;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Why weights could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {kind}", place.display())]
pub struct WeightsError {
    /// The file or folder.
    pub place: PathBuf,
    /// What went wrong.
    pub kind: WeightsErrorKind,
}

/// What went wrong with weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsErrorKind {
    /// The file can't be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is no safetensors file.
    #[error("not a whole safetensors file: {0}; get it again")]
    Format(#[from] safetensors::SafeTensorError),
    /// The index is not a map of names to files of the same folder.
    #[error("not an index of shards: {0}")]
    Index(String),
    /// Neither a single file nor an index is there.
    #[error("holds neither `{SINGLE}` nor `{INDEX}`")]
    Absent,
    /// Two tensors of one file have the same name.
    #[error("holds `{0}` twice; get it again")]
    Repeated(String),
    /// The tensors are not those of the configuration.
    #[error("{0}; the tensors must be those that `config.json` beside them describes")]
    Mismatch(Box<Mismatch>),
    /// The adapter is of a kind that is not computed here.
    #[error("{}", .0.join("; "))]
    Adapter(Vec<String>),
    /// The adapter's tensors are not those of the model.
    #[error(
        "{0}; the tensors must be `base_model.model.LAYER.lora_A.weight` and `….lora_B.weight` of the base's linear layers"
    )]
    Strange(Box<Mismatch>),
    /// A weight is beyond what the chosen number format holds.
    #[error("`{0}` has weights beyond 65504, which float16 can't hold; use `bf16` or `f32`")]
    Overflow(String),
    /// `config.json` could not be written.
    #[error("{0}")]
    Config(#[from] ConfigError),
}

/// How the tensors of a checkpoint differ from those that its configuration asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Asked for and not there.
    pub missing: Vec<String>,
    /// There and not asked for.
    pub unknown: Vec<String>,
    /// Of another shape or number format: name, and what differs.
    pub unfit: Vec<(String, String)>,
    /// In more than one shard.
    pub twice: Vec<String>,
}

/// Names that an error spells out of each group.
const SPELLED: usize = 12;

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unfit: Vec<String> = self.unfit.iter().map(|(name, why)| format!("{name} ({why})")).collect();
        let groups =
            [("missing", &self.missing), ("unknown", &self.unknown), ("unfit", &unfit), ("twice", &self.twice)];
        let mut first = true;
        for (word, names) in groups.iter().filter(|(_, names)| !names.is_empty()) {
            let more = names.len().saturating_sub(SPELLED);
            let spelled = names[..names.len() - more].join(", ");
            write!(f, "{}{} {word}: {spelled}", if first { "" } else { "; " }, names.len())?;
            if more > 0 {
                write!(f, " and {more} more")?;
            }
            first = false;
        }
        Ok(())
    }
}

pub(super) fn at(place: &FilePath) -> impl Fn(WeightsErrorKind) -> WeightsError + '_ {
    move |kind| WeightsError { place: place.to_owned(), kind }
}

/// Loads the weights of a model folder, and the adapter beside them; they become 32-bit floats.
pub fn load(dir: &FilePath, config: &ModelConfig, device: &Device) -> Result<Qwen2_5Vl, WeightsError> {
    load_as(dir, config, device, |_| Width::Wide)
}

/// In how many bits a weight is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// float32: what is stored, exactly.
    Wide,
    /// bfloat16, rounded to nearest even: what [`super::dtype::cast`] makes of float32, bit for bit.
    Narrow,
}

/// As [`load`], each weight as wide as `width` says for its path of fields (`text.layers.0.mlp.up_proj.weight`). An adapter beside
/// them becomes 32-bit floats in any case. The most that is in memory is what is held, and the tensor that is read.
pub fn load_as(
    dir: &FilePath,
    config: &ModelConfig,
    device: &Device,
    width: impl Fn(&str) -> Width,
) -> Result<Qwen2_5Vl, WeightsError> {
    let files = file::open(dir)?;
    let model = Qwen2_5Vl::new(config, device);
    let stored =
        matched(&files, &slots(&model), config).map_err(|found| at(dir)(WeightsErrorKind::Mismatch(found.into())))?;
    let model = model.map(&mut Fill { path: Path::default(), stored: &stored, width, device });
    peft::attach(dir, model, device)
}

/// A tensor in a mapped file.
type Stored<'a> = (&'a File, TensorView<'a>);

/// What is stored under the hub's names (shape and values), flat, in the order and layout of the model's parameters; none
/// where nothing of its shape is.
pub(crate) fn arranged<'a>(
    model: &Qwen2_5Vl,
    stored: impl Fn(&str) -> Option<(&'a [usize], &'a [f32])>,
    device: &Device,
) -> Vec<Option<Tensor<1>>> {
    let values = |named: &Named| {
        let slot = Slot::new(&named.path, &named.shape);
        let (_, values) = stored(&slot.name).filter(|(shape, _)| *shape == slot.shape)?;
        Some(Tensor::from_data(TensorData::from(&slot.take(|index| values[index])[..]), device))
    };
    parameters(model).iter().map(values).collect()
}

/// Hub name → shape of every tensor that a model needs.
fn slots(model: &Qwen2_5Vl) -> BTreeMap<String, Vec<usize>> {
    parameters(model)
        .iter()
        .map(|named| {
            let slot = Slot::new(&named.path, &named.shape);
            (slot.name, slot.shape)
        })
        .collect()
}

/// The stored tensors by hub name, if they are exactly those of the model.
fn matched<'a>(
    files: &'a [File],
    slots: &BTreeMap<String, Vec<usize>>,
    config: &ModelConfig,
) -> Result<BTreeMap<String, Stored<'a>>, Mismatch> {
    let (mut found, mut wrong) = (BTreeMap::new(), Mismatch::default());
    for (file, (name, view)) in files.iter().flat_map(|file| file.tensors().map(move |tensor| (file, tensor))) {
        let hub = hub_name(&name);
        let Some(shape) = slots.get(&hub) else {
            // Some writers store the tied head or the rotary buffers too; both follow from the rest.
            let derived =
                (hub == "lm_head.weight" && config.tie_word_embeddings) || hub.ends_with("rotary_emb.inv_freq");
            if !derived {
                wrong.unknown.push(name);
            }
            continue;
        };
        wrong.look(&name, &view, shape);
        if found.insert(hub, (file, view)).is_some() {
            wrong.twice.push(name);
        }
    }
    wrong.missing = slots.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
    if wrong.is_none() { Ok(found) } else { Err(wrong) }
}

impl Mismatch {
    /// Notes a tensor of another shape than `shape`, or in a format that is no number of ours.
    pub(super) fn look(&mut self, name: &str, view: &TensorView<'_>, shape: &[usize]) {
        if view.shape() != shape {
            self.unfit.push((name.to_owned(), format!("shape {:?}, expected {shape:?}", view.shape())));
        } else if !matches!(view.dtype(), Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            self.unfit.push((name.to_owned(), format!("format {:?}, expected F32, F16 or BF16", view.dtype())));
        }
    }

    /// Is nothing wrong? Sorts what is.
    pub(super) fn is_none(&mut self) -> bool {
        for names in [&mut self.missing, &mut self.unknown, &mut self.twice] {
            names.sort();
        }
        self.unfit.sort();
        *self == Self::default()
    }
}

/// Value number `index` of a tensor that [`Mismatch::look`] found nothing wrong with.
pub(super) fn value(view: &TensorView<'_>, index: usize) -> f32 {
    let bytes = view.data();
    let two = || [bytes[2 * index], bytes[2 * index + 1]];
    match view.dtype() {
        Dtype::BF16 => bf16::from_le_bytes(two()).to_f32(),
        Dtype::F16 => f16::from_le_bytes(two()).to_f32(),
        _ => f32::from_le_bytes(std::array::from_fn(|i| bytes[4 * index + i])),
    }
}

struct Fill<'a, W> {
    path: Path,
    stored: &'a BTreeMap<String, Stored<'a>>,
    width: W,
    device: &'a Device,
}

impl<W: Fn(&str) -> Width> ModuleMapper for Fill<'_, W> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let path = self.path.joined();
        let slot = Slot::new(&path, &shape);
        let Some((file, view)) = self.stored.get(&slot.name) else { return param };
        let (data, dtype) = match (self.width)(&path) {
            Width::Wide => (TensorData::new(slot.take(|index| value(view, index)), shape), DType::F32),
            Width::Narrow => {
                let narrow = |index| bf16::from_f32(value(view, index));
                (TensorData::new(slot.take(narrow), shape), DType::BF16)
            }
        };
        file.forget(view.data());
        Param::from_tensor(Tensor::from_data(data, (self.device, dtype)))
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
