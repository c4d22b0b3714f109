//! What a run amounted to: `receipt.json`, the only thing a report reads beside the artifacts it names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::gate::GateRecord;
use crate::plan::Reason;
use crate::stage::{ArtifactKind, PhaseMemory};
use crate::store::{Adopted, Key, Usage};

/// A run, in one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Layout of this document. 1: first.
    pub schema_version: u32,
    /// Name of the recipe.
    pub recipe: String,
    /// Was it the recipe's tiny sibling that ran? Then no number of it means anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tiny: bool,
    /// Version of curricle.
    pub version: String,
    /// When it began, UTC.
    pub started: String,
    /// When it ended, UTC.
    pub finished: String,
    /// Seconds.
    pub wall_s: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// Every stage of the recipe, in its order.
    pub stages: Vec<StageReceipt>,
    /// The recipe's variations, the recipe as written first; empty if it has none.
    #[serde(default)]
    pub arms: Vec<ArmReceipt>,
    /// The gates that had to do with the run, and what came of each.
    #[serde(default)]
    pub gates: Vec<GateRecord>,
}

/// One variation of a recipe, and which stages are its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmReceipt {
    /// Its name; empty for the recipe as written.
    pub name: String,
    /// `[ablations.x]` that it is an arm of; empty for the recipe as written.
    pub ablation: String,
    /// Its name without the seed.
    pub variant: String,
    /// The seed of the stages that vary with it.
    pub seed: u64,
    /// What it sets, by dotted path; `null` for what it removes.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// A stage's name in this arm → its name in [`Receipt::stages`].
    pub stages: BTreeMap<String, String>,
}

/// A stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageReceipt {
    /// Its name.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// Name of its result.
    pub key: Key,
    /// What became of it.
    pub status: Status,
    /// Why it had to run.
    pub reasons: Vec<Reason>,
    /// Seconds it took, now or when it was built; `None` if there is no result.
    pub wall_s: Option<f64>,
    /// The memory that making it took, if somebody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryReceipt>,
    /// Folder of the result.
    pub artifact: Option<PathBuf>,
    /// What it went through, beside its result or, where there is none, beside what there is of it; may not be there.
    #[serde(default)]
    pub history: Option<PathBuf>,
    /// What it read, by port.
    pub inputs: BTreeMap<String, InputReceipt>,
    /// What it made, by port.
    pub outputs: BTreeMap<String, ArtifactKind>,
    /// Where its result came from, if it was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
    /// Why it failed or did not start.
    pub message: Option<String>,
}

/// The memory that a stage took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryReceipt {
    /// Bytes at the peak of its process; none where it had no process of its own.
    pub peak: Option<u64>,
    /// Bytes that were expected at the peak, of a device's memory where it computed on one.
    pub expected: Option<u64>,
    /// What its phases had, as far as it says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseMemory>,
}

impl From<&Usage> for MemoryReceipt {
    fn from(usage: &Usage) -> Self {
        Self { peak: usage.peak_memory, expected: usage.expected_memory, phases: usage.phases.clone() }
    }
}

/// What a stage read on one port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputReceipt {
    /// As the recipe says it.
    pub reference: String,
    /// What kind of thing it is.
    pub kind: ArtifactKind,
    /// Equal for equal content.
    pub identity: String,
    /// Digest (blake3) of the file of rows that it read, where a stage made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
}

/// What became of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It ran and its result is committed.
    Ran,
    /// Its result was there.
    Reused,
    /// It failed.
    Failed,
    /// It stopped where it can go on.
    Interrupted,
    /// It was selected and did not start.
    Skipped,
    /// It was not asked for.
    NotSelected,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything asked for is there.
    Done,
    /// A stage failed.
    Failed,
    /// Nothing failed, and a gate is not met: what is behind it did not start.
    GateNotMet,
    /// The store would not give or take a result.
    StoreTrouble,
    /// Stopped by a signal; running it again goes on.
    Interrupted {
        /// Its number.
        signal: i32,
    },
}

impl Outcome {
    /// Exit code of `curricle run`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::GateNotMet => 5,
            Self::StoreTrouble => 7,
            Self::Interrupted { signal } => 128 + (signal & 0x7f) as u8,
        }
    }
}

impl Status {
    /// One word for tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Reused => "reused",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Skipped => "skipped",
            Self::NotSelected => "not selected",
        }
    }
}
