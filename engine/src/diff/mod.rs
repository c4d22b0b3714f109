//! Two of a kind → every field that differs: recipes, plans, runs, keys. Says what is different, never whether it matters:
//! why a stage has to run is the plan's to say. Prints nothing and reads nothing but JSON.

mod fields;
mod sides;

use serde::Serialize;
use serde_json::Value;

pub use fields::fields;
pub use sides::{Metrics, keys, plans, preimages, recipes, runs};

/// A field with two values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Dotted path.
    pub field: String,
    /// Value on the left; none if it is not there.
    pub old: Option<Value>,
    /// Value on the right; none if it is gone.
    pub new: Option<Value>,
}

/// Part of two things that differs: a section of a recipe, a stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// `stages.mrl`, `runtime`, `keys`.
    pub name: String,
    /// What differs; never empty.
    pub changes: Vec<Change>,
}

/// What lies between two things, part by part, in the order of the right one; what only the left one has comes last.
pub type Parts = Vec<Part>;

/// Parts of two things that differ.
fn parts(old: &[(String, Value)], new: &[(String, Value)]) -> Parts {
    let empty = Value::Object(serde_json::Map::new());
    let value =
        |side: &[(String, Value)], name: &str| side.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone());
    let gone = old.iter().filter(|(name, _)| value(new, name).is_none());
    let part = |(name, _): &(String, Value)| {
        let side = |side| value(side, name).unwrap_or_else(|| empty.clone());
        let changes = fields(&side(old), &side(new));
        (!changes.is_empty()).then(|| Part { name: name.clone(), changes })
    };
    new.iter().chain(gone).filter_map(part).collect()
}

#[cfg(test)]
mod tests;
