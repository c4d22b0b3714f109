//! What a stage costs while it runs, beside what was expected of it. The worker leaves its peak of memory in the work folder,
//! which goes when the result is committed; the memory of its phases comes as an event. Refuses to judge.

use std::path::Path;

use super::StageEvent;
use crate::estimate::peak_memory;
use crate::fs;
use crate::stage::PhaseMemory;
use crate::store::{Claim, Usage};

const PEAK: &str = "peak_memory";

/// Follows the events of one stage.
#[derive(Debug, Default)]
pub(super) struct Watch {
    expected: Option<Usage>,
    /// Steps that an earlier attempt had done.
    from: usize,
    /// Steps done, and in all.
    last: Option<(usize, usize)>,
    phases: Vec<PhaseMemory>,
}

impl Watch {
    pub fn new(expected: Option<&Usage>) -> Self {
        Self { expected: expected.cloned(), ..Self::default() }
    }

    pub fn see(&mut self, event: &StageEvent) {
        match event {
            StageEvent::Resumed { step } => self.from = *step,
            StageEvent::Progress { step, total, .. } => self.last = Some((*step, *total)),
            StageEvent::Memory { phases } => self.phases.clone_from(phases),
            _ => {}
        }
    }

    /// The claim of a stage that is done, with what it cost.
    pub fn tell(self, claim: Claim) -> Claim {
        let share = self.share();
        let Some(expected) = self.expected else { return claim };
        let peak = fs::read_to_string(&claim.work_dir().join(PEAK)).ok().and_then(|text| text.trim().parse().ok());
        claim.having_used(Usage { share, peak_memory: peak, phases: self.phases, ..expected })
    }

    /// Share of the stage's work that this attempt did: it may have gone on from a checkpoint, or ended early.
    fn share(&self) -> f64 {
        match self.last {
            Some((last, total)) if total > 0 => last.saturating_sub(self.from) as f64 / total as f64,
            _ if self.from > 0 => 0.0,
            _ => 1.0,
        }
    }
}

/// Leaves this process's peak of memory where whoever started it finds it.
pub(super) fn leave_peak(work_dir: &Path) {
    if let Some(peak) = peak_memory() {
        // Without it the time is known all the same.
        let _ = fs::write(&work_dir.join(PEAK), peak.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stage::Counted;

    #[test]
    fn an_attempt_did_what_was_left_of_the_steps_that_were_done() {
        let progress = |step, total| StageEvent::Progress { step, total, metrics: BTreeMap::new() };
        let share = |events: &[StageEvent]| {
            let mut watch = Watch::new(None);
            for event in events {
                watch.see(event);
            }
            watch.share()
        };
        assert!((share(&[]) - 1.0).abs() < 1e-9, "a stage without steps");
        assert!((share(&[progress(1, 4), progress(4, 4)]) - 1.0).abs() < 1e-9);
        assert!((share(&[StageEvent::Resumed { step: 3 }, progress(4, 4)]) - 0.25).abs() < 1e-9);
        assert!((share(&[progress(1, 4), progress(2, 4)]) - 0.5).abs() < 1e-9, "stopped early");
        assert!(share(&[StageEvent::Resumed { step: 4 }]).abs() < 1e-9);
    }

    #[test]
    fn what_phases_had_is_kept_and_what_was_kept_before_is_read() {
        let phases = vec![PhaseMemory { phase: "rollout".into(), peak: 7, held: 5, of: Counted::Device }];
        let mut watch = Watch::new(None);
        watch.see(&StageEvent::Memory { phases: phases.clone() });
        assert_eq!(watch.phases, phases);
        let usage = Usage { phases, ..Usage::default() };
        let text = serde_json::to_string(&usage).unwrap();
        assert!(text.contains(r#""of":"device""#) && serde_json::from_str::<Usage>(&text).unwrap() == usage, "{text}");
        let older = r#"{ "device": "d", "work": null, "share": 1.0, "peak_memory": 9 }"#;
        let older: Usage = serde_json::from_str(older).unwrap();
        assert_eq!((older.peak(), older.phases.len()), (Some(9), 0));
        assert!(!serde_json::to_string(&older).unwrap().contains("phases"));
    }
}
