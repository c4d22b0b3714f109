//! The only way to a [`Graph`]: resolves names, decodes parameters, orders stages, lets types flow, and reports every
//! mistake on the way instead of the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::expand::{self, Draft};
use super::facts::Seen;
use super::resolve::{self, Decoded, Edge, From, World};
use super::{Checked, Graph, Input, Origin, StageId, StageNode, family, gates, order, params, shared};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, suggest};
use crate::recipe::{Node, Recipe, Span};
use crate::stage::{AnyKind, ArtifactType, PortTypes, Problem, ProblemAt, Role, Runtime, Said};

/// Checks a recipe against the kinds there are.
///
/// # Errors
/// Every mistake, if there is one that is an error; warnings and notes come along either way.
pub fn check(recipe: &Recipe, kinds: &[&'static dyn AnyKind]) -> Result<Checked, Diagnostics> {
    let mut mistakes = recipe.mistakes.clone();
    let disk = Seen::default();
    let mut graph = Checker::new(recipe, kinds, &disk, &mut mistakes).graph(&mut mistakes);
    if let Some(graph) = &mut graph {
        graph.gates = gates::gates(recipe, graph, &mut mistakes);
    }
    // Arms differ little: while the recipe as written is wrong, most would repeat what is wrong with it.
    if graph.is_some() && mistakes.iter().all(|mistake| mistake.severity != Severity::Error) {
        graph = family::family(recipe, kinds, &disk, &mut mistakes).or(graph);
    }
    let failed = mistakes.iter().any(|mistake| mistake.severity == Severity::Error);
    if failed {
        // What nothing uses is often what a misspelt name meant.
        mistakes.retain(|mistake| mistake.code != "unused");
    }
    let diagnostics = Diagnostics::new(Arc::clone(&recipe.sources), mistakes);
    match graph {
        Some(graph) if !failed => Ok(Checked { graph, warnings: diagnostics }),
        _ => Err(diagnostics),
    }
}

pub(super) struct Checker<'a> {
    recipe: &'a Recipe,
    drafts: Vec<Draft<'a>>,
    decoded: Vec<Option<Decoded>>,
    edges: Vec<Vec<Edge>>,
    after: Vec<Vec<usize>>,
    runtimes: Vec<Runtime>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        kinds: &[&'static dyn AnyKind],
        disk: &Seen,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Self {
        let drafts = expand::expand(recipe, mistakes);
        let names = expand::names(&drafts);
        let by_name: BTreeMap<_, _> = kinds.iter().map(|kind| (kind.name(), *kind)).collect();
        let decoded: Vec<_> = drafts.iter().map(|draft| decode(draft, &by_name, mistakes)).collect();
        let mut world = World::new(recipe, disk, mistakes);
        let mut edges = Vec::with_capacity(drafts.len());
        let mut after = Vec::with_capacity(drafts.len());
        for own in 0..drafts.len() {
            edges.push(resolve::inputs(own, &drafts, &decoded, &names, &mut world, mistakes));
            after.push(resolve::after(own, &drafts, &names, mistakes));
        }
        world.unused(mistakes);
        let runtimes = runtimes(recipe, &drafts, &names, mistakes);
        Self { recipe, drafts, decoded, edges, after, runtimes }
    }

    /// Orders stages and lets types flow; none if some stage can't be had.
    pub(super) fn graph(mut self, mistakes: &mut Vec<Diagnostic>) -> Option<Graph> {
        let needs: Vec<Vec<usize>> = (0..self.drafts.len()).map(|own| self.needs(own)).collect();
        for circle in order::circles(&needs) {
            mistakes.push(self.circle(&circle));
        }
        let order = order::topological(&needs);
        let mut places = vec![None; self.drafts.len()];
        let mut stages: Vec<StageNode> = Vec::with_capacity(order.len());
        let mut outputs: Vec<Option<PortTypes>> = (0..self.drafts.len()).map(|_| None).collect();
        let mut reseeded = vec![false; self.drafts.len()];
        shared::check(self.recipe, &self.drafts, &self.edges, mistakes);
        for own in order {
            let Some(decoded) = self.decoded[own].take() else { continue };
            let Some(inputs) = self.inputs(own, &outputs, &places, mistakes) else { continue };
            let types = PortTypes(inputs.iter().map(|(port, input)| (port.clone(), input.ty.clone())).collect());
            let (mut made, problems) = decoded.stage.types(&types);
            let draft = &self.drafts[own];
            let place = |path: Option<&str>| path.map_or(draft.entry.name.span, |path| params::place(draft, path));
            made.0.values_mut().for_each(|ty| ty.place(place));
            mistakes.extend(problems.into_iter().map(|problem| self.problem(own, problem)));
            let id = StageId(stages.len());
            let seed = self.seed(own, &mut reseeded);
            places[own] = Some(id);
            outputs[own] = Some(made.clone());
            stages.push(StageNode {
                id,
                name: self.drafts[own].name.clone(),
                kind: decoded.kind,
                stage: decoded.stage,
                ports: decoded.ports,
                inputs,
                outputs: made,
                after: self.after[own].iter().filter_map(|&other| places[other]).collect(),
                seed,
                runtime: self.runtimes[own].clone(),
            });
        }
        (stages.len() == self.drafts.len()).then(|| Graph {
            name: self.recipe.name.clone(),
            stages,
            ..Graph::default()
        })
    }

    /// The seed of a stage; `reseeded` knows of those before it whether they have the seed of an arm.
    fn seed(&self, own: usize, reseeded: &mut [bool]) -> u64 {
        let Some(reseed) = &self.recipe.reseed else { return self.recipe.seed };
        let draft = &self.drafts[own];
        let is_named = reseed.from.iter().any(|name| *name == draft.name || *name == draft.entry.name.value);
        let reads = |edge: &Edge| matches!(edge.from, From::Draft { index, .. } if reseeded[index]);
        reseeded[own] = is_named || self.edges[own].iter().any(reads);
        if reseeded[own] { reseed.seed } else { self.recipe.seed }
    }

    fn needs(&self, own: usize) -> Vec<usize> {
        let inputs = self.edges[own].iter().filter_map(|edge| match edge.from {
            From::Draft { index, .. } => Some(index),
            From::Outside(_) => None,
        });
        inputs.chain(self.after[own].iter().copied()).collect()
    }

    /// Inputs with their types; none if one of them comes from a stage that could not be had.
    fn inputs(
        &self,
        own: usize,
        outputs: &[Option<PortTypes>],
        places: &[Option<StageId>],
        mistakes: &mut Vec<Diagnostic>,
    ) -> Option<BTreeMap<String, Input>> {
        let mut inputs = BTreeMap::new();
        let mut whole = true;
        for edge in &self.edges[own] {
            let found = match &edge.from {
                From::Outside(known) => known.as_deref().cloned(),
                From::Draft { index, port } => {
                    places[*index].zip(outputs[*index].as_ref()).and_then(|(stage, types)| {
                        Some((Origin::Stage { stage, port: port.clone() }, types.0.get(port)?.clone()))
                    })
                }
            };
            let Some((origin, ty)) = found else {
                whole = false;
                continue;
            };
            if edge.port.trains && is_eval(&ty) {
                mistakes.push(self.leak(own, edge, outputs));
            }
            let reference = edge.reference.value.clone();
            let assumed = self.recipe.assumed(&reference);
            inputs.insert(edge.port.name.to_string(), Input { reference, origin, ty, assumed });
        }
        whole.then_some(inputs)
    }

    /// Data kept for evaluation has reached training: shows the way it took.
    fn leak(&self, own: usize, edge: &Edge, outputs: &[Option<PortTypes>]) -> Diagnostic {
        let message = format!("stage `{}` would train on data that is kept for evaluation", self.drafts[own].name);
        let mut diagnostic = Diagnostic::error("eval-leak", message).at(edge.reference.span, "reaches training here");
        let mut way = vec![format!("{}.{}", self.drafts[own].name, edge.port.name), edge.reference.value.clone()];
        let mut edge = edge;
        while let From::Draft { index, .. } = edge.from {
            let eval = |edge: &&Edge| match &edge.from {
                From::Outside(known) => known.as_ref().is_some_and(|known| is_eval(&known.1)),
                From::Draft { index, port } => {
                    outputs[*index].as_ref().and_then(|types| types.0.get(port)).is_some_and(is_eval)
                }
            };
            let Some(source) = self.edges[index].iter().find(eval) else { break };
            diagnostic =
                diagnostic.at(source.reference.span, format!("enters stage `{}` here", self.drafts[index].name));
            way.push(source.reference.value.clone());
            edge = source;
        }
        if let Some(entry) = way.last().and_then(|name| name.strip_prefix("data."))
            && let Some(entry) = self.recipe.data.get(entry.split('.').next().unwrap_or(entry))
        {
            diagnostic = diagnostic.at(entry.role.span, "kept for evaluation");
        }
        way.reverse();
        diagnostic.help(format!("its way: {}; train on other data", way.join(" -> ")))
    }

    fn circle(&self, circle: &[usize]) -> Diagnostic {
        let names: Vec<_> = circle.iter().chain(circle.first()).map(|&own| self.drafts[own].name.as_str()).collect();
        // Each stage of a circle needs the next; data flows the other way.
        let way: Vec<_> = names.iter().rev().copied().collect();
        let mut diagnostic = Diagnostic::error("cycle", format!("stages wait for each other: {}", way.join(" -> ")));
        for (position, &own) in circle.iter().enumerate() {
            let needed = circle[(position + 1) % circle.len()];
            if let Some((span, text)) = self.need(own, needed) {
                diagnostic = diagnostic.at(span, text);
            }
        }
        diagnostic.help("one of them has to read something else")
    }

    fn need(&self, own: usize, needed: usize) -> Option<(Span, String)> {
        let text = format!("`{}` needs `{}`", self.drafts[own].name, self.drafts[needed].name);
        let edge =
            self.edges[own].iter().find(|edge| matches!(edge.from, From::Draft { index, .. } if index == needed));
        let entry = self.drafts[needed].entry;
        let after = || {
            let mut names = self.drafts[own].entry.after.iter();
            names.find(|name| name.value == entry.name.value || name.value == self.drafts[needed].name)
        };
        let span = edge.map(|edge| edge.reference.span).or_else(|| after().map(|name| name.span))?;
        Some((span, text))
    }

    fn problem(&self, own: usize, problem: Problem) -> Diagnostic {
        let draft = &self.drafts[own];
        explain(draft, &draft.name, problem, |port| {
            let edge = self.edges[own].iter().find(|edge| edge.port.name == port);
            edge.map(|edge| edge.reference.span)
        })
    }
}

/// Gives a stage's problem its places in the recipe; `reference` tells where an input is connected.
fn explain(draft: &Draft<'_>, name: &str, problem: Problem, reference: impl Fn(&str) -> Option<Span>) -> Diagnostic {
    let whole = draft.entry.name.span;
    let place = |at: &ProblemAt| match at {
        ProblemAt::Param(path) => Some((params::place(draft, path), "")),
        ProblemAt::Input(port) => Some((reference(port).unwrap_or(whole), "")),
        ProblemAt::Stage => Some((whole, "")),
        ProblemAt::Said(Said::At { span, file }) => Some((*span, *file)),
        // Nothing is known without somebody who says it; a stage that is not worked out yet can't be pointed at.
        ProblemAt::Said(Said::Unsaid | Said::Param(_)) => None,
    };
    let code = if matches!(problem.at, ProblemAt::Param(_)) { "param" } else { "input" };
    let message = format!("stage `{name}`: {}", problem.about());
    let (here, _) = place(&problem.at).unwrap_or((whole, ""));
    let mut diagnostic = Diagnostic { severity: problem.severity, ..Diagnostic::error(code, message) }.at(here, "");
    for (at, text) in &problem.others {
        if let Some((span, file)) = place(at).filter(|(span, _)| *span != here) {
            let file = if file.is_empty() { String::new() } else { format!(" (its `{file}`)") };
            diagnostic = diagnostic.at(span, format!("{text}{file}"));
        }
    }
    diagnostic.help(problem.help.unwrap_or_default())
}

fn is_eval(ty: &ArtifactType) -> bool {
    matches!(ty, ArtifactType::Data(data) if data.role == Role::Eval)
}

fn decode(
    draft: &Draft<'_>,
    kinds: &BTreeMap<&'static str, &'static dyn AnyKind>,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Decoded> {
    let word = draft.entry.kind.as_ref()?;
    let Some(kind) = kinds.get(word.value.as_str()).copied() else {
        let help = suggest(&word.value, "kinds", kinds.keys().copied());
        let message = format!("there is no kind of stage `{}`", word.value);
        mistakes.push(Diagnostic::error("unknown-kind", message).at(word.span, "").help(help));
        return None;
    };
    let stage = params::decode(kind, draft, mistakes)?;
    // Where a value was already reported, a default stands in for it: rules on combinations would mislead.
    let tainted = Node::Table(draft.params.value.clone()).is_tainted();
    let problems = stage.validate().into_iter().filter(|_| !tainted);
    mistakes.extend(problems.map(|problem| explain(draft, &draft.entry.name.value, problem, |_| None)));
    let ports = stage.ports();
    Some(Decoded { kind, stage, ports })
}

/// `[runtime]` of every draft, with `[runtime.stages.x]` over it: `x` is a stage, or one of an `each` stage's.
fn runtimes(
    recipe: &Recipe,
    drafts: &[Draft<'_>],
    names: &expand::Names,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<Runtime> {
    let mut runtimes = vec![recipe.runtime.clone(); drafts.len()];
    let mut exact = Vec::new();
    for (name, runtime) in &recipe.runtime_stages {
        if let Some(found) = names.entries.get(&name.value) {
            for &own in found {
                runtimes[own] = runtime.clone();
            }
        } else if let Some(&own) = names.drafts.get(&name.value) {
            exact.push((own, runtime.clone()));
        } else {
            let help = suggest(&name.value, "stages", names.entries.keys().map(String::as_str));
            let message = format!("there is no stage `{}`", name.value);
            mistakes.push(Diagnostic::error("unknown-reference", message).at(name.span, "").help(help));
        }
    }
    for (own, runtime) in exact {
        runtimes[own] = runtime;
    }
    runtimes
}
