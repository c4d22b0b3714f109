//! `${params.lr}` → the value it names. A string that is exactly one reference takes the type of what it names; a
//! reference within a longer string becomes text.

use std::collections::BTreeSet;

use super::source::{At, Span};
use super::tree::{Node, Table};
use crate::diagnostic::{Diagnostic, suggest};
use crate::vary::Variation;

/// What references may name.
pub(crate) struct Scope<'a> {
    /// `[params]`.
    params: &'a Table,
    /// `${seed}`: `[recipe] seed`, or that of an arm.
    pub seed: i64,
    /// Absolute folder of the recipe's file.
    dir: &'a str,
    /// Parameters that something names.
    pub used: BTreeSet<String>,
}

/// What `${each}` means here.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Each<'a> {
    /// Nothing: the stage has no `each`.
    Absent,
    /// An item that is not known yet: keep the reference.
    Later,
    /// This item.
    Item(&'a str),
}

impl<'a> Scope<'a> {
    /// A scope in which nothing was used yet.
    pub fn new(params: &'a Table, seed: i64, dir: &'a str) -> Self {
        Self { params, seed, dir, used: BTreeSet::new() }
    }

    /// Replaces every reference below a value; reports those that name nothing.
    pub fn resolve(&mut self, node: &mut At<Node>, each: Each<'_>, mistakes: &mut Vec<Diagnostic>) {
        match &mut node.value {
            Node::String(text) if text.contains("${") => {
                node.value = self.text(text, node.span, each, mistakes).unwrap_or(Node::Invalid);
            }
            Node::Array(items) => items.iter_mut().for_each(|item| self.resolve(item, each, mistakes)),
            Node::Table(table) => self.table(table, each, mistakes),
            Node::String(_) | Node::Integer(_) | Node::Float(_) | Node::Boolean(_) | Node::Invalid => {}
        }
    }

    /// [`Self::resolve`] for every value of a table.
    pub fn table(&mut self, table: &mut Table, each: Each<'_>, mistakes: &mut Vec<Diagnostic>) {
        table.0.values_mut().for_each(|entry| self.resolve(&mut entry.value, each, mistakes));
    }

    fn text(&mut self, text: &str, span: Span, each: Each<'_>, mistakes: &mut Vec<Diagnostic>) -> Option<Node> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            let Some(length) = rest[start..].find('}') else {
                mistakes.push(Diagnostic::error("reference", "this `${` has no `}`").at(span, ""));
                return None;
            };
            let name = &rest[start + 2..start + length];
            let whole = &rest[start..=start + length];
            match self.value(name, each) {
                Ok(value) if whole == text => return Some(value),
                Ok(Node::String(value)) => out.push_str(&value),
                Ok(value @ (Node::Integer(_) | Node::Float(_) | Node::Boolean(_))) => {
                    out.push_str(&value.to_json().to_string());
                }
                Ok(Node::Invalid) => return None,
                Ok(value) => {
                    let message = format!("`{whole}` is {} and can't be part of a string", value.type_name());
                    let help = format!("write `\"{whole}\"` alone, or name a string or a number");
                    mistakes.push(Diagnostic::error("reference", message).at(span, "").help(help));
                    return None;
                }
                Err(help) => {
                    let message = format!("`{whole}` names nothing");
                    mistakes.push(Diagnostic::error("reference", message).at(span, "").help(help));
                    return None;
                }
            }
            rest = &rest[start + length + 1..];
        }
        out.push_str(rest);
        Some(Node::String(out))
    }

    fn value(&mut self, name: &str, each: Each<'_>) -> Result<Node, String> {
        if let Some(path) = name.strip_prefix("params.") {
            let keys: Vec<_> = path.split('.').collect();
            self.used.insert(keys[0].to_owned());
            let found = self.params.descend(&keys).map(|entry| entry.value.value.clone());
            return found.ok_or_else(|| match self.params.get(keys[0]) {
                Some(_) => format!("`params.{}` has no such part", keys[0]),
                None => suggest(keys[0], "`[params]` has", self.params.0.keys().map(String::as_str)),
            });
        }
        match (name, each) {
            ("seed", _) => Ok(Node::Integer(self.seed)),
            ("recipe.dir", _) => Ok(Node::String(self.dir.to_owned())),
            ("each", Each::Item(item)) => Ok(Node::String(item.to_owned())),
            ("each", Each::Later) => Ok(Node::String("${each}".to_owned())),
            ("each", Each::Absent) => Err("`${each}` is for stages with `each = […]`".into()),
            _ => Err(suggest(name, "references", ["params.NAME", "each", "seed", "recipe.dir"])),
        }
    }
}

/// What `${seed}` means: in stages that vary with a seed of their own, that one.
pub(super) struct Seeds {
    /// The recipe's.
    pub root: i64,
    /// Another seed, and the names of the stages that have it.
    pub behind: Option<(i64, BTreeSet<String>)>,
}

impl Seeds {
    fn of(&self, stage: &str) -> i64 {
        let own = self.behind.as_ref().filter(|(_, stages)| stages.contains(stage));
        own.map_or(self.root, |(seed, _)| *seed)
    }
}

/// Replaces every reference but the `${each}` of stages that have one, warns of parameters that nothing names, and gives
/// the parameters.
pub(super) fn whole(table: &mut Table, dir: &str, seeds: &Seeds, mistakes: &mut Vec<Diagnostic>) -> Table {
    let mut params = match table.get("params").map(|entry| &entry.value) {
        Some(At { value: Node::Table(params), .. }) => params.clone(),
        Some(other) => {
            let message = format!("`params` is a table, not {}", other.value.type_name());
            mistakes.push(Diagnostic::error("wrong-type", message).at(other.span, ""));
            Table::default()
        }
        None => Table::default(),
    };
    let none = Table::default();
    Scope::new(&none, seeds.root, dir).table(&mut params, Each::Absent, mistakes);
    let mut scope = Scope::new(&params, seeds.root, dir);
    for (key, entry) in &mut table.0 {
        match &mut entry.value.value {
            Node::Table(stages) if key == "stages" => {
                for (name, stage) in &mut stages.0 {
                    scope.seed = seeds.of(name);
                    let has_each = matches!(&stage.value.value, Node::Table(table) if table.get("each").is_some());
                    let each = if has_each { Each::Later } else { Each::Absent };
                    scope.resolve(&mut stage.value, each, mistakes);
                }
                scope.seed = seeds.root;
            }
            // Arms put their values where the references in them mean something.
            _ if key == "params" || Variation::SECTIONS.contains(&key.as_str()) => {}
            _ => scope.resolve(&mut entry.value, Each::Absent, mistakes),
        }
    }
    for (name, entry) in params.in_order() {
        if !scope.used.contains(name) {
            let message = format!("nothing uses the parameter `{name}`");
            let help = format!("name it in a string, `\"${{params.{name}}}\"`, or remove it");
            mistakes.push(Diagnostic::warning("unused", message).at(entry.key, "").help(help));
        }
    }
    params
}
