//! Phases of a stage → the most memory that each had, and what was left when it ended. Between a phase that generates and one
//! that learns, a device's pools are emptied. Refuses to know what a phase computes.
//!
//! On a CPU the heap is counted ([`heap`]): what was in use at the most while a phase had its turn, and when its turn ended. On a
//! device its pools are asked when a turn ends. Until they are emptied they give back next to nothing (pages of a size that they
//! have outgrown), so that what they have reserved by then is about the most that the phase needed, or one before it on the same
//! side of the border. Whoever computes outside of any phase (a look at watched rows, a checkpoint) is not counted.
//!
//! What a question to a device costs (`memory_pool_usage`, `CubeCL` 0.11): the thread that asks waits until what it submitted has
//! been queued, not until it has been computed. What emptying its pools costs (`memory_cleanup`): a fence per stream is waited
//! for, so the device runs dry once; pages with nothing in them go back to the driver, and the next phase asks for its own
//! again. That happens where the host waits for the device in any case: completions have been read, or a step's numbers. The
//! allocator of a CPU keeps its pages on purpose, and is left alone.

pub mod heap;

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{Counted, PhaseMemory};

/// A stretch of a stage in which the same things are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Completions are written for others to learn from.
    Rollout,
    /// Completions are written to be judged.
    Answering,
    /// Forward passes that nothing follows.
    LogProbs,
    /// Forward and backward passes.
    Backward,
    /// The weights move.
    Optimizer,
    /// Forward and backward passes, and the weights move.
    Update,
    /// A look at held-out rows.
    Look,
}

impl Phase {
    /// Its name in logs, receipts and reports.
    fn name(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::Answering => "answering",
            Self::LogProbs => "log-probabilities",
            Self::Backward => "backward",
            Self::Optimizer => "optimizer",
            Self::Update => "update",
            Self::Look => "look",
        }
    }

    /// Does it write, and fill pools with keys and values? The others fill them with what passes keep.
    fn writes(self) -> bool {
        matches!(self, Self::Rollout | Self::Answering)
    }

    /// Is what the pools hold after `last` of no use to it?
    fn empties_after(self, last: Option<Self>) -> bool {
        last.is_some_and(|last| last.writes() != self.writes())
    }
}

/// Bytes of a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reading {
    peak: u64,
    held: u64,
}

impl Reading {
    fn max(self, other: Self) -> Self {
        Self { peak: self.peak.max(other.peak), held: self.held.max(other.held) }
    }
}

#[derive(Debug, Default)]
struct Seen {
    last: Option<Phase>,
    /// The most since [`Phases::step`] was last asked.
    step: Option<u64>,
    /// Phases in the order of their first turn, over all turns.
    phases: Vec<(Phase, Reading)>,
}

/// The phases of a stage on some devices.
///
/// One stage of a process at a time: the heap is the whole process's.
#[derive(Debug)]
pub struct Phases {
    /// Those that are no CPU.
    devices: Vec<Device>,
    seen: Mutex<Seen>,
}

impl Phases {
    /// Of a stage that computes on these devices.
    pub fn on(devices: &[Device]) -> Self {
        let mut ours: Vec<Device> = Vec::new();
        for device in devices.iter().filter(|device| !crate::device::on_cpu(device)) {
            if !ours.contains(device) {
                ours.push(device.clone());
            }
        }
        Self { devices: ours, seen: Mutex::default() }
    }

    /// Gives a phase its turn. Phases don't hold each other.
    pub fn during<R>(&self, phase: Phase, work: impl FnOnce() -> R) -> R {
        let last = self.seen().last.replace(phase);
        if phase.empties_after(last) {
            for device in &self.devices {
                device.memory_cleanup();
            }
        }
        heap::mark();
        let result = work();
        if let Some(reading) = self.read() {
            self.seen().add(phase, reading);
        }
        result
    }

    /// The most of the phases since the last call, in GiB.
    pub fn step(&self) -> Option<f64> {
        self.seen().step.take().map(|bytes| bytes as f64 / f64::from(1 << 30))
    }

    /// What there is to say when the work is done: for the receipt, and as a table for the log. Nothing where nobody counts.
    pub fn told(&self) -> Vec<StageEvent> {
        let of = if self.devices.is_empty() { Counted::Heap } else { Counted::Device };
        let memory = |(phase, Reading { peak, held }): &(Phase, Reading)| PhaseMemory {
            phase: phase.name().to_owned(),
            peak: *peak,
            held: *held,
            of,
        };
        let phases: Vec<PhaseMemory> = self.seen().phases.iter().map(memory).collect();
        if phases.is_empty() {
            return Vec::new();
        }
        let lines = table(&phases).into_iter().map(|message| StageEvent::Log { message });
        let lines: Vec<StageEvent> = lines.collect();
        std::iter::once(StageEvent::Memory { phases }).chain(lines).collect()
    }

    /// Of the device with the most, or of the heap.
    fn read(&self) -> Option<Reading> {
        if self.devices.is_empty() {
            return heap::read().map(|(peak, held)| Reading { peak, held });
        }
        let each = self.devices.iter().filter_map(Device::memory_pool_usage);
        each.map(|usage| Reading { peak: usage.bytes_reserved, held: usage.bytes_in_use }).reduce(Reading::max)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn add(&mut self, phase: Phase, reading: Reading) {
        self.step = self.step.max(Some(reading.peak));
        match self.phases.iter_mut().find(|(known, _)| *known == phase) {
            Some((_, all)) => *all = all.max(reading),
            None => self.phases.push((phase, reading)),
        }
    }
}

/// A head, and a line for each phase.
fn table(phases: &[PhaseMemory]) -> Vec<String> {
    let of = phases.first().map_or("", |phase| phase.of.word());
    let width = phases.iter().map(|phase| phase.phase.len()).max().unwrap_or_default();
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let line =
        |phase: &PhaseMemory| format!("  {:width$} {:>10} {:>10}", phase.phase, mib(phase.peak), mib(phase.held));
    std::iter::once(format!("memory by phase ({of}, MiB): at most, at its end"))
        .chain(phases.iter().map(line))
        .collect()
}

#[cfg(test)]
mod tests;
