//! A folder of fixtures → its tensors and facts by name. Knows the two files and the pictures beside them, and no meaning.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::VerifyError;
use super::sheet::Stop;

const TENSORS: &str = "golden.safetensors";
const FACTS: &str = "golden.json";

/// What transformers computed.
pub(super) struct Fixtures {
    dir: PathBuf,
    tensors: BTreeMap<String, Stored>,
    facts: Value,
}

/// A tensor in host memory.
struct Stored {
    shape: Vec<usize>,
    values: Values,
}

enum Values {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

impl Fixtures {
    /// Reads the two files.
    pub fn open(dir: &Path) -> Result<Self, VerifyError> {
        let read = |name: &str, expected| {
            let path = dir.join(name);
            if !path.is_file() {
                return Err(VerifyError::Absent { path, expected });
            }
            std::fs::read(&path).map_err(|error| VerifyError::Unreadable { path, why: error.to_string() })
        };
        let bytes = read(TENSORS, "fixtures are a folder with this file, `golden.json` and pictures")?;
        let facts = read(FACTS, "it belongs beside `golden.safetensors`")?;
        let fail = |name: &str, why: String| VerifyError::Unreadable { path: dir.join(name), why };
        let facts = serde_json::from_slice(&facts).map_err(|error| fail(FACTS, format!("not valid JSON: {error}")))?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|error| fail(TENSORS, format!("not a whole safetensors file: {error}")))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => Values::Floats(data.chunks_exact(4).map(|b| f32::from_le_bytes(four(b))).collect()),
                Dtype::I32 => {
                    Values::Ints(data.chunks_exact(4).map(|b| i64::from(i32::from_le_bytes(four(b)))).collect())
                }
                Dtype::I64 => {
                    let eight = |b: &[u8]| [b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]];
                    Values::Ints(data.chunks_exact(8).map(|b| i64::from_le_bytes(eight(b))).collect())
                }
                other => {
                    let why = format!("is of format {other:?}; F32, I32 and I64 are known");
                    return Err(VerifyError::Tensor { path: dir.join(TENSORS), name: name.to_owned(), why });
                }
            };
            tensors.insert(name.to_owned(), Stored { shape: view.shape().to_vec(), values });
        }
        Ok(Self { dir: dir.to_owned(), tensors, facts })
    }

    /// An error about a tensor.
    pub fn wrong(&self, name: &str, why: impl Into<String>) -> VerifyError {
        VerifyError::Tensor { path: self.dir.join(TENSORS), name: name.to_owned(), why: why.into() }
    }

    /// Is there such a tensor?
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Names of the tensors that begin so, without the beginning, sorted.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.tensors.keys().filter_map(move |name| name.strip_prefix(prefix))
    }

    /// Shape and values of a tensor of floats.
    pub fn floats(&self, name: &str) -> Result<(&[usize], &[f32]), Stop> {
        match self.tensors.get(name) {
            None => Err(Stop::Absent(format!("`{name}`"))),
            Some(Stored { shape, values: Values::Floats(values) }) => Ok((shape, values)),
            Some(_) => Err(self.wrong(name, "holds integers, expected floats").into()),
        }
    }

    /// As [`Self::floats`], of a given shape.
    pub fn shaped(&self, name: &str, expected: &[usize]) -> Result<&[f32], Stop> {
        let (shape, values) = self.floats(name)?;
        if shape != expected {
            return Err(self.wrong(name, format!("has shape {shape:?}, the checkpoint gives {expected:?}")).into());
        }
        Ok(values)
    }

    /// Shape and values of a tensor of integers.
    pub fn ints(&self, name: &str) -> Result<(&[usize], &[i64]), Stop> {
        match self.tensors.get(name) {
            None => Err(Stop::Absent(format!("`{name}`"))),
            Some(Stored { shape, values: Values::Ints(values) }) => Ok((shape, values)),
            Some(_) => Err(self.wrong(name, "holds floats, expected integers").into()),
        }
    }

    /// An entry of `golden.json`.
    pub fn fact(&self, name: &str) -> Result<&Value, Stop> {
        self.facts.get(name).ok_or_else(|| Stop::Absent(format!("`{name}` in `{FACTS}`")))
    }

    /// A number of `golden.json`.
    pub fn number(&self, name: &str) -> Result<f64, Stop> {
        let fact = self.fact(name)?;
        fact.as_f64().ok_or_else(|| self.odd(name, "is not a number").into())
    }

    /// An error about an entry of `golden.json`.
    pub fn odd(&self, name: &str, why: &str) -> VerifyError {
        VerifyError::Unreadable { path: self.dir.join(FACTS), why: format!("`{name}` {why}") }
    }

    /// The file of a picture: `img{index}_…`.
    pub fn picture(&self, index: usize) -> Result<PathBuf, VerifyError> {
        let start = format!("img{index}_");
        let mut found: Vec<PathBuf> = std::fs::read_dir(&self.dir)
            .map_err(|error| VerifyError::Unreadable { path: self.dir.clone(), why: error.to_string() })?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)))
            .collect();
        found.sort();
        found.into_iter().next().ok_or_else(|| VerifyError::Absent {
            path: self.dir.join(format!("{start}*.png")),
            expected: "the picture of a `proc.*` tensor",
        })
    }
}

fn four(bytes: &[u8]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}
