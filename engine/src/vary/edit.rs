//! `set` and `unset` of an arm, on values as they were written. What is set replaces what stood there as a whole: an arm
//! that sets `select = { kind = "none" }` keeps no other key of `select`.

use super::Setting;
use crate::diagnostic::{Diagnostic, suggest};
use crate::recipe::{At, Entry, Node, Table};

/// Sections whose entries have names: a path below a name that is not there is a slip, not a new entry.
const NAMED: [&str; 4] = ["stages", "models", "data", "gates"];

/// Puts a value where the path leads.
pub(super) fn apply(table: &mut Table, setting: &Setting, mistakes: &mut Vec<Diagnostic>) {
    let keys: Vec<_> = setting.path.value.split('.').collect();
    match &setting.value {
        Some(value) => set(table, &keys, &setting.path, value, mistakes),
        // What names a stage is for the arm's wiring: others may read from it.
        None if matches!(keys[..], ["stages", _]) && table.descend(&keys).is_some() => {}
        None => {
            if !table.remove(&keys) {
                let message = format!("there is no `{}` to unset", setting.path.value);
                let help = "an arm can unset what the recipe as written has";
                mistakes.push(Diagnostic::error("unset", message).at(setting.path.span, "").help(help));
            }
        }
    }
}

fn set(table: &mut Table, keys: &[&str], path: &At<String>, value: &At<Node>, mistakes: &mut Vec<Diagnostic>) {
    if let [section, name, _, ..] = keys
        && NAMED.contains(section)
        && let Some(Node::Table(entries)) = table.get(section).map(|entry| &entry.value.value)
        && entries.get(name).is_none()
    {
        let message = format!("there is no `{section}.{name}` in the recipe as written");
        let help = suggest(name, &format!("`[{section}]` has"), entries.0.keys().map(String::as_str));
        mistakes.push(Diagnostic::error("unknown-reference", message).at(path.span, "").help(help));
        return;
    }
    let Some((last, parents)) = keys.split_last() else { return };
    let mut table = table;
    for key in parents {
        let fresh = || Entry { key: path.span, value: At::new(Node::Table(Table::default()), path.span) };
        let entry = table.0.entry((*key).to_owned()).or_insert_with(fresh);
        match &mut entry.value.value {
            Node::Table(below) => table = below,
            other => {
                let message = format!("`{}` leads through `{key}`, which is {}", path.value, other.type_name());
                let found = Diagnostic::error("wrong-type", message).at(path.span, "").at(entry.value.span, "here");
                mistakes.push(found.help(format!("set `{key}` itself, to a table")));
                return;
            }
        }
    }
    // The key keeps its place, so that stages keep their order.
    let key = table.get(last).map_or(path.span, |entry| entry.key);
    table.0.insert((*last).to_owned(), Entry { key, value: value.clone() });
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::recipe::{Sources, Span, parse_table};

    fn applied(text: &str, path: &str, value: Option<Node>) -> Result<serde_json::Value, String> {
        let mut sources = Sources::default();
        let source = sources.add("x", Path::new("."), text);
        let mut table = parse_table(text, source);
        let span = Span::new(source, 0..1);
        let setting = Setting { path: At::new(path.into(), span), value: value.map(|node| At::new(node, span)) };
        let mut mistakes = Vec::new();
        apply(&mut table, &setting, &mut mistakes);
        mistakes.pop().map_or_else(|| Ok(table.to_json()), |mistake| Err(mistake.message))
    }

    #[test]
    fn a_value_replaces_the_whole_and_makes_its_way() {
        let text = "[a.select]\nkind = 'pad'\nlow = 1\n";
        let none = Node::Table(Table::default());
        assert_eq!(applied(text, "a.select", Some(none)), Ok(json!({"a": {"select": {}}})));
        let deep = applied(text, "a.kl.coef", Some(Node::Integer(2))).unwrap();
        assert_eq!(deep["a"]["kl"], json!({"coef": 2}));
        assert_eq!(applied(text, "a.select.low", None).unwrap()["a"]["select"], json!({"kind": "pad"}));
    }

    #[test]
    fn slips_are_refused() {
        let text = "[stages.mrl]\nkind = 'x'\n";
        let one = || Some(Node::Integer(1));
        assert!(applied(text, "stages.mlr.params.lr", one()).unwrap_err().contains("no `stages.mlr`"));
        assert!(applied(text, "stages.mrl.kind.x", one()).unwrap_err().contains("which is a string"));
        assert!(applied(text, "stages.mrl.each", None).unwrap_err().contains("to unset"));
        assert!(applied(text, "stages.new", one()).is_ok(), "an arm may add a stage");
    }
}
