//! What stages would need against what there is. Refuses to know how either was found out.

use super::{Estimates, Machine, StageEstimate};

/// Why a plan can't be carried out here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A stage would need more memory than this machine has.
    #[error(
        "stage `{stage}` would need about {} of memory ({parts}), and this machine has {}",
        bytes(*needed), bytes(*there)
    )]
    Memory {
        /// The stage.
        stage: String,
        /// Bytes at its peak.
        needed: u64,
        /// The largest parts of them.
        parts: String,
        /// Bytes of memory.
        there: u64,
    },
    /// Results and checkpoints would need more room than the store's disk has.
    #[error(
        "results would need about {} of disk, checkpoints {} while a stage runs, and the store's disk has {} free",
        bytes(*outputs), bytes(*checkpoints), bytes(*free)
    )]
    Disk {
        /// Bytes of all results.
        outputs: u64,
        /// Most bytes of checkpoints at a time.
        checkpoints: u64,
        /// Bytes that are free.
        free: u64,
    },
}

impl Misfit {
    /// How to go on.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Memory { .. } => {
                "less is needed with `runtime.gradient_checkpointing=true`, a smaller `micro_batch` or `rollout_batch`, fewer \
                 `runtime.threads`, or `lora`; `--force-fit` starts all the same"
            }
            Self::Disk { .. } => "make room, or choose another `--store`; `--force-fit` starts all the same",
        }
    }
}

/// Everything that speaks against starting: nothing where something is unknown.
///
/// `free` is what the store's disk has free. GPU memory is not looked at: only a driver knows it.
pub fn fit(estimates: &Estimates, machine: &Machine, free: Option<u64>) -> Vec<Misfit> {
    let mut found: Vec<Misfit> = estimates.stages.iter().filter_map(|stage| memory(stage, machine.memory?)).collect();
    let total = estimates.total();
    let (outputs, checkpoints) = (total.output_bytes, total.checkpoint_bytes);
    if let Some(free) = free.filter(|free| outputs.saturating_add(checkpoints) > *free) {
        found.push(Misfit::Disk { outputs, checkpoints, free });
    }
    found
}

fn memory(stage: &StageEstimate, there: u64) -> Option<Misfit> {
    let peak = stage.estimate.peak()?;
    let needed = peak.memory.total();
    if stage.gpu || stage.estimate.bound || needed <= there {
        return None;
    }
    let mut parts = peak.memory.parts();
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let parts: Vec<_> = parts
        .iter()
        .take(3)
        .filter(|(_, bytes)| *bytes > 0)
        .map(|(name, size)| format!("{name} {}", bytes(*size)))
        .collect();
    Some(Misfit::Memory { stage: stage.name.clone(), needed, parts: parts.join(", "), there })
}

/// `1.5 GB`: three digits of a power of 1000, as disks and BENCHMARKS count.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::StageId;
    use crate::stage::{Estimate, Memory, Phase};

    fn estimates(weights: u64, output_bytes: u64, gpu: bool) -> Estimates {
        let memory = Memory { weights, ..Memory::default() };
        let estimate = Estimate {
            phases: vec![Phase { name: "all".into(), memory }],
            output_bytes: Some(output_bytes),
            checkpoint_bytes: Some(100),
            ..Estimate::default()
        };
        let (name, device) = ("a".to_owned(), String::new());
        let stage = StageEstimate { stage: StageId(0), name, kind: "k", device, gpu, estimate, time: None };
        Estimates { stages: vec![stage] }
    }

    fn machine(memory: Option<u64>) -> Machine {
        Machine { memory, ..Machine::default() }
    }

    #[test]
    fn what_is_larger_than_the_machine_is_refused() {
        let found = fit(&estimates(3_000_000_000, 0, false), &machine(Some(2_000_000_000)), None);
        let text = found[0].to_string();
        assert!(text.starts_with("stage `a` would need about 3.00 GB of memory (weights 3.00 GB"), "{text}");
        assert!(text.ends_with("and this machine has 2.00 GB"), "{text}");
        assert!(fit(&estimates(2_000_000_000, 0, false), &machine(Some(2_000_000_000)), None).is_empty());
    }

    #[test]
    fn what_is_unknown_refuses_nothing() {
        assert!(fit(&estimates(u64::MAX, 5, false), &machine(None), None).is_empty());
        assert!(fit(&estimates(u64::MAX, 5, true), &machine(Some(1)), None).is_empty(), "memory of a GPU");
        assert!(fit(&Estimates::default(), &machine(Some(0)), Some(0)).is_empty());
        let mut bounded = estimates(u64::MAX, 5, false);
        bounded.stages[0].estimate.bound = true;
        assert!(fit(&bounded, &machine(Some(1)), None).is_empty(), "rows of unknown length");
    }

    #[test]
    fn a_disk_has_to_hold_results_and_checkpoints() {
        let of = |free| fit(&estimates(0, 900, false), &machine(None), Some(free)).len();
        assert_eq!((of(999), of(1000)), (1, 0));
    }

    #[test]
    fn sizes_have_three_digits() {
        let expected = [(0, "0 B"), (999, "999 B"), (1_000, "1.00 kB"), (12_345, "12.3 kB"), (999_999, "1.00 MB")];
        for (count, text) in expected.into_iter().chain([(6_938_000_000, "6.94 GB"), (123_456_789, "123 MB")]) {
            assert_eq!(bytes(count), text);
        }
    }
}
