//! The layouts that data sets come in: which column is which field, and how their values are written. Chosen by name and
//! never guessed; a source that has no prompt is told which layouts would fit it.
//!
//! | layout | columns | as in |
//! | --- | --- | --- |
//! | `easyr1` | `problem`, `answer`, `images`; `<image>` where an image stands | `EasyR1`, and the sets of ReVisual-R1 |
//! | `sharegpt` | `conversations` of `from` and `value`; `image` or `images` | `ShareGPT`, `LLaVA`, LLaMA-Factory |
//! | `messages` | `messages` of `role` and `content`, which may hold `image` and `image_url` parts | `OpenAI` |
//! | `alpaca` | `instruction`, `input`, `output`, `system`, `history` of pairs | Stanford Alpaca, LLaMA-Factory |
//! | `gsm8k` | `question`, `answer` with `####` before the final answer | GSM8K |
//! | `choice-letter` | `question`, options, `answer` as `B` | MMLU-like sets |
//! | `choice-index` | the same, with `1` as the second option | |
//! | `choice-number` | the same, with `1` as the first option | |
//! | `choice-text` | the same, with the answer's text | |
//!
//! Options are a list or an object in `choices` or `options`, `{text, label}` as in ARC, or columns `A`, `B`, `C`, …. They
//! follow the prompt one a line, `A. …`, and the answer is the letter.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::RowsErrorKind;
use super::fields::{clipped, plain};

/// Most options of a question: the letters.
const MOST_OPTIONS: usize = 26;

/// How the columns of a data set are named and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// `problem`, `answer`, `images`.
    EasyR1,
    /// `conversations` of `from` and `value`.
    ShareGpt,
    /// `messages` of `role` and `content`.
    Messages,
    /// `instruction`, `input`, `output`.
    Alpaca,
    /// `question`, and `answer` with `####`.
    Gsm8k,
    /// Options, and the answer as one of them.
    Choice(AnswerAs),
}

/// How the answer names an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerAs {
    /// `B`.
    Letter,
    /// From 0.
    Index,
    /// From 1.
    Number,
    /// The text of the option.
    Text,
}

impl Layout {
    /// Every layout, in the order of the table above.
    pub const ALL: [Self; 9] = [
        Self::EasyR1,
        Self::ShareGpt,
        Self::Messages,
        Self::Alpaca,
        Self::Gsm8k,
        Self::Choice(AnswerAs::Letter),
        Self::Choice(AnswerAs::Index),
        Self::Choice(AnswerAs::Number),
        Self::Choice(AnswerAs::Text),
    ];

    /// The layout of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// What recipes call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::EasyR1 => "easyr1",
            Self::ShareGpt => "sharegpt",
            Self::Messages => "messages",
            Self::Alpaca => "alpaca",
            Self::Gsm8k => "gsm8k",
            Self::Choice(AnswerAs::Letter) => "choice-letter",
            Self::Choice(AnswerAs::Index) => "choice-index",
            Self::Choice(AnswerAs::Number) => "choice-number",
            Self::Choice(AnswerAs::Text) => "choice-text",
        }
    }

    /// Columns of a field that are not named as the field is; the first that a row has counts.
    pub fn columns(self, field: &str) -> &'static [&'static str] {
        match (self, field) {
            (Self::EasyR1, "prompt") => &["problem"],
            (Self::EasyR1 | Self::ShareGpt | Self::Choice(_), "images") => &["images", "image"],
            (Self::ShareGpt, "messages") => &["conversations"],
            (Self::Alpaca, "prompt") => &["instruction"],
            (Self::Alpaca, "response") => &["output"],
            (Self::Gsm8k | Self::Choice(_), "prompt") => &["question"],
            (Self::Choice(_), "choices") => &["choices", "options"],
            (Self::Choice(_), "answer") => &["answer", "answerKey"],
            _ => &[],
        }
    }

    /// Columns that are read besides those of fields.
    pub(super) fn extra_columns(self) -> Vec<String> {
        match self {
            Self::Alpaca => vec!["input".to_owned()],
            Self::Choice(_) => (0..MOST_OPTIONS).map(letter).collect(),
            _ => Vec::new(),
        }
    }

    /// Text between reasoning and answer, where the recipe names none.
    pub(super) fn marker(self) -> Option<&'static str> {
        (self == Self::Gsm8k).then_some("####")
    }

    /// Layouts that a record's columns could be of: what each needs is there.
    pub(super) fn fitting(columns: &Map<String, Value>) -> Vec<&'static str> {
        let has = |column: &str| columns.contains_key(column);
        let text = |column: &str| columns.get(column).and_then(Value::as_str).unwrap_or_default();
        let options = ["choices", "options"].iter().any(|column| has(column)) || (has("A") && has("B"));
        let number = columns.get("answer").is_some_and(|answer| answer.as_u64().is_some() || is_digits(text("answer")));
        let fits = |layout: &Self| match layout {
            Self::EasyR1 => has("problem") && has("answer"),
            Self::ShareGpt => has("conversations"),
            Self::Messages => has("messages"),
            Self::Alpaca => has("instruction") && has("output"),
            Self::Gsm8k => has("question") && text("answer").contains("####"),
            Self::Choice(_) if !has("question") || !options => false,
            Self::Choice(AnswerAs::Letter) => {
                let answer = if has("answerKey") { text("answerKey") } else { text("answer") };
                position(answer).is_some()
            }
            Self::Choice(AnswerAs::Index | AnswerAs::Number) => number,
            Self::Choice(AnswerAs::Text) => has("answer") && position(text("answer")).is_none(),
        };
        Self::ALL.iter().filter(|layout| fits(layout)).map(|layout| layout.name()).collect()
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn letter(position: usize) -> String {
    char::from(b'A' + position as u8).to_string()
}

/// The position of `B`, `(B)`, `b.`.
fn position(answer: &str) -> Option<usize> {
    match answer.trim().trim_matches(['(', ')', '.', ':']).as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(usize::from(letter.to_ascii_uppercase() - b'A')),
        _ => None,
    }
}

/// The options of a value: a list, an object by letter, or texts with labels; or else columns named by letters.
pub(super) fn options(
    column: &str,
    value: Option<&Value>,
    columns: &Map<String, Value>,
) -> Result<Vec<String>, RowsErrorKind> {
    let wrong = |value: &Value| RowsErrorKind::WrongType {
        column: column.to_owned(),
        wanted: "a list of options, or an object of them by letter",
        found: format!("`{}`", clipped(&value.to_string())),
    };
    let texts = |items: &[Value]| items.iter().map(plain).collect::<Option<Vec<_>>>();
    let found = match value {
        Some(value @ Value::Array(items)) => texts(items).ok_or_else(|| wrong(value))?,
        Some(value @ Value::Object(fields)) => match fields.get("text").or_else(|| fields.get("texts")) {
            Some(Value::Array(items)) => texts(items).ok_or_else(|| wrong(value))?,
            _ => lettered(fields).ok_or_else(|| wrong(value))?,
        },
        Some(value) => return Err(wrong(value)),
        None => (0..MOST_OPTIONS).map_while(|at| plain(columns.get(&letter(at))?)).collect(),
    };
    if found.len() < 2 || found.len() > MOST_OPTIONS {
        let message = format!(
            "it has {} options, and a question has 2 to {MOST_OPTIONS}; they stand in a list, or in columns `A`, `B`, …",
            found.len()
        );
        return Err(RowsErrorKind::Message { column: column.to_owned(), message });
    }
    Ok(found)
}

/// Options by letter, without a gap and without anything else; null stands for no option, as in Parquet.
fn lettered(fields: &Map<String, Value>) -> Option<Vec<String>> {
    let given = fields.iter().filter(|(_, value)| !value.is_null());
    let mut found = Vec::new();
    for (at, (key, value)) in given.enumerate() {
        let is_next = position(key) == Some(at);
        found.push(plain(value).filter(|_| is_next)?);
    }
    Some(found)
}

/// The letter of the option that an answer names.
pub(super) fn chosen(
    answer_as: AnswerAs,
    column: &str,
    answer: &str,
    options: &[String],
) -> Result<String, RowsErrorKind> {
    let number = || answer.trim().parse::<usize>().ok();
    let found = match answer_as {
        AnswerAs::Letter => position(answer),
        AnswerAs::Index => number(),
        AnswerAs::Number => number().and_then(|number| number.checked_sub(1)),
        AnswerAs::Text => {
            let mut equal = (0..options.len()).filter(|at| options[*at].trim() == answer.trim());
            equal.next().filter(|_| equal.next().is_none())
        }
    };
    found.filter(|at| *at < options.len()).map(letter).ok_or_else(|| {
        let (what, other) = match answer_as {
            AnswerAs::Letter => ("the letter", "`choice-text`, or `choice-index`"),
            AnswerAs::Index => ("the index from 0", "`choice-number` from 1, or `choice-letter`"),
            AnswerAs::Number => ("the number from 1", "`choice-index` from 0, or `choice-letter`"),
            AnswerAs::Text => ("the text, once,", "`choice-letter`, or `choice-index`"),
        };
        let (answer, options) = (clipped(answer), options.len());
        let message = format!("`{answer}` is not {what} of one of {options} options; another layout is {other}");
        RowsErrorKind::Message { column: column.to_owned(), message }
    })
}

/// Options one a line, after a question.
pub(super) fn listed(options: &[String]) -> String {
    let mut text = String::new();
    for (at, option) in options.iter().enumerate() {
        let _ = write!(text, "\n{}. {option}", letter(at));
    }
    text
}

/// Alpaca's instruction and input, as LLaMA-Factory joins them.
pub(super) fn instruction(instruction: &str, input: Option<&Value>) -> String {
    match input.and_then(Value::as_str).map(str::trim) {
        None | Some("") => instruction.to_owned(),
        Some(input) => format!("{instruction}\n{input}"),
    }
}

/// Alpaca's history, pairs of what was asked and answered, as messages.
pub(super) fn pairs(column: &str, value: &Value) -> Result<Value, RowsErrorKind> {
    let wrong = || RowsErrorKind::Message {
        column: column.to_owned(),
        message: "it must be a list of pairs, of what was asked and answered".into(),
    };
    let message = |role: &str, content: &Value| serde_json::json!({ "role": role, "content": content });
    let mut messages = Vec::new();
    for pair in value.as_array().ok_or_else(wrong)? {
        let [asked, answered] = &pair.as_array().ok_or_else(wrong)?[..] else { return Err(wrong()) };
        messages.extend([message("user", asked), message("assistant", answered)]);
    }
    Ok(Value::Array(messages))
}
