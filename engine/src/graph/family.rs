//! The arms of a recipe → one graph that holds each piece of work once. Every arm is checked as a recipe of its own; then
//! a stage equal in kind, parameters, seed, inputs and settings to that of an earlier arm is that arm's stage.

use std::collections::BTreeMap;

use super::check::Checker;
use super::facts::Seen;
use super::gates;
use super::{Arm, Graph, Origin, StageId, StageNode};
use crate::diagnostic::{Diagnostic, Severity};
use crate::gate::Gate;
use crate::recipe::Recipe;
use crate::stage::AnyKind;
use crate::vary::{self, Spec};

/// The graph of every arm that fits together; none for a recipe without variation. What is wrong with an arm written out
/// by hand is an error; one that an arrangement thought up is left out, with a warning.
pub(super) fn family(
    recipe: &Recipe,
    kinds: &[&'static dyn AnyKind],
    disk: &Seen,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Graph> {
    let mut specs = vary::arms(recipe);
    if specs.is_empty() {
        return None;
    }
    let mut family = Family { graph: Graph { name: recipe.name.clone(), ..Graph::default() }, places: BTreeMap::new() };
    let mut failed: Vec<String> = Vec::new();
    let mut unused: Option<Vec<Diagnostic>> = None;
    let written = mistakes.len();
    for spec in &mut specs {
        // What is wrong with a variant is wrong with every seed of it.
        if failed.contains(&spec.label.variant) {
            continue;
        }
        let arm = spec.recipe(recipe);
        let mut found = arm.mistakes.clone();
        let mut graph = Checker::new(&arm, kinds, disk, &mut found).graph(&mut found);
        let mut lost = Vec::new();
        if let Some(graph) = &mut graph {
            let mut wrong = Vec::new();
            graph.gates = gates::gates(&arm, graph, &mut wrong);
            if spec.arranged {
                // In an order that nobody wrote a gate may have no sense: the arm goes without it.
                let errors: Vec<_> = wrong.extract_if(.., |one| one.severity == Severity::Error).collect();
                lost = gates::misplaced(&arm, graph, &errors);
            }
            found.extend(wrong);
        }
        let (errors, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.severity == Severity::Error);
        let Some(graph) = graph.filter(|_| errors.is_empty()) else {
            failed.push(spec.label.variant.clone());
            report(spec, errors, mistakes);
            continue;
        };
        let (nothing_uses, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|one| one.code == "unused");
        mistakes.extend(others);
        unused = Some(match unused.take() {
            None => nothing_uses,
            Some(so_far) => so_far.into_iter().filter(|one| nothing_uses.contains(one)).collect(),
        });
        family.join(graph, spec, lost, mistakes);
    }
    // What one arm uses is used.
    if let Some(unused) = unused {
        let mut place = 0;
        mistakes.retain(|one| {
            place += 1;
            place > written || one.code != "unused" || unused.contains(one)
        });
    }
    seeds_from(&specs, &family.graph, mistakes);
    Some(family.graph)
}

struct Family {
    graph: Graph,
    /// What a stage does → its place.
    places: BTreeMap<String, StageId>,
}

impl Family {
    /// Adds an arm, and those of its stages that no arm had before.
    fn join(&mut self, graph: Graph, spec: &Spec<'_>, lost: Vec<String>, mistakes: &mut Vec<Diagnostic>) {
        let mut moved: Vec<StageId> = Vec::with_capacity(graph.stages.len());
        let mut stages = BTreeMap::new();
        let suffix = match spec.label.name.as_str() {
            "" => String::new(),
            name if name.starts_with('#') => name.to_owned(),
            name => format!("@{name}"),
        };
        for mut node in graph.stages {
            for input in node.inputs.values_mut() {
                if let Origin::Stage { stage, .. } = &mut input.origin {
                    *stage = moved[stage.index()];
                }
            }
            node.after = node.after.iter().map(|id| moved[id.index()]).collect();
            let work = work(&node);
            let name = node.name.clone();
            let id = *self.places.entry(work).or_insert_with(|| {
                let id = StageId(self.graph.stages.len());
                node.id = id;
                node.name += &suffix;
                self.graph.stages.push(node);
                id
            });
            moved.push(id);
            stages.insert(name, id);
        }
        let gates: Vec<usize> = graph.gates.into_iter().map(|gate| self.gate(gate, &moved, &suffix)).collect();
        let twin = self.graph.arms.iter_mut().find(|arm| {
            arm.label.seed == spec.label.seed
                && arm.label.variant != spec.label.variant
                && arm.stages == stages
                && arm.gates == gates
        });
        match twin {
            Some(twin) => {
                if let Some(place) = spec.place.filter(|_| !spec.arranged) {
                    let as_what = match twin.label.variant.as_str() {
                        "" => "the recipe as written".to_owned(),
                        variant => format!("arm `{variant}`"),
                    };
                    let message = format!("arm `{}` is the same as {as_what}", spec.label.variant);
                    let help = "what it sets makes no difference; is that what was meant?";
                    mistakes.push(Diagnostic::warning("arm", message).at(place, "").help(help));
                }
                twin.also.push(spec.label.name.clone());
            }
            None => self.graph.arms.push(Arm {
                label: spec.label.clone(),
                also: Vec::new(),
                stages,
                gates,
                without: spec.without().iter().cloned().chain(lost).collect(),
            }),
        }
    }

    /// The place of an arm's gate: that of an earlier arm where it requires the same of the same stages.
    fn gate(&mut self, gate: Gate, moved: &[StageId], suffix: &str) -> usize {
        let mut gate = gate.moved(|id| moved[id.index()]);
        let known = self.graph.gates.iter().position(|known| known.is_twin_of(&gate) && base(&known.name) == gate.name);
        if let Some(known) = known {
            self.graph.gates[known].holds.extend(gate.holds);
            return known;
        }
        gate.name += suffix;
        self.graph.gates.push(gate);
        self.graph.gates.len() - 1
    }
}

/// `kept@none#2` → `kept`.
fn base(name: &str) -> &str {
    name.split(['@', '#']).next().unwrap_or(name)
}

/// Text that is equal for stages that are the same work under the same name.
fn work(node: &StageNode) -> String {
    let inputs: Vec<_> = node.inputs.iter().map(|(port, input)| (port, &input.origin)).collect();
    format!(
        "{} {} {} {inputs:?} {:?} {:?} {}",
        node.name,
        node.kind.name(),
        node.seed,
        node.after,
        node.runtime,
        node.stage.params()
    )
}

/// Says what is wrong with an arm.
fn report(spec: &Spec<'_>, errors: Vec<Diagnostic>, mistakes: &mut Vec<Diagnostic>) {
    let name = &spec.label.variant;
    // A chain that the recipe has not is a slip in the ablation, not an order that makes no sense.
    let slip = errors.iter().any(|error| error.code == "chain");
    if spec.arranged && !slip {
        let why = errors.first().map_or("it can't be had", |error| error.message.as_str());
        let mut left_out = Diagnostic::warning("arm", format!("arm `{name}` is left out: {why}"));
        left_out.labels = errors.into_iter().next().map(|error| error.labels).unwrap_or_default();
        if let Some(place) = spec.place {
            left_out = left_out.at(place, "arranged by this");
        }
        mistakes.push(left_out);
        return;
    }
    for error in errors {
        let inside = |place| error.labels.iter().any(|label| label.span == place);
        mistakes.push(match spec.place.filter(|place| !slip && !inside(*place)) {
            Some(place) => error.at(place, format!("in arm `{name}`")),
            None => error,
        });
    }
}

/// Every name in `[seeds] from` is a stage of some arm.
fn seeds_from(specs: &[Spec<'_>], graph: &Graph, mistakes: &mut Vec<Diagnostic>) {
    let plain = |name: &str| name.split('[').next().unwrap_or(name).to_owned();
    for name in specs.first().map(Spec::from).unwrap_or_default() {
        let mut names = graph.arms.iter().flat_map(|arm| arm.stages.keys());
        if !names.any(|stage| *stage == name.value || plain(stage) == name.value) {
            let known: std::collections::BTreeSet<String> =
                graph.arms.iter().flat_map(|arm| arm.stages.keys()).map(|stage| plain(stage)).collect();
            let help = crate::diagnostic::suggest(&name.value, "stages", known.iter().map(String::as_str));
            let message = format!("there is no stage `{}` for seeds to begin at", name.value);
            mistakes.push(Diagnostic::error("seeds", message).at(name.span, "").help(help));
        }
    }
}
