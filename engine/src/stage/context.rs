//! What a running stage may see of the world: its inputs, two folders, a seed, a place to report to, and whether to stop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::types::ArtifactType;
use crate::exec::StageEvent;
use crate::recipe::Layout;

/// Settings that may change how fast a stage runs, never what it computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// `auto` (the first GPU, or the CPU), `cpu`, `cuda`, `cuda:N`, or several GPUs that share each step: `cuda:0,1` or
    /// `cuda:all`. `cpu*2` is the CPU in two shares, to try on it what two GPUs do.
    pub device: String,
    /// Worker threads; 0 takes every core.
    pub threads: usize,
    /// Steps between checkpoints of a training stage; 0 writes one only when interrupted.
    pub checkpoint_every: usize,
    /// Compute every layer twice instead of keeping its operations for the backward pass: less memory, more time.
    ///
    /// The same operations run on the same numbers, so the result has the same bits where the device computes an operation
    /// the same way twice: always on a CPU.
    pub gradient_checkpointing: bool,
    /// Show burn-train's dashboard instead of bars.
    pub tui: bool,
}

impl Default for Runtime {
    fn default() -> Self {
        Self { device: "auto".into(), threads: 0, checkpoint_every: 50, gradient_checkpointing: false, tui: false }
    }
}

/// How a `[data.x]` entry of a recipe says to read its rows. Part of identity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataView {
    /// How the data set names and writes its columns; `columns` wins over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Which files of a folder hold the rows: `train-*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// Row field → column of the file: `prompt = "problem"`.
    pub columns: BTreeMap<String, String>,
    /// Text that separates written reasoning from the final answer inside the answer column (GSM8K: `####`).
    pub answer_marker: Option<String>,
    /// Column whose equal values stay in one split.
    pub group_by: Option<String>,
    /// Share of each split by name.
    pub splits: BTreeMap<String, f64>,
    /// The split taken; `None` takes every row.
    pub split: Option<String>,
    /// Takes at most this many rows.
    pub limit: Option<usize>,
    /// The rows come from elsewhere: they may name no image outside their folder.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub confined: bool,
}

impl DataView {
    /// Columns that may hold a field, the likeliest first.
    pub fn columns_of<'a>(&'a self, field: &'a str) -> Vec<&'a str> {
        if let Some(column) = self.columns.get(field) {
            return vec![column];
        }
        let named = self.layout.as_deref().and_then(Layout::named).map_or(&[][..], |layout| layout.columns(field));
        if named.is_empty() { vec![field] } else { named.to_vec() }
    }
}

/// One connected input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InputArtifact {
    /// Folder (or file, for a `file:` source that names one).
    pub path: PathBuf,
    /// Its type; facts unknown to `check` are still `None` here.
    pub ty: ArtifactType,
    /// How to read rows; default for data made by a stage (`rows.jsonl` with the canonical fields).
    pub view: DataView,
    /// Where it comes from, as the recipe says it: `cold_start.model`.
    pub reference: String,
}

/// Everything a worker needs to run one stage; travels as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StageRequest {
    /// Name of the stage in the recipe.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// Full parameters.
    pub params: Value,
    /// Hex digest of the stage's key preimage.
    pub key: String,
    /// Root of all randomness of the stage: derived from its key, so equal keys mean equal streams.
    pub seed: u64,
    /// Connected inputs by port.
    pub inputs: BTreeMap<String, InputArtifact>,
    /// Folder whose subfolders are the output ports; exists.
    pub output_dir: PathBuf,
    /// Folder that survives a crash; exists.
    pub work_dir: PathBuf,
    /// What does not matter for the result.
    pub runtime: Runtime,
}

/// Why a stage ended without its outputs.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Asked to stop, and stopped where it can go on.
    #[error("interrupted after step {step}")]
    Interrupted {
        /// Last finished step.
        step: usize,
    },
    /// Could not do its work.
    #[error("{0}")]
    Failed(String),
    /// This build has no back end for tensors.
    #[error("this build of curricle has no compute back end; build with the default features, or `--features cuda`")]
    NoCompute,
}

impl StageError {
    /// A failure with what was being done in front: `reading rows: …`.
    pub fn while_doing(what: &str, cause: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{what}: {cause}"))
    }
}

/// What a running stage may see.
pub struct StageContext<'a> {
    request: &'a StageRequest,
    interrupt: Arc<AtomicBool>,
    emit: &'a mut dyn FnMut(StageEvent),
}

impl<'a> StageContext<'a> {
    /// Joins a request with a way to report and a flag to stop.
    pub fn new(request: &'a StageRequest, interrupt: Arc<AtomicBool>, emit: &'a mut dyn FnMut(StageEvent)) -> Self {
        Self { request, interrupt, emit }
    }

    /// The stage's name in the recipe.
    pub fn stage(&self) -> &str {
        &self.request.stage
    }

    /// Hex digest that names everything the result depends on.
    pub fn key(&self) -> &str {
        &self.request.key
    }

    /// Root of all randomness of this stage.
    pub fn seed(&self) -> u64 {
        self.request.seed
    }

    /// Settings that do not change the result.
    pub fn runtime(&self) -> &Runtime {
        &self.request.runtime
    }

    /// A connected input; an error names the port.
    pub fn input(&self, port: &str) -> Result<&'a InputArtifact, StageError> {
        self.optional(port).ok_or_else(|| StageError::Failed(format!("input `{port}` is not connected")))
    }

    /// An input that may be left out.
    pub fn optional(&self, port: &str) -> Option<&'a InputArtifact> {
        self.request.inputs.get(port)
    }

    /// Every connected input, by port.
    pub fn inputs(&self) -> impl Iterator<Item = (&'a str, &'a InputArtifact)> {
        self.request.inputs.iter().map(|(port, input)| (port.as_str(), input))
    }

    /// The folder of an output port; created on first use.
    pub fn output(&self, port: &str) -> Result<PathBuf, StageError> {
        let dir = self.request.output_dir.join(port);
        crate::fs::create_dir_all(&dir).map_err(|error| StageError::Failed(error.to_string()))?;
        Ok(dir)
    }

    /// Folder for checkpoints; what is in it survives a crash and is found again by the next attempt.
    pub fn work_dir(&self) -> &'a Path {
        &self.request.work_dir
    }

    /// True once somebody asked to stop.
    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The flag behind [`Self::interrupted`], for libraries that want one of their own.
    pub fn interrupt_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupt)
    }

    /// Reports something.
    pub fn emit(&mut self, event: StageEvent) {
        (self.emit)(event);
    }

    /// Reports a finished step: `total` steps in all, and numbers worth showing.
    pub fn progress(&mut self, step: usize, total: usize, metrics: &[(&str, f64)]) {
        let metrics = metrics.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        self.emit(StageEvent::Progress { step, total, metrics });
    }

    /// Says one line for the stage's log.
    pub fn log(&mut self, message: impl Into<String>) {
        self.emit(StageEvent::Log { message: message.into() });
    }
}
