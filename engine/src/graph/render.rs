//! Graph → text in a language for drawings. Ids are the stages' names, so that two drawings can be compared.

use std::fmt::Write as _;

use super::{Graph, Origin, StageId, StageNode};
use crate::gate::Gate;

/// A language for drawings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// For people.
    Text,
}

/// Draws a graph.
pub fn render(graph: &Graph, format: Format) -> String {
    match format {
        Format::Mermaid => mermaid(graph),
        Format::Dot => dot(graph),
        Format::Text => text(graph),
    }
}

/// An arrow: from, what flows, to.
struct Arrow {
    from: String,
    flows: String,
    to: String,
    /// Ordering only.
    weak: bool,
}

fn arrows(graph: &Graph) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for stage in graph.stages() {
        for (port, input) in &stage.inputs {
            let (from, made) = match &input.origin {
                Origin::Stage { stage, port } => (graph.stage(*stage).name.clone(), port.as_str()),
                Origin::File { .. } | Origin::Remote { .. } => outside(&input.reference),
            };
            let flows = if made == port || made.is_empty() { port.clone() } else { format!("{made} as {port}") };
            arrows.push(Arrow { from, flows, to: stage.name.clone(), weak: false });
        }
        for &after in &stage.after {
            arrows.push(Arrow {
                from: graph.stage(after).name.clone(),
                flows: String::new(),
                to: stage.name.clone(),
                weak: true,
            });
        }
    }
    for gate in graph.gates() {
        let name = |id: StageId| graph.stage(id).name.clone();
        let arrow = |from, to| Arrow { from, flows: String::new(), to, weak: true };
        arrows.extend(gate.measured().into_iter().map(|id| arrow(name(id), title(gate))));
        arrows.extend(first_behind(graph, gate).map(|id| arrow(title(gate), name(id))));
    }
    arrows
}

fn title(gate: &Gate) -> String {
    format!("gate {}", gate.name)
}

/// The stages that wait for a gate and for no other stage that does.
fn first_behind<'a>(graph: &'a Graph, gate: &'a Gate) -> impl Iterator<Item = StageId> + 'a {
    let waits = |id: &StageId| gate.holds.contains(id);
    gate.holds.iter().copied().filter(move |id| !graph.upstream(*id).iter().any(waits))
}

/// `data.x.train` → `data.x` and `train`.
fn outside(reference: &str) -> (String, &str) {
    let end = reference.match_indices('.').nth(1).map_or(reference.len(), |(dot, _)| dot);
    (reference[..end].to_owned(), reference[end..].trim_start_matches('.'))
}

fn sources(arrows: &[Arrow], graph: &Graph) -> Vec<String> {
    let inside: std::collections::BTreeSet<String> =
        graph.stages().iter().map(|stage| stage.name.clone()).chain(graph.gates().iter().map(title)).collect();
    let mut names: Vec<_> =
        arrows.iter().map(|arrow| arrow.from.clone()).filter(|name| !inside.contains(name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A name as an identifier: letters, digits and underscores.
fn id(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    clean.trim_end_matches('_').to_owned()
}

fn mermaid(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    let arrows = arrows(graph);
    for name in sources(&arrows, graph) {
        let _ = writeln!(out, "  {}[(\"{name}\")]", id(&name));
    }
    for stage in graph.stages() {
        let _ = writeln!(out, "  {}[\"{}<br/><i>{}</i>\"]", id(&stage.name), stage.name, stage.kind.name());
    }
    for gate in graph.gates() {
        let _ = writeln!(out, "  {}{{{{\"{}<br/><i>gate</i>\"}}}}", id(&title(gate)), gate.name);
    }
    for Arrow { from, flows, to, weak } in arrows {
        let arrow = if weak { "-.->".to_owned() } else { format!("-->|{}|", label(&flows)) };
        let _ = writeln!(out, "  {} {arrow} {}", id(&from), id(&to));
    }
    out
}

/// What flows, in quotes where it has signs that mean something in a drawing (`model@step=400`).
pub(super) fn label(flows: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.');
    if flows.chars().all(plain) { flows.to_owned() } else { format!("\"{flows}\"") }
}

fn dot(graph: &Graph) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(graph.name()));
    let arrows = arrows(graph);
    for name in sources(&arrows, graph) {
        let _ = writeln!(out, "  {} [shape=cylinder];", quoted(&name));
    }
    for stage in graph.stages() {
        let _ = writeln!(out, "  {} [label=\"{}\\n({})\"];", quoted(&stage.name), stage.name, stage.kind.name());
    }
    for gate in graph.gates() {
        let _ = writeln!(out, "  {} [shape=hexagon label={}];", quoted(&title(gate)), quoted(&gate.name));
    }
    for Arrow { from, flows, to, weak } in arrows {
        let style = if weak { "style=dashed".to_owned() } else { format!("label={}", quoted(&flows)) };
        let _ = writeln!(out, "  {} -> {} [{style}];", quoted(&from), quoted(&to));
    }
    out.push_str("}\n");
    out
}

/// One line per stage, in the order of execution.
fn text(graph: &Graph) -> String {
    let width = |of: fn(&StageNode) -> &str| graph.stages().iter().map(|stage| of(stage).len()).max().unwrap_or(0);
    let (name_width, kind_width) = (width(|stage| &stage.name), width(|stage| stage.kind.name()));
    let mut out = String::new();
    for stage in graph.stages() {
        let mut needs: Vec<_> =
            stage.inputs.iter().map(|(port, input)| format!("{port} = {}", input.reference)).collect();
        needs.extend(stage.after.iter().map(|&after| format!("after {}", graph.stage(after).name)));
        let gates = graph.gates().iter().filter(|gate| first_behind(graph, gate).any(|id| id == stage.id));
        needs.extend(gates.map(title));
        let line = format!("{:name_width$}  {:kind_width$}  {}", stage.name, stage.kind.name(), needs.join(", "));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for gate in graph.gates() {
        let _ = writeln!(out, "{}: {}", title(gate), gate.require);
    }
    out
}
