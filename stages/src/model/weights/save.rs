//! A model → safetensors files: always the same bytes for the same weights, complete or not there at all.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path as FilePath;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, bf16, f16};
use safetensors::{Dtype, View};
use serde_json::{Map, Value, json};

use super::file::{INDEX, SINGLE, files};
use super::{ModelConfig, Path, Qwen2_5Vl, Slot, WeightsError, WeightsErrorKind, at, is_adapter};

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

/// How weights are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Format {
    /// The numbers.
    pub precision: Precision,
    /// Largest file in bytes; none writes one file. A tensor is never cut.
    pub max_shard: Option<u64>,
}

impl Precision {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::BF16,
            Self::F16 => Dtype::F16,
        }
    }

    /// As torch calls it.
    pub fn torch(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }

    fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    fn write(self, value: f32, bytes: &mut [u8]) {
        match self {
            Self::F32 => bytes.copy_from_slice(&value.to_le_bytes()),
            Self::Bf16 => bytes.copy_from_slice(&bf16::from_f32(value).to_le_bytes()),
            Self::F16 => bytes.copy_from_slice(&f16::from_f32(value).to_le_bytes()),
        }
    }
}

/// Writes `model.safetensors` and `config.json` into a folder, in 32-bit floats and without adapters.
pub fn save(model: &Qwen2_5Vl, config: &ModelConfig, dir: &FilePath) -> Result<(), WeightsError> {
    save_as(model, config, dir, Format::default())
}

/// As [`save`], in a chosen format; more than one file come with `model.safetensors.index.json`.
pub fn save_as(model: &Qwen2_5Vl, config: &ModelConfig, dir: &FilePath, format: Format) -> Result<(), WeightsError> {
    let mut tensors = collect(model, format.precision);
    if format.precision == Precision::F16
        && let Some(name) = tensors.iter().find_map(|(name, tensor)| tensor.overflows().then(|| name.clone()))
    {
        return Err(at(dir)(WeightsErrorKind::Overflow(name)));
    }
    let plan = shards(&tensors, format.max_shard);
    if let [_] = plan.as_slice() {
        write_tensors(&dir.join(SINGLE), tensors)?;
        return config.write(dir, format.precision.torch()).map_err(|e| at(dir)(e.into()));
    }
    let count = plan.len();
    let (mut places, mut bytes, mut parameters) = (Map::new(), 0, 0);
    for (number, names) in plan.into_iter().enumerate() {
        let file = format!("model-{:05}-of-{count:05}.safetensors", number + 1);
        let shard: BTreeMap<_, _> = names.into_iter().filter_map(|name| tensors.remove_entry(&name)).collect();
        for (name, tensor) in &shard {
            places.insert(name.clone(), Value::from(file.clone()));
            bytes += tensor.data_len();
            parameters += tensor.shape.iter().product::<usize>();
        }
        write_tensors(&dir.join(file), shard)?;
    }
    let index = json!({
        "metadata": { "total_parameters": parameters, "total_size": bytes },
        "weight_map": places,
    });
    let path = dir.join(INDEX);
    fs::write(&path, format!("{index:#}\n")).map_err(|e| at(&path)(e.into()))?;
    config.write(dir, format.precision.torch()).map_err(|e| at(dir)(e.into()))
}

/// Copies the weights and `config.json` of a model folder to another, byte by byte.
pub fn copy_base(from: &FilePath, to: &FilePath) -> Result<(), WeightsError> {
    let mut sources = files(from)?;
    sources.extend([from.join("config.json"), from.join(INDEX)].into_iter().filter(|path| path.is_file()));
    for source in sources {
        let Some(name) = source.file_name() else { continue };
        let target = to.join(name);
        // A copy has the rights of its source: one that nobody may write would stop the next attempt at this stage.
        if target.exists() {
            fs::remove_file(&target).map_err(|e| at(&target)(e.into()))?;
        }
        fs::copy(&source, target).map_err(|e| at(&source)(e.into()))?;
    }
    Ok(())
}

/// Names of the tensors of each file: as many as fit, in the order of their names.
fn shards(tensors: &BTreeMap<String, Stored>, max: Option<u64>) -> Vec<Vec<String>> {
    let (mut shards, mut size) = (vec![Vec::new()], 0);
    for (name, tensor) in tensors {
        let more = tensor.data_len() as u64;
        if size > 0 && max.is_some_and(|max| size + more > max) {
            shards.push(Vec::new());
            size = 0;
        }
        size += more;
        if let Some(shard) = shards.last_mut() {
            shard.push(name.clone());
        }
    }
    shards
}

/// Writes a safetensors file as `torch` marks its own, tensor by tensor.
pub fn write_tensors<V: View>(path: &FilePath, tensors: BTreeMap<String, V>) -> Result<(), WeightsError> {
    let wrong = |e: std::io::Error| at(path)(e.into());
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    // Complete or absent: a reader never sees half a file, even if the process dies here.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    // The writer makes a file that nobody else may read; this one shall have the rights that files here usually have.
    let usual = fs::File::create(&draft).and_then(|file| file.metadata()).map_err(wrong)?.permissions();
    safetensors::serialize_to_file(tensors, Some(metadata), &draft).map_err(|e| at(path)(e.into()))?;
    fs::set_permissions(&draft, usual).map_err(wrong)?;
    fs::File::open(&draft).and_then(|file| file.sync_all()).map_err(wrong)?;
    fs::rename(&draft, path).map_err(wrong)
}

/// A tensor of the file; its bytes are made when they are written.
struct Stored {
    shape: Vec<usize>,
    /// What it is put together from: flat tensors of ours, and their places.
    parts: Vec<(Slot, Tensor<1>)>,
    precision: Precision,
}

impl Stored {
    /// Calls `put` with the place and the value of every number.
    fn each(&self, mut put: impl FnMut(usize, f32)) {
        for (slot, tensor) in &self.parts {
            let data = tensor.clone().into_data_as::<f32>();
            slot.put(data.as_slice().expect("just read as 32-bit floats"), &mut put);
        }
    }

    /// Is a finite number infinite as a 16-bit float?
    fn overflows(&self) -> bool {
        let mut found = false;
        self.each(|_, value| found |= value.is_finite() && f16::from_f32(value).is_infinite());
        found
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.precision.dtype()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let (mut bytes, size) = (vec![0; self.data_len()], self.precision.bytes());
        self.each(|index, value| self.precision.write(value, &mut bytes[index * size..][..size]));
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.precision.bytes()
    }
}

/// Every tensor of a model but its adapters', as the hub stores it.
fn collect(model: &Qwen2_5Vl, precision: Precision) -> BTreeMap<String, Stored> {
    let mut walk = Walk { path: Path::default(), pick: &mut Values, parts: Vec::new() };
    model.visit(&mut walk);
    let mut tensors = BTreeMap::new();
    for (path, slot, tensor) in walk.parts {
        if !is_adapter(&path) {
            let stored = || Stored { shape: slot.shape.clone(), parts: Vec::new(), precision };
            tensors.entry(slot.name.clone()).or_insert_with(stored).parts.push((slot, tensor));
        }
    }
    tensors
}

/// Every tensor as the hub stores it, adapters as PEFT does: name → (shape, values), sorted by name.
pub fn export(model: &Qwen2_5Vl) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    export_with(model, &mut Values)
}

/// As [`export`], of another tensor per parameter: its gradient, its moments.
pub fn export_with<P: Pick>(model: &Qwen2_5Vl, pick: &mut P) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let mut walk = Walk { path: Path::default(), pick, parts: Vec::new() };
    model.visit(&mut walk);
    let mut tensors = BTreeMap::new();
    for (_, slot, tensor) in walk.parts {
        let count = slot.shape.iter().product();
        let empty = || (slot.shape.clone(), vec![0.0; count]);
        let (_, stored) = tensors.entry(slot.name.clone()).or_insert_with(empty);
        let data = tensor.into_data_as::<f32>();
        slot.put(data.as_slice().expect("just read as 32-bit floats"), |index, value| stored[index] = value);
    }
    tensors
}

/// Chooses what is exported for a parameter.
pub trait Pick {
    /// The values of a parameter's shape; none leaves it out.
    fn pick<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>>;
}

struct Values;

impl Pick for Values {
    fn pick<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
        Some(param.val().without_autodiff())
    }
}

/// Paths, slots and flat tensors of a model, in the order of its fields.
struct Walk<'a, P> {
    path: Path,
    pick: &'a mut P,
    parts: Vec<(String, Slot, Tensor<1>)>,
}

impl<P: Pick> ModuleVisitor for Walk<'_, P> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(tensor) = self.pick.pick(param) else { return };
        let path = self.path.joined();
        let slot = Slot::new(&path, &tensor.dims());
        self.parts.push((path, slot, tensor.reshape([-1])));
    }
}
