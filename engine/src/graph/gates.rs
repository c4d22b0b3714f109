//! `[gates.x]` of a recipe and the graph of its stages → [`Gate`]s: stages and metrics found, who waits, and no gate that could
//! never be judged.

use std::collections::BTreeSet;

use super::{Graph, Input, StageId, StageNode, order};
use crate::diagnostic::{Diagnostic, suggest};
use crate::gate::{Gate, Mention, Method, OnFail, Term};
use crate::recipe::{GateEntry, Recipe, Span};
use crate::stage::ArtifactKind;

/// The gates of a recipe whose graph is there; what is wrong with one is reported, and it is left out.
pub(super) fn gates(recipe: &Recipe, graph: &Graph, mistakes: &mut Vec<Diagnostic>) -> Vec<Gate> {
    let mut gates = Vec::new();
    for entry in &recipe.gates {
        let before = mistakes.len();
        let after = after(entry, graph, mistakes);
        let Some(require) = &entry.require else { continue };
        let mentions = require.mentions.iter().zip(&entry.mentions);
        let terms: Vec<Term> = mentions.filter_map(|(one, span)| term(one, *span, graph, mistakes)).collect();
        if mistakes.len() > before || after.is_empty() {
            continue;
        }
        let mut gate = Gate {
            name: entry.name.value.clone(),
            description: entry.description.clone(),
            require: entry.text.value.clone(),
            after: after.iter().map(|(id, _)| *id).collect(),
            terms,
            relation: require.relation,
            margin: require.margin,
            method: entry.method.value,
            confidence: entry.confidence,
            on_fail: entry.on_fail,
            holds: BTreeSet::new(),
        };
        gate.after.sort_unstable();
        gate.after.dedup();
        if gate.method == Method::PairedBootstrap {
            paired(entry, &gate, graph, mistakes);
        }
        let needed = closure(graph, gate.measured());
        measured_behind(entry, &after, &needed, graph, mistakes);
        learned_behind(entry, &gate, &needed, graph, mistakes);
        gate.holds = &behind(graph, &gate.after) - &needed;
        if gate.holds.is_empty() && gate.on_fail == OnFail::Stop && mistakes.len() == before {
            let message = format!("no stage waits for gate `{}`", gate.name);
            let help = "put it after a stage with others behind it that it does not need itself; where it only has to tell, write \
                        `on_fail = \"warn\"`";
            mistakes.push(Diagnostic::warning("unused", message).at(entry.name.span, "").help(help));
        }
        gates.push(gate);
    }
    circles(recipe, graph, &gates, mistakes);
    gates
}

/// Takes the gates out of an arm's graph that these mistakes are about; their names come back as `gates.x`.
pub(super) fn misplaced(recipe: &Recipe, graph: &mut Graph, mistakes: &[Diagnostic]) -> Vec<String> {
    let mut lost = Vec::new();
    for entry in &recipe.gates {
        let spans: Vec<Span> = entry
            .after
            .iter()
            .map(|name| name.span)
            .chain(entry.mentions.iter().copied())
            .chain([entry.name.span])
            .collect();
        let about = |one: &Diagnostic| one.labels.first().is_some_and(|label| spans.contains(&label.span));
        if mistakes.iter().any(about) {
            graph.gates.retain(|gate| gate.name != entry.name.value);
            lost.push(format!("gates.{}", entry.name.value));
        }
    }
    lost
}

fn after(entry: &GateEntry, graph: &Graph, mistakes: &mut Vec<Diagnostic>) -> Vec<(StageId, Span)> {
    let mut found = Vec::new();
    for name in &entry.after {
        let of_each = |node: &&StageNode| base(&node.name) == name.value;
        let ids: Vec<StageId> = match graph.find(&name.value) {
            Some(node) => vec![node.id],
            None => graph.stages().iter().filter(of_each).map(|node| node.id).collect(),
        };
        if ids.is_empty() {
            let message = format!("there is no stage `{}`", name.value);
            let help = suggest(&name.value, "stages", graph.stages().iter().map(|node| base(&node.name)));
            mistakes.push(Diagnostic::error("unknown-reference", message).at(name.span, "").help(help));
        }
        found.extend(ids.into_iter().map(|id| (id, name.span)));
    }
    found
}

fn term(mention: &Mention, span: Span, graph: &Graph, mistakes: &mut Vec<Diagnostic>) -> Option<Term> {
    let Mention { factor, stage: name, metric, .. } = mention;
    let measuring = || graph.stages().iter().filter(|node| port(node).is_some());
    let Some(node) = graph.find(name) else {
        let items: Vec<&str> =
            graph.stages().iter().map(|node| node.name.as_str()).filter(|full| base(full) == base(name)).collect();
        let (message, help) = if items.is_empty() {
            let help = suggest(name, "stages that measure", measuring().map(|node| node.name.as_str()));
            (format!("there is no stage `{name}`"), help)
        } else if *name == base(name) {
            (format!("`{name}` is one stage per item of its `each`"), suggest("", "say which", items))
        } else {
            (format!("there is no stage `{name}`"), suggest(name, "its stages", items))
        };
        mistakes.push(Diagnostic::error("unknown-reference", message).at(span, "").help(help));
        return None;
    };
    let Some(port) = port(node) else {
        let message = format!("stage `{name}` measures nothing: kind `{}` makes no metrics", node.kind.name());
        let of_it = measuring().filter(|other| graph.inputs_of(other.id).contains(&node.id));
        let of_it: Vec<String> = of_it.map(|other| format!("`{}.{metric}`", other.name)).collect();
        let help = if of_it.is_empty() {
            "name a stage that evaluates it".to_owned()
        } else {
            format!("it is measured as {}", of_it.join(", "))
        };
        mistakes.push(Diagnostic::error("gate", message).at(span, "").help(help));
        return None;
    };
    let metrics = node.stage.metrics();
    if !metrics.is_empty() && !metrics.iter().any(|known| known.is(metric)) {
        let message = format!("stage `{name}` does not measure `{metric}`");
        let names = metrics.iter().map(|known| known.name.as_str());
        let help = match metric.split_once('-') {
            Some((short, _)) if metrics.iter().any(|known| known.is(short)) => {
                format!("a minus has a space before it: `{name}.{short} - …`")
            }
            _ => suggest(metric, "its metrics", names),
        };
        mistakes.push(Diagnostic::error("gate", message).at(span, "").help(help));
        return None;
    }
    let (factor, stage, reference) = (*factor, node.id, format!("{name}.{metric}"));
    Some(Term { factor, stage, port: port.to_owned(), metric: metric.clone(), reference })
}

/// The output with metrics.
fn port(node: &StageNode) -> Option<&str> {
    node.ports.outputs.iter().find(|port| port.kind == ArtifactKind::Metrics).map(|port| &*port.name)
}

/// A bootstrap of pairs needs scores of the same items on all sides.
fn paired(entry: &GateEntry, gate: &Gate, graph: &Graph, mistakes: &mut Vec<Diagnostic>) {
    const HELP: &str = "compare the same items, or write `method = \"point\"`";
    let place = |index: usize| entry.mentions[index];
    for (index, term) in gate.terms.iter().enumerate() {
        let node = graph.stage(term.stage);
        if node.stage.metrics().iter().any(|known| known.is(&term.metric) && !known.of_items) {
            let message =
                format!("`{}` is not the mean of its items' scores: there is nothing to resample", term.reference);
            let help = "write `method = \"point\"`";
            mistakes.push(Diagnostic::error("gate", message).at(place(index), "").help(help));
            return;
        }
    }
    let Some((first, others)) = gate.terms.split_first() else { return };
    for (index, term) in others.iter().enumerate() {
        let (one, two) = (data(graph.stage(first.stage)), data(graph.stage(term.stage)));
        let same = one.len() == two.len() && one.iter().zip(&two).all(|(one, two)| one.origin == two.origin);
        let spelled =
            |inputs: &[&Input]| inputs.iter().map(|one| format!("`{}`", one.reference)).collect::<Vec<_>>().join(", ");
        let message = if !same {
            format!(
                "`{}` and `{}` are measured on different rows, so that no items pair up",
                first.reference, term.reference
            )
        } else if part(&first.metric) != part(&term.metric) {
            format!("`{}` and `{}` are about different items, so that none pair up", first.reference, term.reference)
        } else {
            continue;
        };
        let labels = if same { (String::new(), String::new()) } else { (spelled(&two), spelled(&one)) };
        let differ = Diagnostic::error("gate", message).at(place(index + 1), labels.0).at(place(0), labels.1);
        mistakes.push(differ.help(HELP));
        return;
    }
}

fn data(node: &StageNode) -> Vec<&Input> {
    node.inputs.values().filter(|input| input.ty.kind() == ArtifactKind::Data).collect()
}

/// `accuracy/image` → `image`: which items a metric is about.
fn part(metric: &str) -> Option<&str> {
    metric.split_once('/').map(|(_, part)| part)
}

/// Whatever stands in `after` is measured, or something behind it is.
fn measured_behind(
    entry: &GateEntry,
    after: &[(StageId, Span)],
    needed: &BTreeSet<StageId>,
    graph: &Graph,
    mistakes: &mut Vec<Diagnostic>,
) {
    for (id, span) in after.iter().filter(|(id, _)| !needed.contains(id)) {
        let name = &graph.stage(*id).name;
        let message =
            format!("gate `{}` stands after `{name}`, but nothing that it needs depends on `{name}`", entry.name.value);
        let mut wrong = Diagnostic::error("gate", message).at(*span, "");
        for place in &entry.mentions {
            wrong = wrong.at(*place, format!("does not depend on `{name}`"));
        }
        mistakes.push(
            wrong.help(format!("require something of a stage that measures `{name}`, or put the gate after another")),
        );
    }
}

/// A stage that learns behind the gate can't be what the gate waits for.
fn learned_behind(
    entry: &GateEntry,
    gate: &Gate,
    needed: &BTreeSet<StageId>,
    graph: &Graph,
    mistakes: &mut Vec<Diagnostic>,
) {
    let learns = |id: &&StageId| {
        let node = graph.stage(**id);
        !gate.after.contains(id)
            && node.ports.inputs.iter().any(|port| port.trains && node.inputs.contains_key(&*port.name))
    };
    let behind = behind(graph, &gate.after);
    let Some(&id) = behind.intersection(needed).find(learns) else { return };
    let name = &graph.stage(id).name;
    let places = gate.terms.iter().zip(&entry.mentions);
    let needs = places.filter(|(term, _)| closure(graph, BTreeSet::from([term.stage])).contains(&id));
    let after = entry.after.first().map_or(entry.name.span, |name| name.span);
    let message = format!("gate `{}` needs stage `{name}`, which lies behind it", entry.name.value);
    let mut wrong = Diagnostic::error("gate", message);
    for (_, span) in needs {
        wrong = wrong.at(*span, format!("needs `{name}`"));
    }
    let wrong = wrong.at(after, format!("`{name}` comes after this"));
    mistakes.push(wrong.help(format!("write `after = \"{name}\"`, or require something of earlier stages")));
}

/// Gates that wait for each other.
fn circles(recipe: &Recipe, graph: &Graph, gates: &[Gate], mistakes: &mut Vec<Diagnostic>) {
    let stages = graph.stages().len();
    if gates.len() < 2 {
        return;
    }
    let mut needs: Vec<Vec<usize>> =
        graph.stages().iter().map(|node| graph.upstream(node.id).into_iter().map(StageId::index).collect()).collect();
    for (index, gate) in gates.iter().enumerate() {
        gate.holds.iter().for_each(|id| needs[id.index()].push(stages + index));
        needs.push(gate.measured().into_iter().map(StageId::index).collect());
    }
    for circle in order::circles(&needs) {
        let in_it: Vec<&Gate> = circle.iter().filter_map(|&place| gates.get(place.checked_sub(stages)?)).collect();
        let names: Vec<String> = in_it.iter().map(|gate| format!("`{}`", gate.name)).collect();
        let mut wrong = Diagnostic::error("cycle", format!("gates wait for each other: {}", names.join(", ")));
        for gate in in_it {
            let Some(entry) = recipe.gates.iter().find(|entry| entry.name.value == gate.name) else { continue };
            let held = gate.holds.iter().find(|id| circle.contains(&id.index()));
            let held = held.map_or_else(String::new, |id| format!("`{}` waits for it", graph.stage(*id).name));
            wrong = wrong.at(entry.name.span, held);
        }
        mistakes.push(wrong.help("one of them has to require something that does not lie behind the other"));
    }
}

/// Everything behind some stages.
fn behind(graph: &Graph, stages: &[StageId]) -> BTreeSet<StageId> {
    let mut found = BTreeSet::new();
    for node in graph.stages() {
        if graph.upstream(node.id).iter().any(|id| stages.contains(id) || found.contains(id)) {
            found.insert(node.id);
        }
    }
    found
}

/// Some stages and everything that they need.
fn closure(graph: &Graph, mut stages: BTreeSet<StageId>) -> BTreeSet<StageId> {
    for node in graph.stages().iter().rev() {
        if stages.contains(&node.id) {
            stages.extend(graph.upstream(node.id));
        }
    }
    stages
}

fn base(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}
