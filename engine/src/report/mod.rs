//! Receipt + committed artifacts → [`Report`]: what each stage did, what each evaluation measured, and which differences
//! are more than chance. Data first; markdown, JSON and the terminal's form are three ways to write it. This room knows
//! no kind by name: whatever has an output of type metrics was an evaluation.

mod build;
mod markdown;
mod measure;
mod runs;
mod statistics;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use build::build;
pub use markdown::{duration, table};
pub use runs::{find_run, latest_run};
pub use statistics::{Interval, bootstrap_mean, paired_bootstrap, wilson};

use crate::exec::{Outcome, Status};
use crate::fs::FsError;

/// What a run showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Layout of this document. 1: first.
    pub schema_version: u32,
    /// Name of the recipe.
    pub recipe: String,
    /// Version of curricle.
    pub version: String,
    /// When the run began, UTC.
    pub started: String,
    /// Seconds.
    pub wall_s: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// Every stage.
    pub stages: Vec<StageRow>,
    /// Every evaluation, in the recipe's order.
    pub evaluations: Vec<Evaluation>,
    /// Consecutive evaluations of the same data, compared item by item.
    pub comparisons: Vec<Comparison>,
}

/// One line of the table of stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRow {
    /// Name.
    pub stage: String,
    /// Kind.
    pub kind: String,
    /// First 8 hex digits of its key.
    pub key: String,
    /// What became of it.
    pub status: Status,
    /// Seconds it took, now or when it was built.
    pub wall_s: Option<f64>,
    /// Why it ran, or why it has no result.
    pub why: Vec<String>,
}

/// What one stage measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The stage that measured.
    pub stage: String,
    /// What was measured: the stage that made the model, or the reference where no stage did.
    pub subject: String,
    /// The data, as the recipe says it.
    pub data: String,
    /// Rows.
    pub items: usize,
    /// Values by name; accuracies carry a 95 % interval over items.
    pub metrics: BTreeMap<String, Measured>,
}

/// A value, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The value.
    pub value: f64,
    /// 95 % interval; absent where there are no items to draw it from.
    pub interval: Option<Interval>,
}

/// The same rows, scored before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Subject of the earlier evaluation.
    pub before: String,
    /// Subject of the later one.
    pub after: String,
    /// Rows that both were asked, as the recipe refers to them.
    pub data: String,
    /// `all`, or a group of rows.
    pub group: String,
    /// Rows in both.
    pub items: usize,
    /// Mean of after − before.
    pub difference: f64,
    /// 95 % interval of the mean, paired bootstrap over items.
    pub interval: Interval,
}

impl Comparison {
    /// Does the interval leave out zero?
    pub fn is_significant(&self) -> bool {
        self.interval.low > 0.0 || self.interval.high < 0.0
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is no finished run to report on.
    #[error("there is no finished run{}", match .recipe { Some(name) => format!(" of recipe `{name}`"), None => String::new() })]
    NoRun {
        /// The recipe asked for.
        recipe: Option<String>,
    },
    /// A file does not hold what it should.
    #[error("cannot understand `{path}`: {message}")]
    Damaged {
        /// The file.
        path: String,
        /// The parser's words.
        message: String,
    },
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] FsError),
}
