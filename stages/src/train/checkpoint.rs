//! Weights, optimizer and position of a run → a folder on disk, and back. Refuses to know what the tensors mean.
//!
//! ```text
//! step-00000040/
//!   tensors.safetensors    weights.<field path> of what learns, adamw.<what>.<field path>
//!   state.json             step, digest of the tensors, and whatever the loop keeps
//! ```
//!
//! A folder is written under another name, synced, and renamed: what has its right name is complete, unless the disk
//! lost it, and then the digest says so and the one before it counts. The last two are kept. Floats go to disk bit by bit,
//! so that a resumed run goes on as if nothing had happened.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::freeze::Learns;
use super::gradients::Path as FieldPath;

/// A tensor under its name in a checkpoint.
pub type Named = (String, TensorData);

/// Checkpoints that stay on disk.
pub const KEEP: usize = 2;

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("checkpoint `{}`: {kind}", path.display())]
pub struct CheckpointError {
    path: PathBuf,
    kind: CheckpointErrorKind,
}

#[derive(Debug, thiserror::Error)]
enum CheckpointErrorKind {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("`state.json`: {0}")]
    State(#[from] serde_json::Error),
    #[error("`tensors.safetensors`: {0}")]
    Tensors(#[from] safetensors::SafeTensorError),
    #[error("`tensors.safetensors` is not what was written: its digest differs")]
    Digest,
    #[error("`{0}` has a type that no checkpoint holds")]
    Type(String),
    #[error("weights of `{0}` are missing or of another shape")]
    Weights(String),
}

/// The folder of a run's checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoints(PathBuf);

/// A checkpoint in memory.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    /// Last finished step.
    pub step: usize,
    /// Whatever the loop keeps.
    pub state: Value,
    tensors: BTreeMap<String, TensorData>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    schema: u32,
    step: usize,
    digest: String,
    state: Value,
}

impl Checkpoints {
    /// Checkpoints below a work folder.
    pub fn below(work_dir: &Path) -> Self {
        Self(work_dir.join("checkpoints"))
    }

    /// Writes the state after `step` and forgets all but the newest two.
    pub fn save(&self, step: usize, tensors: &[Named], state: Value) -> Result<(), CheckpointError> {
        let name = format!("step-{step:08}");
        let (temporary, path) = (self.0.join(format!("writing-{name}")), self.0.join(name));
        self.write(step, tensors, state, &temporary, &path).map_err(|kind| CheckpointError { path: path.clone(), kind })
    }

    fn write(
        &self,
        step: usize,
        tensors: &[Named],
        state: Value,
        temporary: &Path,
        path: &Path,
    ) -> Result<(), CheckpointErrorKind> {
        let bytes = to_bytes(tensors)?;
        let header = Header { schema: 1, step, digest: blake3::hash(&bytes).to_hex().to_string(), state };
        if temporary.exists() {
            fs::remove_dir_all(temporary)?;
        }
        fs::create_dir_all(temporary)?;
        write_synced(&temporary.join("tensors.safetensors"), &bytes)?;
        write_synced(&temporary.join("state.json"), &serde_json::to_vec(&header)?)?;
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        fs::rename(temporary, path)?;
        fs::File::open(&self.0)?.sync_all()?;
        for old in self.steps()?.iter().rev().skip(KEEP) {
            fs::remove_dir_all(old)?;
        }
        Ok(())
    }

    /// The newest checkpoint that is whole; says of each damaged one why it is passed over.
    pub fn latest(&self, mut say: impl FnMut(String)) -> Option<Checkpoint> {
        let steps = self.steps().ok()?;
        steps.into_iter().rev().find_map(|path| match read(&path) {
            Ok(checkpoint) => Some(checkpoint),
            Err(kind) => {
                say(format!("skipped {}", CheckpointError { path, kind }));
                None
            }
        })
    }

    /// Folders of finished checkpoints, oldest first.
    fn steps(&self) -> io::Result<Vec<PathBuf>> {
        let mut steps = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("step-") {
                steps.push(entry.path());
            }
        }
        steps.sort();
        Ok(steps)
    }
}

impl Checkpoint {
    /// A tensor by its full name.
    pub fn tensor(&self, name: &str) -> Option<TensorData> {
        self.tensors.get(name).cloned()
    }

    /// `model` with the weights that [`weights`] named; every one must be there. The others stay as they are.
    pub fn restore<M: Module>(&self, model: M, learns: &Learns) -> Result<M, CheckpointError> {
        self.restore_from("weights", model, learns)
    }

    /// As [`Self::restore`], from weights whose names begin with `prefix` in place of `weights`.
    pub fn restore_from<M: Module>(&self, prefix: &str, model: M, learns: &Learns) -> Result<M, CheckpointError> {
        restored(&self.tensors, prefix, model, learns).map_err(|kind| CheckpointError { path: self.path.clone(), kind })
    }
}

/// `model` with the weights that [`weights`] named and [`write_tensors`] wrote; every one must be there.
pub fn read_weights<M: Module>(path: &Path, model: M, learns: &Learns) -> Result<M, CheckpointError> {
    let tensors = read_tensors(path)?;
    restored(&tensors, "weights", model, learns).map_err(|kind| CheckpointError { path: path.to_owned(), kind })
}

fn restored<M: Module>(
    from: &BTreeMap<String, TensorData>,
    prefix: &str,
    model: M,
    learns: &Learns,
) -> Result<M, CheckpointErrorKind> {
    let mut restore = Restore { path: FieldPath::default(), from, prefix, learns, missing: None };
    let model = model.map(&mut restore);
    restore.missing.map_or(Ok(model), |name| Err(CheckpointErrorKind::Weights(name)))
}

/// The paths of a module's float parameters, in the order in which it visits them.
pub fn names<M: Module>(model: &M) -> Vec<String> {
    let mut visit = Visit::default();
    model.visit(&mut visit);
    visit.out.into_iter().map(|(name, _)| name).collect()
}

/// A module's learning weights under the names that [`Checkpoint::restore`] looks for.
pub fn weights<M: Module>(model: &M, learns: &Learns) -> Vec<Named> {
    let mut visit = Visit { data: Some(learns), ..Visit::default() };
    model.visit(&mut visit);
    visit.out.into_iter().filter_map(|(name, data)| Some((format!("weights.{name}"), data?))).collect()
}

#[derive(Default)]
struct Visit<'a> {
    path: FieldPath,
    /// Whose values are wanted.
    data: Option<&'a Learns>,
    out: Vec<(String, Option<TensorData>)>,
}

impl ModuleVisitor for Visit<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.to_string();
        let wanted = self.data.is_some_and(|learns| learns.at(&path));
        self.out.push((path, wanted.then(|| param.val().inner().into_data())));
    }
}

struct Restore<'a> {
    path: FieldPath,
    from: &'a BTreeMap<String, TensorData>,
    prefix: &'a str,
    learns: &'a Learns,
    missing: Option<String>,
}

impl ModuleMapper for Restore<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.to_string();
        if !self.learns.at(&name) {
            return param;
        }
        let (id, tensor, mapper) = param.consume();
        let new = match self.from.get(&format!("{}.{name}", self.prefix)).cloned() {
            Some(data) if *data.shape() == tensor.shape() => {
                let dtype = data.dtype();
                Tensor::from_data(data, (&tensor.device(), dtype))
            }
            _ => {
                self.missing.get_or_insert(name);
                tensor
            }
        };
        Param::from_mapped_value(id, new, mapper)
    }
}

fn read(path: &Path) -> Result<Checkpoint, CheckpointErrorKind> {
    let header: Header = serde_json::from_slice(&fs::read(path.join("state.json"))?)?;
    let bytes = fs::read(path.join("tensors.safetensors"))?;
    if blake3::hash(&bytes).to_hex().as_str() != header.digest {
        return Err(CheckpointErrorKind::Digest);
    }
    let tensors = from_bytes(&bytes)?;
    Ok(Checkpoint { path: path.to_owned(), step: header.step, state: header.state, tensors })
}

/// Writes tensors to a file of their own; what has its right name is whole.
pub fn write_tensors(path: &Path, tensors: &[Named]) -> Result<(), CheckpointError> {
    let temporary = path.with_extension("writing");
    let written = to_bytes(tensors).and_then(|bytes| {
        write_synced(&temporary, &bytes)?;
        fs::rename(&temporary, path)?;
        Ok(path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())?)
    });
    written.map_err(|kind| CheckpointError { path: path.to_owned(), kind })
}

/// The tensors that [`write_tensors`] wrote, by name.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, TensorData>, CheckpointError> {
    let tensors = fs::read(path).map_err(CheckpointErrorKind::from).and_then(|bytes| from_bytes(&bytes));
    tensors.map_err(|kind| CheckpointError { path: path.to_owned(), kind })
}

fn to_bytes(tensors: &[Named]) -> Result<Vec<u8>, CheckpointErrorKind> {
    let views = tensors.iter().map(|(name, data)| Ok((name, Stored::new(name, data)?)));
    Ok(safetensors::serialize(views.collect::<Result<Vec<_>, CheckpointErrorKind>>()?, None)?)
}

fn from_bytes(bytes: &[u8]) -> Result<BTreeMap<String, TensorData>, CheckpointErrorKind> {
    let mut tensors = BTreeMap::new();
    for (name, view) in SafeTensors::deserialize(bytes)?.iter() {
        let dtype = types()
            .into_iter()
            .find_map(|(ours, theirs)| (theirs == view.dtype()).then_some(ours))
            .ok_or_else(|| CheckpointErrorKind::Type(name.to_owned()))?;
        let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
        tensors.insert(name.to_owned(), data);
    }
    Ok(tensors)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Types of tensors in a checkpoint, ours and on disk.
fn types() -> [(DType, Dtype); 4] {
    [(DType::F32, Dtype::F32), (DType::BF16, Dtype::BF16), (DType::F16, Dtype::F16), (DType::I32, Dtype::I32)]
}

/// A tensor as safetensors wants to see it.
struct Stored<'a> {
    data: &'a TensorData,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl<'a> Stored<'a> {
    fn new(name: &str, data: &'a TensorData) -> Result<Self, CheckpointErrorKind> {
        let dtype = types()
            .into_iter()
            .find_map(|(ours, theirs)| (ours == data.dtype()).then_some(theirs))
            .ok_or_else(|| CheckpointErrorKind::Type(name.to_owned()))?;
        Ok(Self { data, dtype, shape: data.shape().to_vec() })
    }
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.data.as_bytes())
    }

    fn data_len(&self) -> usize {
        self.data.as_bytes().len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn saved(dir: &Path, steps: &[usize]) -> Checkpoints {
        let checkpoints = Checkpoints::below(dir);
        for step in steps {
            let tensor = TensorData::new(vec![*step as f32, 0.1], [2]);
            checkpoints.save(*step, &[("weights.a".into(), tensor)], json!({ "seen": step })).unwrap();
        }
        checkpoints
    }

    #[expect(clippy::needless_pass_by_value, reason = "it stands in for what takes messages over")]
    fn quiet(message: String) {
        panic!("unexpected: {message}");
    }

    #[test]
    fn an_empty_folder_holds_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Checkpoints::below(dir.path()).latest(quiet).is_none());
    }

    #[test]
    fn the_newest_comes_back_bit_by_bit() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = saved(dir.path(), &[5, 10]).latest(quiet).unwrap();
        assert_eq!((checkpoint.step, &checkpoint.state), (10, &json!({ "seen": 10 })));
        assert_eq!(checkpoint.tensor("weights.a").unwrap(), TensorData::new(vec![10.0_f32, 0.1], [2]));
    }

    #[test]
    fn two_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let kept = saved(dir.path(), &[1, 2, 3, 4]).steps().unwrap();
        let names: Vec<_> = kept.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["step-00000003", "step-00000004"]);
    }

    #[test]
    fn a_damaged_one_is_skipped_with_a_word() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = saved(dir.path(), &[5, 10]);
        let file = dir.path().join("checkpoints/step-00000010/tensors.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        let mut said = Vec::new();
        assert_eq!(checkpoints.latest(|message| said.push(message)).unwrap().step, 5);
        assert!(said[0].contains("step-00000010") && said[0].contains("digest differs"), "{said:?}");
    }

    #[test]
    fn a_half_written_one_is_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = saved(dir.path(), &[5]);
        fs::create_dir(dir.path().join("checkpoints/writing-step-00000010")).unwrap();
        assert_eq!(checkpoints.latest(quiet).unwrap().step, 5);
    }
}
