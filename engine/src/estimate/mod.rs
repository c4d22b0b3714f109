//! Plan → what its stages would cost: memory by part, operations, tokens, disk, and time as far as earlier runs on the same
//! device tell it. Each stage that would run is counted once, however many share its result. Runs nothing, and refuses to
//! know how a kind computes; see [`StageKind::estimate`](crate::stage::StageKind::estimate).
//!
//! ```text
//! files, artifacts, `assume` ──rows──▶ Extent ──kind──▶ Estimate ──history──▶ Time      machine ──fit──▶ refusal
//! ```

mod fit;
mod history;
mod json;
mod machine;
mod picture;
mod rows;
mod survey;
#[cfg(test)]
mod tests;

pub use fit::{Misfit, bytes, fit};
pub use history::Time;
pub use machine::{Machine, peak_memory};
pub use survey::estimate;

use std::collections::BTreeMap;

use crate::graph::StageId;
use crate::stage::Estimate;
use crate::store::Usage;

/// What the stages of a plan would cost.
#[derive(Debug, Clone, Default)]
pub struct Estimates {
    /// Every stage that would run, in the order of the plan.
    pub stages: Vec<StageEstimate>,
}

/// What one stage would cost.
#[derive(Debug, Clone)]
pub struct StageEstimate {
    /// Which stage.
    pub stage: StageId,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// What it would run on: equal where times can be compared.
    pub device: String,
    /// Is that a GPU? Then its memory is the GPU's, and nobody here knows how much that has.
    pub gpu: bool,
    /// What its kind says.
    pub estimate: Estimate,
    /// How long it would take; none where no earlier run tells.
    pub time: Option<Time>,
}

/// Sums and maxima over stages, each with how many of them it covers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Total {
    /// Stages that would run.
    pub stages: usize,
    /// Seconds, one after the other.
    pub seconds: f64,
    /// Stages whose time is known.
    pub timed: usize,
    /// Operations.
    pub flops: f64,
    /// Stages whose operations are known.
    pub counted: usize,
    /// Tokens.
    pub tokens: f64,
    /// Bytes on disk in the end.
    pub output_bytes: u64,
    /// Most bytes of checkpoints of one stage: they go when it ends.
    pub checkpoint_bytes: u64,
    /// Stages whose outputs are known.
    pub weighed: usize,
    /// Most bytes of memory that one stage needs, bounds left out.
    pub memory: u64,
}

impl Estimates {
    /// What is said of a stage.
    pub fn of(&self, stage: StageId) -> Option<&StageEstimate> {
        self.stages.iter().find(|estimate| estimate.stage == stage)
    }

    /// The same, as it is kept beside results.
    pub fn expected(&self) -> BTreeMap<StageId, Usage> {
        let of = |stage: &StageEstimate| Usage {
            device: stage.device.clone(),
            work: stage.estimate.work(),
            share: 1.0,
            expected_s: stage.time.map(|time| time.seconds),
            expected_memory: stage.estimate.peak().map(|phase| phase.memory.total()),
            ..Usage::default()
        };
        self.stages.iter().map(|stage| (stage.stage, of(stage))).collect()
    }

    /// Over all stages that would run.
    pub fn total(&self) -> Total {
        let mut total = Total { stages: self.stages.len(), ..Total::default() };
        for stage in &self.stages {
            let estimate = &stage.estimate;
            if let Some(time) = stage.time {
                total.seconds += time.seconds;
                total.timed += 1;
            }
            if let Some(flops) = estimate.flops {
                total.flops += flops;
                total.counted += 1;
            }
            if let Some(bytes) = estimate.output_bytes {
                total.output_bytes += bytes;
                total.weighed += 1;
            }
            total.tokens += estimate.tokens.unwrap_or_default();
            total.checkpoint_bytes = total.checkpoint_bytes.max(estimate.checkpoint_bytes.unwrap_or_default());
            if !estimate.bound {
                total.memory = total.memory.max(estimate.peak().map_or(0, |phase| phase.memory.total()));
            }
        }
        total
    }
}
