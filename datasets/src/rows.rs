//! Records → rows, read the way a recipe says: columns, answer marker, splits. Knows nothing of formats or tokens.

mod error;
mod fields;
mod images;
mod layout;
mod messages;
mod stream;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::image::{ImageSource, Keeper};

pub use self::error::{RowsError, RowsErrorKind};
pub use self::layout::{AnswerAs, Layout};
pub use self::messages::{Speaker, Turn};
pub use self::stream::{Rows, stream};

/// One item of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Identity of the item: equal items have equal ids in every file.
    pub id: String,
    /// The user's text: the last turn before the answer.
    pub prompt: String,
    /// Turns before the prompt, oldest first; what the assistant says in them is learnt, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Turn>,
    /// System text; `None` leaves the choice to the chat template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Images in the order shown: one for each `<image>` of the history and the prompt, or else before the prompt. Paths
    /// are absolute after loading, and relative to the folder in `rows.jsonl`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageSource>,
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
    /// What it is about, where somebody has found that out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The set that it was taken from, where several were mixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Difficulty, 1 (easiest) upwards.
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

/// How to read the rows of a file or folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowsView {
    /// The data set's layout; `columns` wins over it.
    pub layout: Option<Layout>,
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
    /// Which files of a folder hold them: `train-*`. `None` where the folder holds one set.
    pub files: Option<String>,
    /// The rows come from elsewhere: they may name no image outside their folder.
    pub confined: bool,
}

/// Fields that `columns` may map.
pub const FIELDS: [&str; 15] = [
    "id",
    "prompt",
    "system",
    "images",
    "answer",
    "reasoning",
    "response",
    "choices",
    "group",
    "task",
    "topic",
    "source",
    "level",
    "messages",
    "history",
];

/// Reads rows from a folder or file the way `view` says; see [`stream`]. Of images that come with the rows, few megabytes stay
/// in memory: the rest waits in a scratch file.
pub fn load(path: &Path, view: &RowsView) -> Result<Vec<Row>, RowsError> {
    let mut keeper = Keeper::default();
    let mut rows = Vec::new();
    for row in stream(path, view)? {
        let mut row = row?;
        for image in &mut row.images {
            keeper.keep(image).map_err(|error| RowsError::new(path, None, RowsErrorKind::Io(error)))?;
        }
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
