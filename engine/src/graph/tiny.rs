//! A checked graph → its tiny sibling: the same stages with parameters that cost next to nothing, one seed, and stages that
//! make stand-ins where the recipe reads models and data from outside. Its keys are others, since parameters are. This room
//! refuses to know any kind: what is small, and what can stand in for what, kinds say.
//!
//! Files from outside are not read even where they are there. So a tiny run is the same work on every machine, one without
//! them included; whether their columns and headers are as the recipe says, `check` has judged before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Checked, Graph, Input, Origin, StageId, StageNode};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::gate::{Gate, OnFail, Term};
use crate::recipe::{Recipe, Span};
use crate::stage::{AnyKind, ArtifactType, Offer, PortTypes, Problem};

/// What names of stages that make stand-ins begin with; no recipe can name a stage so.
const STAND_IN: &str = "tiny:";

/// The tiny sibling of a recipe that was checked.
///
/// # Errors
/// Nothing can stand in for something, or small stages do not fit together.
pub fn tiny(recipe: &Recipe, kinds: &[&'static dyn AnyKind], checked: Checked) -> Result<Checked, Diagnostics> {
    let Checked { graph, warnings } = checked;
    let mut arms = graph.arms;
    if let Some(seed) = arms.first().map(|arm| arm.label.seed) {
        arms.retain(|arm| arm.label.seed == seed);
    }
    let kept: BTreeSet<StageId> = arms.iter().flat_map(|arm| arm.stages.values().copied()).collect();
    let all = arms.is_empty();
    let (stages, places, renamed) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut shrunk = Shrunk { recipe, kinds, stages, places, renamed, mistakes: Vec::new() };
    for node in graph.stages.into_iter().filter(|node| all || kept.contains(&node.id)) {
        shrunk.take(node);
    }
    if !shrunk.mistakes.is_empty() {
        return Err(Diagnostics::new(Arc::clone(&recipe.sources), shrunk.mistakes));
    }
    let Shrunk { stages, places, .. } = shrunk;
    let wanted: BTreeSet<usize> = arms.iter().flat_map(|arm| arm.gates.iter().copied()).collect();
    let (numbers, gates): (Vec<usize>, Vec<Gate>) =
        graph.gates.into_iter().enumerate().filter(|(number, _)| all || wanted.contains(number)).unzip();
    let gates = gates.into_iter().map(|gate| told(gate, &places)).collect();
    let mut graph = Graph { name: format!("{}-tiny", graph.name), stages, gates, tiny: true, ..Graph::default() };
    for arm in &mut arms {
        arm.stages.values_mut().for_each(|id| *id = places[id]);
        arm.gates.iter_mut().for_each(|gate| *gate = numbers.partition_point(|number| number < gate));
        let used: BTreeSet<StageId> = arm.stages.values().flat_map(|id| graph.before(*id)).collect();
        let made = used.into_iter().map(|id| graph.stage(id)).filter(|node| node.name.starts_with(STAND_IN));
        arm.stages.extend(made.map(|node| (node.name.clone(), node.id)));
    }
    graph.arms = arms;
    Ok(Checked { graph, warnings })
}

impl Graph {
    /// Every stage that `id` needs, however far before it.
    fn before(&self, id: StageId) -> BTreeSet<StageId> {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            open.extend(self.upstream(id).into_iter().filter(|before| found.insert(*before)));
        }
        found
    }
}

/// A gate that is judged and holds nothing back: what a tiny model measures decides nothing.
fn told(gate: Gate, places: &BTreeMap<StageId, StageId>) -> Gate {
    let now = |id: &StageId| places.get(id).copied();
    let term = |term: Term| Some(Term { stage: now(&term.stage)?, ..term });
    Gate {
        after: gate.after.iter().filter_map(now).collect(),
        holds: gate.holds.iter().filter_map(now).collect(),
        terms: gate.terms.into_iter().filter_map(term).collect(),
        on_fail: OnFail::Warn,
        ..gate
    }
}

struct Shrunk<'a> {
    recipe: &'a Recipe,
    kinds: &'a [&'static dyn AnyKind],
    stages: Vec<StageNode>,
    /// Where the stages of the large graph are now.
    places: BTreeMap<StageId, StageId>,
    /// Outputs of stages here: what they were called → what they are called now.
    renamed: BTreeMap<(StageId, String), String>,
    mistakes: Vec<Diagnostic>,
}

impl Shrunk<'_> {
    /// Adds a stage of the large graph.
    fn take(&mut self, mut node: StageNode) {
        let place = self.place(&node.name);
        let stage = node.stage.tiny();
        self.judge(&node.name, place, stage.validate());
        let ports = stage.ports();
        for (port, input) in &mut node.inputs {
            let verbatim = ports.inputs.iter().any(|known| known.name == *port && known.verbatim);
            match &input.origin {
                Origin::Stage { stage, port } => {
                    let Some(&stage) = self.places.get(stage) else { return };
                    let port = self.renamed.get(&(stage, port.clone())).unwrap_or(port).clone();
                    input.origin = Origin::Stage { stage, port };
                }
                Origin::File { .. } | Origin::Remote { .. } if verbatim => continue,
                Origin::File { .. } | Origin::Remote { .. } => {
                    let Some((stage, port)) = self.stand_in(&input.reference, &input.ty) else {
                        let message = format!("nothing can stand in for `{}` in a tiny run", input.reference);
                        let diagnostic = Diagnostic::error("tiny", message);
                        let help = "no kind of stage makes such a thing from nothing; run the recipe as it is";
                        self.mistakes.push(at(diagnostic, place).help(help));
                        return;
                    };
                    input.origin = Origin::Stage { stage, port: port.to_owned() };
                    input.assumed = None;
                }
            }
            if let Some(ty) = self.made(&input.origin) {
                input.ty = ty;
            }
        }
        node.after = node.after.iter().filter_map(|id| self.places.get(id).copied()).collect();
        let (outputs, problems) = stage.types(&types(&node.inputs));
        self.judge(&node.name, place, problems);
        let id = StageId(self.stages.len());
        // An output may be named after a step that the tiny stage never comes to; their order stays.
        for (was, is) in node.ports.outputs.iter().zip(&ports.outputs).filter(|(was, is)| was.name != is.name) {
            self.renamed.insert((id, was.name.to_string()), is.name.to_string());
        }
        self.places.insert(node.id, id);
        self.stages.push(StageNode { id, stage, ports, outputs, ..node });
    }

    /// The type of what a stage here makes.
    fn made(&self, origin: &Origin) -> Option<ArtifactType> {
        let Origin::Stage { stage, port } = origin else { return None };
        self.stages[stage.index()].outputs.0.get(port).cloned()
    }

    /// A stage that makes something of this type, and its output: one for everything of which the same is known.
    fn stand_in(&mut self, reference: &str, ty: &ArtifactType) -> Option<(StageId, &'static str)> {
        let digest = blake3::hash(reference.as_bytes());
        let [a, b, c, d, ..] = *digest.as_bytes();
        let salt = u64::from(u32::from_le_bytes([a, b, c, d]));
        let offered = self.kinds.iter().find_map(|kind| Some((*kind, kind.stand_in(ty, salt)?)));
        let (kind, Offer { stage, port, inputs: needed }) = offered?;
        let mut inputs = BTreeMap::new();
        for (needs, ty) in needed {
            // Named after the kind, so that all models have one tokenizer, whatever they stand in for.
            let reference = format!("{}.{needs}", kind.name());
            let (stage, port) = self.stand_in(&reference, &ty)?;
            let origin = Origin::Stage { stage, port: port.to_owned() };
            let ty = self.made(&origin)?;
            inputs.insert(needs.to_owned(), Input { reference, origin, ty, assumed: None });
        }
        let same = |node: &&StageNode| {
            node.name.starts_with(STAND_IN)
                && node.kind.name() == kind.name()
                && node.stage.params() == stage.params()
                && node.inputs == inputs
        };
        if let Some(known) = self.stages.iter().find(same) {
            return Some((known.id, port));
        }
        let plain = format!("{STAND_IN}{reference}");
        let mut name = plain.clone();
        let mut another = 1;
        while self.stages.iter().any(|node| node.name == name) {
            another += 1;
            name = format!("{plain}.{another}");
        }
        let (outputs, problems) = stage.types(&types(&inputs));
        self.judge(&name, None, stage.validate().into_iter().chain(problems));
        let id = StageId(self.stages.len());
        self.stages.push(StageNode {
            id,
            name,
            kind,
            ports: stage.ports(),
            stage,
            inputs,
            outputs,
            after: Vec::new(),
            seed: self.recipe.seed,
            runtime: self.recipe.runtime.clone(),
        });
        Some((id, port))
    }

    /// Where the recipe names a stage; none if only an arm has it.
    fn place(&self, name: &str) -> Option<Span> {
        let plain = name.split(['[', '@', '#']).next().unwrap_or(name);
        self.recipe.stages.iter().find(|entry| entry.name.value == plain).map(|entry| entry.name.span)
    }

    fn judge(&mut self, name: &str, place: Option<Span>, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems.into_iter().filter(|problem| problem.severity == Severity::Error) {
            let message = format!("stage `{name}` does not fit when it is tiny: {}", problem.about());
            let diagnostic = at(Diagnostic::error("tiny", message), place);
            self.mistakes.push(diagnostic.help(problem.help.unwrap_or_default()));
        }
    }
}

fn types(inputs: &BTreeMap<String, Input>) -> PortTypes {
    PortTypes(inputs.iter().map(|(port, input)| (port.clone(), input.ty.clone())).collect())
}

fn at(diagnostic: Diagnostic, place: Option<Span>) -> Diagnostic {
    match place {
        Some(span) => diagnostic.at(span, ""),
        None => diagnostic,
    }
}

#[cfg(test)]
mod tests;
