//! `[gates.x]` → entries: what is required, of what, and what follows. Whether stages and metrics exist is the graph's business.

use super::read::Reader;
use super::source::{At, Span};
use super::tree::{Node, Table};
use super::{Fields, Sources};
use crate::diagnostic::{Diagnostic, suggest};
use crate::gate::{self, Method, OnFail, Requirement, SyntaxError};

/// A `[gates.x]` entry.
#[derive(Debug)]
pub(crate) struct GateEntry {
    /// `x`.
    pub name: At<String>,
    /// What its author says of it.
    pub description: Option<String>,
    /// Stages behind which it stands.
    pub after: Vec<At<String>>,
    /// What is required, as written.
    pub text: At<String>,
    /// The same, read; none if it is missing or wrong.
    pub require: Option<Requirement>,
    /// Places of its mentions.
    pub mentions: Vec<Span>,
    /// How it is judged.
    pub method: At<Method>,
    /// Of each one-sided interval.
    pub confidence: f64,
    /// What follows if it is not met.
    pub on_fail: OnFail,
}

const CONFIDENCE: f64 = 0.95;

impl Reader<'_> {
    pub(super) fn gate(&mut self, name: At<String>, table: &Table) -> GateEntry {
        let title = format!("`[gates.{}]`", name.value);
        let mut fields = Fields::new(table, title.as_str(), &mut self.mistakes);
        let after = stages(&mut fields);
        let require = fields.string("require");
        let method =
            chosen(&mut fields, "method", &[("paired-bootstrap", Method::PairedBootstrap), ("point", Method::Point)]);
        let confidence = fields.any("confidence").map(|entry| &entry.value);
        let on_fail = chosen(&mut fields, "on_fail", &[("stop", OnFail::Stop), ("warn", OnFail::Warn)]);
        let description = fields.string("description").map(|at| at.value);
        if let (Some(confidence), Some(At { value: Method::Point, span })) = (confidence, &method) {
            let message = format!("`confidence` of {title} says nothing: values are compared as they are");
            let pointless = Diagnostic::error("gate", message).at(confidence.span, "").at(*span, "compared so");
            fields.report(pointless.help("remove it, or write `method = \"paired-bootstrap\"`"));
        }
        let confidence = confidence.and_then(|at| self::confidence(&mut fields, at)).unwrap_or(CONFIDENCE);
        fields.finish();
        for (key, help) in [
            ("after", "write `after = \"STAGE\"`: what comes behind that stage waits until the gate is met"),
            ("require", "write `require = \"score[mrl].accuracy >= score[cold_start].accuracy - 0.01\"`"),
        ] {
            if table.get(key).is_none() {
                let missing = Diagnostic::error("missing-key", format!("{title} has no `{key}`"));
                self.mistakes.push(missing.at(name.span, format!("`{key}` is missing")).help(help));
            }
        }
        let text = require.unwrap_or_else(|| At::new(String::new(), name.span));
        let read = table.get("require").filter(|_| text.span != name.span).map(|_| gate::parse(&text.value));
        let (require, mentions) = match read {
            None => (None, Vec::new()),
            Some(Ok(require)) => {
                let places = require.mentions.iter().map(|mention| inside(self.sources, &text, &mention.place));
                let places = places.collect();
                (Some(require), places)
            }
            Some(Err(SyntaxError { place, message, help })) => {
                let span = inside(self.sources, &text, &place);
                self.mistakes.push(Diagnostic::error("gate", format!("{title}: {message}")).at(span, "").help(help));
                (None, Vec::new())
            }
        };
        let method = method.unwrap_or(At::new(Method::default(), name.span));
        let on_fail = on_fail.map(|at| at.value).unwrap_or_default();
        GateEntry { name, description, after, text, require, mentions, method, confidence, on_fail }
    }
}

/// `after`: a name, or a list of them.
fn stages(fields: &mut Fields<'_, '_>) -> Vec<At<String>> {
    let Some(entry) = fields.any("after") else { return Vec::new() };
    let At { value, span } = &entry.value;
    match value {
        Node::String(name) => vec![At::new(name.clone(), *span)],
        Node::Array(items) if items.is_empty() => {
            let nothing = Diagnostic::error("gate", "`after` names no stage").at(*span, "");
            fields.report(nothing.help("write the stage behind which the gate stands"));
            Vec::new()
        }
        Node::Array(_) => fields.strings("after").map(|at| at.value).unwrap_or_default(),
        other => {
            let message = format!("`after` must be a stage or a list of stages, not {}", other.type_name());
            fields.report(Diagnostic::error("wrong-type", message).at(*span, "").help("write `after = \"STAGE\"`"));
            Vec::new()
        }
    }
}

fn chosen<T: Copy>(fields: &mut Fields<'_, '_>, key: &'static str, choices: &[(&str, T)]) -> Option<At<T>> {
    let At { value, span } = fields.string(key)?;
    let found = choices.iter().find(|(name, _)| *name == value);
    if found.is_none() {
        let help = suggest(&value, "choices", choices.iter().map(|(name, _)| *name));
        let message = format!("`{key}` can't be `{value}`");
        fields.report(Diagnostic::error("wrong-type", message).at(span, "").help(help));
    }
    found.map(|(_, choice)| At::new(*choice, span))
}

fn confidence(fields: &mut Fields<'_, '_>, at: &At<Node>) -> Option<f64> {
    let number = match &at.value {
        Node::Float(number) => Some(*number),
        Node::Integer(number) => Some(*number as f64),
        _ => None,
    };
    let sound = number.filter(|number| (0.5..1.0).contains(number));
    if sound.is_none() {
        let message = match number {
            Some(number) => format!("`confidence` can't be {number}"),
            None => format!("`confidence` must be a number, not {}", at.value.type_name()),
        };
        let help = "write a number from 0.5 and below 1: `confidence = 0.95`";
        fields.report(Diagnostic::error("wrong-type", message).at(at.span, "").help(help));
    }
    sound
}

/// The place of a part of a string: where its text stands as it is, that part of it, else the whole.
fn inside(sources: &Sources, text: &At<String>, part: &std::ops::Range<usize>) -> Span {
    let Span { source, start, end } = text.span;
    let written = sources.get(source).text.get(start..end).unwrap_or_default();
    let place = written.find(&text.value).filter(|_| written.len() <= text.value.len() + 6 && !text.value.is_empty());
    match place {
        Some(place) => Span::new(source, start + place + part.start..start + place + part.end),
        None => text.span,
    }
}
