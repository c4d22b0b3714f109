//! The plan of a recipe with arms: a tree of what they share and what sets them apart.

use curricle_engine::graph::Graph;
use curricle_engine::plan::{Branch, Bundle, Decision, Plan, tree};

use crate::paint::{Paint, Tint};

/// Most names of arms in a title.
const NAMED: usize = 4;

/// The tree, and what sharing saves.
pub fn text(plan: &Plan, graph: &Graph, paint: Paint) -> String {
    let root = tree(graph);
    let mut rows = Vec::new();
    rows.push(Row::Title { lead: String::new(), text: title(&root) });
    below(&root, "", plan, graph, &mut rows);
    let width = rows.iter().map(Row::width).max().unwrap_or_default();
    let mut text: String = rows.iter().map(|row| row.text(width, paint) + "\n").collect();
    for arm in graph.arms().iter().filter(|arm| !arm.without.is_empty() && !arm.label.name.contains('#')) {
        text += &format!("\narm `{}` goes without {}", arm.label.variant, arm.without.join(", "));
    }
    let (by_hand, shared) = (graph.by_hand(), graph.stages().len());
    text + &format!("\n{by_hand} stages by hand, {shared} after sharing, {} of them in the store\n", plan.cached())
}

enum Row {
    /// Arms that go this way.
    Title { lead: String, text: String },
    /// A stage for every seed.
    Stage { lead: String, name: String, word: String, tint: Tint, key: String, why: String },
}

impl Row {
    fn width(&self) -> usize {
        match self {
            Self::Title { .. } => 0,
            Self::Stage { lead, name, .. } => lead.chars().count() + name.chars().count(),
        }
    }

    fn text(&self, width: usize, paint: Paint) -> String {
        match self {
            Self::Title { lead, text } => {
                format!("{}{}", paint.out_tint(Tint::Dim, lead), paint.out_tint(Tint::Bold, text))
            }
            Self::Stage { lead, name, word, tint, key, why } => {
                let pad = " ".repeat(width - self.width());
                let (lead, word) = (paint.out_tint(Tint::Dim, lead), paint.out_tint(*tint, word));
                format!("{lead}{name}{pad}  {word}  {}  {why}", paint.out_tint(Tint::Dim, key)).trim_end().to_owned()
            }
        }
    }
}

fn title(branch: &Branch) -> String {
    let names: Vec<&str> =
        branch.variants.iter().map(|name| if name.is_empty() { "base (as written)" } else { name }).collect();
    if names.len() > NAMED { format!("{} arms", names.len()) } else { names.join(", ") }
}

fn below(branch: &Branch, lead: &str, plan: &Plan, graph: &Graph, rows: &mut Vec<Row>) {
    let ends = |name: &&String| !branch.branches.iter().any(|below| below.variants.contains(name));
    let line = if branch.branches.is_empty() { "  " } else { "│ " };
    rows.extend(branch.stages.iter().map(|bundle| stage(bundle, format!("{lead}{line}"), plan, graph)));
    if branch.variants.len() > 1 {
        for name in branch.variants.iter().filter(ends) {
            let name = if name.is_empty() { "base (as written)" } else { name };
            rows.push(Row::Title { lead: format!("{lead}{line}"), text: format!("= {name}") });
        }
    }
    for (place, next) in branch.branches.iter().enumerate() {
        let last = place + 1 == branch.branches.len();
        let (fork, deeper) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        rows.push(Row::Title { lead: format!("{lead}{fork}"), text: title(next) });
        below(next, &format!("{lead}{deeper}"), plan, graph, rows);
    }
}

fn stage(bundle: &Bundle, lead: String, plan: &Plan, graph: &Graph) -> Row {
    let steps: Vec<_> = bundle.stages.iter().map(|&id| plan.step(id)).collect();
    let mut counts =
        [("run", Tint::Yellow, 0), ("reuse", Tint::Green, 0), ("skip", Tint::Dim, 0), ("held", Tint::Red, 0)];
    let mut why = String::new();
    for step in &steps {
        let place = match &step.decision {
            Decision::Run(reasons) => {
                if why.is_empty() {
                    why = reasons.first().map(ToString::to_string).unwrap_or_default();
                }
                0
            }
            Decision::Reuse | Decision::Share(_) => {
                if let (true, Some(adopted)) = (why.is_empty(), step.adopted()) {
                    why = adopted.to_string();
                }
                1
            }
            Decision::Skip => 2,
            Decision::Hold { gate, .. } => {
                if why.is_empty() {
                    let gate = plan.gates.record(graph, *gate);
                    why = format!("gate `{}` is {}", gate.gate, gate.words());
                }
                3
            }
        };
        counts[place].2 += 1;
    }
    let some: Vec<_> = counts.iter().filter(|(_, _, count)| *count > 0).collect();
    let word = match &some[..] {
        [(word, ..)] => format!("{word:<5}"),
        several => several.iter().map(|(word, _, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", "),
    };
    let times = if steps.len() > 1 { format!(" × {}", steps.len()) } else { String::new() };
    Row::Stage {
        lead,
        name: format!("{}{times}", bundle.name),
        word,
        tint: some.first().map_or(Tint::Dim, |(_, tint, _)| *tint),
        key: if steps.len() == 1 { steps[0].key.short() } else { " ".repeat(8) },
        why,
    }
}
