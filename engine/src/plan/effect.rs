//! Two plans of one recipe, before and after an edit → what the edit runs again, stage by stage, with the reasons.

use serde::Serialize;

use super::compare::{Connection, compare};
use super::{Plan, Reason, Step};
use crate::graph::{Graph, StageNode};
use crate::store::Key;

/// What an edit does to one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// The stage.
    pub stage: String,
    /// What becomes of it.
    pub what: EffectKind,
    /// Its key before.
    pub old: Option<Key>,
    /// Its key after.
    pub new: Option<Key>,
    /// Why it is another; empty for one that is the same, new or gone.
    pub reasons: Vec<Reason>,
    /// Is its result in the store already?
    pub built: bool,
}

/// What becomes of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectKind {
    /// It does the same work.
    Same,
    /// It does other work.
    Changed,
    /// It does the same work on something else.
    Downstream,
    /// It was not there.
    New,
    /// It is gone.
    Gone,
}

impl EffectKind {
    /// As tables say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "unchanged",
            Self::Changed => "changed",
            Self::Downstream => "downstream",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }

    /// Has it to run, if nothing has run it yet?
    pub fn runs(self) -> bool {
        matches!(self, Self::Changed | Self::Downstream | Self::New)
    }
}

/// Every stage of the recipe as it is, then those that are gone. `graph` is that of `new`.
pub fn effects(old: &Plan, new: &Plan, graph: &Graph) -> Vec<Effect> {
    let before = |name: &str| old.steps.iter().find(|step| step.name == name);
    let mut found: Vec<Effect> = Vec::with_capacity(new.steps.len());
    for step in &new.steps {
        let (what, reasons) = match before(&step.name) {
            None => (EffectKind::New, Vec::new()),
            Some(was) if was.key == step.key => (EffectKind::Same, Vec::new()),
            Some(was) => changed(was, step, graph.stage(step.stage), &found),
        };
        found.push(Effect {
            stage: step.name.clone(),
            what,
            old: before(&step.name).map(|was| was.key),
            new: Some(step.key),
            reasons,
            built: step.artifact.is_some(),
        });
    }
    let gone = old.steps.iter().filter(|step| !new.steps.iter().any(|other| other.name == step.name));
    found.extend(gone.map(|step| Effect {
        stage: step.name.clone(),
        what: EffectKind::Gone,
        old: Some(step.key),
        new: None,
        reasons: Vec::new(),
        built: false,
    }));
    found
}

fn changed(was: &Step, step: &Step, node: &StageNode, found: &[Effect]) -> (EffectKind, Vec<Reason>) {
    let connection = |port: &str| {
        let input = node.inputs.get(port);
        let reference = input.map(|input| input.reference.clone()).unwrap_or_default();
        let producer = match input.map(|input| &input.origin) {
            Some(crate::graph::Origin::Stage { stage, .. }) => found.get(stage.index()),
            _ => None,
        };
        // An input from a stage that does other work now; not one that comes from another stage.
        let rebuilt = producer.filter(|effect| effect.what.runs()).map(|effect| effect.stage.clone());
        Connection { reference, rebuilt }
    };
    let reasons = compare(&was.preimage, &step.preimage, connection);
    let downstream = !reasons.is_empty() && reasons.iter().all(Reason::is_consequence);
    (if downstream { EffectKind::Downstream } else { EffectKind::Changed }, reasons)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{Options, plan};
    use crate::store::Store;
    use crate::testing::Sketch;

    #[test]
    fn an_edit_changes_a_stage_and_what_follows() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        let graph = |lr: f64, last: &str| {
            Sketch::new()
                .stage("a", &json!({ "lr": lr }), &[])
                .stage("b", &json!({}), &[("model", "a.model")])
                .stage("c", &json!({ "note": "c" }), &[])
                .stage(last, &json!({ "note": "d" }), &[])
                .graph()
        };
        let (before, after) = (graph(1.0, "d"), graph(2.0, "e"));
        let [old, new] = [&before, &after].map(|graph| plan(graph, &store, &Options::default()).unwrap());
        let effects = effects(&old, &new, &after);
        let said: Vec<_> = effects
            .iter()
            .map(|effect| {
                let reasons: Vec<_> = effect.reasons.iter().map(Reason::to_string).collect();
                format!("{} {}: {}", effect.stage, effect.what.word(), reasons.join("; "))
            })
            .collect();
        let expected = [
            "a changed: `lr` changed from 1.0 to 2.0",
            "b downstream: input `model` = `a.model` will be rebuilt (stage `a`)",
            "c unchanged: ",
            "e new: ",
            "d gone: ",
        ];
        assert_eq!(said, expected);
    }
}
