//! A recipe's text → the same recipe as the shipped ones are written: equals signs of a block below each other, no space at the
//! end of a line, one empty line where there were several. Comments, order and values stay as they are; knows TOML's lines
//! and strings, and no key but `[params]`.

use std::path::Path;
use std::sync::Arc;

use super::source::{Sources, Span};
use super::tree;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Least space between a value and the comment behind it.
const GAP: usize = 2;

/// Formats a recipe's text; `name` is what messages call it.
///
/// # Errors
/// A text that is not TOML.
pub fn format(name: &str, text: &str) -> Result<String, Diagnostics> {
    let mut sources = Sources::default();
    let source = sources.add(name, Path::new(""), text);
    let mut mistakes = Vec::new();
    let before = tree::parse(text, source, 0, &mut mistakes);
    let Some(before) = before else { return Err(Diagnostics::new(Arc::new(sources), mistakes)) };
    let formatted = write(&blocks(text));
    // A file is only ever replaced by one that says the same.
    let after = tree::parse(&formatted, source, 0, &mut Vec::new());
    if after.is_none_or(|after| after.to_json() != before.to_json()) {
        let message = "this text can't be formatted without changing what it says";
        let mistake = Diagnostic::error("format", message).at(Span::new(source, 0..0), "");
        return Err(Diagnostics::new(Arc::new(sources), vec![mistake.help("leave it as it is, and report it")]));
    }
    Ok(formatted)
}

/// One line, or several that are one value.
enum Line<'a> {
    Blank,
    /// A comment or a header, without the space around it.
    Plain(&'a str),
    Entry(Entry<'a>),
    /// A further line of a value: as it is.
    Inside(&'a str),
}

struct Entry<'a> {
    key: &'a str,
    /// Space before the equals sign, as written.
    space: usize,
    value: &'a str,
    /// Space before the comment, as written, and the comment.
    comment: Option<(usize, &'a str)>,
    /// Characters up to the end of the value, as written.
    end: usize,
    /// Are the equals signs of its block to stand below each other?
    aligned: bool,
}

/// What of a value is still open at the end of a line.
#[derive(Default)]
struct Open {
    brackets: usize,
    /// The three quotes that end a string over several lines.
    string: Option<&'static str>,
}

impl Open {
    fn is_open(&self) -> bool {
        self.brackets > 0 || self.string.is_some()
    }

    /// Reads on in a line; gives the place of a comment.
    fn read(&mut self, line: &str, from: usize) -> Option<usize> {
        let mut at = from;
        while at < line.len() {
            let rest = &line[at..];
            if let Some(quotes) = self.string {
                if rest.starts_with(quotes) {
                    self.string = None;
                    // Up to two quotes more belong to the string.
                    at += rest.len() - rest.trim_start_matches(&quotes[..1]).len();
                } else if quotes == "\"\"\"" && rest.starts_with('\\') {
                    at += 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                } else {
                    at += rest.chars().next().map_or(1, char::len_utf8);
                }
                continue;
            }
            match rest.as_bytes()[0] {
                b'#' => return Some(at),
                b'[' | b'{' => self.brackets += 1,
                b']' | b'}' => self.brackets = self.brackets.saturating_sub(1),
                b'"' if rest.starts_with("\"\"\"") => (self.string, at) = (Some("\"\"\""), at + 2),
                b'\'' if rest.starts_with("'''") => (self.string, at) = (Some("'''"), at + 2),
                b'"' | b'\'' => at += in_quotes(rest) - 1,
                _ => at += rest.chars().next().map_or(1, char::len_utf8) - 1,
            }
            at += 1;
        }
        None
    }
}

/// Bytes of the string in one line that a text begins with, quotes included.
fn in_quotes(text: &str) -> usize {
    let quote = &text[..1];
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote == "\"" {
            escaped = true;
        } else if text[at..].starts_with(quote) {
            return at + 1;
        }
    }
    text.len()
}

/// Lines, in blocks within which equals signs stand below each other.
fn blocks(text: &str) -> Vec<Vec<Line<'_>>> {
    let mut blocks = vec![Vec::new()];
    let mut open = Open::default();
    let mut aligned = true;
    for line in text.lines() {
        if open.is_open() {
            let in_string = open.string.is_some();
            open.read(line, 0);
            let plain = !in_string && open.string.is_none();
            last(&mut blocks).push(Line::Inside(if plain { line.trim_end() } else { line }));
            continue;
        }
        let trimmed = line.trim();
        if trimmed.is_empty() {
            blocks.push(vec![Line::Blank]);
        } else if trimmed.starts_with('#') {
            last(&mut blocks).push(Line::Plain(trimmed));
        } else if trimmed.starts_with('[') {
            // Names of parameters are the author's, and so is how they stand.
            let name = trimmed.trim_start_matches('[').trim_start();
            aligned = !(name.starts_with("params]") || name.starts_with("params.") || name.starts_with("params "));
            blocks.push(vec![Line::Plain(trimmed)]);
        } else {
            last(&mut blocks).push(entry(line, aligned, &mut open));
        }
    }
    blocks
}

fn last<'a, 'b>(blocks: &'a mut Vec<Vec<Line<'b>>>) -> &'a mut Vec<Line<'b>> {
    if blocks.is_empty() {
        blocks.push(Vec::new());
    }
    let end = blocks.len() - 1;
    &mut blocks[end]
}

fn entry<'a>(line: &'a str, aligned: bool, open: &mut Open) -> Line<'a> {
    let mut at = 0;
    while at < line.len() && !line[at..].starts_with('=') {
        let rest = &line[at..];
        at += match rest.as_bytes()[0] {
            b'"' | b'\'' => in_quotes(rest),
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    let (before, from) = (&line[..at], (at + 1).min(line.len()));
    let place = open.read(line, from);
    // The end of a line within a string is part of the string.
    let value = match (place, &open.string) {
        (None, Some(_)) => line[from..].trim_start(),
        (place, _) => line[from..place.unwrap_or(line.len())].trim(),
    };
    let written = line[from..place.unwrap_or(line.len())].trim_end();
    let end = line[..from].chars().count() + written.chars().count();
    let comment = place.map(|place| (line[from..place].len() - written.len(), line[place..].trim_end()));
    let (key, space) = (before.trim(), before.len() - before.trim_end().len());
    Line::Entry(Entry { key, space, value, comment, end, aligned })
}

fn write(blocks: &[Vec<Line<'_>>]) -> String {
    let mut out = String::new();
    for block in blocks {
        let width = width(block);
        for line in block {
            match line {
                Line::Blank if out.is_empty() || out.ends_with("\n\n") => continue,
                Line::Blank => {}
                Line::Plain(text) | Line::Inside(text) => out += text,
                Line::Entry(entry) => out += &entry.written(width),
            }
            out.push('\n');
        }
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

/// Characters before the space before the equals signs of a block.
fn width(block: &[Line<'_>]) -> usize {
    let entries: Vec<_> = block
        .iter()
        .filter_map(|line| match line {
            Line::Entry(entry) => Some((entry.key.chars().count(), entry.space)),
            _ => None,
        })
        .collect();
    let longest = entries.iter().map(|(length, _)| *length).max().unwrap_or_default();
    // What stands below each other stays, be it further to the right than it has to.
    let mut columns = entries.iter().map(|(length, space)| length + space);
    match columns.next() {
        Some(first) if entries.len() > 1 && first > longest && columns.all(|column| column == first) => first - 1,
        _ => longest,
    }
}

impl Entry<'_> {
    fn written(&self, width: usize) -> String {
        let length = self.key.chars().count();
        let space = if self.aligned { width - length + 1 } else { self.space.max(1) };
        let text = format!("{}{}= {}", self.key, " ".repeat(space), self.value);
        let Some((gap, comment)) = self.comment else { return text };
        // A comment stays in its column as long as there is room.
        let end = text.chars().count();
        let gap = if end == self.end { gap.max(1) } else { (gap + self.end).saturating_sub(end).max(GAP) };
        format!("{text}{}{comment}", " ".repeat(gap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(text: &str) -> String {
        let once = format("x.toml", text).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
        assert_eq!(format("x.toml", &once).unwrap(), once, "formatting twice is formatting once");
        once
    }

    #[test]
    fn equals_signs_of_a_block_stand_below_each_other() {
        let text = "\n\nschema=1\n\n\n\n[stages.a]\n  kind = \"sft\"  \n# a comment\ninputs   =   { a = \"b=c\" }\n\n\
                    [stages.a.params]\n\"a b\" = 1\nx.\"y=z\" = 2\n\n";
        let expected = "schema = 1\n\n[stages.a]\nkind   = \"sft\"\n# a comment\ninputs = { a = \"b=c\" }\n\n\
                        [stages.a.params]\n\"a b\"   = 1\nx.\"y=z\" = 2\n";
        assert_eq!(formatted(text), expected);
    }

    #[test]
    fn what_stands_below_each_other_stays() {
        let text = "[a]\nx    = 1\nlo   = 2\n\ny    = 3\n";
        assert_eq!(formatted(text), "[a]\nx    = 1\nlo   = 2\n\ny = 3\n");
    }

    #[test]
    fn comments_stay_in_their_column_where_they_can() {
        let text = "[a]\nx = 1      # one\nlonger = 2 # two\ny = \"#no\"#three\n";
        assert_eq!(formatted(text), "[a]\nx      = 1  # one\nlonger = 2 # two\ny      = \"#no\"  #three\n");
    }

    #[test]
    fn values_over_several_lines_stay_as_they_are() {
        let text = "[a]\ntext = \"\"\"\\\n  x = 1  \n  \\\"\"\" ] # no comment\n\"\"\"\nlist = [  \n  1, # one\n  \"]\",\n]\n\
                    raw = '''\n a  \n'''\nk = 1\n";
        let expected = "[a]\ntext = \"\"\"\\\n  x = 1  \n  \\\"\"\" ] # no comment\n\"\"\"\nlist = [\n  1, # one\n  \"]\",\n]\n\
                        raw  = '''\n a  \n'''\nk    = 1\n";
        assert_eq!(formatted(text), expected);
    }

    #[test]
    fn parameters_stand_as_their_author_wants() {
        let text = "[params]\nmodel  =\"a\"\nmax=1\n[params.deep]\nlonger = 1\nx = 2\n";
        assert_eq!(formatted(text), "[params]\nmodel  = \"a\"\nmax = 1\n[params.deep]\nlonger = 1\nx = 2\n");
    }

    #[test]
    fn what_is_no_toml_is_refused() {
        let wrong = format("x.toml", "a = \n").unwrap_err();
        assert!(wrong.render(false).contains("x.toml:1:"), "{}", wrong.render(false));
    }
}
