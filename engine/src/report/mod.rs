//! Receipt + committed artifacts → [`Report`]: what each stage did and went through, what each evaluation measured, how
//! variants of a recipe compare, and which differences are more than chance. Data first; markdown, HTML, JSON and the
//! terminal's form are ways to write it. This room knows no kind by name: whatever has an output of type metrics was an
//! evaluation, whatever made a model was a training.

mod arms;
mod build;
mod curation;
mod curves;
mod evaluated;
mod hierarchy;
mod markdown;
mod measure;
mod page;
mod rows;
mod runs;
mod statistics;
mod svg;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use arms::{ArmCell, ArmDifference, ArmRow, ArmTable, ArmVariant, Arms};
pub use build::build;
pub use curation::{COUNTS, CURATION, Counts, Curation, Reason, Table};
pub use curves::{Alert, Curve, CurveLine, CurvePoint};
pub use hierarchy::{Design, Estimate, bounds, estimate, holm};
pub use markdown::{duration, table};
pub(crate) use measure::{Items, Metrics, Part, is_mean_of_items, read as read_metrics};
pub use runs::{find_run, latest_run};
pub use statistics::{Interval, bootstrap_mean, paired_bootstrap, wilson};
pub use trace::{Fate, Passage, trace};

use crate::exec::{MemoryReceipt, Outcome, Status};
use crate::fs::FsError;
use crate::gate::GateRecord;

/// What has to be said wherever something of a tiny run is shown.
pub const TINY: &str = "A tiny run: it shows that every stage executes. Models have random weights and learn for two steps from \
                        made-up rows: no number here is a result.";

/// What a run showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Layout of this document. 1: first.
    pub schema_version: u32,
    /// Name of the recipe.
    pub recipe: String,
    /// See [`crate::exec::Receipt::tiny`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tiny: bool,
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
    /// Stages of each variant of the recipe, counted; one entry where it has no variations.
    #[serde(default)]
    pub by_variant: Vec<StagesOf>,
    /// Every evaluation of the recipe as written, in its order.
    pub evaluations: Vec<Evaluation>,
    /// Consecutive evaluations of the same data, compared item by item, for the recipe as written.
    pub comparisons: Vec<Comparison>,
    /// How variants compare; absent where there is one.
    #[serde(default)]
    pub arms: Option<Arms>,
    /// Numbers of training stages over their steps.
    #[serde(default)]
    pub curves: Vec<Curve>,
    /// What detectors noticed.
    #[serde(default)]
    pub alerts: Vec<Alert>,
    /// What came of the gates.
    #[serde(default)]
    pub gates: Vec<GateRecord>,
    /// What stages that turn rows into rows did to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curation: Vec<Curation>,
}

/// The stages of one variant, over all its seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagesOf {
    /// The variant; `base` for the recipe as written.
    pub variant: String,
    /// Seeds.
    pub seeds: usize,
    /// Stages by what became of them; a stage that variants share counts for each.
    pub counts: BTreeMap<Status, usize>,
    /// Seconds of all its stages, as if none were shared.
    pub wall_s: f64,
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
    /// The memory that it took, if somebody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryReceipt>,
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
    /// Rows over all seeds.
    pub items: usize,
    /// Seeds.
    #[serde(default = "one")]
    pub seeds: usize,
    /// Values by name, means over seeds; accuracies carry a 95 % interval over items and seeds.
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
    /// Rows in both, over all seeds.
    pub items: usize,
    /// Seeds.
    #[serde(default = "one")]
    pub seeds: usize,
    /// Mean of after − before.
    pub difference: f64,
    /// 95 % interval of the mean, paired bootstrap over items and seeds.
    pub interval: Interval,
}

fn one() -> usize {
    1
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
