//! The gates of a graph and what is known of each → which stages may start.

use std::path::PathBuf;

use super::{Gate, GateRecord, Judgement, OnFail, Term, Verdict, judge};
use crate::graph::{Arm, Graph, StageId};

/// Gates in the order of [`Graph::gates`], and what came of them so far.
#[derive(Debug, Clone, Default)]
pub struct Barrier {
    states: Vec<State>,
    /// By stage: sets of gates of which one has to be open; without any, the stage waits for none.
    ways: Vec<Vec<Vec<usize>>>,
    ignored: bool,
}

#[derive(Debug, Clone)]
struct State {
    judgement: Option<Judgement>,
    /// Has it to do with a stage that was asked for?
    asked: bool,
}

impl Barrier {
    /// Nothing is judged yet. `arms` are those that take part, by index; `asked` says which stages do; with `ignored` no stage
    /// waits.
    pub(crate) fn new(graph: &Graph, arms: &[usize], asked: &dyn Fn(StageId) -> bool, ignored: bool) -> Self {
        let arms: Vec<&Arm> = arms.iter().map(|&arm| &graph.arms()[arm]).collect();
        let takes_part = |index: usize| arms.is_empty() || arms.iter().any(|arm| arm.gates.contains(&index));
        let concerned = |gate: &Gate| gate.holds.iter().chain(&gate.measured()).any(|&id| asked(id));
        let state =
            |(index, gate): (usize, &Gate)| State { judgement: None, asked: takes_part(index) && concerned(gate) };
        let states = graph.gates().iter().enumerate().map(state).collect();
        Self { states, ways: if graph.gates().is_empty() { Vec::new() } else { ways(graph, &arms) }, ignored }
    }

    /// Judges what can be judged now and was not yet; the indices of those gates come back. `made` gives the folder of a term's
    /// metrics.
    pub(crate) fn judge(&mut self, graph: &Graph, made: &dyn Fn(&Term) -> Option<PathBuf>) -> Vec<usize> {
        let mut judged = Vec::new();
        for (index, (state, gate)) in self.states.iter_mut().zip(graph.gates()).enumerate() {
            if state.asked && state.judgement.is_none() {
                state.judgement = judge(gate, made);
                judged.extend(state.judgement.is_some().then_some(index));
            }
        }
        judged
    }

    /// Indices of the gates that were judged.
    pub(crate) fn judged(&self) -> Vec<usize> {
        (0..self.states.len()).filter(|&index| self.states[index].judgement.is_some()).collect()
    }

    /// May a stage start, as far as gates go?
    pub(crate) fn admits(&self, graph: &Graph, id: StageId) -> bool {
        let ways = self.ways(id);
        ways.is_empty() || ways.iter().any(|way| way.iter().all(|&index| self.is_open(&graph.gates()[index], index)))
    }

    /// The gate that keeps a stage from ever starting: on every way one was judged and is shut.
    pub(crate) fn bars(&self, graph: &Graph, id: StageId) -> Option<usize> {
        let shut =
            |&&index: &&usize| self.states[index].judgement.is_some() && !self.is_open(&graph.gates()[index], index);
        let found: Option<Vec<usize>> = self.ways(id).iter().map(|way| way.iter().find(shut).copied()).collect();
        found?.first().copied()
    }

    /// The gates for which a stage waits still.
    pub(crate) fn awaited(&self, graph: &Graph, id: StageId) -> Vec<usize> {
        if self.admits(graph, id) {
            return Vec::new();
        }
        let mut gates: Vec<usize> = self.ways(id).iter().flatten().copied().collect();
        gates.retain(|&index| self.states[index].judgement.is_none());
        gates.sort_unstable();
        gates.dedup();
        gates
    }

    /// Every gate that has to do with what was asked for.
    pub fn records(&self, graph: &Graph) -> Vec<GateRecord> {
        (0..self.states.len())
            .filter(|&index| self.states[index].asked)
            .map(|index| self.record(graph, index))
            .collect()
    }

    /// One gate.
    pub fn record(&self, graph: &Graph, index: usize) -> GateRecord {
        GateRecord::new(graph, &graph.gates()[index], self.ignored, self.states[index].judgement.clone())
    }

    fn ways(&self, id: StageId) -> &[Vec<usize>] {
        if self.ignored { &[] } else { self.ways.get(id.index()).map(Vec::as_slice).unwrap_or_default() }
    }

    fn is_open(&self, gate: &Gate, index: usize) -> bool {
        let verdict = self.states[index].judgement.as_ref().map(|judgement| judgement.verdict);
        gate.on_fail == OnFail::Warn || verdict == Some(Verdict::Met)
    }
}

/// For every stage the gates that hold it, once per arm that has it; nothing where some arm lets it pass.
fn ways(graph: &Graph, arms: &[&Arm]) -> Vec<Vec<Vec<usize>>> {
    let holding = |id: StageId, gates: &mut dyn Iterator<Item = usize>| -> Vec<usize> {
        gates.filter(|&index| graph.gates()[index].holds.contains(&id)).collect()
    };
    let mut ways: Vec<Vec<Vec<usize>>> = vec![Vec::new(); graph.stages().len()];
    if arms.is_empty() {
        for node in graph.stages() {
            ways[node.id.index()].push(holding(node.id, &mut (0..graph.gates().len())));
        }
    }
    for arm in arms {
        for &id in arm.stages.values() {
            let way = holding(id, &mut arm.gates.iter().copied());
            let known = &mut ways[id.index()];
            if !known.contains(&way) {
                known.push(way);
            }
        }
    }
    for way in &mut ways {
        if way.iter().any(Vec::is_empty) {
            way.clear();
        }
    }
    ways
}
