//! `[gates.x]`: a requirement on what stages have measured, and the stages that wait until it is met.
//!
//! 1. [`expression`](self) reads what is required; `check` finds the stages and metrics that it names ([`Gate`]).
//! 2. [`judge`] reads the artifacts of those stages, new or from the store, and says what they show ([`Judgement`]).
//! 3. A [`Barrier`] knows which stages may start. The plan asks it before a run, the run whenever a stage ends.
//!
//! **Who waits.** Every stage that comes after a stage in `after` at any distance, through inputs or through `after`, except the
//! stages that the gate itself needs: those that measure for it and what they need. A result that is in the store stays what
//! it is: a gate holds back work, not results, and it is no part of any stage's key.
//!
//! **When it is met.** The requirement is brought to the form *sum of weighted metrics* `>=` *margin* (or `>`, `<=`, `<`).
//! - With `method = "point"` the values are compared.
//! - With `method = "paired-bootstrap"` the sum is taken item by item over the items that all its metrics scored, and items are
//!   resampled. `low` and `high` are the ends of the two one-sided intervals for its mean, each at `confidence`. For `>=` the gate
//!   is **met** if `low` is at least the margin: with a margin below zero that is a test of non-inferiority, and the burden of
//!   proof is on the later stage. It is **not met** if `high` is below the margin, and **undecided** if the margin lies between
//!   them: too few items to tell. `<=` mirrors that; `>` and `<` leave out equality.
//! - A metric that is not there, or has no item in common with the others, leaves it **unmeasured**.
//!
//! Only *met* opens a gate with `on_fail = "stop"`. With `"warn"` nothing ever waits, and the verdict is only told. Intervals are
//! over items alone: they say nothing of another training of the same recipe. In a recipe with arms every arm has its own gates;
//! a stage that arms share starts as soon as one of the arms that take part lets it.
//!
//! This room starts nothing, and knows of the statistics only that [`crate::report`] has them.

mod barrier;
mod expression;
mod judge;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use barrier::Barrier;
pub use expression::Relation;
pub(crate) use expression::{Mention, Requirement, SyntaxError, parse};
pub use judge::{Bounds, Judgement, MetricValue, Verdict, judge};
pub use record::GateRecord;

use crate::graph::StageId;

/// How a requirement is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// By the items that all metrics of it scored, resampled.
    #[default]
    PairedBootstrap,
    /// By the values as they are.
    Point,
}

/// What follows from a gate that is not met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFail {
    /// The stages behind it do not start, and the run ends with exit code 5.
    #[default]
    Stop,
    /// It is told.
    Warn,
}

/// A weighted metric of a requirement.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Its weight, never 0.
    pub factor: f64,
    /// The stage that measures.
    pub stage: StageId,
    /// Its output with the metrics.
    pub port: String,
    /// `accuracy/image`
    pub metric: String,
    /// As the recipe says it: `score[mrl].accuracy/image`.
    pub reference: String,
}

/// A checked gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Its name; after the first arm that has it, as with stages: `kept@none`.
    pub name: String,
    /// What its author says of it.
    pub description: Option<String>,
    /// The requirement as written.
    pub require: String,
    /// The stages behind which it stands.
    pub after: Vec<StageId>,
    /// What is measured.
    pub terms: Vec<Term>,
    /// How the sum of the terms has to compare with the margin.
    pub relation: Relation,
    /// The number on the other side.
    pub margin: f64,
    /// How it is judged.
    pub method: Method,
    /// Of each one-sided interval; 0.5 … 1.
    pub confidence: f64,
    /// What follows if it is not met.
    pub on_fail: OnFail,
    /// The stages that wait for it.
    pub holds: BTreeSet<StageId>,
}

impl Gate {
    /// The stages that measure for it, each once.
    pub fn measured(&self) -> BTreeSet<StageId> {
        self.terms.iter().map(|term| term.stage).collect()
    }

    /// The gate in a graph in which its stages have other places.
    #[must_use]
    pub(crate) fn moved(mut self, place: impl Fn(StageId) -> StageId) -> Self {
        self.after = self.after.into_iter().map(&place).collect();
        self.holds = self.holds.into_iter().map(&place).collect();
        for term in &mut self.terms {
            term.stage = place(term.stage);
        }
        self
    }

    /// Is it the same work: the same requirement on the same stages?
    pub(crate) fn is_twin_of(&self, other: &Self) -> bool {
        let bare = |gate: &Self| Self { name: String::new(), holds: BTreeSet::new(), ..gate.clone() };
        bare(self) == bare(other)
    }
}
