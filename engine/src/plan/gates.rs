//! Steps and gates → which steps are held back. Gates whose stages have all measured already are judged here; the others during
//! the run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Decision, Options, PlanError, Step, select};
use crate::gate::{Barrier, Gate, OnFail, Term};
use crate::graph::{Graph, StageId};
use crate::store::Key;

/// Judges what can be judged, and holds back the steps behind what is not met.
pub(super) fn hold(graph: &Graph, options: &Options, steps: &mut [Step]) -> Result<Barrier, PlanError> {
    let arms = select::arms(graph, options)?;
    let asked = |id: StageId| steps[id.index()].decision != Decision::Skip;
    let mut barrier = Barrier::new(graph, &arms, &asked, options.ignore_gates);
    let here: &[Step] = steps;
    let made = |term: &Term| -> Option<PathBuf> {
        let step = &here[term.stage.index()];
        let is_final = matches!(step.decision, Decision::Reuse | Decision::Skip);
        step.artifact.as_ref().filter(|_| is_final).map(|artifact| artifact.output(&term.port))
    };
    barrier.judge(graph, &made);
    if graph.gates().is_empty() {
        return Ok(barrier);
    }
    // Of stages that are the same work one may be held back and another not: that one does it.
    let mut doing: BTreeMap<Key, StageId> = BTreeMap::new();
    for at in 0..steps.len() {
        let step = &steps[at];
        let (reasons, twin) = match &step.decision {
            Decision::Run(reasons) => (reasons, None),
            Decision::Share(twin) => match &steps[twin.index()].decision {
                Decision::Run(reasons) | Decision::Hold { reasons, .. } => (reasons, Some(*twin)),
                _ => continue,
            },
            _ => continue,
        };
        let decision = match barrier.bars(graph, step.stage) {
            Some(gate) => Decision::Hold { gate, reasons: reasons.clone() },
            None => match (twin, doing.get(&step.key)) {
                (Some(_), Some(doing)) => Decision::Share(*doing),
                _ => Decision::Run(reasons.clone()),
            },
        };
        if matches!(decision, Decision::Run(_)) {
            doing.insert(step.key, step.stage);
        }
        steps[at].decision = decision;
    }
    demand(graph, &barrier, steps)?;
    Ok(barrier)
}

/// Refuses a selection under which a gate could never be judged for which a selected stage waits.
fn demand(graph: &Graph, barrier: &Barrier, steps: &[Step]) -> Result<(), PlanError> {
    let absent = |id: &StageId| {
        let step = &steps[id.index()];
        step.decision == Decision::Skip && step.artifact.is_none()
    };
    for step in steps.iter().filter(|step| matches!(step.decision, Decision::Run(_))) {
        let mut awaited = barrier.awaited(graph, step.stage).into_iter();
        let needs = awaited.find_map(|gate| Some((gate, graph.gates()[gate].measured().into_iter().find(absent)?)));
        if let Some((gate, needs)) = needs {
            let (gate, needs) = (graph.gates()[gate].name.clone(), steps[needs.index()].name.clone());
            return Err(PlanError::GateNotBuilt { stage: step.name.clone(), gate, needs });
        }
    }
    Ok(())
}

/// Stages that measure for gates behind which some of these stages stand.
pub(super) fn measuring(graph: &Graph, stages: &BTreeSet<StageId>) -> Vec<StageId> {
    let gates = graph.gates().iter().filter(|gate| gate.on_fail == OnFail::Stop && !gate.holds.is_disjoint(stages));
    gates.flat_map(Gate::measured).collect()
}
