//! Two JSON values → the fields that differ, by dotted path. Lists are compared as a whole.

use serde_json::Value;

use super::Change;

/// Every field that differs, in the order of the right side; what only the left one has comes last in its table.
pub fn fields(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    walk("", Some(old), Some(new), &mut changes);
    changes
}

fn walk(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for (name, value) in new {
                walk(&below(name), old.get(name), Some(value), changes);
            }
            for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
                walk(&below(name), Some(value), None, changes);
            }
        }
        // A table that is new or gone is as many fields as it has.
        (None, Some(Value::Object(new))) if !new.is_empty() => {
            new.iter().for_each(|(name, value)| walk(&below(name), None, Some(value), changes));
        }
        (Some(Value::Object(old)), None) if !old.is_empty() => {
            old.iter().for_each(|(name, value)| walk(&below(name), Some(value), None, changes));
        }
        (old, new) => changes.push(Change { field: path.to_owned(), old: old.cloned(), new: new.cloned() }),
    }
}
