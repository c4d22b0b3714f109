//! A file or folder of rows → its first rows, for what has to be known before anything runs. One file of JSON is read here;
//! shards and other formats by a reader that the program lends, because this crate refuses to know how they are stored.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::fs;

/// The first rows of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The rows, as their file holds them.
    pub rows: Vec<Map<String, Value>>,
    /// Are they all rows?
    pub whole: bool,
    /// How many rows there are, as far as that can be told: from a count, or from the length of the file.
    pub total: Option<f64>,
    /// Is that a count?
    pub counted: bool,
    /// The folder that paths in the rows are relative to.
    pub folder: PathBuf,
}

/// Reads the first rows of a file or folder, about so many bytes of them; the pattern chooses files of a folder. An error is
/// a sentence that names the file.
pub type Reader = fn(path: &Path, files: Option<&str>, bytes: u64) -> Result<Head, String>;

/// What the names of files of rows end with; `.json` may be anything.
const ROWS: [&str; 5] = ["jsonl", "ndjson", "csv", "tsv", "parquet"];

static READER: OnceLock<Reader> = OnceLock::new();

/// Lends the reader of shards and other formats than JSON, once for the process. Without it nothing is known of such rows
/// but what `assume` says.
pub fn lend(reader: Reader) {
    // A second loan would be of the same reader.
    let _ = READER.set(reader);
}

/// The first rows, about so many bytes of them; none where nobody can read them.
pub(crate) fn head(path: &Path, files: Option<&str>, bytes: u64) -> Result<Option<Head>, String> {
    if let Some(head) = json(path, bytes).filter(|_| files.is_none()) {
        return Ok(Some(head));
    }
    // What else is named as data, such as the program of a reward, is no business of a reader of rows.
    let is_rows = files.is_some() || if fs::is_dir(path) { !named_rows(path).is_empty() } else { names_rows(path) };
    READER.get().filter(|_| is_rows).map(|read| read(path, files, bytes)).transpose()
}

/// Does a file's name say that it holds rows?
fn names_rows(path: &Path) -> bool {
    let extension = |path: &Path| path.extension().map(OsStr::to_ascii_lowercase).unwrap_or_default();
    // Packed with gzip it is no smaller a file of rows.
    let (found, packed) = match path.file_stem().filter(|_| extension(path) == "gz") {
        Some(name) => (extension(Path::new(name)), true),
        None => (extension(path), false),
    };
    ROWS.iter().any(|known| found == *known && !(packed && *known == "parquet")) || (packed && found == "json")
}

/// Files of a folder whose names say so.
fn named_rows(folder: &Path) -> Vec<String> {
    let names = fs::list(folder).unwrap_or_default();
    names.into_iter().filter(|name| names_rows(Path::new(name))).collect()
}

fn json(path: &Path, limit: u64) -> Option<Head> {
    let file = if fs::is_dir(path) { only_file(path)? } else { path.to_owned() };
    let (mut bytes, whole) = fs::head(&file, limit).ok()?;
    if !whole {
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n')?);
    }
    let size = fs::stamp(&file).ok()?.size;
    let share = bytes.len().max(1) as f64 / size.max(1) as f64;
    let text = String::from_utf8(bytes).ok()?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let rows: Vec<_> = if text.starts_with('[') {
        if whole { serde_json::from_str(text).ok()? } else { return None }
    } else {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.map(|line| serde_json::from_str(line).ok()).collect::<Option<_>>()?
    };
    let total = Some(if whole { rows.len() as f64 } else { rows.len() as f64 / share });
    Some(Head { rows, whole, total, counted: whole, folder: file.parent().unwrap_or(Path::new(".")).to_owned() })
}

/// The file of rows in a folder: `rows.jsonl`, or the only file of rows, `.json` files counting least.
fn only_file(folder: &Path) -> Option<PathBuf> {
    let names = fs::list(folder).ok()?;
    if names.iter().any(|name| name == "rows.jsonl") {
        return Some(folder.join("rows.jsonl"));
    }
    let mut rows = named_rows(folder);
    if rows.is_empty() {
        let is_json = |name: &String| Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case("json"));
        rows.extend(names.into_iter().filter(is_json));
    }
    let only = rows.first().filter(|_| rows.len() == 1)?;
    Some(folder.join(only))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(files: &[(&str, &str)]) -> Option<usize> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(&dir.path().join(name), text).unwrap();
        }
        json(dir.path(), 1 << 10).map(|head| head.rows.len())
    }

    #[test]
    fn one_file_of_json_is_seen_and_sets_are_left_to_others() {
        let (one, two) = ("{\"a\":1}\n", "{\"a\":1}\n\n{\"a\":2}\n");
        assert_eq!(seen(&[("a.jsonl", two), ("a.json", one)]), Some(2));
        assert_eq!(seen(&[("rows.jsonl", two), ("b.jsonl", one)]), Some(2));
        assert_eq!(seen(&[("a.json", "[{\"a\":1}]")]), Some(1));
        assert_eq!(seen(&[("a.jsonl", two), ("b.jsonl", one)]), None);
        assert_eq!(seen(&[("a.jsonl", two), ("b.csv", "a\n1\n")]), None);
        assert_eq!(seen(&[("b.csv", "a\n1\n")]), None);
        assert_eq!(seen(&[("a.jsonl", "{\"a\":\n")]), None);
        assert_eq!(seen(&[("a.json", one), ("b.csv.gz", "a\n1\n")]), None);
        let names = ["a.jsonl.gz", "A.CSV.GZ", "a.json.gz", "a.parquet.gz", "a.gz", "a.json"].map(Path::new);
        assert_eq!(names.map(names_rows), [true, true, true, false, false, false]);
    }

    #[test]
    fn the_length_of_a_file_says_about_how_many_rows_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.jsonl");
        fs::write(&file, "{\"a\":1}\n".repeat(1000)).unwrap();
        let head = json(&file, 800).unwrap();
        assert!(!head.whole && head.rows.len() < 110);
        assert!((head.total.unwrap() - 1000.0).abs() < 20.0, "{:?}", head.total);
    }
}
