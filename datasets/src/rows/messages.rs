//! A column of chat messages → the fields of a row. Knows nothing of templates.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Row, RowsErrorKind};
use crate::chat::IMAGE_PLACEHOLDER;

/// Who speaks in an earlier turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Speaker {
    /// Rules for the turns that follow.
    System,
    /// The one who asks.
    User,
    /// The model: what it says is learnt.
    Assistant,
    /// What a tool returned.
    Tool,
}

impl Speaker {
    const ALL: [Self; 4] = [Self::System, Self::User, Self::Assistant, Self::Tool];

    /// The role, as chat templates name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A turn before a row's prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Speaker,
    /// What is said; `<image>` stands for the next image of the row.
    pub content: String,
}

/// Reads a list of turns, and how many parts of type `image` they have.
///
/// A turn is `{"role": …, "content": …}`, where the content is text, or a list of `{"type": "text", "text": …}` and
/// `{"type": "image"}`. Image files are named in a column of their own, in the order of these parts.
pub(super) fn turns(column: &str, value: &Value) -> Result<(Vec<Turn>, usize), RowsErrorKind> {
    let mut shown = 0;
    let mut turns = Vec::new();
    let wrong = |message: String| RowsErrorKind::Message { column: column.to_owned(), message };
    let list = value.as_array().ok_or_else(|| wrong("it must be a list of messages".into()))?;
    for (index, message) in list.iter().enumerate() {
        let at = |what: String| wrong(format!("message {}: {what}", index + 1));
        let fields = message.as_object().ok_or_else(|| at("it must be an object with `role` and `content`".into()))?;
        let known = |key: &str| matches!(key, "role" | "content");
        if let Some((key, _)) = fields.iter().find(|(key, value)| !known(key) && !value.is_null()) {
            return Err(at(format!("`{key}` is not known; a message has `role` and `content`")));
        }
        let role = fields.get("role").and_then(Value::as_str).unwrap_or_default();
        let role = Speaker::ALL.into_iter().find(|speaker| speaker.name() == role).ok_or_else(|| {
            at(format!("`role` is `{role}`, and must be {}", Speaker::ALL.map(Speaker::name).join(", ")))
        })?;
        let content = fields.get("content").unwrap_or(&Value::Null);
        let content = content_text(content, &mut shown).map_err(at)?;
        turns.push(Turn { role, content });
    }
    Ok((turns, shown))
}

fn content_text(content: &Value, shown: &mut usize) -> Result<String, String> {
    let parts = match content {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        _ => return Err("`content` must be text or a list of parts".into()),
    };
    let mut text = String::new();
    let pictured = parts.iter().any(|part| part["type"] == "image");
    for part in parts {
        match part["type"].as_str() {
            Some("text") => {
                let said = part["text"].as_str().ok_or("a part of type `text` needs `text`")?;
                if pictured && said.contains(IMAGE_PLACEHOLDER) {
                    return Err(format!(
                        "`{IMAGE_PLACEHOLDER}` in a text beside parts of type `image` could mean either"
                    ));
                }
                text.push_str(said);
            }
            Some("image") => {
                if part.as_object().is_some_and(|part| part.len() > 1) {
                    return Err(
                        "a part of type `image` names its file; list the row's files in the column `images`".into()
                    );
                }
                *shown += 1;
                text.push_str(IMAGE_PLACEHOLDER);
            }
            kind => {
                let kind = kind.unwrap_or("nothing");
                return Err(format!("a part is of type `{kind}`, and must be `text` or `image`"));
            }
        }
    }
    Ok(text)
}

/// Parts a whole chat into a row's system text, earlier turns, prompt and response: the last user's turn is the prompt, and
/// what the assistant says after it the response.
pub(super) fn part(column: &str, mut turns: Vec<Turn>, row: &mut Row) -> Result<(), RowsErrorKind> {
    let wrong = |message: &str| RowsErrorKind::Message { column: column.to_owned(), message: message.to_owned() };
    if turns.last().is_some_and(|turn| turn.role == Speaker::Assistant) {
        row.response = turns.pop().map(|turn| turn.content);
    }
    match turns.pop() {
        Some(Turn { role: Speaker::User, content }) => row.prompt = content,
        Some(_) => return Err(wrong("the last turn before the answer must be the user's")),
        None => return Err(wrong("it has no turn of the user; give at least one")),
    }
    if turns.first().is_some_and(|turn| turn.role == Speaker::System) {
        row.system = Some(turns.remove(0).content);
    }
    row.history = turns;
    Ok(())
}
