//! A run's receipt and the id of a row → through which stages the row went, and what became of it at each. Reads the rows that
//! stages left, what they dropped and which ids they changed; refuses to know why.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::curation::CURATION;
use super::measure::parse;
use super::{COUNTS, Counts, ReportError};
use crate::exec::{Receipt, StageReceipt};
use crate::fs;
use crate::stage::ArtifactKind;

/// What became of a row at one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// The stage, or the data set of the recipe.
    pub stage: String,
    /// Its kind; empty for a data set.
    pub kind: String,
    /// The row's id there.
    pub id: String,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Fate {
    /// It comes from outside of the run.
    Outside,
    /// It was made.
    Made {
        /// The output that has it.
        output: String,
    },
    /// It stays.
    Kept {
        /// The output that has it.
        output: String,
    },
    /// It went.
    Dropped {
        /// Why.
        reason: String,
        /// What shows it.
        evidence: String,
        /// The row that stays in its stead, or that it must not be.
        #[serde(skip_serializing_if = "Option::is_none")]
        other: Option<String>,
    },
    /// Something was made of it that holds no rows: a model, or metrics.
    Read {
        /// The input it came by.
        input: String,
    },
    /// The stage has no result.
    NoResult,
}

/// A line of `rows.jsonl`.
#[derive(Deserialize)]
struct RowLine {
    id: String,
}

/// A line of `dropped.jsonl`.
#[derive(Deserialize)]
struct DroppedLine {
    id: String,
    reason: String,
    #[serde(default)]
    evidence: String,
    #[serde(default)]
    other: Option<String>,
}

/// A line of `renamed.jsonl`.
#[derive(Deserialize)]
struct RenamedLine {
    id: String,
    source: String,
    was: String,
}

/// The way of a row up to a stage, from where it comes from; empty where neither that stage nor any before it knows the row.
///
/// An id that a stage changed on the way may be given as it was before, or as it is then.
///
/// # Errors
/// Files of results that can't be read.
pub fn trace(receipt: &Receipt, stage: &str, row: &str) -> Result<Vec<Passage>, ReportError> {
    let mut way = Way { receipt, passages: Vec::new(), seen: BTreeMap::new() };
    if let Some(stage) = way.stage(stage) {
        way.visit(stage, row)?;
    }
    Ok(way.passages)
}

struct Way<'a> {
    receipt: &'a Receipt,
    passages: Vec<Passage>,
    /// Does a stage, or one before it, know a row of this id?
    seen: BTreeMap<(&'a str, String), bool>,
}

impl<'a> Way<'a> {
    fn stage(&self, name: &str) -> Option<&'a StageReceipt> {
        self.receipt.stages.iter().find(|stage| stage.stage == name)
    }

    /// Adds the way of a row up to a stage; says whether that stage still has it.
    fn visit(&mut self, stage: &'a StageReceipt, id: &str) -> Result<bool, ReportError> {
        let key = (stage.stage.as_str(), id.to_owned());
        if let Some(known) = self.seen.get(&key) {
            return Ok(*known);
        }
        self.seen.insert(key.clone(), false);
        let there = self.look(stage, id)?;
        self.seen.insert(key, there);
        Ok(there)
    }

    fn look(&mut self, stage: &'a StageReceipt, id: &str) -> Result<bool, ReportError> {
        let rows: Vec<String> =
            stage.inputs.iter().filter(|(_, i)| i.kind == ArtifactKind::Data).map(|(p, _)| p.clone()).collect();
        let Some(artifact) = stage.artifact.as_ref().map(|dir| dir.join("artifact")) else {
            let came = self.come(stage, &rows, id)?;
            self.add(stage, id, came.map(|_| Fate::NoResult));
            return Ok(false);
        };
        let curation = artifact.join(CURATION);
        let output = output_with(stage, &artifact, id)?;
        let Some(counts) = counts(&curation.join(COUNTS))? else {
            if stage.outputs.values().any(|kind| *kind == ArtifactKind::Data) {
                self.add(stage, id, output.clone().map(|output| Fate::Made { output }));
                return Ok(output.is_some());
            }
            let came = self.come(stage, &rows, id)?;
            self.add(stage, id, came.map(|input| Fate::Read { input }));
            return Ok(false);
        };
        let renamed: Vec<RenamedLine> = lines(&curation.join("renamed.jsonl"), id)?;
        let own = renamed.iter().find(|line| line.id == id);
        if own.is_none() && output.is_none() && renamed.iter().any(|line| line.was == id) {
            // The id it had before: whatever became of it under its new ones.
            let mut there = false;
            for line in renamed.into_iter().filter(|line| line.was == id) {
                there |= self.visit(stage, &line.id)?;
            }
            return Ok(there);
        }
        let dropped: Vec<DroppedLine> = lines(&curation.join("dropped.jsonl"), id)?;
        let kept = output.is_some();
        let fates = output
            .map(|output| Fate::Kept { output })
            .into_iter()
            .chain(dropped.into_iter().filter(|line| line.id == id && !kept).map(DroppedLine::fate));
        let fates: Vec<Fate> = fates.collect();
        // Rows came by the inputs that were counted; others only say what to drop.
        let (ports, was) = match own {
            Some(own) => (vec![own.source.clone()], own.was.clone()),
            None => (counts.rows_in.into_keys().collect(), id.to_owned()),
        };
        let before = self.passages.len();
        self.come(stage, &ports, &was)?;
        if !fates.is_empty() && self.passages.len() == before {
            self.outside(stage, &ports, &was);
        }
        for fate in fates {
            self.add(stage, id, Some(fate));
        }
        Ok(kept)
    }

    /// Follows a row through inputs of a stage that other stages made; the first by which it came.
    fn come(&mut self, stage: &'a StageReceipt, ports: &[String], id: &str) -> Result<Option<String>, ReportError> {
        let mut came = None;
        for port in ports {
            let name = stage.inputs.get(port).and_then(|input| input.reference.rsplit_once('.')).map(|(name, _)| name);
            if let Some(before) = name.and_then(|name| self.stage(name))
                && self.visit(before, id)?
                && came.is_none()
            {
                came = Some(port.clone());
            }
        }
        Ok(came)
    }

    /// Says that a row comes from a data set of the recipe, where it can come from one only.
    fn outside(&mut self, stage: &StageReceipt, ports: &[String], id: &str) {
        let references = ports.iter().filter_map(|port| Some(&stage.inputs.get(port)?.reference));
        let outside: Vec<&String> = references.filter(|reference| reference.starts_with("data.")).collect();
        if let [only] = outside[..] {
            let (stage, kind, id) = (only.clone(), String::new(), id.to_owned());
            self.passages.push(Passage { stage, kind, id, fate: Fate::Outside });
        }
    }

    fn add(&mut self, stage: &StageReceipt, id: &str, fate: Option<Fate>) {
        if let Some(fate) = fate {
            let (stage, kind, id) = (stage.stage.clone(), stage.kind.clone(), id.to_owned());
            self.passages.push(Passage { stage, kind, id, fate });
        }
    }
}

impl DroppedLine {
    fn fate(self) -> Fate {
        Fate::Dropped { reason: self.reason, evidence: self.evidence, other: self.other }
    }
}

/// The output whose rows hold this one.
fn output_with(stage: &StageReceipt, artifact: &Path, id: &str) -> Result<Option<String>, ReportError> {
    for (port, _) in stage.outputs.iter().filter(|(_, kind)| **kind == ArtifactKind::Data) {
        let rows: Vec<RowLine> = lines(&artifact.join(port).join("rows.jsonl"), id)?;
        if rows.iter().any(|row| row.id == id) {
            return Ok(Some(port.clone()));
        }
    }
    Ok(None)
}

fn counts(path: &Path) -> Result<Option<Counts>, ReportError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(parse(path, &text)?)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Lines of a file that may be about a row: those that hold its id, as JSON writes it. None where there is no file.
fn lines<T: DeserializeOwned>(path: &Path, id: &str) -> Result<Vec<T>, ReportError> {
    let quoted = serde_json::to_string(id).expect("a text is plain data");
    let reader = match fs::reader(path) {
        Ok(reader) => reader,
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let damaged = |message: String| ReportError::Damaged { path: path.display().to_string(), message };
    let mut found = Vec::new();
    for line in reader.lines() {
        let line = line.map_err(|error| damaged(error.to_string()))?;
        if line.contains(&quoted) {
            found.push(parse(path, &line)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
