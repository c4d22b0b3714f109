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

/// How a list of turns is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `{"role": "user", "content": …}`.
    OpenAi,
    /// `{"from": "human", "value": …}`.
    ShareGpt,
}

impl Spelling {
    fn keys(self) -> [&'static str; 2] {
        match self {
            Self::OpenAi => ["role", "content"],
            Self::ShareGpt => ["from", "value"],
        }
    }

    fn speaker(self, role: &str) -> Option<Speaker> {
        let role = match (self, role) {
            (Self::ShareGpt, "human") => "user",
            (Self::ShareGpt, "gpt" | "model" | "chatgpt") => "assistant",
            (Self::ShareGpt, "observation") => "tool",
            (_, other) => other,
        };
        Speaker::ALL.into_iter().find(|speaker| speaker.name() == role)
    }

    fn roles(self) -> String {
        let own: &[&str] = if self == Self::ShareGpt { &["human", "gpt", "observation"] } else { &[] };
        own.iter().copied().chain(Speaker::ALL.map(Speaker::name)).collect::<Vec<_>>().join(", ")
    }
}

/// Images that turns show, in order: how many, and those that stand in the turns themselves.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Parts of type `image` or `image_url`.
    pub places: usize,
    /// What they hold: all of them, or none.
    pub images: Vec<Value>,
}

/// Reads a list of turns, and the images that they show.
///
/// A turn is `{"role": …, "content": …}`, where the content is text, or a list of `{"type": "text", "text": …}` and images:
/// `{"type": "image"}` for the next image of the row's column, or `{"type": "image", "image": …}` or
/// `{"type": "image_url", "image_url": {"url": …}}` with the image itself.
pub(super) fn turns(column: &str, value: &Value, spelling: Spelling) -> Result<(Vec<Turn>, Shown), RowsErrorKind> {
    let mut shown = Shown::default();
    let mut turns = Vec::new();
    let wrong = |message: String| RowsErrorKind::Message { column: column.to_owned(), message };
    let [role_key, content_key] = spelling.keys();
    let list = value.as_array().ok_or_else(|| wrong("it must be a list of messages".into()))?;
    for (index, message) in list.iter().enumerate() {
        let at = |what: String| wrong(format!("message {}: {what}", index + 1));
        let fields = message.as_object();
        let fields = fields.ok_or_else(|| at(format!("it must be an object with `{role_key}` and `{content_key}`")))?;
        let known = |key: &str| key == role_key || key == content_key;
        if let Some((key, _)) = fields.iter().find(|(key, value)| !known(key) && !value.is_null()) {
            return Err(at(format!("`{key}` is not known; a message has `{role_key}` and `{content_key}`")));
        }
        let role = fields.get(role_key).and_then(Value::as_str).unwrap_or_default();
        let role = spelling
            .speaker(role)
            .ok_or_else(|| at(format!("`{role_key}` is `{role}`, and must be {}", spelling.roles())))?;
        let content = fields.get(content_key).unwrap_or(&Value::Null);
        let content = content_text(content, content_key, &mut shown).map_err(at)?;
        turns.push(Turn { role, content });
    }
    if !shown.images.is_empty() && shown.images.len() != shown.places {
        return Err(wrong(format!(
            "{} of {} parts of type `image` hold their image; either all of them do, or none",
            shown.images.len(),
            shown.places
        )));
    }
    Ok((turns, shown))
}

fn content_text(content: &Value, key: &str, shown: &mut Shown) -> Result<String, String> {
    let parts = match content {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        _ => return Err(format!("`{key}` must be text or a list of parts")),
    };
    let mut text = String::new();
    let is_image = |part: &Value| part["type"] == "image" || part["type"] == "image_url";
    let pictured = parts.iter().any(is_image);
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
            Some(kind @ ("image" | "image_url")) => {
                let held = &part[kind];
                let image = if held.is_object() && kind == "image_url" { &held["url"] } else { held };
                if !image.is_null() {
                    shown.images.push(image.clone());
                } else if kind == "image_url" {
                    return Err("a part of type `image_url` needs `image_url` with a `url`".into());
                }
                shown.places += 1;
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
