//! Rows found in two sets of a recipe → mistakes with places, or what the recipe says why it is none. Refuses to know how
//! they were found.

use crate::diagnostic::Diagnostic;
use crate::recipe::{DataEntry, Recipe, Span};

/// Rows that are measured on, or kept for evaluation, and learned from as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// Reference of the rows that are learned from: `data.practice.train`.
    pub learned: String,
    /// Reference of the rows that are kept apart: `data.exam`.
    pub kept: String,
    /// How many rows are kept apart.
    pub rows: usize,
    /// How many of them were found in the others.
    pub found: usize,
    /// Some of them, each in words.
    pub evidence: Vec<String>,
}

/// Says what was found: as errors, but as warnings where the recipe waives them with a reason.
pub fn leaks(recipe: &Recipe, leaks: &[Leak]) -> Vec<Diagnostic> {
    leaks.iter().map(|leak| one(recipe, leak)).collect()
}

fn one(recipe: &Recipe, leak: &Leak) -> Diagnostic {
    let entry = |reference: &str| recipe.data.get(reference.strip_prefix("data.")?.split('.').next()?);
    let (kept, learned) = (entry(&leak.kept), entry(&leak.learned));
    let is = if leak.found == 1 { "is" } else { "are" };
    let message = format!("{} of {} rows of `{}` {is} in `{}`", leak.found, leak.rows, leak.kept, leak.learned);
    let waiver = kept.zip(learned).and_then(|(kept, learned)| kept.waive.get(&learned.name.value));
    let mut diagnostic = match waiver {
        Some(reason) => Diagnostic::warning("leak", format!("{message}: waived")).at(reason.span, "the reason given"),
        None => Diagnostic::error("leak", message),
    };
    let place = |entry: &DataEntry| -> Option<Span> { entry.source.as_ref().map(|source| source.span) };
    let (here, there) = (kept.and_then(place), learned.and_then(place));
    if let Some(here) = here {
        diagnostic = diagnostic.at(here, "measured on");
    }
    if let Some(there) = there.filter(|there| Some(*there) != here) {
        diagnostic = diagnostic.at(there, "learned from");
    }
    let more = leak.found - leak.evidence.len().min(leak.found);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let mut help = format!("{}{more}", leak.evidence.join("; "));
    if let (None, Some(learned), Some(kept)) = (waiver, learned, kept) {
        let (learned, kept) = (&learned.name.value, &kept.name.value);
        help += &format!(
            "; take them out, or say why it does no harm: `waive = {{ {learned} = \"…\" }}` in `[data.{kept}]`"
        );
    }
    diagnostic.help(help)
}
