//! A result and the same work done again → how alike they are. Numbers in JSON and safetensors count, not how a file spells or
//! orders them; every other file counts by its bytes.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::manifest::record;
use super::{Artifact, StoreError};
use crate::fs::{self, FsError};

/// How alike two results of the same work are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Every byte is the same.
    BitEqual,
    /// Some files spell the same numbers in another way.
    EqualNumbers,
    /// Some numbers, or some files, are others.
    Different,
}

impl Class {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::BitEqual => "bit-equal",
            Self::EqualNumbers => "equal numbers",
            Self::Different => "different",
        }
    }
}

/// A file that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unlike {
    /// Path below `artifact/`.
    pub file: String,
    /// How alike it is; a file that only one side has is different.
    pub class: Class,
    /// Largest difference of two 32-bit floats at the same place, where that can be said.
    pub largest: Option<f64>,
}

/// Compares an entry with the outputs of the same work.
pub fn determinism(was: &Artifact, again: &Path) -> Result<(Class, Vec<Unlike>), StoreError> {
    let (old, new) = (&was.manifest().outputs, record(again)?);
    let mut unlike = Vec::new();
    for (name, record) in old {
        match new.get(name) {
            Some(other) if other == record => {}
            Some(_) => {
                let (a, b) = (was.dir().join("artifact").join(name), again.join(name));
                let (class, largest) = compare(&a, &b)?;
                unlike.push(Unlike { file: name.clone(), class, largest });
            }
            None => unlike.push(Unlike { file: name.clone(), class: Class::Different, largest: None }),
        }
    }
    let added = new.keys().filter(|name| !old.contains_key(*name));
    unlike.extend(added.map(|name| Unlike { file: name.clone(), class: Class::Different, largest: None }));
    let class = unlike.iter().map(|file| file.class).max().unwrap_or(Class::BitEqual);
    Ok((class, unlike))
}

fn compare(a: &Path, b: &Path) -> Result<(Class, Option<f64>), FsError> {
    let extension = a.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let same = |equal: bool| if equal { Class::EqualNumbers } else { Class::Different };
    Ok(match extension {
        "json" | "jsonl" => {
            let [a, b] = [fs::read_to_string(a)?, fs::read_to_string(b)?].map(|text| documents(&text));
            (same(a.is_some() && a == b), None)
        }
        "safetensors" => match (Tensors::open(a), Tensors::open(b)) {
            (Some(a), Some(b)) => tensors(a, b),
            _ => (Class::Different, None),
        },
        _ => (Class::Different, None),
    })
}

/// One document, or one per line.
fn documents(text: &str) -> Option<Vec<Value>> {
    match serde_json::from_str(text) {
        Ok(one) => Some(vec![one]),
        Err(_) => {
            text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).ok()).collect()
        }
    }
}

/// A safetensors file: eight bytes with the length of a JSON header, the header, the numbers.
struct Tensors {
    file: fs::Reader,
    header: serde_json::Map<String, Value>,
    data: u64,
}

impl Tensors {
    fn open(path: &Path) -> Option<Self> {
        const LIMIT: u64 = 100 << 20;
        let mut file = fs::reader(path).ok()?;
        let mut length = [0; 8];
        file.read_exact(&mut length).ok()?;
        let length = Some(u64::from_le_bytes(length)).filter(|length| *length < LIMIT)?;
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).ok()?;
        match serde_json::from_slice(&header).ok()? {
            Value::Object(mut header) => {
                header.remove("__metadata__");
                Some(Self { file, header, data: 8 + length })
            }
            _ => None,
        }
    }

    /// Bytes of a tensor: where they begin and how many they are.
    fn range(&self, name: &str) -> Option<(u64, u64)> {
        let offsets = &self.header.get(name)?["data_offsets"];
        let (start, end) = (offsets[0].as_u64()?, offsets[1].as_u64()?);
        Some((self.data + start, end.checked_sub(start)?))
    }
}

fn tensors(mut a: Tensors, mut b: Tensors) -> (Class, Option<f64>) {
    let names: Vec<String> = a.header.keys().cloned().collect();
    let shape = |side: &Tensors, name: &str| {
        side.header.get(name).map(|tensor| (tensor["dtype"].clone(), tensor["shape"].clone()))
    };
    if names.len() != b.header.len() || names.iter().any(|name| shape(&a, name) != shape(&b, name)) {
        return (Class::Different, None);
    }
    let (mut equal, mut largest) = (true, 0.0_f64);
    for name in &names {
        let f32 = a.header[name]["dtype"] == "F32";
        let Some(difference) = tensor(&mut a, &mut b, name, f32) else { return (Class::Different, None) };
        equal &= difference.same;
        largest = largest.max(difference.largest);
    }
    if equal { (Class::EqualNumbers, None) } else { (Class::Different, (largest > 0.0).then_some(largest)) }
}

struct Difference {
    same: bool,
    largest: f64,
}

fn tensor(a: &mut Tensors, b: &mut Tensors, name: &str, f32: bool) -> Option<Difference> {
    const PIECE: usize = 1 << 20;
    let ((from_a, length), (from_b, other)) = (a.range(name)?, b.range(name)?);
    if length != other {
        return None;
    }
    a.file.seek(SeekFrom::Start(from_a)).ok()?;
    b.file.seek(SeekFrom::Start(from_b)).ok()?;
    let mut difference = Difference { same: true, largest: 0.0 };
    let (mut left, mut piece_a, mut piece_b) = (length as usize, vec![0; PIECE], vec![0; PIECE]);
    while left > 0 {
        let (piece_a, piece_b) = (&mut piece_a[..left.min(PIECE)], &mut piece_b[..left.min(PIECE)]);
        a.file.read_exact(piece_a).ok()?;
        b.file.read_exact(piece_b).ok()?;
        left -= piece_a.len();
        if piece_a == piece_b {
            continue;
        }
        difference.same = false;
        if f32 {
            let number = |bytes: &[u8]| f64::from(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            let pairs = piece_a.chunks_exact(4).zip(piece_b.chunks_exact(4));
            let apart = pairs.map(|(a, b)| (number(a) - number(b)).abs()).filter(|apart| apart.is_finite());
            difference.largest = apart.fold(difference.largest, f64::max);
        }
    }
    Some(difference)
}
