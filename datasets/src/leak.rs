//! When are two items the same, and which items are spoken for? Knows identities, not what they stand for.

pub(crate) mod detail;
pub mod look;
pub mod search;
pub mod words;

use std::collections::BTreeSet;

use crate::rows::Row;

/// Identity of whatever a canonical key names: the first 16 hex digits of its blake3 hash.
pub fn identity(key: &str) -> String {
    blake3::hash(key.as_bytes()).to_hex()[..16].to_owned()
}

/// Items that another split holds, by id and by group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    ids: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl Taken {
    /// Adds rows of another split.
    pub fn add<'a>(&mut self, rows: impl IntoIterator<Item = &'a Row>) {
        for row in rows {
            self.ids.insert(row.id.clone());
            self.groups.extend(row.group.clone());
        }
    }

    /// Is this row, or another row of its group, in another split?
    pub fn holds(&self, row: &Row) -> bool {
        self.ids.contains(&row.id) || row.group.as_ref().is_some_and(|group| self.groups.contains(group))
    }
}
