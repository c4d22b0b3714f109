//! What is written of rows that are dropped, and of rows whose ids changed. Knows no rule.

use serde::{Deserialize, Serialize};

/// Name of the file of rows that a stage dropped.
pub const DROPPED: &str = "dropped.jsonl";
/// Name of the file of rows whose ids a stage changed.
pub const RENAMED: &str = "renamed.jsonl";

/// A row that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Its id.
    pub id: String,
    /// The input it came by, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which rule it broke.
    pub reason: String,
    /// What shows it.
    #[serde(default)]
    pub evidence: String,
    /// The row that stays in its stead, or that it must not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
}

/// A row that has another id now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// The id it has now.
    pub id: String,
    /// The input it came by.
    pub source: String,
    /// The id it had there.
    pub was: String,
}
