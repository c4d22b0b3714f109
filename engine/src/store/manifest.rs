//! What a committed entry says of itself: which stage made it, when, in how long, and what every byte should be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Adopted, Key, KeyPreimage, StoreError};
use crate::fs;
use crate::stage::{Counted, PhaseMemory};

/// `manifest.json` of a committed entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout of this struct. 1: first.
    pub format: u32,
    /// The stage that was run, as its recipe called it.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// Its key.
    pub key: Key,
    /// When it was committed, UTC.
    pub created: String,
    /// Seconds of the attempt that finished it.
    pub wall_s: f64,
    /// Version of curricle.
    pub version: String,
    /// Where it came from, if nothing here made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Box<Adopted>>,
    /// What the stage cost, beside what was expected; none where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Box<Usage>>,
    /// Every file below `artifact/`: `model/config.json`.
    pub outputs: BTreeMap<String, FileRecord>,
}

/// What making an artifact cost, beside what was expected of it. Estimates of later runs are made from these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// What it ran on: equal for runs whose times can be compared.
    pub device: String,
    /// What its time should grow with: operations, or bytes.
    pub work: Option<f64>,
    /// Share of the work that `wall_s` is the time of: less than 1 where an earlier attempt had begun, or it ended early.
    pub share: f64,
    /// Seconds expected for all of the work.
    pub expected_s: Option<f64>,
    /// Bytes of memory expected at the peak.
    pub expected_memory: Option<u64>,
    /// Bytes of memory at the peak of its process; none where it had no process of its own.
    pub peak_memory: Option<u64>,
    /// The memory of its phases, as far as it says; of the attempt that finished it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseMemory>,
}

impl Usage {
    /// Bytes at the peak of the memory that an estimate is of: the device's where it computed on one of its own, else those of
    /// its process.
    pub fn peak(&self) -> Option<u64> {
        let device = self.phases.iter().filter(|phase| phase.of == Counted::Device).map(|phase| phase.peak).max();
        device.or(self.peak_memory).filter(|peak| *peak > 0)
    }
}

/// What is read of a manifest to know what an entry cost.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Used {
    /// The stage that was run.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// When it was committed, UTC.
    pub created: String,
    /// Seconds of the attempt that finished it.
    pub wall_s: f64,
    /// What it cost.
    pub usage: Usage,
}

impl Used {
    /// Of an entry's folder; none where nobody looked what it cost.
    pub(super) fn read(dir: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(&dir.join("manifest.json")).ok()?).ok()
    }
}

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Bytes.
    pub size: u64,
    /// Digest of its content, in hex.
    pub blake3: String,
}

/// A committed entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    dir: PathBuf,
    manifest: Manifest,
}

impl Artifact {
    pub(super) fn new(dir: PathBuf, manifest: Manifest) -> Self {
        Self { dir, manifest }
    }

    /// Reads an entry; `None` if the folder holds no committed one.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        match read_json(&dir.join("manifest.json"), dir) {
            Ok(manifest) => Ok(Some(Self { dir: dir.to_owned(), manifest })),
            Err(StoreError::Disk(error)) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The entry's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Folder of an output port.
    pub fn output(&self, port: &str) -> PathBuf {
        self.dir.join("artifact").join(port)
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What its key is the digest of.
    pub fn preimage(&self) -> Result<KeyPreimage, StoreError> {
        read_json(&self.dir.join("preimage.json"), &self.dir)
    }
}

/// Digests and syncs every file of an artifact.
pub(super) fn record(artifact_dir: &Path) -> Result<BTreeMap<String, FileRecord>, StoreError> {
    let found = fs::walk(artifact_dir)?;
    let digests = fs::digests(&found, fs::digest_synced)?;
    let record = |size, digest: blake3::Hash| FileRecord { size, blake3: digest.to_hex().to_string() };
    Ok(found.into_iter().zip(digests).map(|(file, digest)| (file.name, record(file.stamp.size, digest))).collect())
}

fn read_json<T: DeserializeOwned>(path: &Path, entry: &Path) -> Result<T, StoreError> {
    let text = fs::read_to_string(path)?;
    serde_json::from_str(&text).map_err(|error| StoreError::Damaged {
        path: entry.to_owned(),
        what: format!("`{}`: {error}", path.file_name().unwrap_or_default().to_string_lossy()),
    })
}
