//! Rows that more than one stage reads: none that is kept for evaluation may be trained on under another name, and what a
//! stage measures on should not be what another learns from. Looks at names and splits, never at rows.

use std::collections::{BTreeMap, BTreeSet};

use super::Origin;
use super::expand::Draft;
use super::resolve::{Edge, From};
use crate::diagnostic::Diagnostic;
use crate::recipe::{Recipe, Span};
use crate::stage::{ArtifactType, DataView, Role};

/// One place where rows enter a stage.
struct Use<'a> {
    edge: &'a Edge,
    stage: &'a str,
    view: Option<&'a DataView>,
    role: Role,
}

impl Use<'_> {
    /// May both get the same row? Splits of one table are apart; of splits of different tables nobody can tell.
    fn meets(&self, other: &Self) -> bool {
        match (self.view, other.view) {
            (Some(one), Some(two)) => one.split.is_none() || two.split.is_none() || one.split == two.split,
            _ => true,
        }
    }

    /// `models.x` of `models.x.train`: the entry that it names.
    fn entry(&self) -> Option<&str> {
        self.edge.reference.value.strip_prefix("data.").and_then(|rest| rest.split('.').next())
    }
}

/// Reports rows that are both learned from and kept apart, or measured on.
pub(super) fn check(recipe: &Recipe, drafts: &[Draft<'_>], edges: &[Vec<Edge>], mistakes: &mut Vec<Diagnostic>) {
    let mut learned: BTreeMap<String, Vec<Use<'_>>> = BTreeMap::new();
    let mut kept: BTreeMap<String, Vec<Use<'_>>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (draft, edges) in drafts.iter().zip(edges) {
        for edge in edges.iter().filter(|edge| edge.port.trains || edge.port.measures) {
            let Some((rows, view, role)) = rows(edge) else { continue };
            // The first use of each reference stands for the others.
            if seen.insert((edge.reference.value.as_str(), edge.port.trains)) {
                let side = if edge.port.trains { &mut learned } else { &mut kept };
                side.entry(rows).or_default().push(Use { edge, stage: &draft.name, view, role });
            }
        }
    }
    for (rows, kept) in &kept {
        let learned = learned.get(rows).map(Vec::as_slice).unwrap_or_default();
        for one in kept {
            if let Some(other) = learned.iter().find(|other| one.meets(other)) {
                mistakes.push(met(recipe, one, other));
            }
        }
    }
}

/// What tells the rows behind an edge from others, how they are read, and what they are for.
fn rows(edge: &Edge) -> Option<(String, Option<&DataView>, Role)> {
    match &edge.from {
        From::Draft { index, port } => Some((format!("{index}.{port}"), None, Role::Train)),
        From::Outside(None) => None,
        From::Outside(Some(known)) => match (&known.0, &known.1) {
            (Origin::File { path, view }, ArtifactType::Data(data)) => {
                Some((path.display().to_string(), Some(view), data.role))
            }
            (Origin::Remote { name, view, .. }, ArtifactType::Data(data)) => {
                Some((name.to_string(), Some(view), data.role))
            }
            _ => None,
        },
    }
}

fn met(recipe: &Recipe, kept: &Use<'_>, learned: &Use<'_>) -> Diagnostic {
    let (here, there): (Span, Span) = (kept.edge.reference.span, learned.edge.reference.span);
    if kept.role == Role::Eval && learned.role == Role::Train {
        let (exam, rows) = (&kept.edge.reference.value, &learned.edge.reference.value);
        let message = format!("stage `{}` would train on `{exam}` under the name `{rows}`", learned.stage);
        let mut error = Diagnostic::error("eval-leak", message).at(there, "reaches training here");
        for entry in [kept, learned].iter().filter_map(|one| recipe.data.get(one.entry()?)) {
            if entry.role.value == Role::Eval {
                error = error.at(entry.role.span, "kept for evaluation");
            } else if let Some(source) = &entry.source {
                error = error.at(source.span, "the same rows");
            }
        }
        return error.help("train on other data, or give both entries the same `splits` and take different ones");
    }
    let message = format!("stage `{}` measures on rows that stage `{}` learns from", kept.stage, learned.stage);
    let warning = Diagnostic::warning("overlap", message).at(here, "measured on here").at(there, "learned from here");
    warning.help(
        "what was learned by heart looks like skill: keep rows apart with `splits`, and give tests `role = \"eval\"`",
    )
}
