//! What a kind says of the numbers that it measures, so that whoever asks for one can be told of a slip before anything runs.

/// A number that a stage writes into `metrics.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name; a final `*` stands for any text.
    pub name: String,
    /// Is it the mean of the scores in `items.jsonl`, all of them or those of one group or task?
    pub of_items: bool,
}

impl Metric {
    /// A mean of scores of items.
    pub fn of_items(name: impl Into<String>) -> Self {
        Self { name: name.into(), of_items: true }
    }

    /// Any other number.
    pub fn other(name: impl Into<String>) -> Self {
        Self { name: name.into(), of_items: false }
    }

    /// Does it go by this name?
    pub fn is(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(start) => name.len() > start.len() && name.starts_with(start),
            None => self.name == name,
        }
    }
}
