//! What stages that turn rows into rows say of it: `curation/counts.json` beside their outputs → tables of rows in and out, by
//! reason. Knows no reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::measure::parse;
use super::rows::Rows;
use super::{Report, ReportError};
use crate::exec::Receipt;
use crate::fs;

/// Folder of a stage's result, beside its ports, for what it says of the rows it dropped.
pub const CURATION: &str = "curation";
/// File in it with [`Counts`].
pub const COUNTS: &str = "counts.json";

/// Rows in and out of a stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Layout of this document. 1: first.
    pub schema_version: u32,
    /// Rows that came, by input.
    pub rows_in: BTreeMap<String, usize>,
    /// Rows that are left, by output.
    pub rows_out: BTreeMap<String, usize>,
    /// Rows that were dropped, by reason, in the order in which reasons are tried.
    pub dropped: Vec<Reason>,
    /// What else there is to see.
    #[serde(default)]
    pub tables: Vec<Table>,
}

/// Why rows were dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One word.
    pub reason: String,
    /// How many.
    pub rows: usize,
}

/// A table that a stage wants to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Rows of cells, the first the head.
    pub cells: Vec<Vec<String>>,
}

/// What one stage did to rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curation {
    /// The stage.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// What it counted.
    pub counts: Counts,
}

impl Counts {
    /// Nothing counted yet; these reasons are listed even where nothing is dropped for them.
    pub fn new(reasons: &[&str]) -> Self {
        let none = |reason: &&str| Reason { reason: (*reason).to_owned(), rows: 0 };
        Self { schema_version: 1, dropped: reasons.iter().map(none).collect(), ..Self::default() }
    }

    /// One more row is dropped.
    pub fn drop(&mut self, reason: &str) {
        match self.dropped.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.rows += 1,
            None => self.dropped.push(Reason { reason: reason.to_owned(), rows: 1 }),
        }
    }

    /// Rows that came by any input.
    pub fn came(&self) -> usize {
        self.rows_in.values().sum()
    }

    /// Rows that are left in any output.
    pub fn left(&self) -> usize {
        self.rows_out.values().sum()
    }
}

/// What the stages of a run did to rows, in the order of the receipt; of equal results one.
pub(super) fn read(receipt: &Receipt) -> Result<Vec<Curation>, ReportError> {
    let mut found: Vec<Curation> = Vec::new();
    let mut keys = Vec::new();
    for stage in &receipt.stages {
        let Some(artifact) = stage.artifact.as_ref().filter(|_| !keys.contains(&stage.key)) else { continue };
        let path = artifact.join("artifact").join(CURATION).join(COUNTS);
        match fs::read_to_string(&path) {
            Ok(text) => {
                keys.push(stage.key);
                let counts = parse(&path, &text)?;
                found.push(Curation { stage: stage.stage.clone(), kind: stage.kind.clone(), counts });
            }
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

impl Report {
    /// Stages that turned rows into rows: how many came, how many are left, and why the others went.
    pub(super) fn curation_rows(&self) -> Rows {
        let head = ["stage", "kind", "rows in", "rows out", "dropped"].map(str::to_owned).to_vec();
        let by_port = |ports: &BTreeMap<String, usize>, total: usize| match ports.len() {
            0 | 1 => total.to_string(),
            _ => {
                let each: Vec<_> = ports.iter().map(|(port, rows)| format!("{port} {rows}")).collect();
                format!("{total} ({})", each.join(", "))
            }
        };
        let row = |curation: &Curation| {
            let counts = &curation.counts;
            let dropped: Vec<_> = counts.dropped.iter().map(|of| format!("{} {}", of.reason, of.rows)).collect();
            vec![
                curation.stage.clone(),
                curation.kind.clone(),
                by_port(&counts.rows_in, counts.came()),
                by_port(&counts.rows_out, counts.left()),
                dropped.join(", "),
            ]
        };
        std::iter::once(head).chain(self.curation.iter().map(row)).collect()
    }

    /// The tables that those stages want to be shown, each with its title.
    pub(super) fn curation_tables(&self) -> Vec<(String, &Rows)> {
        let of = |curation: &'_ Curation| curation.stage.clone();
        let all = self.curation.iter().flat_map(|one| one.counts.tables.iter().map(move |table| (of(one), table)));
        all.map(|(stage, table)| (format!("{stage}: {}", table.title), &table.cells)).collect()
    }
}
