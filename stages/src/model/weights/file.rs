//! A folder → its safetensors files, mapped; refuses what is not whole. Knows no model.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};
use safetensors::SafeTensors;
use safetensors::tensor::{Metadata, TensorView};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{WeightsError, WeightsErrorKind, at};

/// The one file of a small model.
pub(super) const SINGLE: &str = "model.safetensors";
/// The index of a large model's files.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// Bytes of the length that a safetensors file begins with.
const LENGTH: usize = 8;
/// Least alignment of what the system maps; a larger one only makes [`File::forget`] do less.
const PAGE: usize = 4096;

/// A mapped safetensors file whose header has been found sound.
#[derive(Debug)]
pub struct File {
    map: Mmap,
    metadata: Metadata,
    /// Where the tensors begin.
    start: usize,
}

impl File {
    /// Its tensors by name.
    pub fn tensors(&self) -> impl Iterator<Item = (String, TensorView<'_>)> {
        self.metadata.tensors().into_iter().collect::<std::collections::BTreeMap<_, _>>().into_iter().filter_map(
            |(name, info)| {
                let (first, end) = info.data_offsets;
                let bytes = self.map.get(self.start + first..self.start + end)?;
                Some((name, TensorView::new(info.dtype, info.shape.clone(), bytes).ok()?))
            },
        )
    }

    /// Lets go of the memory behind bytes of this file that have been read; they can be read again.
    pub fn forget(&self, bytes: &[u8]) {
        let base = self.map.as_ptr() as usize;
        let first = (bytes.as_ptr() as usize - base).next_multiple_of(PAGE);
        let end = (bytes.as_ptr() as usize - base + bytes.len()) / PAGE * PAGE;
        if first < end {
            // SAFETY: the mapping is shared and read-only, and the file is not written to while it is mapped (see `map`):
            // dropped pages come back from it with the same bytes, so nobody can tell.
            let dropped = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, first, end - first) };
            // Advice; a system that won't take it keeps the pages until it needs them.
            drop(dropped);
        }
    }
}

/// Opens the single file or all shards of a model folder.
pub fn open(dir: &Path) -> Result<Vec<File>, WeightsError> {
    files(dir)?.iter().map(|path| open_file(path)).collect()
}

/// Opens one file.
pub fn open_file(path: &Path) -> Result<File, WeightsError> {
    let wrong = at(path);
    let map = map(path)?;
    let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| wrong(e.into()))?;
    let start = LENGTH + header;
    match serde_json::Deserializer::from_slice(&map[LENGTH..start]).deserialize_map(Names(BTreeSet::new())) {
        Ok(None) => Ok(File { map, metadata, start }),
        Ok(Some(name)) => Err(wrong(WeightsErrorKind::Repeated(name))),
        Err(error) => Err(wrong(safetensors::SafeTensorError::InvalidHeaderDeserialization(error).into())),
    }
}

/// Finds the first key that a JSON object has twice; a map would keep the last and say nothing.
struct Names(BTreeSet<String>);

impl<'de> Visitor<'de> for Names {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut repeated = None;
        while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
            if !self.0.insert(name.clone()) {
                repeated.get_or_insert(name);
            }
        }
        Ok(repeated)
    }
}

/// The safetensors files of a folder.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, WeightsError> {
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
    let mut names = BTreeSet::new();
    for file in map.values() {
        let name = file.as_str().ok_or_else(|| bad(format!("{file} is no file name")))?;
        // An index is data from elsewhere: it may not name files outside its folder.
        if Path::new(name).file_name().is_none_or(|last| last != name) {
            return Err(bad(format!("`{name}` is not a file of the same folder")));
        }
        // Opening a pipe would wait for somebody to write to it.
        if !dir.join(name).is_file() {
            return Err(bad(format!("`{name}` is not there")));
        }
        names.insert(name);
    }
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

fn map(path: &Path) -> Result<Mmap, WeightsError> {
    let file = fs::File::open(path).map_err(|e| at(path)(e.into()))?;
    // SAFETY: the mapping is only read, and lives no longer than loading takes; finished artifacts are not rewritten in
    // place (see `super::save`), so nobody truncates the file meanwhile.
    unsafe { Mmap::map(&file) }.map_err(|e| at(path)(e.into()))
}
