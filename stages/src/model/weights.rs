//! Safetensors ⇄ models, by the hub's names.
//!
//! Reads `model.safetensors` or the shards of `model.safetensors.index.json`, in bfloat16, float16 or float32, with the
//! hub's names or those of a model in memory. All missing, unknown and misshapen tensors are told in one error before any
//! weight is touched. What is written is always the same bytes for the same weights, and appears complete or not at all.
//! Which field has which name is [`super::names`]'s.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path as FilePath, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData, bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::config::{ConfigError, ModelConfig};
pub(crate) use super::names::hub_name;
pub use super::names::{Named, parameters};
use super::names::{Path, Slot};
use super::vlm::Qwen2_5Vl;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Number format of a written file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats: what was trained, exactly.
    #[default]
    F32,
    /// bfloat16, rounded to nearest even: half the size, as released checkpoints are.
    Bf16,
    /// 16-bit floats, rounded to nearest even; a weight beyond 65504 is refused.
    F16,
}

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
    /// The tensors are not those of the configuration.
    #[error("{0}")]
    Mismatch(Mismatch),
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
        f.write_str("; the tensors must be those that `config.json` beside them describes")
    }
}

fn at(place: &FilePath) -> impl Fn(WeightsErrorKind) -> WeightsError + '_ {
    move |kind| WeightsError { place: place.to_owned(), kind }
}

/// Loads the weights of a model folder; they become 32-bit floats.
pub fn load(dir: &FilePath, config: &ModelConfig, device: &Device) -> Result<Qwen2_5Vl, WeightsError> {
    let maps = files(dir)?.into_iter().map(|file| Ok((map(&file)?, file))).collect::<Result<Vec<_>, WeightsError>>()?;
    let mut shards = Vec::with_capacity(maps.len());
    for (bytes, file) in &maps {
        shards.push(SafeTensors::deserialize(bytes).map_err(|e| at(file)(e.into()))?);
    }
    let model = Qwen2_5Vl::new(config, device);
    let stored =
        matched(&shards, &slots(&model), config).map_err(|found| at(dir)(WeightsErrorKind::Mismatch(found)))?;
    Ok(model.map(&mut Fill { path: Path::default(), stored: &stored, device }))
}

/// Writes `model.safetensors` and `config.json` into a folder, in 32-bit floats.
pub fn save(model: &Qwen2_5Vl, config: &ModelConfig, dir: &FilePath) -> Result<(), WeightsError> {
    save_as(model, config, dir, Precision::F32)
}

/// Appends a number in a format of its own.
type WriteFloat = fn(f32, &mut Vec<u8>);

/// As [`save`], in a chosen number format.
pub fn save_as(
    model: &Qwen2_5Vl,
    config: &ModelConfig,
    dir: &FilePath,
    precision: Precision,
) -> Result<(), WeightsError> {
    let (dtype, torch, write): (Dtype, &str, WriteFloat) = match precision {
        Precision::F32 => (Dtype::F32, "float32", |x, bytes| bytes.extend(x.to_le_bytes())),
        Precision::Bf16 => (Dtype::BF16, "bfloat16", |x, bytes| bytes.extend(bf16::from_f32(x).to_le_bytes())),
        Precision::F16 => (Dtype::F16, "float16", |x, bytes| bytes.extend(f16::from_f32(x).to_le_bytes())),
    };
    let path = dir.join(SINGLE);
    let mut tensors = Vec::new();
    for (name, (shape, values)) in export(model) {
        if precision == Precision::F16 && values.iter().any(|x| x.is_finite() && f16::from_f32(*x).is_infinite()) {
            return Err(at(&path)(WeightsErrorKind::Overflow(name)));
        }
        let mut bytes = Vec::with_capacity(values.len() * dtype.bitsize() / 8);
        for value in values {
            write(value, &mut bytes);
        }
        tensors.push((name, shape, bytes));
    }
    let mut views = Vec::with_capacity(tensors.len());
    for (name, shape, bytes) in &tensors {
        views.push((name.as_str(), TensorView::new(dtype, shape.clone(), bytes).map_err(|e| at(&path)(e.into()))?));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    // Complete or absent: a reader never sees half a file, even if the process dies here.
    let draft = dir.join(format!(".{SINGLE}.{}.tmp", std::process::id()));
    // The writer makes a file that nobody else may read; this one shall have the rights that files here usually have.
    let usual = File::create(&draft).and_then(|file| file.metadata()).map_err(|e| at(&path)(e.into()))?.permissions();
    safetensors::serialize_to_file(views, Some(metadata), &draft).map_err(|e| at(&path)(e.into()))?;
    fs::set_permissions(&draft, usual).map_err(|e| at(&path)(e.into()))?;
    File::open(&draft).and_then(|file| file.sync_all()).map_err(|e| at(&path)(e.into()))?;
    fs::rename(&draft, &path).map_err(|e| at(&path)(e.into()))?;
    config.write(dir, torch).map_err(|e| at(dir)(e.into()))
}

/// Every tensor as the hub stores it: name → (shape, values), sorted by name.
pub fn export(model: &Qwen2_5Vl) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    export_with(model, &mut Values)
}

/// As [`export`], of another tensor per parameter: its gradient, its moments.
pub(crate) fn export_with<P: Pick>(model: &Qwen2_5Vl, pick: &mut P) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let mut collect = Collect { path: Path::default(), pick, tensors: BTreeMap::new() };
    model.visit(&mut collect);
    collect.tensors
}

/// Chooses what is exported for a parameter.
pub(crate) trait Pick {
    /// The values of a parameter's shape; none leaves it out.
    fn pick<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>>;
}

struct Values;

impl Pick for Values {
    fn pick<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
        Some(param.val().without_autodiff())
    }
}

struct Collect<'a, P> {
    path: Path,
    pick: &'a mut P,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl<P: Pick> ModuleVisitor for Collect<'_, P> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(tensor) = self.pick.pick(param) else { return };
        let slot = Slot::new(&self.path.joined(), &tensor.dims());
        let data = tensor.into_data_as::<f32>();
        let values: Vec<f32> = data.iter::<f32>().collect();
        let count = slot.shape.iter().product();
        let (_, stored) =
            self.tensors.entry(slot.name.clone()).or_insert_with(|| (slot.shape.clone(), vec![0.0; count]));
        slot.put(&values, stored);
    }
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
    shards: &'a [SafeTensors<'a>],
    slots: &BTreeMap<String, Vec<usize>>,
    config: &ModelConfig,
) -> Result<BTreeMap<String, TensorView<'a>>, Mismatch> {
    let (mut found, mut wrong) = (BTreeMap::new(), Mismatch::default());
    for (name, view) in shards.iter().flat_map(SafeTensors::iter) {
        let hub = hub_name(name);
        let Some(shape) = slots.get(&hub) else {
            // Some writers store the tied head or the rotary buffers too; both follow from the rest.
            let derived =
                (hub == "lm_head.weight" && config.tie_word_embeddings) || hub.ends_with("rotary_emb.inv_freq");
            if !derived {
                wrong.unknown.push(name.to_owned());
            }
            continue;
        };
        if view.shape() != shape.as_slice() {
            wrong.unfit.push((name.to_owned(), format!("shape {:?}, expected {shape:?}", view.shape())));
        } else if !matches!(view.dtype(), Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            wrong.unfit.push((name.to_owned(), format!("format {:?}, expected F32, F16 or BF16", view.dtype())));
        }
        if found.insert(hub, view).is_some() {
            wrong.twice.push(name.to_owned());
        }
    }
    wrong.missing = slots.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
    wrong.unknown.sort();
    wrong.unfit.sort();
    wrong.twice.sort();
    if wrong == Mismatch::default() { Ok(found) } else { Err(wrong) }
}

/// The safetensors files of a folder.
fn files(dir: &FilePath) -> Result<Vec<PathBuf>, WeightsError> {
    let single = dir.join(SINGLE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let path = dir.join(INDEX);
    if !path.is_file() {
        return Err(at(dir)(WeightsErrorKind::Absent));
    }
    let text = fs::read_to_string(&path).map_err(|e| at(&path)(e.into()))?;
    let bad = |why: String| at(&path)(WeightsErrorKind::Index(why));
    let index: serde_json::Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let map = index.get("weight_map").and_then(|m| m.as_object()).ok_or_else(|| bad("no `weight_map`".to_owned()))?;
    let mut names = std::collections::BTreeSet::new();
    for file in map.values() {
        let name = file.as_str().ok_or_else(|| bad(format!("{file} is no file name")))?;
        // An index is data from elsewhere: it may not name files outside its folder.
        if FilePath::new(name).file_name().is_none_or(|last| last != name) {
            return Err(bad(format!("`{name}` is not a file of the same folder")));
        }
        names.insert(name);
    }
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

fn map(path: &FilePath) -> Result<Mmap, WeightsError> {
    let file = File::open(path).map_err(|e| at(path)(e.into()))?;
    // SAFETY: the mapping is only read, and lives no longer than `load`; finished artifacts are not rewritten in place
    // (see `save_as`), so nobody truncates the file meanwhile.
    unsafe { Mmap::map(&file) }.map_err(|e| at(path)(e.into()))
}

fn floats(view: &TensorView<'_>) -> Vec<f32> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::BF16 => bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        _ => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
    }
}

struct Fill<'a> {
    path: Path,
    stored: &'a BTreeMap<String, TensorView<'a>>,
    device: &'a Device,
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let slot = Slot::new(&self.path.joined(), &shape);
        match self.stored.get(&slot.name) {
            None => param,
            Some(view) => {
                let data = TensorData::new(slot.take(&floats(view)), shape);
                Param::from_tensor(Tensor::from_data(data, self.device))
            }
        }
    }
}

#[cfg(test)]
mod tests;
