//! Why a stage has to run: one fact each, with the old and the new value.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One reason to run a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "`old`, `new`, `port` and the like say it; every variant is documented")]
pub enum Reason {
    /// No stage of this name was ever built here.
    FirstRun,
    /// Somebody said so.
    Forced,
    /// An earlier attempt at the same work ended early; this one goes on from its last checkpoint.
    Unfinished,
    /// Another kind.
    KindChanged { old: String, new: String },
    /// The kind computes something else from the same parameters.
    VersionChanged { kind: String, old: u32, new: u32 },
    /// Another root seed.
    SeedChanged { old: u64, new: u64 },
    /// A parameter has another value, by itself or by a new default.
    ParamChanged { param: String, old: Value, new: Value },
    /// A parameter that was not there.
    ParamAdded { param: String, new: Value },
    /// A parameter that is gone.
    ParamRemoved { param: String, old: Value },
    /// A stage before this one runs.
    InputRebuilt { port: String, reference: String, stage: String },
    /// The input is the result of other work than before.
    InputChanged { port: String, reference: String, old: String, new: String },
    /// A port that was not connected.
    InputAdded { port: String, reference: String },
    /// A port that is no longer connected.
    InputRemoved { port: String },
    /// Other bytes in an input's files.
    FilesChanged { port: String, reference: String, old: String, new: String },
    /// Rows are read in another way.
    ViewChanged { port: String, reference: String, field: String, old: Value, new: Value },
    /// Files that are not on this machine.
    FilesMissing { port: String, reference: String, source: String },
    /// The preimage has another layout than the one this stage was last built under.
    FormatChanged { old: u32, new: u32 },
}

impl Reason {
    /// Does it follow from another stage, or from an attempt at the same work, rather than from a change?
    pub fn is_consequence(&self) -> bool {
        matches!(self, Self::InputRebuilt { .. } | Self::Unfinished)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstRun => write!(f, "first run"),
            Self::Forced => write!(f, "forced"),
            Self::Unfinished => write!(f, "unfinished attempt found: goes on from its last checkpoint"),
            Self::KindChanged { old, new } => write!(f, "kind changed from `{old}` to `{new}`"),
            Self::VersionChanged { kind, old, new } => {
                write!(f, "kind `{kind}` changed from version {old} to {new}")
            }
            Self::SeedChanged { old, new } => write!(f, "seed changed from {old} to {new}"),
            Self::ParamChanged { param, old, new } => write!(f, "`{param}` changed from {old} to {new}"),
            Self::ParamAdded { param, new } => write!(f, "`{param}` is new: {new}"),
            Self::ParamRemoved { param, old } => write!(f, "`{param}` is gone; it was {old}"),
            Self::InputRebuilt { port, reference, stage } => {
                write!(f, "input `{port}` = `{reference}` will be rebuilt (stage `{stage}`)")
            }
            Self::InputChanged { port, reference, old, new } => {
                write!(f, "input `{port}` = `{reference}` changed from {old} to {new}")
            }
            Self::InputAdded { port, reference } => write!(f, "input `{port}` is now connected to `{reference}`"),
            Self::InputRemoved { port } => write!(f, "input `{port}` is no longer connected"),
            Self::FilesChanged { port, reference, old, new } => {
                write!(f, "files of input `{port}` = `{reference}` changed from {old} to {new}")
            }
            Self::ViewChanged { port, reference, field, old, new } => {
                write!(f, "`{field}` of input `{port}` = `{reference}` changed from {old} to {new}")
            }
            Self::FilesMissing { port, reference, source } => {
                write!(f, "input `{port}` = `{reference}` is not on this machine: `{source}`")
            }
            Self::FormatChanged { old, new } => write!(f, "key format changed from {old} to {new}"),
        }
    }
}
