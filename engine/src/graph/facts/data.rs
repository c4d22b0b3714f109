//! A file of rows → its type: the columns of its first rows, and everything where the file is small enough to be read whole.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::{Outside, Seen, named, origin, settle, unseen, unverified};
use crate::diagnostic::{Diagnostic, Severity, suggest};
use crate::hub::Held;
use crate::recipe::{DataEntry, Layout, ROW_FIELDS, Span};
use crate::rows::{self, Head};
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
        Some(path) => {
            let files = entry.view.files.as_deref();
            let look = |_: &Path| rows::head(path, files, HEAD);
            match disk.rows.get(&path.join(files.unwrap_or_default()), look).as_ref() {
                Ok(Some(head)) => Rows { entry, title: &title, span: source.span, head }.read(mistakes),
                Ok(None) => entry.assume.clone(),
                Err(why) => {
                    let message = format!("`{title}` can't be read");
                    mistakes.push(Diagnostic::error("rows", message).at(source.span, "named here").help(why.clone()));
                    entry.assume.clone()
                }
            }
        }
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
    ty.sources = vec![named(&title, &place, ty.licence.get())];
    Some(Outside { origin: place, ty })
}

/// The first rows, or why there are none.
pub(super) type First = Result<Option<Head>, String>;

impl Head {
    fn column<'a>(&'a self, column: &'a str) -> impl Iterator<Item = &'a Value> {
        self.rows.iter().filter_map(move |row| row.get(column)).filter(|value| !value.is_null())
    }

    fn has(&self, column: &str) -> bool {
        self.rows.iter().any(|row| row.contains_key(column))
    }

    /// `its 2 rows`, or `its first 40 rows`.
    fn name(&self) -> String {
        let first = if self.whole { "" } else { "first " };
        let count = self.rows.len();
        if count == 1 { format!("its {first}row") } else { format!("its {first}{count} rows") }
    }
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
        let known = mistakes.len();
        self.check_layout(mistakes);
        self.check_columns(mistakes);
        let missing = mistakes.len() > known;
        let columns = self.columns();
        // Rows without images may follow one with images, and the other way round: only presence says something.
        let images = columns.contains("images").then_some(true).or(self.head.whole.then_some(false));
        let rows = self.head.total.filter(|_| self.head.counted).map(|rows| rows as usize);
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
        let columns = self.entry.view.columns_of(field);
        columns.iter().find(|column| self.head.column(column).next().is_some()).copied().unwrap_or(columns[0])
    }

    fn layout(&self) -> Option<&'static Layout> {
        Layout::named(self.entry.view.layout.as_deref()?)
    }

    /// Reports a layout whose questions no row has.
    fn check_layout(&self, mistakes: &mut Vec<Diagnostic>) {
        let (Some(layout), Some(span)) = (self.layout(), self.entry.places.layout) else { return };
        let asked = if matches!(layout.name, "sharegpt" | "messages") { "messages" } else { "prompt" };
        let columns = self.entry.view.columns_of(asked);
        if columns.iter().any(|column| self.head.has(column)) {
            return;
        }
        let names: BTreeSet<&str> = self.head.rows.iter().flat_map(Map::keys).map(String::as_str).collect();
        let message = format!("`{}` has no column `{}`, where layout `{}` has it", self.title, columns[0], layout.name);
        let names = names.into_iter().collect::<Vec<_>>().join("`, `");
        let help = format!("it has `{names}`; name another layout, or the column: `columns = {{ {asked} = \"…\" }}`");
        let mistake = Diagnostic::error("column", message).at(span, "named here");
        mistakes.push(mistake.at(self.span, format!("not in {}", self.head.name())).help(help));
    }

    /// Reports columns that the recipe names and no row has.
    fn check_columns(&self, mistakes: &mut Vec<Diagnostic>) {
        let (view, places) = (&self.entry.view, &self.entry.places);
        let mapped = view.columns.iter().filter_map(|(field, column)| Some((column, *places.columns.get(field)?)));
        let grouped = view.group_by.as_ref().zip(places.group_by);
        for (column, span) in mapped.chain(grouped) {
            if self.head.has(column) {
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
    }

    /// A field counts as present where a row has it.
    fn columns(&self) -> BTreeSet<String> {
        let filled = |value: &Value| match value {
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        let present = |field: &&str| self.head.column(self.column(field)).any(filled);
        let mut columns: BTreeSet<String> = ROW_FIELDS.into_iter().filter(present).map(str::to_owned).collect();
        if self.marker().is_some() {
            columns.insert("reasoning".into());
        }
        if self.layout().is_some_and(Layout::is_choice) && self.head.has("A") && self.head.has("B") {
            columns.insert("choices".into());
        }
        // A whole chat holds its prompt, and its answer where the assistant has the last word.
        if columns.remove("messages") {
            columns.insert("prompt".into());
            let answers = |turn: &Value| turn["role"] == "assistant" || turn["from"] == "gpt";
            let last = |chat: &Value| Some(answers(chat.as_array()?.last()?));
            let chats = || self.head.column(self.column("messages"));
            if chats().any(|chat| last(chat).unwrap_or(false)) {
                columns.insert("response".into());
            }
            if chats().any(shows_images) {
                columns.insert("images".into());
            }
        }
        columns
    }

    /// Text between reasoning and answer.
    fn marker(&self) -> Option<&str> {
        self.entry.view.answer_marker.as_deref().or_else(|| self.layout()?.marker())
    }

    /// What the answers have in common.
    fn answers(&self) -> Option<Answers> {
        if self.layout().is_some_and(Layout::is_choice) {
            return Some(Answers::Letter);
        }
        let marker = self.marker();
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

/// Does a chat hold parts that are images?
fn shows_images(chat: &Value) -> bool {
    let turns = chat.as_array().into_iter().flatten();
    let mut parts = turns.filter_map(|turn| turn["content"].as_array()).flatten();
    parts.any(|part| part["type"] == "image" || part["type"] == "image_url")
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
