//! Artifacts of the stages that measure → [`Judgement`]. Reads `metrics.json` and `items.jsonl`; the resampling is that of
//! reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Gate, Method, Relation, Term};
use crate::report::{Items, Metrics, Part, bounds, is_mean_of_items, read_metrics};

/// Rounding of sums of means is no difference.
const ROUNDING: f64 = 1e-12;

/// What came of a requirement. The conditions are those of [`super`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Met,
    /// It does not hold.
    NotMet,
    /// There are too few items to tell.
    Undecided,
    /// Something that it needs was not measured.
    Unmeasured,
}

impl Verdict {
    /// For tables.
    pub fn words(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotMet => "not met",
            Self::Undecided => "undecided",
            Self::Unmeasured => "not measured",
        }
    }
}

/// A metric's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    /// As the recipe says it: `score[mrl].accuracy/image`.
    pub metric: String,
    /// As measured, over all its items.
    pub value: f64,
    /// Its weight in the requirement.
    pub factor: f64,
}

/// Ends of two one-sided intervals: the truth is above `low`, and below `high`, each with this confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Of each.
    pub confidence: f64,
    /// Items that all metrics scored.
    pub items: usize,
}

/// What a gate's stages show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What came of it.
    pub verdict: Verdict,
    /// Every metric that was there, in the order of the requirement.
    pub values: Vec<MetricValue>,
    /// The weighted sum; under the bootstrap over the items that all metrics scored. For two metrics their difference.
    pub sum: Option<f64>,
    /// How sure that is; absent where values are compared as they are.
    pub bounds: Option<Bounds>,
    /// How the sum has to compare with the margin.
    pub relation: Relation,
    /// The margin.
    pub margin: f64,
    /// What is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// One evaluation as it lies in the store.
type Evaluation = (Metrics, Items);

/// Judges a gate; `folder` gives the folder of a term's metrics. `None` while one of them has no result.
pub fn judge(gate: &Gate, folder: &dyn Fn(&Term) -> Option<PathBuf>) -> Option<Judgement> {
    // This is asked often: nothing is read before everything is there.
    let folders: Vec<PathBuf> = gate.terms.iter().map(folder).collect::<Option<_>>()?;
    let mut read: BTreeMap<&PathBuf, Result<Evaluation, String>> = BTreeMap::new();
    for folder in &folders {
        read.entry(folder).or_insert_with(|| read_metrics(folder).map_err(|error| error.to_string()));
    }
    let mut judgement = Judgement {
        verdict: Verdict::Unmeasured,
        values: Vec::new(),
        sum: None,
        bounds: None,
        relation: gate.relation,
        margin: gate.margin,
        trouble: None,
    };
    let scored: Result<Vec<(&Term, &Evaluation)>, &String> =
        gate.terms.iter().zip(&folders).map(|(term, folder)| Ok((term, read[folder].as_ref()?))).collect();
    let outcome = scored.map_err(String::clone).and_then(|scored| match values(&scored, &mut judgement) {
        Ok(()) => decide(gate, &scored, &mut judgement),
        Err(trouble) => Err(trouble),
    });
    match outcome {
        Ok(verdict) => judgement.verdict = verdict,
        Err(trouble) => judgement.trouble = Some(trouble),
    }
    Some(judgement)
}

fn values(scored: &[(&Term, &Evaluation)], judgement: &mut Judgement) -> Result<(), String> {
    for (term, (metrics, _)) in scored {
        let Some(&value) = metrics.metrics.get(&term.metric) else {
            let there: Vec<_> = metrics.metrics.keys().map(|name| format!("`{name}`")).collect();
            return Err(format!("`{}` was not measured, only {}", term.reference, there.join(", ")));
        };
        judgement.values.push(MetricValue { metric: term.reference.clone(), value, factor: term.factor });
    }
    Ok(())
}

fn decide(gate: &Gate, scored: &[(&Term, &Evaluation)], judgement: &mut Judgement) -> Result<Verdict, String> {
    if gate.method == Method::Point {
        let sum = judgement.values.iter().map(|value| value.factor * value.value).sum();
        judgement.sum = Some(sum);
        return Ok(if holds(gate, sum) { Verdict::Met } else { Verdict::NotMet });
    }
    for (term, (metrics, items)) in scored {
        if !is_mean_of_items(metrics, items, &term.metric) {
            return Err(format!(
                "`{}` is not the mean of its items' scores, which a bootstrap resamples",
                term.reference
            ));
        }
    }
    let sums = item_sums(scored);
    let Some((interval, sum)) = bounds(&sums, gate.confidence).zip(mean(&sums)) else {
        return Err("its metrics have no item in common".into());
    };
    let (low, high) = (interval.low, interval.high);
    judgement.sum = Some(sum);
    judgement.bounds = Some(Bounds { low, high, confidence: gate.confidence, items: sums.len() });
    // The end that has to hold, and the one that shows that it can't.
    let (hard, easy) = match gate.relation {
        Relation::AtLeast | Relation::Above => (low, high),
        Relation::AtMost | Relation::Below => (high, low),
    };
    Ok(match (holds(gate, hard), holds(gate, easy)) {
        (true, _) => Verdict::Met,
        (false, true) => Verdict::Undecided,
        (false, false) => Verdict::NotMet,
    })
}

fn holds(gate: &Gate, sum: f64) -> bool {
    let above = sum - gate.margin;
    match gate.relation {
        Relation::AtLeast => above >= -ROUNDING,
        Relation::Above => above > ROUNDING,
        Relation::AtMost => above <= ROUNDING,
        Relation::Below => above < -ROUNDING,
    }
}

/// The weighted sum of each item that all terms scored, in one order.
fn item_sums(scored: &[(&Term, &Evaluation)]) -> Vec<f64> {
    let scores: Vec<BTreeMap<&str, f64>> = scored
        .iter()
        .map(|(term, (_, items))| {
            let part = Part::of(&term.metric);
            let chosen = items.iter().filter(|item| part.holds(item));
            chosen.map(|item| (item.id.as_str(), item.score)).collect()
        })
        .collect();
    let Some(first) = scores.first() else { return Vec::new() };
    let everywhere: BTreeSet<&str> =
        first.keys().copied().filter(|id| scores.iter().all(|other| other.contains_key(id))).collect();
    let sum = |id: &str| scored.iter().zip(&scores).map(|((term, _), scores)| term.factor * scores[id]).sum();
    everywhere.into_iter().map(sum).collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

impl fmt::Display for Judgement {
    /// Values, their sum with its ends, and what is required of it, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<_> = self.values.iter().map(|one| format!("`{}` {:.3}", one.metric, one.value)).collect();
        f.write_str(&values.join(", "))?;
        if let Some(trouble) = &self.trouble {
            let colon = if values.is_empty() { "" } else { ": " };
            return write!(f, "{colon}{trouble}");
        }
        let is = |value: f64, other: f64| value.total_cmp(&other).is_eq();
        let factors: Vec<f64> = self.values.iter().map(|one| one.factor).collect();
        let alone = matches!(factors[..], [one] if is(one, 1.0));
        if let Some(sum) = self.sum.filter(|_| !alone) {
            let name = match factors[..] {
                [one, other] if is(one, 1.0) && is(other, -1.0) => "difference",
                _ => "sum",
            };
            write!(f, ": {name} {sum:+.3}")?;
        }
        if let Some(Bounds { low, high, confidence, items }) = self.bounds {
            let ends = if alone { format!("[{low:.3}, {high:.3}]") } else { format!("[{low:+.3}, {high:+.3}]") };
            let percent = (confidence * 1e5).round() / 1e3;
            write!(f, " {ends} over {items} items, each end with {percent} % confidence")?;
        }
        write!(f, "; required: {} {}", self.relation.symbol(), self.margin)
    }
}
