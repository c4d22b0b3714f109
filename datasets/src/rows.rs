//! What one item of a data set is, and how a recipe says to read it. Knows nothing of tokens.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One item of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Identity of the item: equal items have equal ids in every file.
    pub id: String,
    /// The user's text.
    pub prompt: String,
    /// System text; `None` leaves the choice to the chat template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Images in the order shown, before the text. Absolute after loading, relative to the folder in `rows.jsonl`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<PathBuf>,
    /// The final answer, without its reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Written-out reasoning that leads to the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Verbatim text of the assistant; wins over `reasoning` and `answer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// Options of a multiple-choice question, already part of `prompt` after loading.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Rows of one group never part: the unit of splits and leak checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What kind of question it is; metrics are broken down by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Difficulty, 1 (easiest) to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
}

impl Row {
    /// What the assistant should say: the verbatim response, else the reasoning in `<think>` tags and the boxed answer, else
    /// the boxed answer alone; `None` when the row has no answer of any form.
    pub fn target(&self) -> Option<String> {
        if let Some(response) = &self.response {
            return Some(response.clone());
        }
        let answer = self.answer.as_ref()?;
        Some(match &self.reasoning {
            Some(reasoning) => format!("<think>{reasoning}</think> \\boxed{{{answer}}}"),
            None => format!("\\boxed{{{answer}}}"),
        })
    }
}

/// How to read a file's rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowsView {
    /// Row field → column of the file: `prompt = "problem"`.
    pub columns: BTreeMap<String, String>,
    /// Text that separates written reasoning from the final answer inside the answer column (GSM8K: `####`).
    pub answer_marker: Option<String>,
    /// Column whose equal values stay in one split.
    pub group_by: Option<String>,
    /// Share of each split by name.
    pub splits: BTreeMap<String, f64>,
    /// The split taken; `None` takes every row.
    pub split: Option<String>,
    /// Takes at most this many rows.
    pub limit: Option<usize>,
}
