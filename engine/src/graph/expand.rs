//! Stage entries → drafts: an `each` stage becomes one draft per item, with `${each}` replaced.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::recipe::{At, Each, Node, Recipe, Scope, Span, StageEntry, Table};

/// A stage before its names are resolved.
pub(super) struct Draft<'a> {
    /// What the recipe says.
    pub entry: &'a StageEntry,
    /// `score`, or `score[mrl]`.
    pub name: String,
    /// Port → reference.
    pub inputs: Vec<(At<String>, At<String>)>,
    /// Parameters, with every reference replaced.
    pub params: At<Table>,
}

/// Drafts by name, and the drafts of each `each` stage.
pub(super) struct Names {
    /// Index of a draft by its full name.
    pub drafts: BTreeMap<String, usize>,
    /// Indices of the drafts of an entry by its name.
    pub entries: BTreeMap<String, Vec<usize>>,
}

/// Makes the drafts of every entry.
pub(super) fn expand<'a>(recipe: &'a Recipe, mistakes: &mut Vec<Diagnostic>) -> Vec<Draft<'a>> {
    let mut drafts = Vec::with_capacity(recipe.stages.len());
    for entry in &recipe.stages {
        match &entry.each {
            None => drafts.push(Draft {
                entry,
                name: entry.name.value.clone(),
                inputs: entry.inputs.clone(),
                params: entry.params.clone(),
            }),
            Some(items) => {
                for item in items_of(entry, items, mistakes) {
                    drafts.push(one(recipe, entry, item, mistakes));
                }
            }
        }
    }
    drafts
}

/// Indexes drafts by name.
pub(super) fn names(drafts: &[Draft<'_>]) -> Names {
    let mut names = Names { drafts: BTreeMap::new(), entries: BTreeMap::new() };
    for (index, draft) in drafts.iter().enumerate() {
        names.drafts.insert(draft.name.clone(), index);
        names.entries.entry(draft.entry.name.value.clone()).or_default().push(index);
    }
    names
}

fn items_of<'a>(entry: &StageEntry, items: &'a [At<String>], mistakes: &mut Vec<Diagnostic>) -> Vec<&'a str> {
    let name = &entry.name.value;
    if items.is_empty() {
        let message = format!("`each` of stage `{name}` is empty");
        let help = "list at least one item, or remove the stage";
        mistakes.push(Diagnostic::error("each", message).at(entry.name.span, "").help(help));
    } else if !mentions_each(entry) {
        let message = format!("stage `{name}` has `each` but says `${{each}}` nowhere");
        let help = "its stages would all be the same; use `${each}` in `inputs` or `params`, or remove `each`";
        mistakes.push(Diagnostic::error("each", message).at(entry.name.span, "").help(help));
    }
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for item in items {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
        if item.value.is_empty() || !item.value.chars().all(allowed) {
            let message = format!("`{}` can't be an item of `each`", item.value);
            let help = "items become parts of names: `a`-`z`, `0`-`9`, `_`, `-` and `.`";
            mistakes.push(Diagnostic::error("each", message).at(item.span, "").help(help));
        } else if let Some(first) = seen.get(item.value.as_str()) {
            let message = format!("`each` of stage `{name}` lists `{}` twice", item.value);
            let twice = Diagnostic::error("each", message).at(item.span, "again").at(*first, "first");
            mistakes.push(twice.help("remove one of them"));
        } else {
            seen.insert(&item.value, item.span);
        }
    }
    items.iter().map(|item| item.value.as_str()).filter(|item| seen.remove(item).is_some()).collect()
}

fn mentions_each(entry: &StageEntry) -> bool {
    fn mentions(node: &Node) -> bool {
        match node {
            Node::String(text) => text.contains("${each}"),
            Node::Array(items) => items.iter().any(|item| mentions(&item.value)),
            Node::Table(table) => table.0.values().any(|entry| mentions(&entry.value.value)),
            Node::Integer(_) | Node::Float(_) | Node::Boolean(_) | Node::Invalid => false,
        }
    }
    entry.inputs.iter().any(|(_, reference)| reference.value.contains("${each}"))
        || entry.params.value.0.values().any(|entry| mentions(&entry.value.value))
}

fn one<'a>(recipe: &Recipe, entry: &'a StageEntry, item: &str, mistakes: &mut Vec<Diagnostic>) -> Draft<'a> {
    let dir = recipe.dir.to_string_lossy();
    let mut scope = Scope::new(&recipe.params, recipe.seed as i64, &dir);
    let mut params = entry.params.clone();
    scope.table(&mut params.value, Each::Item(item), mistakes);
    let mut inputs = entry.inputs.clone();
    for (_, reference) in &mut inputs {
        reference.value = reference.value.replace("${each}", item);
    }
    Draft { entry, name: format!("{}[{item}]", entry.name.value), inputs, params }
}
