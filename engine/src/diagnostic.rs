//! Mistakes with a place, a cause and a fix. Every room reports through [`Diagnostic`]; this one makes text and JSON of
//! them and prints nothing.

pub mod findings;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use crate::recipe::{SourceId, Sources, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can run.
    Error,
    /// It can run, but somebody probably meant something else.
    Warning,
    /// Something that could not be verified here and now.
    Note,
}

impl Severity {
    /// `error`, `warning` or `note`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A place, and what is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A few words; may be empty.
    pub text: String,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// Stable word for scripts: `unknown-key`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Lowercase fragment: what is wrong.
    pub message: String,
    /// Places; the first is where the mistake was made.
    pub labels: Vec<Label>,
    /// How to fix it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake that stops everything.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None }
    }

    /// Something suspicious.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Something that could not be verified.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(code, message) }
    }

    /// Adds a place; the first one added is where the mistake was made.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says how to fix it; an empty text says nothing.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        let help = help.into();
        self.help = (!help.is_empty()).then_some(help);
        self
    }

    fn render(&self, sources: &Sources, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()).id(self.code));
        for id in self.sources_in_order() {
            let source = sources.get(id);
            let labels = self.labels.iter().enumerate().filter(|(_, label)| label.span.source == id);
            let annotations = labels.map(|(index, label)| {
                let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                let annotation = kind.span(clamp(&source.text, label.span));
                if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
            });
            let snippet = Snippet::source(source.text.as_str()).path(source.name.as_str());
            group = group.element(snippet.annotations(annotations));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    fn sources_in_order(&self) -> Vec<SourceId> {
        let mut ids = Vec::new();
        for label in &self.labels {
            if !ids.contains(&label.span.source) {
                ids.push(label.span.source);
            }
        }
        ids
    }

    fn to_json(&self, sources: &Sources) -> Value {
        let label = |label: &Label| {
            let start = sources.position(label.span.source, label.span.start);
            let end = sources.position(label.span.source, label.span.end);
            json!({
                "file": sources.get(label.span.source).name, "line": start.line, "column": start.column,
                "end_line": end.line, "end_column": end.column, "text": label.text,
            })
        };
        json!({
            "code": self.code, "severity": self.severity.as_str(), "message": self.message, "help": self.help,
            "labels": self.labels.iter().map(label).collect::<Vec<_>>(),
        })
    }
}

fn clamp(text: &str, span: Span) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    start..text.ceil_char_boundary(span.end.min(text.len())).max(start)
}

/// Every mistake of one recipe, and the texts that they point into.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    sources: Arc<Sources>,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Joins mistakes and texts; errors come first, then the order of the texts.
    pub fn new(sources: Arc<Sources>, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|one| (one.severity, one.labels.first().map(|label| (label.span.source, label.span.start))));
        // The stages of one `each` make the same mistake at the same place.
        let mut seen = HashSet::new();
        list.retain(|one| seen.insert((one.message.clone(), one.labels.first().map(|label| label.span))));
        Self { sources, list }
    }

    /// Every mistake, errors first.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// How many of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|one| one.severity == severity).count()
    }

    /// The same and more, in order.
    #[must_use]
    pub fn with(mut self, more: Vec<Diagnostic>) -> Self {
        self.list.extend(more);
        Self::new(self.sources, self.list)
    }

    /// Turns notes into errors: what can't be verified doesn't pass.
    #[must_use]
    pub fn strict(mut self) -> Self {
        for one in self.list.iter_mut().filter(|one| one.severity == Severity::Note) {
            one.severity = Severity::Error;
        }
        Self::new(self.sources, self.list)
    }

    /// As a person reads them: each with file, line, column, source line, cause and fix, with a blank line between.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for one in &self.list {
            let _ = writeln!(text, "{}\n", one.render(&self.sources, &renderer));
        }
        text
    }

    /// As a program reads them.
    pub fn to_json(&self) -> Value {
        self.list.iter().map(|one| one.to_json(&self.sources)).collect()
    }
}

/// The candidate that a misspelt name most likely meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    let near = scored.filter(|&(score, candidate)| {
        score >= 0.8 || strsim::damerau_levenshtein(name, candidate) <= 1 + name.chars().count() / 5
    });
    near.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1))).map(|(_, candidate)| candidate)
}

/// `did you mean …?` where a near name exists, otherwise the choices there are, after `what`.
pub fn suggest<'a>(name: &str, what: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<_> = candidates.into_iter().collect();
    match nearest(name, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => choices(what, &candidates),
    }
}

fn choices(what: &str, candidates: &[&str]) -> String {
    const SHOWN: usize = 12;
    if candidates.is_empty() {
        return format!("{what}: none");
    }
    let mut names: Vec<_> = candidates.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if candidates.len() > SHOWN {
        names.push(format!("and {} more", candidates.len() - SHOWN));
    }
    format!("{what}: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn nearest_name_is_near_or_absent() {
        let names = ["cold_start", "mrl", "trl"];
        assert_eq!(nearest("cold_strat", names), Some("cold_start"));
        assert_eq!(nearest("mlr", names), Some("mrl"));
        assert_eq!(nearest("evaluate", names), None);
        assert_eq!(suggest("evaluate", "stages", names), "stages: `cold_start`, `mrl`, `trl`");
    }

    #[test]
    fn labels_in_two_files_show_both_files() {
        let mut sources = Sources::default();
        let a = sources.add("a.toml", Path::new("."), "x = 1\n");
        let b = sources.add("b.toml", Path::new("."), "\ny = 2\n");
        let one = Diagnostic::error("code", "two places")
            .at(Span::new(b, 1..2), "here")
            .at(Span::new(a, 0..1), "and there")
            .help("fix it");
        let text = Diagnostics::new(Arc::new(sources), vec![one]).render(false);
        for part in ["error[code]: two places", "--> b.toml:2:1", "a.toml:1:1", "^ here", "and there", "help: fix it"] {
            assert!(text.contains(part), "no `{part}` in:\n{text}");
        }
    }

    #[test]
    fn json_counts_from_one() {
        let mut sources = Sources::default();
        let a = sources.add("a.toml", Path::new("."), "x = 1\ny = 2\n");
        let list = vec![Diagnostic::note("n", "m").at(Span::new(a, 6..7), "")];
        let json = Diagnostics::new(Arc::new(sources), list).to_json();
        assert_eq!((&json[0]["labels"][0]["line"], &json[0]["labels"][0]["column"]), (&json!(2), &json!(1)));
    }
}
