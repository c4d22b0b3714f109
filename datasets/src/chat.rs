//! Rows → text, by the model folder's own Jinja template. Knows nothing of tokens.

mod clock;
mod json;
mod template;

use std::path::PathBuf;

use serde::Serialize;

pub use self::template::{ChatTemplate, Rendered};
use crate::fs::FsError;
use crate::rows::{Row, Turn};

/// Placeholder that a prompt may hold where an image belongs; without any, images stand before the text.
pub(crate) const IMAGE_PLACEHOLDER: &str = "<image>";

/// `ChatML` without a default system prompt, for models trained from nothing: every token of a short context counts.
pub const PLAIN_TEMPLATE: &str = "\
{% for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}<|im_end|>
{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>\
{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}";

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: &'static str,
    /// What is said and shown.
    pub content: Content,
}

/// What a turn says: plain text, or parts where images are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text alone.
    Text(String),
    /// Text and images in order.
    Parts(Vec<Part>),
}

/// A part of a turn, as templates expect it: `{"type": "image"}` or `{"type": "text", "text": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Part {
    /// The next image.
    Image,
    /// Text.
    Text {
        /// What it says.
        text: String,
    },
}

impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Parts(parts) => parts.serialize(serializer),
        }
    }
}

/// Why a chat could not be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// A file that can't be read.
    #[error(transparent)]
    Io(#[from] FsError),
    /// A model folder without a template.
    #[error("`{}` has no chat template: neither `chat_template.jinja` nor `chat_template` in `tokenizer_config.json`", .0.display())]
    Absent(PathBuf),
    /// A template that does not parse or run.
    #[error("chat template: {0}")]
    Template(String),
    /// A text that holds the characters that stand for a template's marks.
    #[error("a turn holds the character U+{0:04X}, which no text may hold; remove it from the row")]
    Reserved(u32),
    /// Turns whose placeholders and images disagree.
    #[error(
        "row `{row}` has {images} images, but its turns have {placeholders} `{IMAGE_PLACEHOLDER}`; \
         name each image once, in order, or none in a row of one turn"
    )]
    Placeholders {
        /// The row's id.
        row: String,
        /// Images of the row.
        images: usize,
        /// Placeholders in its turns.
        placeholders: usize,
    },
}

/// The turns before the assistant's last: the row's system text, where it has one, earlier turns, and what the user says and
/// shows. Images are matched to placeholders in order, over all turns; without any, they stand before the prompt.
pub fn turns(row: &Row) -> Result<Vec<Message>, ChatError> {
    let said = row.history.iter().map(|turn| turn.content.as_str()).chain([row.prompt.as_str()]);
    let placeholders = said.map(|text| text.matches(IMAGE_PLACEHOLDER).count()).sum::<usize>();
    let images = row.images.len();
    if images > 0 && placeholders > 0 && placeholders != images {
        return Err(ChatError::Placeholders { row: row.id.clone(), images, placeholders });
    }
    // Without images the word is text like any other.
    let content = |text: &str| if images > 0 { content(text) } else { Content::Text(text.to_owned()) };
    let mut messages = Vec::with_capacity(row.history.len() + 3);
    if let Some(system) = &row.system {
        messages.push(Message { role: "system", content: Content::Text(system.clone()) });
    }
    let message = |turn: &Turn| Message { role: turn.role.name(), content: content(&turn.content) };
    messages.extend(row.history.iter().map(message));
    let shown = if placeholders == 0 { IMAGE_PLACEHOLDER.repeat(images) } else { String::new() };
    messages.push(Message { role: "user", content: content(&format!("{shown}{}", row.prompt)) });
    Ok(messages)
}

/// The assistant's turn.
pub fn reply(text: &str) -> Message {
    Message { role: "assistant", content: Content::Text(text.to_owned()) }
}

/// Text alone, or its pieces and the images between them.
fn content(text: &str) -> Content {
    if !text.contains(IMAGE_PLACEHOLDER) {
        return Content::Text(text.to_owned());
    }
    let mut parts = Vec::new();
    for (index, piece) in text.split(IMAGE_PLACEHOLDER).enumerate() {
        if index > 0 {
            parts.push(Part::Image);
        }
        if !piece.is_empty() {
            parts.push(Part::Text { text: piece.to_owned() });
        }
    }
    Content::Parts(parts)
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
