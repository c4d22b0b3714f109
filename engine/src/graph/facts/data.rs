//! A file of rows → its type: the columns of its first rows, and everything where the file is small enough to be read whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Outside, Seen, origin, settle, unseen, unverified};
use crate::diagnostic::{Diagnostic, Severity, suggest};
use crate::fs;
use crate::hub::Held;
use crate::recipe::{DataEntry, ROW_FIELDS, Span};
use crate::stage::{Answers, DataType, DataView, Fact, Said};

/// What is read of a file of rows, in bytes.
const HEAD: u64 = 1 << 18;

/// Looks at a data set; none if its source is missing or wrong.
pub(in super::super) fn data(
    entry: &DataEntry,
    held: &Held,
    disk: &Seen,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Outside<DataType>> {
    let source = entry.source.as_ref()?;
    let title = format!("data.{}", entry.name.value);
    let (place, files) = origin(&title, &source.value, entry.view.clone(), held);
    let mut ty = match &files {
        None => {
            mistakes.push(unverified(&title, source.span, unseen(&source.value), entry.assumes()));
            entry.assume.clone()
        }
        Some(path) => match disk.rows.get(path, Head::read).as_ref() {
            Some(head) => Rows { entry, title: &title, span: source.span, head }.read(mistakes),
            None => entry.assume.clone(),
        },
    };
    ty.role = entry.role.value;
    if let (Some(column), Some(span)) = (&entry.view.group_by, entry.places.group_by) {
        ty.group_by = Fact::new(column.clone(), Said::at(span));
    }
    if let (Some(limit), Some(span)) = (entry.view.limit, entry.places.limit)
        && ty.rows.get().is_none_or(|rows| *rows > limit)
    {
        ty.rows = Fact::new(limit, Said::at(span));
    }
    twice(entry, &title, mistakes);
    Some(Outside { origin: place, ty })
}

/// The first rows of a file.
pub(super) struct Head {
    rows: Vec<Map<String, Value>>,
    /// Are they all rows?
    whole: bool,
}

impl Head {
    /// None where no row can be seen: another format, or a first row that is too long.
    fn read(path: &Path) -> Option<Self> {
        let file = if fs::is_dir(path) { only_file(path)? } else { path.to_owned() };
        let (mut bytes, whole) = fs::head(&file, HEAD).ok()?;
        if !whole {
            bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n')?);
        }
        let text = String::from_utf8(bytes).ok()?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with('[') {
            let rows = if whole { serde_json::from_str(text).ok()? } else { return None };
            return Some(Self { rows, whole });
        }
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let rows: Option<Vec<_>> = lines.map(|line| serde_json::from_str(line).ok()).collect();
        rows.map(|rows| Self { rows, whole })
    }

    fn column<'a>(&'a self, column: &'a str) -> impl Iterator<Item = &'a Value> {
        self.rows.iter().filter_map(move |row| row.get(column)).filter(|value| !value.is_null())
    }

    /// `its 2 rows`, or `its first 40 rows`.
    fn name(&self) -> String {
        let first = if self.whole { "" } else { "first " };
        let count = self.rows.len();
        if count == 1 { format!("its {first}row") } else { format!("its {first}{count} rows") }
    }
}

/// The file of rows in a folder: `rows.jsonl`, or the only `.jsonl`, or else the only `.json`.
fn only_file(folder: &Path) -> Option<PathBuf> {
    let names = fs::list(folder).ok()?;
    if names.iter().any(|name| name == "rows.jsonl") {
        return Some(folder.join("rows.jsonl"));
    }
    ["jsonl", "json"].iter().find_map(|wanted| {
        let is = |name: &&String| Path::new(name).extension().is_some_and(|extension| extension == *wanted);
        let mut found = names.iter().filter(is);
        found.next().filter(|_| found.next().is_none()).map(|name| folder.join(name))
    })
}

/// Rows that can be seen, read as an entry says.
struct Rows<'a> {
    entry: &'a DataEntry,
    title: &'a str,
    /// Where the recipe names the file.
    span: Span,
    head: &'a Head,
}

impl Rows<'_> {
    fn read(&self, mistakes: &mut Vec<Diagnostic>) -> DataType {
        let assumed = self.entry.assume.clone();
        if self.head.rows.is_empty() {
            let message = format!("`{}` has no rows", self.title);
            let help = "the file is empty; name another";
            mistakes.push(Diagnostic::error("rows", message).at(self.span, "an empty file").help(help));
            return assumed;
        }
        let missing = self.check_columns(mistakes);
        let columns = self.columns();
        // Rows without images may follow one with images, and the other way round: only presence says something.
        let images = columns.contains("images").then_some(true).or(self.head.whole.then_some(false));
        let rows = self.head.whole.then_some(self.head.rows.len());
        let flag = |flag: &bool| if *flag { "rows with images" } else { "rows without images" }.to_owned();
        DataType {
            images: settle(self.fact(images), assumed.images, flag, self.title, mistakes),
            // What a missing column was meant to hold is not judged a second time.
            columns: if missing { Fact::default() } else { self.settled(columns, &assumed.columns, mistakes) },
            rows: settle(self.fact(rows), assumed.rows, |rows| format!("{rows} rows"), self.title, mistakes),
            answers: self.fact(self.answers()).or(assumed.answers),
            prompt_tokens: assumed.prompt_tokens,
            licence: assumed.licence,
            ..DataType::default()
        }
    }

    fn fact<T>(&self, value: Option<T>) -> Fact<T> {
        value.map_or_else(Fact::default, |value| Fact::new(value, Said::at(self.span)))
    }

    /// Fields that the first rows have; warns of a field that was declared and is in none of all rows.
    fn settled(
        &self,
        mut seen: BTreeSet<String>,
        assumed: &Fact<BTreeSet<String>>,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Fact<BTreeSet<String>> {
        let lost = assumed.get().into_iter().flatten().find(|field| !seen.contains(*field));
        if let (Some(field), true, Said::At { span, .. }) = (lost, self.head.whole, assumed.said()) {
            let message = format!("`{}` is not what `assume` says: its rows have no `{field}`", self.title);
            let help = format!("correct it, or name the column: `columns = {{ {field} = \"…\" }}`");
            let label = format!("{} have none", self.head.name());
            let warning = Diagnostic::warning("assume", message).at(*span, "declared here").at(self.span, label);
            mistakes.push(warning.help(help));
        }
        if !self.head.whole {
            seen.extend(assumed.get().into_iter().flatten().cloned());
        }
        self.fact(Some(seen))
    }

    fn column<'a>(&'a self, field: &'a str) -> &'a str {
        self.entry.view.columns.get(field).map_or(field, String::as_str)
    }

    /// Reports columns that the recipe names and no row has; is there one?
    fn check_columns(&self, mistakes: &mut Vec<Diagnostic>) -> bool {
        let known = mistakes.len();
        let (view, places) = (&self.entry.view, &self.entry.places);
        let mapped = view.columns.iter().filter_map(|(field, column)| Some((column, *places.columns.get(field)?)));
        let grouped = view.group_by.as_ref().zip(places.group_by);
        for (column, span) in mapped.chain(grouped) {
            if self.head.rows.iter().any(|row| row.contains_key(column)) {
                continue;
            }
            let names: BTreeSet<&str> = self.head.rows.iter().flat_map(Map::keys).map(String::as_str).collect();
            let help = suggest(column, "it has", names);
            let message = format!("`{}` has no column `{column}`", self.title);
            let missing = Diagnostic::error("column", message).at(span, "named here");
            // A later row may have it.
            let severity = if self.head.whole { Severity::Error } else { Severity::Warning };
            let label = format!("not in {}", self.head.name());
            mistakes.push(Diagnostic { severity, ..missing }.at(self.span, label).help(help));
        }
        mistakes.len() > known
    }

    /// A field counts as present where a row has it.
    fn columns(&self) -> BTreeSet<String> {
        let filled = |value: &Value| match value {
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        let present = |field: &&str| self.head.column(self.column(field)).any(filled);
        let mut columns: BTreeSet<String> = ROW_FIELDS.into_iter().filter(present).map(str::to_owned).collect();
        if self.entry.view.answer_marker.is_some() {
            columns.insert("reasoning".into());
        }
        // A whole chat holds its prompt, and its answer where the assistant has the last word.
        if columns.remove("messages") {
            columns.insert("prompt".into());
            let last = |chat: &Value| Some(chat.as_array()?.last()?["role"] == "assistant");
            if self.head.column(self.column("messages")).any(|chat| last(chat).unwrap_or(false)) {
                columns.insert("response".into());
            }
        }
        columns
    }

    /// What the answers have in common.
    fn answers(&self) -> Option<Answers> {
        let marker = self.entry.view.answer_marker.as_deref();
        let mut kinds = self.head.column(self.column("answer")).map(|answer| match answer {
            Value::Number(_) => Answers::Number,
            Value::String(text) => {
                let (_, text) = marker.and_then(|marker| text.rsplit_once(marker)).unwrap_or(("", text));
                answers_of(text.trim())
            }
            _ => Answers::Mixed,
        });
        let first = kinds.next()?;
        Some(if kinds.all(|kind| kind == first) { first } else { Answers::Mixed })
    }
}

/// Anything with a digit, or in formulas, may be worth a number.
fn answers_of(text: &str) -> Answers {
    let bare = text.trim_matches(['(', ')', '.', ' ']);
    match bare.as_bytes() {
        [letter] if letter.is_ascii_uppercase() => Answers::Letter,
        _ if text.replace(',', "").parse::<f64>().is_ok_and(f64::is_finite) => Answers::Number,
        _ if text.contains(|c: char| c.is_ascii_digit() || c == '\\' || c == '$') => Answers::Mixed,
        _ => Answers::Text,
    }
}

/// Warns of one column that is read as two fields.
fn twice(entry: &DataEntry, title: &str, mistakes: &mut Vec<Diagnostic>) {
    let DataView { columns, answer_marker, .. } = &entry.view;
    for (field, column) in columns {
        let same = columns.iter().find(|(other, same)| *other < field && *same == column);
        let Some((other, _)) = same.filter(|_| answer_marker.is_none()) else { continue };
        // Splits by image, tasks by level: only what is asked and answered has to be told apart.
        let told_apart = ["prompt", "answer", "reasoning", "response"];
        let places = entry.places.columns.get(field).zip(entry.places.columns.get(other));
        if let Some((here, there)) =
            places.filter(|_| [field, other].iter().all(|one| told_apart.contains(&one.as_str())))
        {
            let message = format!("`{title}` reads the column `{column}` as both `{other}` and `{field}`");
            let help = "name the column of each, or leave one out";
            let warning = Diagnostic::warning("column", message).at(*here, format!("as `{field}`"));
            mistakes.push(warning.at(*there, format!("as `{other}`")).help(help));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_look_like_numbers_letters_or_text() {
        for (kind, answers) in [
            (Answers::Number, &["42", "-3.5", "1,000", "6e2"][..]),
            (Answers::Letter, &["A", "(C)", "B."]),
            (Answers::Text, &["red", "a", "inf", "two circles"]),
            (Answers::Mixed, &["5 cm", r"\frac{1}{2}", "$x$"]),
        ] {
            for answer in answers {
                assert_eq!(answers_of(answer), kind, "{answer}");
            }
        }
    }
}
