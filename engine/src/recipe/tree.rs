//! TOML text → a tree whose every key and value knows its place. Refuses what no recipe may hold (numbers that are not
//! finite or too large, dates), and knows no section's name.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::source::{At, SourceId, Span};
use crate::diagnostic::Diagnostic;

/// A value of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    Array(Vec<At<Node>>),
    /// Named values.
    Table(Table),
    /// Something already reported: whoever meets it says nothing more.
    Invalid,
}

impl Node {
    /// What messages call such a value.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Invalid => "invalid",
        }
    }

    /// Is there something below that was already reported?
    pub fn is_tainted(&self) -> bool {
        match self {
            Self::Invalid => true,
            Self::Array(items) => items.iter().any(|item| item.value.is_tainted()),
            Self::Table(table) => table.0.values().any(|entry| entry.value.value.is_tainted()),
            Self::String(_) | Self::Integer(_) | Self::Float(_) | Self::Boolean(_) => false,
        }
    }

    /// The same value without places.
    pub fn to_json(&self) -> Value {
        match self {
            Self::String(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Float(number) => Value::from(*number),
            Self::Boolean(flag) => Value::from(*flag),
            Self::Array(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Self::Table(table) => table.to_json(),
            Self::Invalid => Value::Null,
        }
    }
}

/// A value under a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key was written.
    pub key: Span,
    /// The value.
    pub value: At<Node>,
}

/// Named values. Lookup is by name; [`Table::in_order`] gives the order of the text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table(pub BTreeMap<String, Entry>);

impl Table {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.0.get(key)
    }

    /// The value under a path of keys.
    pub fn descend(&self, path: &[&str]) -> Option<&Entry> {
        let (last, parents) = path.split_last()?;
        let mut table = self;
        for key in parents {
            let Node::Table(below) = &table.get(key)?.value.value else { return None };
            table = below;
        }
        table.get(last)
    }

    /// Keys and values in the order in which they were written.
    pub fn in_order(&self) -> Vec<(&str, &Entry)> {
        let mut entries: Vec<_> = self.0.iter().map(|(name, entry)| (name.as_str(), entry)).collect();
        entries.sort_by_key(|(_, entry)| entry.key);
        entries
    }

    /// Lays another table over this one: tables merge by key, everything else is replaced.
    pub fn merge(&mut self, over: Self) {
        for (name, entry) in over.0 {
            match (self.0.get_mut(&name).map(|below| &mut below.value.value), entry.value.value) {
                (Some(Node::Table(below)), Node::Table(above)) => below.merge(above),
                (_, value) => {
                    let value = At::new(value, entry.value.span);
                    self.0.insert(name, Entry { key: entry.key, value });
                }
            }
        }
    }

    /// Removes the value under a path of keys; `false` if there is none.
    pub fn remove(&mut self, path: &[&str]) -> bool {
        match path {
            [] => false,
            [last] => self.0.remove(*last).is_some(),
            [first, rest @ ..] => match self.0.get_mut(*first).map(|entry| &mut entry.value.value) {
                Some(Node::Table(below)) => below.remove(rest),
                _ => false,
            },
        }
    }

    /// The same values without places, and without those that were already reported.
    pub fn to_json(&self) -> Value {
        let sound = self.0.iter().filter(|(_, entry)| entry.value.value != Node::Invalid);
        Value::Object(sound.map(|(name, entry)| (name.clone(), entry.value.value.to_json())).collect())
    }
}

/// Reads `text`, which begins at byte `offset` of a source.
pub(super) fn parse(text: &str, source: SourceId, offset: usize, mistakes: &mut Vec<Diagnostic>) -> Option<Table> {
    let (table, mut errors) = DeTable::parse_recoverable(text);
    // After a header that is written twice, every key below it would be "duplicate" too.
    let on_header = |error: &toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        error.message().starts_with("duplicate key") && text[line..].starts_with('[')
    };
    if let Some(header) = errors.iter().position(on_header) {
        errors.truncate(header + 1);
    }
    let mut converter = Converter { source, offset, mistakes };
    for error in &errors {
        let span = converter.span(error.span().unwrap_or(0..0));
        let message = error.message();
        let diagnostic = if message.starts_with("duplicate key") {
            let help = "a key may be written once; keep one of them";
            Diagnostic::error("duplicate-key", "the same key is written twice").at(span, "already written").help(help)
        } else {
            Diagnostic::error("syntax", "this is not TOML").at(span, message)
        };
        converter.mistakes.push(diagnostic);
    }
    errors.is_empty().then(|| converter.table(table.get_ref()))
}

struct Converter<'a> {
    source: SourceId,
    offset: usize,
    mistakes: &'a mut Vec<Diagnostic>,
}

impl Converter<'_> {
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(self.source, range.start + self.offset..range.end + self.offset)
    }

    fn table(&mut self, table: &DeTable<'_>) -> Table {
        let entries = table.iter().map(|(key, value)| {
            let value = At::new(self.node(value.get_ref(), self.span(value.span())), self.span(value.span()));
            (key.get_ref().to_string(), Entry { key: self.span(key.span()), value })
        });
        Table(entries.collect())
    }

    fn node(&mut self, value: &DeValue<'_>, span: Span) -> Node {
        match value {
            DeValue::String(text) => Node::String(text.to_string()),
            DeValue::Boolean(flag) => Node::Boolean(*flag),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Node::Integer(number),
                Err(_) => self.refuse(span, "number", "this number has more than 64 bits", "write it as a float"),
            },
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Node::Float(number),
                _ => self.refuse(span, "number", "this number is not finite", "a recipe holds finite numbers only"),
            },
            DeValue::Datetime(_) => {
                self.refuse(span, "wrong-type", "a recipe holds no dates", "put it in quotes to make it a string")
            }
            DeValue::Array(items) => {
                let item = |item: &toml::Spanned<DeValue<'_>>| {
                    let span = self.span(item.span());
                    At::new(self.node(item.get_ref(), span), span)
                };
                Node::Array(items.iter().map(item).collect())
            }
            DeValue::Table(table) => Node::Table(self.table(table)),
        }
    }

    /// Reports a value that no recipe may hold.
    fn refuse(&mut self, span: Span, code: &'static str, message: &str, help: &str) -> Node {
        self.mistakes.push(Diagnostic::error(code, message).at(span, "").help(help));
        Node::Invalid
    }
}
