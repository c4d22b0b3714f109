//! What happened: the one stream that the ledger stores, the terminal shows and the tests read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stage::PhaseMemory;

/// Something a running stage reports. One JSON object per line on a worker's standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum StageEvent {
    /// Continues from a checkpoint of an earlier attempt.
    Resumed {
        /// Last step of that attempt that counts.
        step: usize,
    },
    /// A step ended.
    Progress {
        /// Steps done, from 1.
        step: usize,
        /// Steps in all.
        total: usize,
        /// Numbers worth showing: `loss`, `reward`, `tokens_per_s`, …
        metrics: BTreeMap<String, f64>,
    },
    /// A checkpoint is on disk.
    Checkpoint {
        /// The step it holds.
        step: usize,
    },
    /// Something is wrong with how it goes: one per episode, not one per step.
    Alert {
        /// The step that showed it.
        step: usize,
        /// What noticed: `stagnation`, `entropy_collapse`, …
        detector: String,
        /// What follows: `warn`, `stop` or `rollback`.
        action: String,
        /// What was seen, with its numbers.
        message: String,
    },
    /// What its phases had in memory, from the beginning of this attempt to its end; once, when its work is done.
    Memory {
        /// Each, in the order of their first turn.
        phases: Vec<PhaseMemory>,
    },
    /// A line for the log.
    Log {
        /// What to say.
        message: String,
    },
}
