//! A Jinja template and turns → text, as transformers' `apply_chat_template` renders it. Knows nothing of rows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use minijinja::value::{Kwargs, Value as Jinja, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, context};
use serde_json::Value;

use super::clock::{self, NOW};
use super::{ChatError, Content, Message, Part, json};
use crate::fs;

/// Stand around what the assistant says while a template runs; Unicode keeps them for such use inside a program.
const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];
/// Tokens that templates may name, by their key in `tokenizer_config.json`.
const TOKENS: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    tokens: BTreeMap<String, String>,
    marked: bool,
}

/// Text of a chat, and which of it the assistant says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// What `{% generation %}` encloses, in characters (not bytes) of `text`.
    pub generated: Vec<Range<usize>>,
}

impl ChatTemplate {
    /// Compiles a template the way transformers does: `trim_blocks`, `lstrip_blocks`, loop controls, Python's string methods,
    /// `raise_exception`, `strftime_now`, `tojson` with Python's separators, and `{% generation %}`.
    ///
    /// Two differences are left: `strftime_now` tells a fixed day (see [`Self::at`]), and a dictionary written in a template
    /// is iterated by sorted keys.
    pub fn new(source: &str) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(python);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_filter("tojson", |value: &Jinja, options: Kwargs| json::tojson(value, &options));
        environment.add_filter("generation", |text: String| format!("{}{text}{}", MARKS[0], MARKS[1]));
        let (source, marked) = with_filters(source);
        environment.add_template_owned("chat", source).map_err(|error| template_error(&error))?;
        Ok(Self { environment, tokens: BTreeMap::new(), marked }.at(NOW))
    }

    /// Lets `strftime_now` tell the time `seconds` after the start of 1970, in UTC, instead of 26 July 2024.
    ///
    /// Where a prompt holds the date, a model would otherwise see other prompts in every stage and on every day.
    #[must_use]
    pub fn at(mut self, seconds: i64) -> Self {
        self.environment.add_function("strftime_now", move |format: String| clock::strftime(&format, seconds));
        self
    }

    /// Reads a model folder's template: `chat_template.jinja`, `chat_template.json`, or the entry in `tokenizer_config.json`;
    /// the tokens that it may name come from the latter.
    pub fn open(model_dir: &Path) -> Result<Self, ChatError> {
        let mut settings = Value::Null;
        let mut source = None;
        for name in ["tokenizer_config.json", "chat_template.json"] {
            let file = model_dir.join(name);
            if file.is_file() {
                let json: Value = serde_json::from_str(&fs::read_text(&file)?)
                    .map_err(|error| ChatError::Template(format!("`{}` is not valid JSON: {error}", file.display())))?;
                source = named_default(&json["chat_template"]).map(str::to_owned).or(source);
                if settings.is_null() {
                    settings = json;
                }
            }
        }
        let jinja = model_dir.join("chat_template.jinja");
        if jinja.is_file() {
            source = Some(fs::read_text(&jinja)?);
        }
        let mut template = Self::new(&source.ok_or_else(|| ChatError::Absent(model_dir.to_owned()))?)?;
        // A token is named by its text, or by an object that holds it.
        let text = |key: &str| settings[key].as_str().or_else(|| settings[key]["content"].as_str());
        template.tokens = TOKENS.iter().filter_map(|&key| Some((key.to_owned(), text(key)?.to_owned()))).collect();
        Ok(template)
    }

    /// Does the template say with `{% generation %}` what the assistant says?
    pub fn marked(&self) -> bool {
        self.marked
    }

    /// Text of a chat; `open` ends it with the words that the assistant's next turn starts with.
    pub fn render(&self, messages: &[Message], open: bool) -> Result<String, ChatError> {
        Ok(self.rendered(messages, open)?.text)
    }

    /// [`Self::render`], with the places of what the assistant says.
    pub fn rendered(&self, messages: &[Message], open: bool) -> Result<Rendered, ChatError> {
        if let Some(mark) = messages.iter().find_map(mark_in) {
            return Err(ChatError::Reserved(mark.into()));
        }
        let template = self.environment.get_template("chat").map_err(|error| template_error(&error))?;
        let tokens = Jinja::from_serialize(&self.tokens);
        let none = Jinja::from(());
        let text = template
            .render(context! { messages, add_generation_prompt => open, tools => none, documents => none, ..tokens })
            .map_err(|error| template_error(&error))?;
        Ok(without_marks(&text))
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

fn mark_in(message: &Message) -> Option<char> {
    let in_text = |text: &String| text.chars().find(|c| MARKS.contains(c));
    match &message.content {
        Content::Text(text) => in_text(text),
        Content::Parts(parts) => parts.iter().find_map(|part| match part {
            Part::Text { text } => in_text(text),
            Part::Image => None,
        }),
    }
}

/// Prints constants as Python does.
fn python(out: &mut Output, state: &State, value: &Jinja) -> Result<(), Error> {
    match bool::try_from(value.clone()) {
        Ok(flag) if value.kind() == ValueKind::Bool => Ok(out.write_str(if flag { "True" } else { "False" })?),
        _ if value.is_none() => Ok(out.write_str("None")?),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Writes `{% generation %}`, which Jinja lacks, as a filter around its body, and says whether there was one.
fn with_filters(source: &str) -> (String, bool) {
    let (mut out, mut rest, mut marked) = (String::with_capacity(source.len()), source, false);
    while let Some((before, after)) = rest.split_once("{%") {
        out.push_str(before);
        out.push_str("{%");
        rest = after;
        let Some((tag, after)) = after.split_once("%}") else { break };
        let bare = tag.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']);
        let filter = match bare.trim() {
            "generation" => " filter generation ",
            "endgeneration" => " endfilter ",
            _ => continue,
        };
        let (left, right) = tag.split_once(bare).unwrap_or_default();
        out.push_str(&format!("{left}{filter}{right}%}}"));
        (rest, marked) = (after, true);
    }
    out.push_str(rest);
    (out, marked)
}

fn without_marks(marked: &str) -> Rendered {
    let (mut text, mut generated, mut length, mut start) = (String::with_capacity(marked.len()), Vec::new(), 0, 0);
    for c in marked.chars() {
        if c == MARKS[0] {
            start = length;
        } else if c == MARKS[1] {
            generated.push(start..length);
        } else {
            text.push(c);
            length += 1;
        }
    }
    Rendered { text, generated }
}

fn template_error(error: &Error) -> ChatError {
    let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    ChatError::Template(format!("{error}{line}"))
}
