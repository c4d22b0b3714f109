//! Reads one table of a recipe key by key: wrong types and unknown keys become diagnostics, never a stop.

use super::source::{At, Span};
use super::tree::{Entry, Node, Table};
use crate::diagnostic::{Diagnostic, suggest};

/// A table being read. Ask for every key it may have, then [`Fields::finish`].
pub(crate) struct Fields<'t, 'm> {
    table: &'t Table,
    /// What messages call it: `[data.gsm8k]`.
    title: String,
    known: Vec<&'static str>,
    mistakes: &'m mut Vec<Diagnostic>,
}

impl<'t, 'm> Fields<'t, 'm> {
    /// Starts reading.
    pub fn new(table: &'t Table, title: impl Into<String>, mistakes: &'m mut Vec<Diagnostic>) -> Self {
        Self { table, title: title.into(), known: Vec::new(), mistakes }
    }

    /// The value under a key, whatever it is.
    pub fn any(&mut self, key: &'static str) -> Option<&'t Entry> {
        self.known.push(key);
        self.table.get(key).filter(|entry| entry.value.value != Node::Invalid)
    }

    /// A string.
    pub fn string(&mut self, key: &'static str) -> Option<At<String>> {
        self.typed(key, "a string", |node| match node {
            Node::String(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<At<bool>> {
        self.typed(key, "a boolean", |node| match node {
            Node::Boolean(flag) => Some(*flag),
            _ => None,
        })
    }

    /// A whole number from 0.
    pub fn count(&mut self, key: &'static str) -> Option<At<usize>> {
        self.typed(key, "a whole number from 0", |node| match node {
            Node::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        })
    }

    /// A table.
    pub fn table(&mut self, key: &'static str) -> Option<At<&'t Table>> {
        let entry = self.any(key)?;
        match &entry.value.value {
            Node::Table(table) => Some(At::new(table, entry.value.span)),
            other => {
                self.wrong(key, "a table", other, entry.value.span);
                None
            }
        }
    }

    /// A list of strings; items of another type are reported and left out.
    pub fn strings(&mut self, key: &'static str) -> Option<At<Vec<At<String>>>> {
        let entry = self.any(key)?;
        let Node::Array(items) = &entry.value.value else {
            self.wrong(key, "a list of strings", &entry.value.value, entry.value.span);
            return None;
        };
        let mut strings = Vec::new();
        for item in items {
            match &item.value {
                Node::String(text) => strings.push(At::new(text.clone(), item.span)),
                Node::Invalid => {}
                other => self.wrong(key, "a list of strings", other, item.span),
            }
        }
        Some(At::new(strings, entry.value.span))
    }

    /// Reports something else about this table.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.mistakes.push(diagnostic);
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self) {
        for (key, entry) in self.table.in_order() {
            if !self.known.contains(&key) {
                let help = suggest(key, "it takes", self.known.iter().copied());
                let message = format!("{} takes no `{key}`", self.title);
                self.mistakes.push(Diagnostic::error("unknown-key", message).at(entry.key, "unknown").help(help));
            }
        }
    }

    fn typed<T>(&mut self, key: &'static str, what: &str, read: impl Fn(&Node) -> Option<T>) -> Option<At<T>> {
        let entry = self.any(key)?;
        let value = read(&entry.value.value);
        if value.is_none() {
            self.wrong(key, what, &entry.value.value, entry.value.span);
        }
        value.map(|value| At::new(value, entry.value.span))
    }

    fn wrong(&mut self, key: &str, what: &str, found: &Node, span: Span) {
        let message = format!("`{key}` must be {what}");
        let found = match found {
            Node::Integer(number) => format!("this is {number}"),
            other => format!("this is {}", other.type_name()),
        };
        self.mistakes.push(Diagnostic::error("wrong-type", message).at(span, found));
    }
}
