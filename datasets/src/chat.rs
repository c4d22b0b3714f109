//! Rows → text, by the model folder's own Jinja template. Knows nothing of tokens.

use std::path::{Path, PathBuf};

use minijinja::{Environment, Error, ErrorKind, context};
use serde::Serialize;
use serde_json::Value;

use crate::fs::{self, FsError};
use crate::rows::Row;

/// Placeholder that a prompt may hold where an image belongs; without any, images stand before the text.
const IMAGE_PLACEHOLDER: &str = "<image>";

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
    /// `system`, `user` or `assistant`.
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
    /// A prompt whose placeholders and images disagree.
    #[error("row `{row}` has {images} images, but its prompt has {placeholders} `{IMAGE_PLACEHOLDER}`")]
    Placeholders {
        /// The row's id.
        row: String,
        /// Images of the row.
        images: usize,
        /// Placeholders in the prompt.
        placeholders: usize,
    },
}

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    /// Compiles a template the way transformers does: `trim_blocks`, `lstrip_blocks`, Python's string methods.
    ///
    /// `{% generation %}`, which only marks the assistant's text, becomes a condition that always holds.
    pub fn new(source: &str) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment
            .add_template_owned("chat", without_generation_marks(source))
            .map_err(|error| template_error(&error))?;
        Ok(Self { environment })
    }

    /// Reads a model folder's template: `chat_template.jinja`, `chat_template.json`, or the entry in `tokenizer_config.json`.
    pub fn open(model_dir: &Path) -> Result<Self, ChatError> {
        let jinja = model_dir.join("chat_template.jinja");
        if jinja.is_file() {
            return Self::new(&fs::read_text(&jinja)?);
        }
        for name in ["chat_template.json", "tokenizer_config.json"] {
            let file = model_dir.join(name);
            if file.is_file() {
                let json: Value = serde_json::from_str(&fs::read_text(&file)?)
                    .map_err(|error| ChatError::Template(format!("`{}` is not valid JSON: {error}", file.display())))?;
                if let Some(source) = named_default(&json["chat_template"]) {
                    return Self::new(source);
                }
            }
        }
        Err(ChatError::Absent(model_dir.to_owned()))
    }

    /// Text of a chat; `open` ends it with the words that the assistant's next turn starts with.
    pub fn render(&self, messages: &[Message], open: bool) -> Result<String, ChatError> {
        let template = self.environment.get_template("chat").map_err(|error| template_error(&error))?;
        template
            .render(context! { messages, add_generation_prompt => open, add_vision_id => false })
            .map_err(|error| template_error(&error))
    }
}

/// Some files hold a list of named templates.
fn named_default(entry: &Value) -> Option<&str> {
    match entry {
        Value::String(source) => Some(source),
        Value::Array(named) => named.iter().find(|one| one["name"] == "default")?["template"].as_str(),
        _ => None,
    }
}

fn without_generation_marks(source: &str) -> String {
    let mut source = source.to_owned();
    for (open, close) in [("{%-", "-%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%", "%}")] {
        source = source
            .replace(&format!("{open} generation {close}"), &format!("{open} if true {close}"))
            .replace(&format!("{open} endgeneration {close}"), &format!("{open} endif {close}"));
    }
    source
}

fn template_error(error: &Error) -> ChatError {
    let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    ChatError::Template(format!("{error}{line}"))
}

/// The turns before the assistant's: the row's system text, where it has one, and what the user says and shows.
pub fn turns(row: &Row) -> Result<Vec<Message>, ChatError> {
    let mut messages = Vec::with_capacity(3);
    if let Some(system) = &row.system {
        messages.push(Message { role: "system", content: Content::Text(system.clone()) });
    }
    messages.push(Message { role: "user", content: user_content(row)? });
    Ok(messages)
}

/// The assistant's turn.
pub fn reply(text: &str) -> Message {
    Message { role: "assistant", content: Content::Text(text.to_owned()) }
}

fn user_content(row: &Row) -> Result<Content, ChatError> {
    if row.images.is_empty() {
        return Ok(Content::Text(row.prompt.clone()));
    }
    let pieces: Vec<&str> = row.prompt.split(IMAGE_PLACEHOLDER).collect();
    let placeholders = pieces.len() - 1;
    let mut parts = Vec::new();
    if placeholders == 0 {
        parts.extend(row.images.iter().map(|_| Part::Image));
    } else if placeholders != row.images.len() {
        return Err(ChatError::Placeholders { row: row.id.clone(), images: row.images.len(), placeholders });
    }
    for (index, piece) in pieces.into_iter().enumerate() {
        if index > 0 {
            parts.push(Part::Image);
        }
        if !piece.is_empty() {
            parts.push(Part::Text { text: piece.to_owned() });
        }
    }
    Ok(Content::Parts(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(prompt: &str, images: usize) -> Row {
        Row { prompt: prompt.into(), images: vec![PathBuf::new(); images], ..Row::default() }
    }

    fn plain(row: &Row, open: bool) -> String {
        ChatTemplate::new(PLAIN_TEMPLATE).unwrap().render(&turns(row).unwrap(), open).unwrap()
    }

    #[test]
    fn the_plain_template_is_chatml_without_a_system_turn() {
        assert_eq!(plain(&row("2+2", 0), true), "<|im_start|>user\n2+2<|im_end|>\n<|im_start|>assistant\n");
        let image = "<|vision_start|><|image_pad|><|vision_end|>";
        assert_eq!(plain(&row("how many?", 1), false), format!("<|im_start|>user\n{image}how many?<|im_end|>\n"));
        let with_system = Row { system: Some("think".into()), ..row("2+2", 0) };
        assert!(plain(&with_system, false).starts_with("<|im_start|>system\nthink<|im_end|>\n<|im_start|>user\n"));
    }

    #[test]
    fn placeholders_say_where_images_stand() {
        let image = "<|vision_start|><|image_pad|><|vision_end|>";
        let text = plain(&row("a <image> b <image>", 2), false);
        assert_eq!(text, format!("<|im_start|>user\na {image} b {image}<|im_end|>\n"));
        assert_eq!(
            turns(&row("<image>", 2)).unwrap_err().to_string(),
            "row `` has 2 images, but its prompt has 1 `<image>`"
        );
        assert!(plain(&row("write <image> in html", 0), false).contains("write <image> in html"));
    }

    #[test]
    fn python_methods_generation_marks_and_exceptions_work() {
        let source =
            "{% for m in messages %}{% generation %}{{ m.content.strip().upper() }}{% endgeneration %}{% endfor %}";
        let chat = ChatTemplate::new(source).unwrap();
        assert_eq!(chat.render(&turns(&row(" x ", 0)).unwrap(), true).unwrap(), "X");
        let chat = ChatTemplate::new("{{ raise_exception('no system turn') }}").unwrap();
        let error = chat.render(&[], true).unwrap_err().to_string();
        assert!(error.contains("no system turn"), "{error}");
    }

    #[test]
    fn texts_equal_the_reference() {
        let Some(dir) = crate::reference::golden("tiny") else { return };
        let golden: Value = serde_json::from_str(&fs::read_text(&dir.join("golden.json")).unwrap()).unwrap();
        let chat = ChatTemplate::open(&dir.join("model")).unwrap();
        let cases = [
            (row("What is the area of the red circle?", 1), "<think>3 + 4 = 7</think> \\boxed{7}"),
            (row("<image>Compare with<image>Which one is wider?", 2), "The second."),
            (row("What is 12 + 30?", 0), "42"),
        ];
        for (index, (row, answer)) in cases.iter().enumerate() {
            let mut messages = turns(row).unwrap();
            messages.push(reply(answer));
            assert_eq!(chat.render(&messages, false).unwrap(), golden["texts"][index], "{index}");
        }
    }
}
