//! What earlier runs cost → how long a stage will take, and how far such statements were off. Refuses to compare runs on
//! different devices.

use serde::Serialize;

use crate::store::{Index, Store, Used};

/// Runs that count, the newest; what is older was made by older code.
const NEWEST: usize = 20;
/// A share of the work that is less says little about all of it.
const LEAST_SHARE: f64 = 0.2;
/// Runs of so many times more or less work are of another size: what does not grow with the work weighs differently there.
const LIKE: f64 = 8.0;

/// How long a stage will take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Time {
    /// Seconds.
    pub seconds: f64,
    /// Earlier runs that this follows from.
    pub runs: usize,
    /// Were they runs of a stage of the same name, or of the same kind only?
    pub same_stage: bool,
    /// Were they of a like size?
    pub like_size: bool,
    /// Mean of |expected − measured| / measured over those runs of which a time was expected.
    pub error: Option<f64>,
    /// The same of the memory at the peak.
    pub memory_error: Option<f64>,
}

/// What earlier runs cost, oldest first.
#[derive(Debug, Default)]
pub(super) struct History(Vec<Used>);

impl History {
    /// Everything that the store has.
    pub fn read(store: &Store, index: &Index) -> Self {
        Self(store.used(index))
    }

    /// The time of `work` by a stage, from the runs that are most like it: of its name before those of its kind, of its size
    /// before others. Their median pace counts, so that one run on a busy machine does not.
    pub fn time(&self, stage: &str, kind: &str, device: &str, work: f64) -> Option<Time> {
        let usable = |used: &&Used| {
            used.kind == kind && used.usage.device == device && used.usage.share >= LEAST_SHARE && done(used).is_some()
        };
        let all: Vec<&Used> = self.0.iter().filter(usable).collect();
        let like = |used: &Used| done(used).is_some_and(|done| (work / LIKE..=work * LIKE).contains(&done));
        let tiers = [(true, true), (false, true), (true, false), (false, false)];
        tiers.into_iter().find_map(|(same_stage, like_size)| {
            let fits = |used: &&&Used| (!same_stage || used.stage == stage) && (!like_size || like(used));
            let runs: Vec<&Used> = all.iter().rev().filter(fits).take(NEWEST).copied().collect();
            let pace = median(runs.iter().filter_map(|used| Some(used.wall_s / done(used)?)).collect())?;
            let of = |pairs: Vec<(f64, f64)>| {
                let count = pairs.len();
                let sum: f64 = pairs.into_iter().map(|(expected, measured)| (expected / measured - 1.0).abs()).sum();
                (count > 0).then(|| sum / count as f64)
            };
            let times = runs.iter().filter_map(|used| Some((used.usage.expected_s? * used.usage.share, used.wall_s)));
            let peaks =
                runs.iter().filter_map(|used| Some((used.usage.expected_memory? as f64, used.usage.peak()? as f64)));
            Some(Time {
                seconds: pace * work,
                runs: runs.len(),
                same_stage,
                like_size,
                error: of(times.filter(|(_, measured)| *measured > 0.0).collect()),
                memory_error: of(peaks.collect()),
            })
        })
    }
}

/// The work that a run's time is the time of.
fn done(used: &Used) -> Option<f64> {
    used.usage.work.map(|work| work * used.usage.share).filter(|done| *done > 0.0)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    Some(if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{Counted, PhaseMemory};
    use crate::store::Usage;

    fn used(stage: &str, work: f64, wall_s: f64, expected_s: Option<f64>) -> Used {
        let usage = Usage { device: "d".into(), work: Some(work), share: 1.0, expected_s, ..Usage::default() };
        Used { stage: stage.into(), kind: "k".into(), created: String::new(), wall_s, usage }
    }

    fn time(history: Vec<Used>, work: f64) -> Option<Time> {
        History(history).time("a", "k", "d", work)
    }

    #[test]
    fn without_a_run_on_this_device_nothing_is_said() {
        assert_eq!(time(vec![], 1.0), None);
        assert_eq!(History(vec![used("a", 1.0, 1.0, None)]).time("a", "k", "another", 1.0), None);
        assert_eq!(History(vec![used("a", 1.0, 1.0, None)]).time("a", "another", "d", 1.0), None);
    }

    #[test]
    fn the_median_pace_counts_and_errors_are_means() {
        // Paces 2, 3 and 50 seconds a unit: 3 × 10. Errors |2/4 − 1| = 1/2 and |7/6 − 1| = 1/6.
        let found = time(
            vec![used("a", 2.0, 4.0, Some(2.0)), used("a", 2.0, 6.0, Some(7.0)), used("a", 2.0, 100.0, None)],
            10.0,
        );
        let found = found.unwrap();
        assert!((found.seconds - 30.0).abs() < 1e-9);
        assert_eq!((found.runs, found.same_stage, found.like_size), (3, true, true));
        assert!((found.error.unwrap() - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(found.memory_error, None);
    }

    #[test]
    fn runs_most_like_the_stage_come_first() {
        let other = || used("b", 10.0, 10.0, None);
        let tiny = || used("a", 0.1, 1.0, None);
        let seconds =
            |history| time(history, 10.0).map(|found| (found.seconds.round(), found.same_stage, found.like_size));
        assert_eq!(seconds(vec![used("a", 20.0, 40.0, None), other(), tiny()]), Some((20.0, true, true)));
        assert_eq!(seconds(vec![other(), tiny()]), Some((10.0, false, true)), "of the kind, of the size");
        assert_eq!(seconds(vec![tiny()]), Some((100.0, true, false)));
    }

    #[test]
    fn a_part_of_the_work_counts_as_a_part() {
        let part = |share| {
            let mut used = used("a", 10.0, 5.0, Some(11.0));
            used.usage.share = share;
            vec![used]
        };
        let found = time(part(0.5), 10.0).unwrap();
        assert!((found.seconds - 10.0).abs() < 1e-9 && (found.error.unwrap() - 0.1).abs() < 1e-9, "{found:?}");
        assert_eq!(time(part(0.1), 10.0), None, "too little to tell");
    }

    #[test]
    fn memory_is_that_of_the_device_where_it_has_its_own() {
        let with = |of| {
            let mut used = used("a", 1.0, 1.0, None);
            let phase = PhaseMemory { phase: "update".into(), peak: 80, held: 8, of };
            used.usage.phases = vec![PhaseMemory { peak: 40, ..phase.clone() }, phase];
            (used.usage.expected_memory, used.usage.peak_memory) = (Some(100), Some(50));
            time(vec![used], 1.0).unwrap().memory_error.unwrap()
        };
        assert!((with(Counted::Heap) - 1.0).abs() < 1e-9, "100 expected, 50 in the process");
        assert!((with(Counted::Device) - 0.25).abs() < 1e-9, "100 expected, 80 of the device");
    }

    #[test]
    fn only_the_newest_runs_count() {
        let mut history = vec![used("a", 1.0, 100.0, None); 30];
        history.extend(vec![used("a", 1.0, 2.0, None); NEWEST]);
        let found = time(history, 1.0).unwrap();
        assert!((found.seconds - 2.0).abs() < 1e-9 && found.runs == NEWEST);
    }
}
