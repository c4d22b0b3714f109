//! Names of a model's parts → which parameters learn. Refuses to know how a part is computed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of the model that can be held fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The vision tower without its merger: patch embedding and blocks.
    Vision,
    /// The merger, which turns patches into tokens of the language model.
    Merger,
    /// Layers and final norm of the language model.
    Text,
    /// The token embedding. A tied head is the same tensor.
    Embed,
    /// The untied head.
    Head,
}
