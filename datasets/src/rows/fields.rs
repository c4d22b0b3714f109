//! One record → one row, read through a view. Knows columns and fields, not where records come from.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::layout::{self, Layout};
use super::messages::{self, Shown, Spelling};
use super::{Row, RowsErrorKind, RowsView, images};
use crate::chat::IMAGE_PLACEHOLDER;
use crate::image::ImageSource;
use crate::records::{Format, Record};

/// No column for a field.
pub(super) fn missing(field: &str, column: &str, record: &Record) -> RowsErrorKind {
    RowsErrorKind::MissingColumn {
        field: field.into(),
        column: column.into(),
        present: record.columns.keys().map(|key| format!("`{key}`")).collect(),
        fits: if matches!(field, "prompt" | "messages") { Layout::fitting(&record.columns) } else { Vec::new() },
    }
}

/// One record read through a view.
pub(super) struct Fields<'a> {
    pub record: &'a Record,
    pub view: &'a RowsView,
}

impl<'a> Fields<'a> {
    /// The row; images are named as the record names them.
    pub fn row(&self) -> Result<Row, RowsErrorKind> {
        let (answer, reasoning) = self.answer()?;
        let group = match &self.view.group_by {
            Some(column) => self.record.columns.get(column).and_then(plain),
            None => self.text("group")?,
        };
        let mut row =
            Row { answer, reasoning, group, task: self.text("task")?, level: self.level()?, ..Row::default() };
        (row.topic, row.source) = (self.label("topic")?, self.label("source")?);
        let shown = self.talk(&mut row)?;
        if let Some(response) = self.text("response")? {
            row.response = Some(response);
        }
        if let Some(system) = self.text("system")? {
            row.system = Some(system);
        }
        row.images = self.images(shown, &row)?;
        self.choose(&mut row)?;
        row.id = match self.text("id")? {
            Some(id) => id,
            None => content_id(&row),
        };
        Ok(row)
    }

    /// The options of a question stand after it.
    fn choose(&self, row: &mut Row) -> Result<(), RowsErrorKind> {
        if let Some(Layout::Choice(answer_as)) = self.view.layout {
            let column = self.column("choices");
            row.choices = layout::options(column, self.structured("choices").as_deref(), &self.record.columns)?;
            row.prompt.push_str(&layout::listed(&row.choices));
            if let Some(answer) = &mut row.answer {
                *answer = layout::chosen(answer_as, self.column("answer"), answer, &row.choices)?;
            }
            return Ok(());
        }
        row.choices = self.list("choices")?;
        if !row.choices.is_empty() {
            let options = format!("Options: {}", row.choices.join(", "));
            if !row.prompt.ends_with(&options) && !row.prompt.ends_with(&layout::listed(&row.choices)) {
                row.prompt = format!("{}\n{options}", row.prompt);
            }
        }
        Ok(())
    }

    /// What is said before the answer: a prompt and what came before it, or a whole chat. A chat beside a prompt counts only
    /// where `columns` or the layout names it. Returns the images that are shown in it.
    fn talk(&self, row: &mut Row) -> Result<Shown, RowsErrorKind> {
        let prompt = self.text("prompt")?;
        let is_chat = matches!(self.view.layout, Some(Layout::ShareGpt | Layout::Messages))
            || self.view.columns.contains_key("messages");
        let chat = self.structured("messages").filter(|_| prompt.is_none() || is_chat);
        if let Some(chat) = chat {
            let sharegpt = self.view.layout == Some(Layout::ShareGpt);
            let spelling = if sharegpt { Spelling::ShareGpt } else { Spelling::OpenAi };
            let (turns, shown) = messages::turns(self.column("messages"), &chat, spelling)?;
            messages::part(self.column("messages"), turns, row)?;
            return Ok(shown);
        }
        let field =
            if matches!(self.view.layout, Some(Layout::ShareGpt | Layout::Messages)) { "messages" } else { "prompt" };
        row.prompt = prompt.filter(|_| field == "prompt").ok_or_else(|| match self.column(field) {
            empty if self.record.columns.contains_key(empty) => RowsErrorKind::Empty(empty.to_owned()),
            column => missing(field, column, self.record),
        })?;
        let history = self.structured("history");
        if self.view.layout == Some(Layout::Alpaca) {
            row.prompt = layout::instruction(&row.prompt, self.record.columns.get("input"));
        }
        let Some(history) = history else { return Ok(Shown::default()) };
        let column = self.column("history");
        let history = match self.view.layout {
            Some(Layout::Alpaca) => Cow::Owned(layout::pairs(column, &history)?),
            _ => history,
        };
        let (turns, shown) = messages::turns(column, &history, Spelling::OpenAi)?;
        row.history = turns;
        Ok(shown)
    }

    /// The row's images; where its turns have places for them, one for each. Parts of type `image` can be nothing else.
    fn images(&self, shown: Shown, row: &Row) -> Result<Vec<ImageSource>, RowsErrorKind> {
        let name = self.record.file.file_name().unwrap_or_default().to_string_lossy();
        let origin = || Arc::from(format!("{name}:{}", self.record.line));
        let images = match self.structured("images") {
            Some(_) if !shown.images.is_empty() => {
                let message = "the turns hold images themselves; name each image once".to_owned();
                return Err(RowsErrorKind::Message { column: self.column("images").to_owned(), message });
            }
            Some(value) => images::images(self.column("images"), &value, &origin())?,
            None if shown.images.is_empty() => Vec::new(),
            None => images::images(self.column("messages"), &Value::Array(shown.images), &origin())?,
        };
        let said = row.history.iter().map(|turn| &turn.content).chain([&row.prompt]);
        let places = said.map(|text| text.matches(IMAGE_PLACEHOLDER).count()).sum();
        let bound = shown.places > 0 || (places > 0 && !images.is_empty());
        if bound && images.len() != places {
            return Err(RowsErrorKind::Images { images: images.len(), places });
        }
        Ok(images)
    }

    fn column(&self, field: &'a str) -> &'a str {
        if let Some(column) = self.view.columns.get(field) {
            return column;
        }
        let names = self.view.layout.map_or(&[][..], |layout| layout.columns(field));
        let there = names.iter().find(|name| self.record.columns.get(**name).is_some_and(|value| !value.is_null()));
        there.or(names.first()).copied().unwrap_or(field)
    }

    fn value(&self, field: &'a str) -> Option<&'a Value> {
        self.record.columns.get(self.column(field)).filter(|value| !value.is_null())
    }

    /// A field that may hold more than text: CSV writes it as JSON.
    fn structured(&self, field: &'a str) -> Option<Cow<'a, Value>> {
        let value = self.value(field)?;
        let written = value.as_str().filter(|text| text.trim_start().starts_with(['[', '{']));
        let is_csv = |file: &Path| Format::named(file) == Some(Format::Csv);
        match written.filter(|_| is_csv(&self.record.file)).and_then(|text| serde_json::from_str(text).ok()) {
            Some(read) => Some(Cow::Owned(read)),
            None => Some(Cow::Borrowed(value)),
        }
    }

    fn text(&self, field: &'a str) -> Result<Option<String>, RowsErrorKind> {
        let Some(value) = self.value(field) else { return Ok(None) };
        plain(value).map(Some).ok_or_else(|| self.wrong(field, "text or a number", value))
    }

    /// A text that says something about the row; a column of another type that nobody named is something else.
    fn label(&self, field: &'a str) -> Result<Option<String>, RowsErrorKind> {
        match self.text(field) {
            Err(_) if !self.view.columns.contains_key(field) => Ok(None),
            found => found,
        }
    }

    fn list(&self, field: &'a str) -> Result<Vec<String>, RowsErrorKind> {
        let Some(value) = self.structured(field) else { return Ok(Vec::new()) };
        let items = match &*value {
            Value::Array(items) => items.iter().map(plain).collect(),
            other => plain(other).map(|item| vec![item]),
        };
        items.ok_or_else(|| self.wrong(field, "text or a list of texts", &value))
    }

    fn level(&self) -> Result<Option<u8>, RowsErrorKind> {
        let Some(value) = self.value("level") else { return Ok(None) };
        let level = plain(value).and_then(|text| text.trim_start_matches("Level ").parse().ok());
        level.map(Some).ok_or_else(|| self.wrong("level", "a whole number up to 255", value))
    }

    /// Final answer and reasoning; the marker, where there is one, stands between them in the answer's column.
    fn answer(&self) -> Result<(Option<String>, Option<String>), RowsErrorKind> {
        let (answer, reasoning) = (self.text("answer")?, self.text("reasoning")?);
        let marker = self.view.answer_marker.as_deref().or_else(|| self.view.layout?.marker());
        let (Some(text), Some(marker)) = (&answer, marker) else { return Ok((answer, reasoning)) };
        let Some((before, after)) = text.rsplit_once(marker) else {
            return Err(RowsErrorKind::NoMarker { column: self.column("answer").into(), marker: marker.to_owned() });
        };
        let written = without_calculator_marks(before).trim().to_owned();
        Ok((Some(after.trim().to_owned()), reasoning.or((!written.is_empty()).then_some(written))))
    }

    fn wrong(&self, field: &'a str, wanted: &'static str, value: &Value) -> RowsErrorKind {
        let found = format!("`{}`", clipped(&value.to_string()));
        RowsErrorKind::WrongType { column: self.column(field).into(), wanted, found }
    }
}

/// The beginning of a value, for messages.
pub(super) fn clipped(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Text of a scalar; a float without a fraction reads as a whole number, as answers such as `51.0` mean.
pub(super) fn plain(value: &Value) -> Option<String> {
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
    let images = row.images.iter().map(ImageSource::identity);
    let answer = row.answer.iter().chain(&row.response).cloned();
    let history = row.history.iter().flat_map(|turn| [turn.role.name().to_owned(), turn.content.clone()]);
    let asked = [row.prompt.clone(), row.system.clone().unwrap_or_default()];
    for part in asked.into_iter().chain(images).chain(answer).chain(history) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}
