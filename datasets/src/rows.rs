//! A file of JSON objects → rows, read the way a recipe says: columns, answer marker, splits. Knows nothing of tokens.

mod messages;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::messages::{Speaker, Turn};
use crate::chat::IMAGE_PLACEHOLDER;
use crate::jsonl::{self, Record};
use crate::split::Split;

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
    /// Images in the order shown: one for each `<image>` of the history and the prompt, or else before the prompt. Absolute
    /// after loading, relative to the folder in `rows.jsonl`.
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

/// Why rows could not be read: where, and what is wrong there.
#[derive(Debug, thiserror::Error)]
#[error("cannot read rows from `{}{}`: {kind}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct RowsError {
    /// The file or folder.
    pub file: PathBuf,
    /// Line of a JSONL file or item of an array, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub kind: RowsErrorKind,
}

/// What is wrong with a file of rows; every message ends with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowsErrorKind {
    /// Nothing lies there.
    #[error("there is no such file or folder")]
    Absent,
    /// The disk said no.
    #[error("{0}")]
    Io(crate::fs::FsError),
    /// A folder without rows.
    #[error("the folder holds neither `rows.jsonl` nor a `.jsonl` or `.json` file")]
    NoFile,
    /// A folder with too many candidates.
    #[error("the folder holds several files of rows ({}); name one of them in `source`", .0.join(", "))]
    SeveralFiles(Vec<String>),
    /// Text that is not JSON.
    #[error("not valid JSON ({0}); each line must be one object, or the whole file one array of objects")]
    Json(String),
    /// JSON, but no object.
    #[error("a row must be a JSON object, such as {{\"prompt\": \"…\", \"answer\": \"…\"}}")]
    NotAnObject,
    /// A field's column is missing.
    #[error("no column `{column}` for `{field}`; the columns are {}; map one with `columns = {{ {field} = \"…\" }}`", .present.join(", "))]
    MissingColumn {
        /// The row field.
        field: String,
        /// The column looked for.
        column: String,
        /// What there is.
        present: Vec<String>,
    },
    /// `columns` names a field that rows do not have.
    #[error("`columns` names the field `{0}`, which rows do not have; fields are {fields}", fields = FIELDS.join(", "))]
    UnknownField(String),
    /// A value of the wrong type.
    #[error("column `{column}` must hold {wanted}, but holds {found}")]
    WrongType {
        /// The column.
        column: String,
        /// What it must hold.
        wanted: &'static str,
        /// What it holds.
        found: String,
    },
    /// The answer column lacks the marker.
    #[error("column `{column}` has no `{marker}` before the final answer; correct the row or `answer_marker`")]
    NoMarker {
        /// The answer column.
        column: String,
        /// The marker looked for.
        marker: String,
    },
    /// A column of messages that is none.
    #[error("column `{column}`: {message}")]
    Message {
        /// The column.
        column: String,
        /// What is wrong, and where in it.
        message: String,
    },
    /// Images and their places in the turns disagree.
    #[error(
        "the row has {images} images, but its turns have {places} places for them (`<image>`, or parts of type `image`); name each image once, in order"
    )]
    Images {
        /// Images of the row.
        images: usize,
        /// `<image>` and parts of type `image` in its turns.
        places: usize,
    },
    /// An image that is not there.
    #[error("image `{}` does not exist; paths are relative to the folder of the file of rows", .0.display())]
    MissingImage(PathBuf),
    /// A split that is not declared.
    #[error("no split `{split}`; `splits` declares {}", if .declared.is_empty() { "none".to_owned() } else { .declared.join(", ") })]
    UnknownSplit {
        /// The split asked for.
        split: String,
        /// The splits there are.
        declared: Vec<String>,
    },
    /// Shares that are no shares.
    #[error("the shares of `splits` must lie between 0 and 1 and add up to at most 1, not {0}")]
    BadShares(f64),
}

impl RowsError {
    pub(crate) fn new(file: &Path, line: Option<usize>, kind: RowsErrorKind) -> Self {
        Self { file: file.to_owned(), line, kind }
    }
}

/// Fields that `columns` may map.
pub const FIELDS: [&str; 13] = [
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
    "level",
    "messages",
    "history",
];

/// Reads rows from a folder or file (see [`jsonl::find`]) the way `view` says.
///
/// Rows hold a `prompt`, or whole chats under `messages`; see [`Turn`] and [`Row::history`].
/// Options of a multiple-choice row are appended to its prompt; the answer marker splits reasoning from answer; rows are
/// taken by the hash of their group, so adding rows never moves others between splits; images must exist. Rows without an
/// id get one from their content, and a repeated id gets `#2`, `#3`, … so that ids are unique within a file.
pub fn load(path: &Path, view: &RowsView) -> Result<Vec<Row>, RowsError> {
    let file = jsonl::find(path)?;
    let split = Split::of(view).map_err(|kind| RowsError::new(&file, None, kind))?;
    if let Some(field) = view.columns.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(RowsError::new(&file, None, RowsErrorKind::UnknownField(field.clone())));
    }
    let records = jsonl::read(&file)?;
    mapped_columns_exist(&file, view, &records)?;
    let base = std::path::absolute(file.parent().unwrap_or(Path::new("."))).unwrap_or_default();
    let mut seen = BTreeMap::<String, usize>::new();
    let mut rows = Vec::new();
    for record in &records {
        if view.limit.is_some_and(|limit| rows.len() >= limit) {
            break;
        }
        let at = |kind| RowsError::new(&file, Some(record.line), kind);
        let mut row = Fields { record, view }.row().map_err(at)?;
        if !split.takes(row.group.as_deref().unwrap_or(&row.id)) {
            continue;
        }
        for image in &mut row.images {
            *image = base.join(&*image);
            if !image.is_file() {
                return Err(at(RowsErrorKind::MissingImage(image.clone())));
            }
        }
        let count = seen.entry(row.id.clone()).or_default();
        *count += 1;
        if *count > 1 {
            row.id = format!("{}#{count}", row.id);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// A column that no row has is a mistake in the recipe; a column that some rows lack is an absent value.
fn mapped_columns_exist(file: &Path, view: &RowsView, records: &[Record]) -> Result<(), RowsError> {
    let group = view.group_by.as_ref().map(|column| ("group_by", column));
    for (field, column) in view.columns.iter().map(|(field, column)| (field.as_str(), column)).chain(group) {
        if !records.is_empty() && !records.iter().any(|record| record.columns.contains_key(column)) {
            return Err(RowsError::new(file, None, missing(field, column, &records[0])));
        }
    }
    Ok(())
}

fn missing(field: &str, column: &str, record: &Record) -> RowsErrorKind {
    RowsErrorKind::MissingColumn {
        field: field.into(),
        column: column.into(),
        present: record.columns.keys().map(|key| format!("`{key}`")).collect(),
    }
}

/// One record read through a view.
struct Fields<'a> {
    record: &'a Record,
    view: &'a RowsView,
}

impl<'a> Fields<'a> {
    fn row(&self) -> Result<Row, RowsErrorKind> {
        let (answer, reasoning) = self.answer()?;
        let group = match &self.view.group_by {
            Some(column) => self.record.columns.get(column).and_then(plain),
            None => self.text("group")?,
        };
        let mut row =
            Row { answer, reasoning, group, task: self.text("task")?, level: self.level()?, ..Row::default() };
        let parts = self.talk(&mut row)?;
        if let Some(response) = self.text("response")? {
            row.response = Some(response);
        }
        if let Some(system) = self.text("system")? {
            row.system = Some(system);
        }
        row.images = self.images(parts, &row)?;
        row.choices = self.list("choices")?;
        if !row.choices.is_empty() {
            let options = format!("Options: {}", row.choices.join(", "));
            if !row.prompt.ends_with(&options) {
                row.prompt = format!("{}\n{options}", row.prompt);
            }
        }
        row.id = match self.text("id")? {
            Some(id) => id,
            None => content_id(&row),
        };
        Ok(row)
    }

    /// What is said before the answer: a prompt and what came before it, or a whole chat. A chat beside a prompt counts only
    /// where `columns` names it. Returns how many images must be there.
    fn talk(&self, row: &mut Row) -> Result<usize, RowsErrorKind> {
        let prompt = self.text("prompt")?;
        let chat = self.value("messages").filter(|_| prompt.is_none() || self.view.columns.contains_key("messages"));
        if let Some(chat) = chat {
            let (turns, shown) = messages::turns(self.column("messages"), chat)?;
            messages::part(self.column("messages"), turns, row)?;
            return Ok(shown);
        }
        row.prompt = prompt.ok_or_else(|| missing("prompt", self.column("prompt"), self.record))?;
        let Some(history) = self.value("history") else { return Ok(0) };
        let (turns, shown) = messages::turns(self.column("history"), history)?;
        row.history = turns;
        Ok(shown)
    }

    /// The row's images; where its turns have places for them, one for each. `parts` of the places can be nothing else.
    fn images(&self, parts: usize, row: &Row) -> Result<Vec<PathBuf>, RowsErrorKind> {
        let images: Vec<PathBuf> = self.list("images")?.into_iter().map(PathBuf::from).collect();
        let said = row.history.iter().map(|turn| &turn.content).chain([&row.prompt]);
        let places = said.map(|text| text.matches(IMAGE_PLACEHOLDER).count()).sum();
        let bound = parts > 0 || (places > 0 && !images.is_empty());
        if bound && images.len() != places {
            return Err(RowsErrorKind::Images { images: images.len(), places });
        }
        Ok(images)
    }

    fn column(&self, field: &'a str) -> &'a str {
        self.view.columns.get(field).map_or(field, String::as_str)
    }

    fn value(&self, field: &'a str) -> Option<&'a Value> {
        self.record.columns.get(self.column(field)).filter(|value| !value.is_null())
    }

    fn text(&self, field: &'a str) -> Result<Option<String>, RowsErrorKind> {
        let Some(value) = self.value(field) else { return Ok(None) };
        plain(value).map(Some).ok_or_else(|| self.wrong(field, "text or a number", value))
    }

    fn list(&self, field: &'a str) -> Result<Vec<String>, RowsErrorKind> {
        let Some(value) = self.value(field) else { return Ok(Vec::new()) };
        let items = match value {
            Value::Array(items) => items.iter().map(plain).collect(),
            other => plain(other).map(|item| vec![item]),
        };
        items.ok_or_else(|| self.wrong(field, "text or a list of texts", value))
    }

    fn level(&self) -> Result<Option<u8>, RowsErrorKind> {
        let Some(value) = self.value("level") else { return Ok(None) };
        let level = plain(value).and_then(|text| text.trim_start_matches("Level ").parse().ok());
        level.map(Some).ok_or_else(|| self.wrong("level", "a whole number up to 255", value))
    }

    /// Final answer and reasoning; the marker, where there is one, stands between them in the answer's column.
    fn answer(&self) -> Result<(Option<String>, Option<String>), RowsErrorKind> {
        let (answer, reasoning) = (self.text("answer")?, self.text("reasoning")?);
        let (Some(text), Some(marker)) = (&answer, &self.view.answer_marker) else { return Ok((answer, reasoning)) };
        let Some((before, after)) = text.rsplit_once(marker.as_str()) else {
            return Err(RowsErrorKind::NoMarker { column: self.column("answer").into(), marker: marker.clone() });
        };
        let written = without_calculator_marks(before).trim().to_owned();
        Ok((Some(after.trim().to_owned()), reasoning.or((!written.is_empty()).then_some(written))))
    }

    fn wrong(&self, field: &'a str, wanted: &'static str, value: &Value) -> RowsErrorKind {
        let found: String = value.to_string().chars().take(60).collect();
        RowsErrorKind::WrongType { column: self.column(field).into(), wanted, found: format!("`{found}`") }
    }
}

/// Text of a scalar; a float without a fraction reads as a whole number, as answers such as `51.0` mean.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
            _ => number.to_string(),
        }),
        _ => None,
    }
}

/// GSM8K writes `48/2 = <<48/2=24>>24`; the marks in angle brackets were made for a calculator, not for a reader.
fn without_calculator_marks(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once("<<") {
        kept.push_str(before);
        let Some((_, after)) = after.split_once(">>") else {
            kept.push_str("<<");
            rest = after;
            continue;
        };
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// An id made of what the row asks and answers.
fn content_id(row: &Row) -> String {
    let mut hasher = blake3::Hasher::new();
    let images = row.images.iter().map(|image| image.to_string_lossy().into_owned());
    let answer = row.answer.iter().chain(&row.response).cloned();
    let history = row.history.iter().flat_map(|turn| [turn.role.name().to_owned(), turn.content.clone()]);
    let asked = [row.prompt.clone(), row.system.clone().unwrap_or_default()];
    for part in asked.into_iter().chain(images).chain(answer).chain(history) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests;
