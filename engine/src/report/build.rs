//! Receipt → [`Report`].

use std::collections::{BTreeMap, BTreeSet};

use super::measure::{self, Item, Metrics};
use super::{
    Comparison, Evaluation, Measured, Report, ReportError, StageRow, bootstrap_mean, paired_bootstrap, wilson,
};
use crate::exec::{Receipt, StageReceipt};
use crate::plan::Reason;
use crate::stage::ArtifactKind;

/// Reads what the run's evaluations measured and compares it.
///
/// # Errors
///
/// A metrics artifact that is gone or is not what it should be.
pub fn build(receipt: &Receipt) -> Result<Report, ReportError> {
    let mut measured = Vec::new();
    for stage in &receipt.stages {
        let ports = stage.outputs.iter().filter(|(_, kind)| **kind == ArtifactKind::Metrics);
        for (port, artifact) in ports.filter_map(|(port, _)| Some((port, stage.artifact.as_ref()?))) {
            let (metrics, items) = measure::read(&artifact.join("artifact").join(port))?;
            measured.push(Scored { stage, metrics, items });
        }
    }
    Ok(Report {
        schema_version: 1,
        recipe: receipt.recipe.clone(),
        version: receipt.version.clone(),
        started: receipt.started.clone(),
        wall_s: receipt.wall_s,
        outcome: receipt.outcome,
        stages: receipt.stages.iter().map(stage_row).collect(),
        evaluations: measured.iter().map(Scored::evaluation).collect(),
        comparisons: comparisons(&measured),
    })
}

fn stage_row(stage: &StageReceipt) -> StageRow {
    let reasons = stage.reasons.iter().map(Reason::to_string);
    StageRow {
        stage: stage.stage.clone(),
        kind: stage.kind.clone(),
        key: stage.key.short(),
        status: stage.status,
        wall_s: stage.wall_s,
        why: reasons.chain(stage.message.clone()).collect(),
    }
}

/// One evaluation with its items.
struct Scored<'a> {
    stage: &'a StageReceipt,
    metrics: Metrics,
    items: Vec<Item>,
}

impl Scored<'_> {
    fn subject(&self) -> String {
        match self.references(ArtifactKind::Model).first() {
            Some(reference) => reference.strip_suffix(".model").unwrap_or(reference).to_owned(),
            None => self.stage.stage.clone(),
        }
    }

    fn references(&self, kind: ArtifactKind) -> Vec<&str> {
        let inputs = self.stage.inputs.values().filter(|input| input.kind == kind);
        inputs.map(|input| input.reference.as_str()).collect()
    }

    /// Equal for evaluations of the same rows.
    fn data(&self) -> BTreeSet<&str> {
        let inputs = self.stage.inputs.values().filter(|input| input.kind == ArtifactKind::Data);
        inputs.map(|input| input.identity.as_str()).collect()
    }

    fn evaluation(&self) -> Evaluation {
        let with_interval = |(name, &value): (&String, &f64)| {
            let scores: Vec<f64> =
                self.items.iter().filter(|item| item.counts_for(name)).map(|item| item.score).collect();
            let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
            // Only a metric that is the mean of the items' scores can take its interval from them.
            let of_items = !scores.is_empty() && (mean - value).abs() < 1e-6;
            let interval = of_items.then(|| interval(&scores));
            (name.clone(), Measured { value, interval })
        };
        Evaluation {
            stage: self.stage.stage.clone(),
            subject: self.subject(),
            data: self.references(ArtifactKind::Data).join(", "),
            items: self.metrics.items,
            metrics: self.metrics.metrics.iter().map(with_interval).collect(),
        }
    }
}

/// Right-or-wrong scores are a proportion; anything else is resampled.
fn interval(scores: &[f64]) -> super::Interval {
    let is = |score: &f64, value: f64| score.total_cmp(&value).is_eq();
    let right = scores.iter().filter(|score| is(score, 1.0)).count();
    let wrong = scores.iter().filter(|score| is(score, 0.0)).count();
    if right + wrong == scores.len() { wilson(right, scores.len()) } else { bootstrap_mean(scores) }
}

/// Each evaluation against the one before it on the same data: over all items, then by group.
fn comparisons(measured: &[Scored<'_>]) -> Vec<Comparison> {
    let mut found = Vec::new();
    for (index, after) in measured.iter().enumerate() {
        let Some(before) = measured[..index].iter().rev().find(|before| before.data() == after.data()) else {
            continue;
        };
        let old: BTreeMap<&str, f64> = before.items.iter().map(|item| (item.id.as_str(), item.score)).collect();
        let groups: BTreeSet<Option<&str>> = after.items.iter().map(|item| item.group.as_deref()).collect();
        let named = groups.iter().copied().flatten();
        // One group is the same comparison again.
        let parts = std::iter::once(None).chain(named.filter(|_| groups.len() > 1).map(Some));
        for part in parts {
            let inside = after.items.iter().filter(|item| part.is_none() || item.group.as_deref() == part);
            let pairs: Vec<_> = inside.filter_map(|item| Some((*old.get(item.id.as_str())?, item.score))).collect();
            if pairs.is_empty() {
                continue;
            }
            let (difference, interval) = paired_bootstrap(&pairs);
            found.push(Comparison {
                before: before.subject(),
                after: after.subject(),
                data: after.references(ArtifactKind::Data).join(", "),
                group: part.unwrap_or("all").to_owned(),
                items: pairs.len(),
                difference,
                interval,
            });
        }
    }
    found
}
