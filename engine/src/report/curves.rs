//! Histories of training stages → curves: for each number, a line per variant, its mean over seeds in at most twenty bins
//! of steps. Also every alert. Refuses to know how curves are drawn.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ReportError;
use super::arms::shown;
use super::evaluated::Variant;
use crate::exec::{HISTORY, History, HistoryStep, Receipt, StageReceipt};
use crate::stage::ArtifactKind;

/// Numbers that have a curve, in this order.
const SHOWN: [&str; 13] = [
    "reward",
    "accuracy",
    "loss",
    "valid_loss",
    "entropy",
    "length",
    "effective_share",
    "zero_variance",
    "truncated",
    "kl",
    "clip_fraction",
    "grad_norm",
    "skipped",
];
/// Most points of a line.
const BINS: usize = 20;

/// One number of one stage, over its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The stage, as the recipe calls it.
    pub stage: String,
    /// The number.
    pub metric: String,
    /// Steps of the longest line.
    pub steps: usize,
    /// One per variant; variants that share the very stage share a line.
    pub lines: Vec<CurveLine>,
}

/// One variant's curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveLine {
    /// The variants that it belongs to.
    pub variants: Vec<String>,
    /// Does it belong to every variant that has the stage?
    pub all: bool,
    /// Seeds.
    pub seeds: usize,
    /// In order of steps; bins without a step are left out.
    pub points: Vec<CurvePoint>,
}

/// One bin of steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Its last step.
    pub step: usize,
    /// Mean over seeds of the mean over its steps.
    pub mean: f64,
    /// The seed with the lowest mean.
    pub low: f64,
    /// The seed with the highest.
    pub high: f64,
    /// Seeds that have steps here.
    pub seeds: usize,
}

/// Something that a detector noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The stage.
    pub stage: String,
    /// The step that showed it.
    pub step: usize,
    /// What noticed.
    pub detector: String,
    /// `warn`, `stop` or `rollback`.
    pub action: String,
    /// What was seen.
    pub message: String,
}

impl CurveLine {
    /// Its name in a legend.
    pub fn label(&self) -> String {
        match self.variants.as_slice() {
            [one] => one.clone(),
            _ if self.all => "all arms".into(),
            several => several.join(" = "),
        }
    }

    /// Mean of the point nearest to a share of the steps: 0 is the first, 1 the last.
    pub fn at(&self, share: f64) -> Option<f64> {
        let place = (share * self.points.len().saturating_sub(1) as f64).round() as usize;
        Some(self.points.get(place)?.mean)
    }

    /// Eight levels between the ends of `range`, one character per point.
    pub fn spark(&self, (low, high): (f64, f64)) -> String {
        const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let level = |value: f64| if high > low { (value - low) / (high - low) * 7.0 } else { 0.0 };
        self.points.iter().map(|point| LEVELS[level(point.mean).round().clamp(0.0, 7.0) as usize]).collect()
    }
}

impl Curve {
    /// Lowest and highest mean of all lines.
    pub fn range(&self) -> (f64, f64) {
        let means = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.mean);
        (means().fold(f64::INFINITY, f64::min), means().fold(f64::NEG_INFINITY, f64::max))
    }
}

/// Reads the histories of a run.
pub(super) fn read(receipt: &Receipt, variants: &[Variant<'_>]) -> Result<(Vec<Curve>, Vec<Alert>), ReportError> {
    let mut alerts = Vec::new();
    let mut histories: BTreeMap<&str, Vec<HistoryStep>> = BTreeMap::new();
    for stage in &receipt.stages {
        let Some(path) = path(stage) else { continue };
        // What stages without a model count (items, rows) is progress, not a curve.
        let trains = stage.outputs.values().any(|kind| *kind == ArtifactKind::Model);
        let history = History::read(&path, |name| trains && SHOWN.contains(&name))?;
        histories.insert(&stage.stage, history.steps);
        alerts.extend(history.alerts.into_iter().map(|alert| Alert {
            stage: stage.stage.clone(),
            step: alert.step,
            detector: alert.detector,
            action: alert.action,
            message: alert.message,
        }));
    }
    let mut stages: Vec<&str> = Vec::new();
    for (local, _) in variants.iter().flat_map(|variant| &variant.arms).flat_map(|arm| &arm.stages) {
        if !stages.contains(local) {
            stages.push(local);
        }
    }
    let curves = stages.iter().flat_map(|stage| of_stage(stage, variants, &histories)).collect();
    Ok((curves, alerts))
}

fn path(stage: &StageReceipt) -> Option<PathBuf> {
    stage.history.clone().or_else(|| Some(stage.artifact.as_ref()?.join(HISTORY)))
}

/// Variants that share the very stages, seed by seed, and the histories of these.
struct Group<'a> {
    variants: Vec<String>,
    stages: Vec<&'a StageReceipt>,
    histories: Vec<&'a [HistoryStep]>,
}

fn of_stage(stage: &str, variants: &[Variant<'_>], histories: &BTreeMap<&str, Vec<HistoryStep>>) -> Vec<Curve> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for variant in variants {
        let mut found: Vec<&StageReceipt> = Vec::new();
        for (_, receipt) in variant.arms.iter().flat_map(|arm| &arm.stages).filter(|(local, _)| *local == stage) {
            if found.iter().all(|known| known.key != receipt.key) {
                found.push(receipt);
            }
        }
        let keys = |stages: &[&StageReceipt]| stages.iter().map(|stage| stage.key).collect::<Vec<_>>();
        let name = shown(variant.name).to_owned();
        if found.is_empty() {
            continue;
        }
        if let Some(group) = groups.iter_mut().find(|group| keys(&group.stages) == keys(&found)) {
            group.variants.push(name);
        } else {
            let of = |stage: &&StageReceipt| histories.get(stage.stage.as_str()).map(Vec::as_slice);
            let histories = found.iter().filter_map(of).filter(|steps| !steps.is_empty()).collect();
            groups.push(Group { variants: vec![name], stages: found, histories });
        }
    }
    let last = |group: &Group<'_>| group.histories.iter().filter_map(|steps| Some(steps.last()?.step)).max();
    let Some(steps) = groups.iter().filter_map(last).max() else { return Vec::new() };
    let all = groups.len() == 1;
    let curve = |metric: &&str| {
        let lines = groups.iter().map(|group| CurveLine {
            variants: group.variants.clone(),
            all,
            seeds: group.histories.len(),
            points: binned(&group.histories, metric, steps),
        });
        let lines: Vec<CurveLine> = lines.filter(|line| !line.points.is_empty()).collect();
        Curve { stage: stage.to_owned(), metric: (*metric).to_owned(), steps, lines }
    };
    // A number that never changes is none to draw.
    let moves = |curve: &Curve| {
        let (low, high) = curve.range();
        low < high
    };
    SHOWN.iter().map(curve).filter(moves).collect()
}

/// Mean over each bin's steps of every seed, then over seeds.
fn binned(histories: &[&[HistoryStep]], metric: &str, steps: usize) -> Vec<CurvePoint> {
    let bins = steps.min(BINS);
    let mut sums = vec![vec![(0.0, 0_usize); bins]; histories.len()];
    for (history, sums) in histories.iter().zip(&mut sums) {
        for step in history.iter().filter(|step| step.step > 0) {
            if let Some(value) = step.metrics.get(metric) {
                let (sum, count) = &mut sums[(step.step - 1) * bins / steps];
                *sum += value;
                *count += 1;
            }
        }
    }
    let point = |bin: usize| {
        let seeds = sums.iter().map(|sums| sums[bin]).filter(|(_, count)| *count > 0);
        let means: Vec<f64> = seeds.map(|(sum, count)| sum / count as f64).collect();
        (!means.is_empty()).then(|| CurvePoint {
            // The last step that falls into the bin.
            step: ((bin + 1) * steps - 1) / bins + 1,
            mean: means.iter().sum::<f64>() / means.len() as f64,
            low: means.iter().copied().fold(f64::INFINITY, f64::min),
            high: means.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            seeds: means.len(),
        })
    };
    (0..bins).filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(values: &[f64]) -> Vec<HistoryStep> {
        let step = |(at, value): (usize, &f64)| HistoryStep {
            step: at + 1,
            metrics: BTreeMap::from([("reward".to_owned(), *value)]),
        };
        values.iter().enumerate().map(step).collect()
    }

    #[test]
    fn seeds_are_averaged_in_bins_of_steps() {
        let (a, b) = (steps(&(0..40).map(f64::from).collect::<Vec<_>>()), steps(&[2.0; 30]));
        let points = binned(&[&a, &b], "reward", 40);
        assert_eq!(points.len(), 20);
        assert_eq!(points[0], CurvePoint { step: 2, mean: 1.25, low: 0.5, high: 2.0, seeds: 2 });
        assert_eq!(points[19], CurvePoint { step: 40, mean: 38.5, low: 38.5, high: 38.5, seeds: 1 });
        let every = binned(&[&a[..3]], "reward", 3);
        assert_eq!(
            every.iter().map(|point| (point.step, point.mean)).collect::<Vec<_>>(),
            [(1, 0.0), (2, 1.0), (3, 2.0)]
        );
        assert!(binned(&[&a], "loss", 40).is_empty());
    }

    /// Every step belongs to the bin whose last step is the first that is not before it.
    #[test]
    fn a_bin_knows_its_last_step() {
        for total in [1, 7, 20, 21, 50, 99, 100_003] {
            let history = steps(&[0.0]);
            let one = |step: usize| {
                let moved = [HistoryStep { step, ..history[0].clone() }];
                binned(&[&moved], "reward", total)[0].step
            };
            let mut ends: Vec<usize> = (1..=total).step_by(total.div_ceil(500)).map(one).collect();
            assert!(ends.is_sorted());
            assert_eq!(one(total), total);
            assert!(
                (1..=total).step_by(total.div_ceil(500)).all(|step| one(step) >= step && one(one(step)) == one(step))
            );
            ends.dedup();
            assert_eq!(ends.len(), total.min(BINS));
        }
    }

    #[test]
    fn a_spark_has_eight_levels() {
        let points = |values: &[f64]| {
            let point =
                |(at, mean): (usize, &f64)| CurvePoint { step: at, mean: *mean, low: *mean, high: *mean, seeds: 1 };
            values.iter().enumerate().map(point).collect()
        };
        let line =
            CurveLine { variants: vec!["base".into()], all: true, seeds: 1, points: points(&[0.0, 0.5, 1.0, 2.0]) };
        assert_eq!(line.spark((0.0, 1.0)), "▁▅██");
        assert_eq!(line.spark((1.0, 1.0)), "▁▁▁▁");
        assert_eq!((line.at(0.0), line.at(0.5), line.at(1.0)), (Some(0.0), Some(1.0), Some(2.0)));
    }
}
