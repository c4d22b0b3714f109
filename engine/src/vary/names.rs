//! Names of arms. They become parts of stages' names, so they hold nothing that a folder's name or a shell could stumble
//! over; `@` and `#` in them can't stand in a stage's own name.

use serde_json::Value;

use crate::recipe::Node;

/// What people call the recipe as written.
pub(super) const AS_WRITTEN: &str = "base";

/// A value as part of a name: `1e-6`, `none` for `{ kind = "none" }`; `place` (from 1) where it has no short form.
pub(super) fn value(node: &Node, place: usize) -> String {
    let text = match node {
        Node::String(text) => text.clone(),
        Node::Table(table) => match table.get("kind").map(|entry| &entry.value.value) {
            Some(Node::String(kind)) => kind.clone(),
            _ => String::new(),
        },
        Node::Array(_) | Node::Invalid => String::new(),
        Node::Integer(_) | Node::Float(_) | Node::Boolean(_) => node.to_json().to_string(),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.+-".contains(c) { c.to_ascii_lowercase() } else { '-' };
    match text.chars().map(plain).collect::<String>().trim_matches('-') {
        short if short.is_empty() || short.len() > 40 => place.to_string(),
        short => short.to_owned(),
    }
}

/// The last part of a path, or all of it where another path ends alike.
pub(super) fn key<'a>(path: &'a str, all: &[&str]) -> &'a str {
    let last = |path: &'a str| path.rsplit('.').next().unwrap_or(path);
    let alike = all.iter().filter(|other| other.rsplit('.').next() == Some(last(path))).count();
    if alike > 1 { path } else { last(path) }
}

/// A variant's name: the ablation's part, then the matrix's.
pub(super) fn variant(ablation: &str, cell: &[String]) -> String {
    let parts = [ablation].into_iter().filter(|part| !part.is_empty()).chain(cell.iter().map(String::as_str));
    parts.collect::<Vec<_>>().join("@")
}

/// An arm's name: its variant, and its seed where that is not the first.
pub(super) fn arm(variant: &str, seed: Option<u64>) -> String {
    seed.map_or_else(|| variant.to_owned(), |seed| format!("{variant}#{seed}"))
}

/// A node without its place, or null.
pub(super) fn json(node: Option<&Node>) -> Value {
    node.map_or(Value::Null, Node::to_json)
}
