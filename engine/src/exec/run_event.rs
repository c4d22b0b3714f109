//! What happened in a run, one JSON object per line: the ledger stores it, the terminal shows it, tests read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Outcome, StageEvent};
use crate::gate::{OnFail, Verdict};
use crate::stage::PhaseMemory;
use crate::store::Key;

/// One line of `events.ndjson`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Layout of these lines. 1: first.
    pub v: u32,
    /// When, UTC.
    pub t: String,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields repeat over the variants: a stage's name, its key, a step, seconds")]
pub enum Happening {
    /// A run begins: counts of stages.
    RunStarted { recipe: String, to_run: usize, reused: usize, jobs: usize },
    /// A stage's result was taken from the store, or from a stage that does the same work.
    StageReused { stage: String, key: Key },
    /// A stage begins.
    StageStarted { stage: String, key: Key, kind: String, reasons: Vec<String> },
    /// It goes on from a checkpoint of an earlier attempt.
    StageResumed { stage: String, key: Key, step: usize },
    /// A step ended.
    StageProgress { stage: String, key: Key, step: usize, total: usize, metrics: BTreeMap<String, f64> },
    /// A checkpoint is on disk.
    StageCheckpoint { stage: String, key: Key, step: usize },
    /// Something is wrong with how it goes; `action` is `warn`, `stop` or `rollback`.
    StageAlert { stage: String, key: Key, step: usize, detector: String, action: String, message: String },
    /// What its phases had in memory.
    StageMemory { stage: String, key: Key, phases: Vec<PhaseMemory> },
    /// A line for the log.
    StageLog { stage: String, key: Key, message: String },
    /// Its result is committed.
    StageFinished { stage: String, key: Key, wall_s: f64 },
    /// It could not do its work.
    StageFailed { stage: String, key: Key, message: String },
    /// It stopped where it can go on.
    StageInterrupted { stage: String, key: Key, step: usize },
    /// It was selected and did not start.
    StageSkipped { stage: String, key: Key, because: String },
    /// A gate's stages have measured; `holds` are the stages that waited for it.
    GateJudged { gate: String, verdict: Verdict, on_fail: OnFail, ignored: bool, holds: Vec<String>, message: String },
    /// A run ended.
    RunFinished { outcome: Outcome, wall_s: f64 },
}

impl RunEvent {
    /// Something that happens now.
    pub fn now(what: Happening) -> Self {
        Self { v: 1, t: crate::clock::now(), what }
    }

    /// What a running stage reports.
    pub(super) fn of_stage(stage: &str, key: Key, event: StageEvent) -> Self {
        let stage = stage.to_owned();
        Self::now(match event {
            StageEvent::Resumed { step } => Happening::StageResumed { stage, key, step },
            StageEvent::Progress { step, total, metrics } => {
                Happening::StageProgress { stage, key, step, total, metrics }
            }
            StageEvent::Checkpoint { step } => Happening::StageCheckpoint { stage, key, step },
            StageEvent::Alert { step, detector, action, message } => {
                Happening::StageAlert { stage, key, step, detector, action, message }
            }
            StageEvent::Memory { phases } => Happening::StageMemory { stage, key, phases },
            StageEvent::Log { message } => Happening::StageLog { stage, key, message },
        })
    }
}
