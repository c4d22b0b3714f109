//! A tree whose references are replaced → which stage reads which, before anybody asks whether that makes sense. Whoever
//! changes a recipe (an arm that leaves a stage out) needs it; the graph resolves the same references in earnest.

use std::collections::BTreeSet;

use super::source::At;
use super::tree::{Node, Table};

/// The name before the port of a reference: `score[mrl].metrics` → `score[mrl]`. Items of `each` may hold dots.
pub(crate) fn head(reference: &str) -> &str {
    let end = match reference.find(']') {
        Some(bracket) => bracket + 1,
        None => reference.find('.').unwrap_or(reference.len()),
    };
    &reference[..end]
}

/// Items of a stage's `each`; none if it has none.
pub(crate) fn items(stage: &Table) -> Option<Vec<&str>> {
    let Node::Array(items) = &stage.get("each")?.value.value else { return None };
    Some(items.iter().filter_map(|item| text(&item.value)).collect())
}

/// Port and reference of every input of a stage, `${each}` not replaced.
pub(crate) fn references(stage: &Table) -> Vec<(&str, At<&str>)> {
    let Some(Node::Table(inputs)) = stage.get("inputs").map(|entry| &entry.value.value) else { return Vec::new() };
    inputs
        .0
        .iter()
        .filter_map(|(port, entry)| Some((port.as_str(), At::new(text(&entry.value.value)?, entry.value.span))))
        .collect()
}

/// Names of the stages in `from` and of all that read from them at any distance, each by its name in `[stages]`.
pub(super) fn behind(table: &Table, from: &[String]) -> BTreeSet<String> {
    let plain = |name: &str| name.split('[').next().unwrap_or(name).to_owned();
    let mut found: BTreeSet<String> = from.iter().map(|name| plain(name)).collect();
    let Some(Node::Table(stages)) = table.get("stages").map(|entry| &entry.value.value) else { return found };
    loop {
        let before = found.len();
        for (name, entry) in &stages.0 {
            let Node::Table(stage) = &entry.value.value else { continue };
            let reads = |item: &str| {
                references(stage).iter().any(|(_, at)| found.contains(&plain(head(&at.value.replace("${each}", item)))))
            };
            let reads = match items(stage) {
                Some(items) => items.into_iter().any(reads),
                None => reads(""),
            };
            if reads {
                found.insert(name.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn text(node: &Node) -> Option<&str> {
    match node {
        Node::String(text) => Some(text),
        _ => None,
    }
}
