//! Files and command-line edits → one tree: `extends`, then the chosen scale, then the file, then overlays, then `--unset`,
//! then `--set`. Knows the keys `extends`, `unset`, `scale` and `scales`, and no other.

use std::path::{Path, PathBuf};

use super::scale::Scales;
use super::source::{At, SourceId, Sources, Span};
use super::tree::{self, Entry, Node, Table};
use super::{Overrides, Texts, set};
use crate::diagnostic::{Diagnostic, suggest};
use crate::fs;

pub(super) const COMMAND_LINE: &str = "command line";

/// A recipe's values before anybody asks what they mean.
pub(super) struct Composed {
    /// Every text read.
    pub sources: Sources,
    /// The merged values; only as good as the texts that could be read.
    pub table: Table,
    /// The recipe's own file; none if it could not be read.
    pub file: Option<SourceId>,
    /// Names below `[scales]`, in the order in which they were read.
    pub scales: Vec<String>,
    /// Did every text parse?
    pub whole: bool,
    /// What was wrong.
    pub mistakes: Vec<Diagnostic>,
}

/// Reads a recipe's file, what it extends, and what the command line lays over it.
pub(super) fn compose(file: &Path, overrides: &Overrides, texts: Texts<'_>) -> Composed {
    let composed = Composed {
        sources: Sources::default(),
        table: Table::default(),
        file: None,
        scales: Vec::new(),
        whole: true,
        mistakes: Vec::new(),
    };
    let mut composer = Composer { composed, texts, open: Vec::new(), scales: Scales::default() };
    let dir = file.parent().unwrap_or(Path::new(""));
    // The scale has to be known before the first file is read.
    let (scales, edits): (Vec<_>, Vec<_>) = overrides.set.iter().partition(|edit| is_scale(edit));
    composer.edits(&scales, dir);
    composer.composed.file = composer.file(file, None, None);
    for overlay in &overrides.overlays {
        let name = overlay.display().to_string();
        let asked_by = composer.composed.sources.add(COMMAND_LINE, Path::new(""), format!("-f {name}"));
        composer.file(overlay, Some(Span::new(asked_by, 3..3 + name.len())), None);
    }
    for key in &overrides.unset {
        let source = composer.composed.sources.add(COMMAND_LINE, dir, format!("--unset {key}"));
        composer.unset(key, Span::new(source, 8..8 + key.len()));
    }
    composer.edits(&edits, dir);
    composer.composed.scales = composer.scales.names();
    composer.scales.finish(&mut composer.composed.mistakes);
    // Without its scale, a recipe lacks what the rest of it names.
    composer.composed.whole &= !composer.composed.mistakes.iter().any(|mistake| mistake.code == "scale");
    composer.composed
}

struct Composer<'a> {
    composed: Composed,
    texts: Texts<'a>,
    /// Files being read, outermost first: a file that extends one of them extends itself.
    open: Vec<PathBuf>,
    scales: Scales,
}

impl Composer<'_> {
    /// Lays a file, and before it what it extends, over what is there.
    fn file(&mut self, path: &Path, asked_by: Option<Span>, scale: Option<&At<String>>) -> Option<SourceId> {
        let identity = fs::absolute(path);
        if self.open.contains(&identity) {
            let names: Vec<_> = self.open.iter().chain([&identity]).map(|path| file_name(path)).collect();
            let message = format!("`extends` goes in a circle: {}", names.join(" -> "));
            self.refuse(Diagnostic::error("extends", message), asked_by, "", "remove one of these `extends`");
            return None;
        }
        let text = match (self.texts)(path) {
            Ok(text) => text,
            Err(error) => {
                let by_file = asked_by.filter(|span| self.composed.sources.get(span.source).name != COMMAND_LINE);
                let help = by_file.map_or("", |_| "paths in `extends` start from the file that says them");
                self.refuse(Diagnostic::error("unreadable", error), asked_by, "asked for here", help);
                return None;
            }
        };
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let source = self.composed.sources.add(path.display().to_string(), &dir, text.as_str());
        let Some(table) = tree::parse(&text, source, 0, &mut self.composed.mistakes) else {
            self.composed.whole = false;
            return Some(source);
        };
        self.open.push(identity);
        self.layer(table, &dir, scale);
        self.open.pop();
        Some(source)
    }

    /// Lays a table, and before it what it extends and the scale that holds for it, over what is there.
    fn layer(&mut self, mut table: Table, dir: &Path, asked: Option<&At<String>>) {
        let scaled = self.scales.take(&mut table, asked, &mut self.composed.mistakes);
        let scale = scaled.choice.as_ref();
        for base in self.names(&mut table, "extends") {
            self.file(&dir.join(&base.value), Some(base.span), scale);
        }
        if let Some(fragment) = scaled.fragment {
            self.layer(fragment, dir, scale);
        }
        for path in self.names(&mut table, "unset") {
            self.unset(&path.value, path.span);
        }
        self.composed.table.merge(table);
    }

    fn edits(&mut self, edits: &[&String], dir: &Path) {
        for edit in edits {
            let source = self.composed.sources.add(COMMAND_LINE, dir, format!("--set {edit}"));
            match set::parse(edit, source, 6, &mut self.composed.mistakes) {
                Some(mut table) => {
                    self.scales.ask(&mut table, &mut self.composed.mistakes);
                    self.composed.table.merge(table);
                }
                None => self.composed.whole = false,
            }
        }
    }

    /// Takes a list of strings out of a file's table.
    fn names(&mut self, table: &mut Table, key: &str) -> Vec<At<String>> {
        let Some(Entry { value, .. }) = table.0.remove(key) else { return Vec::new() };
        let mut names = Vec::new();
        let help = format!("write `{key} = [\"…\"]`");
        let Node::Array(items) = value.value else {
            let message = format!("`{key}` is a list of strings, not {}", value.value.type_name());
            self.refuse(Diagnostic::error("wrong-type", message), Some(value.span), "", &help);
            return names;
        };
        for item in items {
            if let Node::String(name) = item.value {
                names.push(At::new(name, item.span));
            } else {
                let message = format!("`{key}` is a list of strings, and this is {}", item.value.type_name());
                self.refuse(Diagnostic::error("wrong-type", message), Some(item.span), "", &help);
            }
        }
        names
    }

    fn unset(&mut self, path: &str, span: Span) {
        let keys: Vec<_> = path.split('.').collect();
        if self.composed.table.remove(&keys) {
            return;
        }
        let mut table = &self.composed.table;
        let mut missing = keys[0];
        for key in &keys {
            missing = key;
            match table.get(key).map(|entry| &entry.value.value) {
                Some(Node::Table(below)) => table = below,
                _ => break,
            }
        }
        let help = suggest(missing, "keys here", table.0.keys().map(String::as_str));
        let diagnostic = Diagnostic::error("unset", format!("there is no `{path}` to unset")).at(span, "").help(help);
        self.composed.mistakes.push(diagnostic);
    }

    fn refuse(&mut self, diagnostic: Diagnostic, at: Option<Span>, label: &str, help: &str) {
        let diagnostic = match at {
            Some(span) => diagnostic.at(span, label),
            None => diagnostic,
        };
        self.composed.mistakes.push(diagnostic.help(help));
        self.composed.whole = false;
    }
}

fn is_scale(edit: &str) -> bool {
    edit.split_once('=').is_some_and(|(key, _)| key.trim() == "scale")
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
