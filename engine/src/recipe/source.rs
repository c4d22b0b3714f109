//! Texts and the places in them: every value of a recipe remembers where it was written, so that a mistake found three
//! passes later can still underline the line that made it. This file knows nothing of TOML.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A text's place in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(usize);

/// A range of bytes of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// A range of a text.
    pub fn new(source: SourceId, range: Range<usize>) -> Self {
        Self { source, start: range.start, end: range.end }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> At<T> {
    /// Joins a value and its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// A text that a recipe is made of: a file, or one `--set` of the command line.
#[derive(Debug, Clone)]
pub struct Source {
    /// What messages call it: the path as typed, or `command line`.
    pub name: String,
    /// Folder that relative paths in it start from.
    pub dir: PathBuf,
    /// What it says.
    pub text: String,
}

/// 1-based line and column (in characters) of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line from 1.
    pub line: usize,
    /// Column from 1.
    pub column: usize,
}

/// Every text of one recipe, in the order in which they were read.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a text.
    pub fn add(&mut self, name: impl Into<String>, dir: &Path, text: impl Into<String>) -> SourceId {
        self.0.push(Source { name: name.into(), dir: dir.to_owned(), text: text.into() });
        SourceId(self.0.len() - 1)
    }

    /// The text behind an id.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.0[id.0]
    }

    /// Line and column of a byte.
    pub fn position(&self, source: SourceId, byte: usize) -> Position {
        let text = &self.get(source).text;
        let before = &text[..text.floor_char_boundary(byte.min(text.len()))];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }

    /// Overwrites a place with asterisks of the same length: a secret must not be shown, not even by a message about it.
    pub(crate) fn mask(&mut self, span: Span) {
        let text = &mut self.0[span.source.0].text;
        if let Some(secret) = text.get(span.start..span.end) {
            let masked: String = secret.bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' }).collect();
            text.replace_range(span.start..span.end, &masked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let mut sources = Sources::default();
        let id = sources.add("x", Path::new("."), "a = 1\nä = \"é\"\n");
        assert_eq!(sources.position(id, 0), Position { line: 1, column: 1 });
        assert_eq!(sources.position(id, 4), Position { line: 1, column: 5 });
        assert_eq!(sources.position(id, 11), Position { line: 2, column: 5 }, "`ä` is two bytes and one column");
        assert_eq!(sources.position(id, 999), Position { line: 3, column: 1 });
    }

    #[test]
    fn masking_keeps_every_other_place() {
        let mut sources = Sources::default();
        let id = sources.add("x", Path::new("."), "a = \"geheim-é\"\nb = 1\n");
        sources.mask(Span::new(id, 5..14));
        assert_eq!(sources.get(id).text, "a = \"*********\"\nb = 1\n");
        assert_eq!(sources.position(id, 16).line, 2);
    }
}
