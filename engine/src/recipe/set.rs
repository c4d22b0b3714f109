//! `--set stages.mrl.params.lr=2e-6` → a tree with one leaf. The value is TOML; a bare word is a string.

use super::source::{At, SourceId, Span};
use super::tree::{self, Entry, Node, Table};
use crate::diagnostic::Diagnostic;

/// Reads one edit, which begins at byte `offset` of its source.
pub(super) fn parse(edit: &str, source: SourceId, offset: usize, mistakes: &mut Vec<Diagnostic>) -> Option<Table> {
    let whole = Span::new(source, offset..offset + edit.len());
    let Some((key, value)) = edit.split_once('=') else {
        let help = "write `--set stages.NAME.params.KEY=VALUE`";
        mistakes.push(Diagnostic::error("set", "`--set` takes a key and a value").at(whole, "no `=`").help(help));
        return None;
    };
    let mut trial = Vec::new();
    if let Some(table) = tree::parse(edit, source, offset, &mut trial) {
        mistakes.append(&mut trial);
        return Some(table);
    }
    let Some(mut table) = tree::parse(&format!("{key}=0"), source, offset, &mut Vec::new()) else {
        let place = Span::new(source, offset..offset + key.len());
        let help = "a key is a dotted path such as `stages.mrl.params.lr`";
        mistakes.push(Diagnostic::error("set", format!("`{key}` is not a key")).at(place, "").help(help));
        return None;
    };
    let place = Span::new(source, offset + key.len() + 1..offset + edit.len());
    if !is_bare_word(value) {
        let help = format!("a string with such characters needs quotes: `--set '{key}=\"…\"'`");
        mistakes.push(Diagnostic::error("set", "this value is not TOML").at(place, "").help(help));
        return None;
    }
    replace_leaf(&mut table, &At::new(Node::String(value.trim().to_owned()), place));
    Some(table)
}

/// Text that nobody can mistake for TOML: a word, a path, a reference.
fn is_bare_word(value: &str) -> bool {
    let value = value.trim();
    value.starts_with(|c: char| c.is_alphabetic() || "/._~$".contains(c))
        && !value.contains(|c: char| c.is_control() || "\"'[]\\#=".contains(c))
}

fn replace_leaf(table: &mut Table, leaf: &At<Node>) {
    for Entry { value, .. } in table.0.values_mut() {
        match &mut value.value {
            Node::Table(below) => replace_leaf(below, leaf),
            _ => *value = leaf.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipe::Sources;

    fn parsed(edit: &str) -> Result<serde_json::Value, Vec<Diagnostic>> {
        let source = Sources::default().add("command line", Path::new(""), format!("--set {edit}"));
        let mut mistakes = Vec::new();
        match parse(edit, source, 6, &mut mistakes) {
            Some(table) if mistakes.is_empty() => Ok(table.to_json()),
            _ => Err(mistakes),
        }
    }

    #[test]
    fn values_are_toml_and_bare_words_are_strings() {
        assert_eq!(parsed("a.b=2e-6").unwrap(), serde_json::json!({"a": {"b": 2e-6}}));
        assert_eq!(parsed("a=[1, 2]").unwrap(), serde_json::json!({"a": [1, 2]}));
        assert_eq!(parsed("a=true").unwrap(), serde_json::json!({"a": true}));
        assert_eq!(parsed("a.\"b.c\"=cosine").unwrap(), serde_json::json!({"a": {"b.c": "cosine"}}));
        assert_eq!(parsed("a=file:../x/y.jsonl").unwrap(), serde_json::json!({"a": "file:../x/y.jsonl"}));
    }

    #[test]
    fn what_is_neither_is_refused_where_it_stands() {
        for (edit, start) in [("a", 6), ("a b=1", 6), ("a=[1,", 8), ("a=1e", 8), ("a=nan", 8)] {
            let mistakes = parsed(edit).unwrap_err();
            assert_eq!(mistakes[0].labels[0].span.start, start, "{edit}");
        }
    }
}
