//! A file of rows → the images that its rows name. It refuses to know whether they are there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, Read as _};
use std::path::Path;

use serde::Deserializer as _;
use serde::de::{SeqAccess, Visitor};
use serde_json::Value;

use crate::fs::{self, Reader};

/// Longer texts are no paths.
const LONGEST_PATH: usize = 4096;
/// Longer lines are no rows: no reader of rows takes them.
const LONGEST_LINE: u64 = 64 << 20;

/// Can rows of this file name images? Those of JSON and JSONL can.
pub(super) fn may_name(path: &Path) -> bool {
    let extension = path.extension().map(OsStr::to_ascii_lowercase);
    extension.is_some_and(|extension| ["jsonl", "ndjson", "json"].iter().any(|known| extension == *known))
}

/// Images that the rows of a file name, in columns or in messages, each once, sorted. Rows are read one at a time, up to the
/// first that can't be: that one is for the reader of rows to report.
pub(super) fn images(path: &Path, columns: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Ok(mut file) = fs::reader(path) {
        let keys = columns.iter().map(|column| format!("\"{column}\"")).collect();
        // What was found before the trouble counts.
        let _ = read(&mut file, &mut Collect { columns, keys, names: &mut names });
    }
    names
}

fn read(file: &mut Reader, found: &mut Collect) -> io::Result<()> {
    if file.fill_buf()?.starts_with("\u{feff}".as_bytes()) {
        file.consume(3);
    }
    let mut line = String::new();
    loop {
        let spaces = file.fill_buf()?.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        file.consume(spaces);
        match file.fill_buf()? {
            [] => return Ok(()),
            [b'[', ..] => {
                serde_json::Deserializer::from_reader(file).deserialize_seq(found)?;
                return Ok(());
            }
            [b, ..] if b.is_ascii_whitespace() => continue,
            _ => {}
        }
        line.clear();
        file.take(LONGEST_LINE).read_line(&mut line)?;
        if line.len() as u64 == LONGEST_LINE {
            return Ok(());
        }
        found.line(&line);
    }
}

/// Takes rows, keeps names.
struct Collect<'a> {
    columns: &'a [&'a str],
    /// The columns as JSON writes them.
    keys: Vec<String>,
    names: &'a mut BTreeSet<String>,
}

impl Collect<'_> {
    /// Parses a line only where it may name an image.
    fn line(&mut self, text: &str) {
        let names = text.contains("\"image") || self.keys.iter().any(|key| text.contains(key));
        if let Some(row) = names.then(|| serde_json::from_str(text).ok()).flatten() {
            self.row(&row);
        }
    }

    fn row(&mut self, row: &Value) {
        for column in self.columns {
            add(&row[*column], self.names);
        }
        shown(row, self.names);
    }
}

impl<'de> Visitor<'de> for &mut Collect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element()? {
            self.row(&row);
        }
        Ok(())
    }
}

/// The paths of a value that names images.
fn add(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(name) if name.len() <= LONGEST_PATH => {
            names.insert(name.strip_prefix("file://").unwrap_or(name).to_owned());
        }
        Value::Array(several) => several.iter().for_each(|one| add(one, names)),
        Value::Object(fields) => {
            [fields.get("path"), fields.get("url")].into_iter().flatten().for_each(|one| add(one, names));
        }
        _ => {}
    }
}

/// The paths of parts of messages that are images.
fn shown(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| shown(item, names)),
        Value::Object(fields) => {
            for kind in ["image", "image_url"] {
                if fields.get("type").is_some_and(|found| found == kind) {
                    fields.get(kind).into_iter().for_each(|image| add(image, names));
                }
            }
            fields.values().for_each(|value| shown(value, names));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &[u8]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rows.json");
        fs::write(&file, text).unwrap();
        images(&file, &["images"]).into_iter().collect()
    }

    #[test]
    fn lines_and_lists_name_the_same() {
        let (one, two) = (r#"{"images":["a"],"n":[1,[2]]}"#, r#"{"messages":[{"type":"image","image":"file://b"}]}"#);
        assert_eq!(named(format!("{one}\n\n  {two}\n").as_bytes()), ["a", "b"]);
        assert_eq!(named(format!("{one}\r\n{two}").as_bytes()), ["a", "b"]);
        assert_eq!(named(format!("\u{feff}{one}\n{two}").as_bytes()), ["a", "b"]);
        assert_eq!(named(format!("[{one},{two}]").as_bytes()), ["a", "b"]);
        assert_eq!(named(format!("\u{feff} \n\n[\n{one}, \n{two}\n]\n").as_bytes()), ["a", "b"]);
        let spaces = " ".repeat(20_000);
        assert_eq!(named(format!("{spaces}[{one}{spaces},{two}]").as_bytes()), ["a", "b"]);
        assert!(named(b"").is_empty() && named(b"\n \n").is_empty());
    }

    #[test]
    fn what_is_cut_short_or_no_text_names_what_came_before() {
        let one = r#"{"images":["a"]}"#;
        assert_eq!(named(format!("[{one},{{\"images\":[\"b\"").as_bytes()), ["a"]);
        assert_eq!(named(&[one.as_bytes(), b"\n\xff\xfe\n", one.as_bytes()].concat()), ["a"]);
        assert_eq!(named(format!("{one}\n{{\"images\":[\"b\"").as_bytes()), ["a"]);
    }
}
