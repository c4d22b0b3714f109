//! The memory of a stage's phases, as a stage that ran says it. What it was expected to be is [`super::Memory`]'s. Refuses to
//! know how it is counted.

use serde::{Deserialize, Serialize};

/// The memory of one phase of a stage, over all its turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseMemory {
    /// What went on: `rollout`, `backward`, …
    pub phase: String,
    /// Bytes at the most.
    pub peak: u64,
    /// Bytes in use when it ended, at the most: what it left for what came after.
    pub held: u64,
    /// Bytes of what.
    pub of: Counted,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// Blocks of 4 KiB or more that the process had from its allocator and not given back, of whatever they were; pages that
    /// the allocator keeps for later are no part of it, as they are of the process's own peak.
    Heap,
    /// What the pools of a device had reserved (the peak), and what allocations used of it (what was held); of several devices
    /// the one with the most.
    Device,
}

impl Counted {
    /// One word for tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Device => "device",
        }
    }
}
