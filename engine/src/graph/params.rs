//! A stage's parameters: decoded by its kind, and every mistake brought back to the line that made it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::expand::Draft;
use crate::diagnostic::{Diagnostic, suggest};
use crate::recipe::{Entry, Node, Span, Table};
use crate::stage::{AnyKind, AnyStage, DecodeError};

/// Decodes parameters; none if that is impossible, with every reason reported.
pub(super) fn decode(
    kind: &'static dyn AnyKind,
    draft: &Draft<'_>,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Box<dyn AnyStage>> {
    let mut params = draft.params.value.to_json();
    let first = match kind.decode(&params) {
        Ok(stage) => return Some(stage),
        Err(error) => error,
    };
    let schema = kind.schema();
    let mut walk = Walk { root: &schema, draft, kind, mistakes, found: 0 };
    walk.object(&schema, &mut params, &mut Vec::new());
    let mut found = walk.found;
    // serde stops at its first mistake: report it, take the value out, and ask again for the next one.
    let mut error = if found == 0 { Some(first) } else { kind.decode(&params).err() };
    let mut seen = BTreeSet::new();
    while let Some(DecodeError { path, message }) = error {
        // A key that the walk has taken out or reported as missing comes back as a missing field of its parent.
        if !(message.starts_with("missing field") && found > 0) {
            mistakes.push(refused(draft, kind, &path, &message));
            found += 1;
        }
        if !seen.insert(path.clone()) || !remove(&mut params, &path) {
            break;
        }
        error = kind.decode(&params).err();
    }
    None
}

/// Where a dotted path below `params` was written: the value itself, or the nearest thing around it.
pub(super) fn place(draft: &Draft<'_>, path: &str) -> Span {
    let mut span = draft.params.span;
    let mut node: Option<&Node> = None;
    for key in path.split(['.', '[']).filter(|key| !key.is_empty()) {
        let next = match node {
            None => draft.params.value.get(key).map(|entry| (&entry.value.value, entry.value.span)),
            Some(Node::Table(table)) => table.get(key).map(|entry| (&entry.value.value, entry.value.span)),
            Some(Node::Array(items)) => {
                let index = key.trim_end_matches(']').parse::<usize>().ok();
                index.and_then(|index| items.get(index)).map(|item| (&item.value, item.span))
            }
            Some(_) => None,
        };
        let Some((below, at)) = next else { break };
        (node, span) = (Some(below), at);
    }
    span
}

fn refused(draft: &Draft<'_>, kind: &dyn AnyKind, path: &str, message: &str) -> Diagnostic {
    let span = place(draft, path);
    let quoted: Vec<_> = message.split('`').skip(1).step_by(2).collect();
    let name = if path.is_empty() { "params" } else { path };
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return missing(draft, kind, path, field);
    }
    if message.starts_with("unknown variant") && quoted.len() > 1 {
        let help = suggest(quoted[0], "choices", quoted[1..].iter().copied());
        let message = format!("`{name}` of stage `{}` can't be `{}`", draft.entry.name.value, quoted[0]);
        return Diagnostic::error("param", message).at(span, "").help(help);
    }
    if message.starts_with("unknown field") && !quoted.is_empty() {
        let help = suggest(quoted[0], "it takes", quoted[1..].iter().copied());
        let message = format!("`{name}` of stage `{}` takes no `{}`", draft.entry.name.value, quoted[0]);
        return Diagnostic::error("unknown-param", message).at(span, "unknown").help(help);
    }
    let message_of_type = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let label = message_of_type.and_then(|rest| rest.rsplit_once(", expected ")).map(|(found, expected)| {
        format!("expected {}, found {}", words(expected), found.replace("floating point", "number"))
    });
    let text = format!("`{name}` of stage `{}` does not fit", draft.entry.name.value);
    Diagnostic::error("param", text).at(span, label.unwrap_or_else(|| message.to_owned()))
}

/// serde's names of Rust types in plain words.
fn words(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a sequence" => "a list",
        other => other.strip_prefix("struct ").map_or(other, |_| "a table"),
    }
}

fn missing(draft: &Draft<'_>, kind: &dyn AnyKind, path: &str, field: &str) -> Diagnostic {
    let of = if path.is_empty() { String::new() } else { format!("`{path}` of ") };
    let message = format!("{of}stage `{}` needs the parameter `{field}`", draft.entry.name.value);
    let help = format!("`curricle kinds show {}` says what it means", kind.name());
    let at =
        if path.is_empty() && draft.params.value.0.is_empty() { draft.entry.name.span } else { place(draft, path) };
    Diagnostic::error("missing-param", message).at(at, format!("`{field}` is missing")).help(help)
}

/// Takes a value out of the parameters, so that what comes after it can be judged.
fn remove(params: &mut Value, path: &str) -> bool {
    let keys: Vec<_> = path.split('.').collect();
    let Some((last, parents)) = keys.split_last() else { return false };
    let parent = parents.iter().try_fold(params, |value, key| value.get_mut(key));
    parent.and_then(Value::as_object_mut).is_some_and(|object| object.remove(*last).is_some())
}

/// Compares parameters with the kind's schema: finds all unknown and all missing keys, where serde tells the first.
struct Walk<'a, 'd, 'm> {
    root: &'a Value,
    draft: &'a Draft<'d>,
    kind: &'static dyn AnyKind,
    mistakes: &'m mut Vec<Diagnostic>,
    found: usize,
}

impl<'a> Walk<'a, '_, '_> {
    fn object(&mut self, schema: &'a Value, value: &mut Value, path: &mut Vec<String>) {
        let Value::Object(map) = value else { return };
        let Some(shape) = self.shape(schema, map) else { return };
        if shape.closed {
            let unknown: Vec<_> = map.keys().filter(|key| !shape.properties.contains_key(*key)).cloned().collect();
            for key in unknown {
                map.remove(&key);
                let known = shape.properties.keys().map(String::as_str);
                let diagnostic = self.unknown(path, &key, suggest(&key, "it takes", known));
                self.mistakes.push(diagnostic);
                self.found += 1;
            }
        }
        for field in shape.required.iter().filter(|field| !map.contains_key(**field)) {
            self.mistakes.push(missing(self.draft, self.kind, &path.join("."), field));
            self.found += 1;
        }
        for (key, below) in map.iter_mut() {
            if let Some(schema) = shape.properties.get(key).copied().or(shape.others) {
                path.push(key.clone());
                self.object(schema, below, path);
                path.pop();
            }
        }
    }

    fn unknown(&self, path: &[String], key: &str, help: String) -> Diagnostic {
        let mut table: Option<&Table> = Some(&self.draft.params.value);
        for parent in path {
            table = match table.and_then(|table| table.get(parent)).map(|entry| &entry.value.value) {
                Some(Node::Table(below)) => Some(below),
                _ => None,
            };
        }
        let span = table.and_then(|table| table.get(key)).map_or(self.draft.params.span, |entry: &Entry| entry.key);
        let place = if path.is_empty() { String::new() } else { format!("`{}` of ", path.join(".")) };
        let message =
            format!("{place}stage `{}` (kind `{}`) takes no `{key}`", self.draft.entry.name.value, self.kind.name());
        Diagnostic::error("unknown-param", message).at(span, "unknown").help(help)
    }

    /// The keys that a table takes here; none where the schema leaves it open or several alternatives fit.
    fn shape(&self, schema: &'a Value, map: &Map<String, Value>) -> Option<Shape<'a>> {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            return self.shape(self.root.pointer(target.trim_start_matches('#'))?, map);
        }
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let properties = schema.get("properties").and_then(Value::as_object);
        if properties.is_some() || others.is_some() {
            let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
            let required = required.iter().filter_map(Value::as_str).collect();
            return Some(Shape {
                properties: properties.into_iter().flatten().map(|(key, value)| (key.clone(), value)).collect(),
                required,
                closed,
                others,
            });
        }
        let alternatives = ["allOf", "anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array())?;
        let mut fitting = alternatives.iter().filter(|one| may_be(one, map)).filter_map(|one| self.shape(one, map));
        let shape = fitting.next()?;
        fitting.next().is_none().then_some(shape)
    }
}

/// Could the table be this alternative, judged by its constant keys (`kind = "pad"`)?
fn may_be(schema: &Value, map: &Map<String, Value>) -> bool {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return true };
    properties.iter().all(|(key, property)| match property.get("const") {
        Some(constant) => map.get(key) == Some(constant),
        None => true,
    })
}

struct Shape<'a> {
    properties: std::collections::BTreeMap<String, &'a Value>,
    required: Vec<&'a str>,
    closed: bool,
    /// Schema of keys of any other name.
    others: Option<&'a Value>,
}
