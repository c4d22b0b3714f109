//! A gate and what came of it, in the names of the recipe: one document for plans, receipts and reports.

use serde::{Deserialize, Serialize};

use super::{Gate, Judgement, Method, OnFail, Verdict};
use crate::graph::{Graph, StageId};

/// A gate in a plan, a receipt or a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateRecord {
    /// Its name.
    pub gate: String,
    /// What its author says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The requirement as written.
    pub require: String,
    /// How it is judged.
    pub method: Method,
    /// What follows if it is not met.
    pub on_fail: OnFail,
    /// The stages behind which it stands.
    pub after: Vec<String>,
    /// The stages that measure for it.
    pub needs: Vec<String>,
    /// The stages that wait for it.
    pub holds: Vec<String>,
    /// Was it told to hold nothing?
    pub ignored: bool,
    /// What its stages show; absent while they have not all measured.
    pub judgement: Option<Judgement>,
}

impl GateRecord {
    pub(super) fn new(graph: &Graph, gate: &Gate, ignored: bool, judgement: Option<Judgement>) -> Self {
        let names = |ids: &mut dyn Iterator<Item = StageId>| ids.map(|id| graph.stage(id).name.clone()).collect();
        Self {
            gate: gate.name.clone(),
            description: gate.description.clone(),
            require: gate.require.clone(),
            method: gate.method,
            on_fail: gate.on_fail,
            after: names(&mut gate.after.iter().copied()),
            needs: names(&mut gate.measured().into_iter()),
            holds: names(&mut gate.holds.iter().copied()),
            ignored,
            judgement,
        }
    }

    /// What came of it, if anything did.
    pub fn verdict(&self) -> Option<Verdict> {
        self.judgement.as_ref().map(|judgement| judgement.verdict)
    }

    /// Does it let pass what stands behind it?
    pub fn is_open(&self) -> bool {
        self.ignored || self.on_fail == OnFail::Warn || self.verdict() == Some(Verdict::Met)
    }

    /// Does it end a run with exit code 5?
    pub fn stops(&self) -> bool {
        self.judgement.is_some() && !self.is_open()
    }

    /// `not met`, `met, ignored`, `not known yet`: for tables.
    pub fn words(&self) -> String {
        let words = self.verdict().map_or("not known yet", Verdict::words);
        match (self.ignored, self.on_fail) {
            (true, _) => format!("{words}, ignored"),
            (false, OnFail::Warn) if self.verdict() != Some(Verdict::Met) => format!("{words}, only warns"),
            _ => words.to_owned(),
        }
    }

    /// What its stages show, or which of them have to measure first.
    pub fn why(&self) -> String {
        self.judgement.as_ref().map_or_else(
            || format!("needs {}", self.needs.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
            ToString::to_string,
        )
    }
}
