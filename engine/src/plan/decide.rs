//! The one decision function.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Connection, compare};
use super::{Decision, Missing, Options, Plan, PlanError, Reason, Step, gates, select};
use crate::fs::{self, FsError};
use crate::graph::{Graph, Origin, StageId, StageNode};
use crate::store::{Digests, Index, InputIdentity, Key, KeyPreimage, Store};

/// Decides about every stage.
///
/// # Errors
///
/// A selection that names no stage or leaves out what it needs, input files that can't be read, a store that can't be.
/// Inputs that are merely absent are no error here: [`Plan::missing`] tells them.
pub fn plan(graph: &Graph, store: &Store, options: &Options) -> Result<Plan, PlanError> {
    let selected = select::selected(graph, options)?;
    let forced = select::forced(graph, options)?;
    let index = store.index()?;
    let mut digests = store.digests();
    let mut planner = Planner { store, index, selected, forced, steps: Vec::new(), builders: BTreeMap::new() };
    for node in graph.stages() {
        let step = planner.decide(node, &mut digests)?;
        planner.steps.push(step);
    }
    // A plan creates nothing where nothing was ever built.
    if fs::exists(store.root()) {
        digests.save().map_err(PlanError::Input)?;
    }
    let mut steps = planner.steps;
    let gates = gates::hold(graph, options, &mut steps)?;
    Ok(Plan { recipe: graph.name().to_owned(), steps, expected: BTreeMap::new(), gates })
}

struct Planner<'a> {
    store: &'a Store,
    index: Index,
    selected: BTreeSet<StageId>,
    /// Grows by what follows from a forced stage.
    forced: BTreeSet<StageId>,
    steps: Vec<Step>,
    /// Who builds what is built in this plan.
    builders: BTreeMap<Key, StageId>,
}

impl Planner<'_> {
    fn decide(&mut self, node: &StageNode, digests: &mut Digests) -> Result<Step, PlanError> {
        let (inputs, missing) = self.inputs(node, digests).map_err(PlanError::Input)?;
        let preimage = KeyPreimage::new(node, inputs);
        let key = preimage.key();
        let artifact = self.store.find(&self.index, &key)?;
        let twin = self.builders.get(&key);
        let by_force = self.reasons_by_force(node);
        let decision = if !self.selected.contains(&node.id) {
            Decision::Skip
        } else if let Some(twin) = twin {
            Decision::Share(*twin)
        } else if !by_force.is_empty() {
            self.forced.insert(node.id);
            Decision::Run(by_force)
        } else if artifact.is_some() {
            Decision::Reuse
        } else {
            Decision::Run(self.reasons(node, &preimage, &missing)?)
        };
        if matches!(decision, Decision::Run(_)) {
            self.demand_inputs(node)?;
            self.builders.insert(key, node.id);
        }
        Ok(Step { stage: node.id, name: node.name.clone(), key, preimage, decision, artifact, missing })
    }

    fn inputs(
        &self,
        node: &StageNode,
        digests: &mut Digests,
    ) -> Result<(BTreeMap<String, InputIdentity>, Vec<Missing>), FsError> {
        let mut identities = BTreeMap::new();
        let mut missing = Vec::new();
        for (port, input) in &node.inputs {
            let mut absent = |source: String| {
                missing.push(Missing { port: port.clone(), reference: input.reference.clone(), source });
            };
            let identity = match &input.origin {
                Origin::Stage { stage, port } => {
                    InputIdentity::Stage { key: self.steps[stage.index()].key, port: port.clone() }
                }
                Origin::File { path, view } if fs::exists(path) => {
                    InputIdentity::File { digest: digests.of(path, view)?, view: view.clone() }
                }
                Origin::File { path, view } => {
                    let source = path.display().to_string();
                    absent(source.clone());
                    InputIdentity::Absent { source, view: view.clone() }
                }
                Origin::Remote { name, commit, copy, view } => {
                    if copy.is_none() {
                        absent(name.to_string());
                    }
                    match commit {
                        Some(commit) => {
                            InputIdentity::Hub { source: name.source(), commit: commit.clone(), view: view.clone() }
                        }
                        None => InputIdentity::Absent { source: name.to_string(), view: view.clone() },
                    }
                }
            };
            identities.insert(port.clone(), identity);
        }
        Ok((identities, missing))
    }

    /// Empty unless the stage is forced or reads from one that is.
    fn reasons_by_force(&self, node: &StageNode) -> Vec<Reason> {
        if self.forced.contains(&node.id) && self.selected.contains(&node.id) {
            return vec![Reason::Forced];
        }
        let mut reasons = Vec::new();
        for (port, input) in &node.inputs {
            let Origin::Stage { stage, .. } = input.origin else { continue };
            let producer = &self.steps[stage.index()];
            if self.forced.contains(&stage) && matches!(producer.decision, Decision::Run(_)) {
                let (port, reference) = (port.clone(), input.reference.clone());
                reasons.push(Reason::InputRebuilt { port, reference, stage: producer.name.clone() });
            }
        }
        reasons
    }

    fn reasons(&self, node: &StageNode, preimage: &KeyPreimage, missing: &[Missing]) -> Result<Vec<Reason>, PlanError> {
        let mut reasons = match self.store.latest(&self.index, &node.name)? {
            None => vec![Reason::FirstRun],
            Some(latest) => {
                let found = compare(&latest.preimage()?, preimage, |port| self.connection(node, port));
                // The same preimage under another key: the entry was written by a version that hashed differently.
                if found.is_empty() { vec![Reason::FirstRun] } else { found }
            }
        };
        for Missing { port, reference, source } in missing {
            let (port, reference, source) = (port.clone(), reference.clone(), source.clone());
            let reason = Reason::FilesMissing { port, reference, source };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        if self.store.unfinished(&self.index, &node.name, &preimage.key())? {
            reasons.push(Reason::Unfinished);
        }
        Ok(reasons)
    }

    fn connection(&self, node: &StageNode, port: &str) -> Connection {
        let Some(input) = node.inputs.get(port) else {
            return Connection { reference: String::new(), rebuilt: None };
        };
        let rebuilt = match input.origin {
            Origin::Stage { stage, .. } => {
                let producer = &self.steps[stage.index()];
                matches!(producer.decision, Decision::Run(_) | Decision::Share(_)).then(|| producer.name.clone())
            }
            Origin::File { .. } | Origin::Remote { .. } => None,
        };
        Connection { reference: input.reference.clone(), rebuilt }
    }

    fn demand_inputs(&self, node: &StageNode) -> Result<(), PlanError> {
        for input in node.inputs.values() {
            let Origin::Stage { stage, .. } = input.origin else { continue };
            let producer = &self.steps[stage.index()];
            if matches!(producer.decision, Decision::Skip) && producer.artifact.is_none() {
                return Err(PlanError::NotBuilt { stage: node.name.clone(), needs: producer.name.clone() });
            }
        }
        Ok(())
    }
}
