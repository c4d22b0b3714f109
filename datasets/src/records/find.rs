//! A path → the files of rows there, in order: one file, or the shards of one set. Refuses to guess between sets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::{Format, names, unpacked};
use crate::fs;
use crate::jsonl::ROWS;
use crate::rows::{RowsError, RowsErrorKind};

/// Files that hold the rows of one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path that was asked for: a file or a folder.
    pub path: PathBuf,
    /// The files, in the order in which they are read.
    pub files: Vec<PathBuf>,
}

/// Numbers of a file's name: which shard, and of how many.
#[derive(Debug, PartialEq, Eq)]
struct Shard {
    number: usize,
    of: Option<usize>,
}

impl Source {
    /// The files of rows of a path: the file itself; of a folder `rows.jsonl`, or its only file of rows, or the shards of its
    /// only set, in the order of their names. `pattern` chooses files of a folder by name: `train-*`, `data/test-*.parquet`.
    ///
    /// Shards are files whose names differ in one number at their end: `train-00000-of-00003.parquet`, `part_7.jsonl`,
    /// `0000.parquet`. `.json` files count only where there is no other file of rows. Nothing below the folder is looked at,
    /// unless the pattern names it.
    ///
    /// # Errors
    /// Where there is nothing, several sets, several formats, or a shard is missing.
    pub fn find(path: &Path, pattern: Option<&str>) -> Result<Self, RowsError> {
        let fail = |kind| RowsError::new(path, None, kind);
        if !path.exists() {
            return Err(fail(RowsErrorKind::Absent));
        }
        let found = |files| Ok(Self { path: path.to_owned(), files });
        if !path.is_dir() {
            return match pattern {
                None => found(vec![path.to_owned()]),
                Some(pattern) => Err(fail(RowsErrorKind::PatternOfFile(pattern.to_owned()))),
            };
        }
        let Some(pattern) = pattern else {
            let rows = path.join(ROWS);
            return found(if rows.is_file() { vec![rows] } else { set(path, &list(path)?)? });
        };
        let (folder, name) = match pattern.rsplit_once('/') {
            Some((folder, name)) => (path.join(folder), name),
            None => (path.to_owned(), pattern),
        };
        let inside = Path::new(pattern).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || !folder.is_dir() {
            return Err(fail(RowsErrorKind::NoMatch(pattern.to_owned())));
        }
        let is_match = |file: &PathBuf| {
            Format::named(file).is_some()
                && file.file_name().is_some_and(|found| matches(name.as_bytes(), found.to_string_lossy().as_bytes()))
        };
        let files: Vec<PathBuf> = list(&folder)?.into_iter().filter(is_match).collect();
        if files.is_empty() {
            return Err(fail(RowsErrorKind::NoMatch(pattern.to_owned())));
        }
        found(set(path, &files)?)
    }

    /// The one file, or the folder.
    pub fn name(&self) -> &Path {
        if let [only] = &self.files[..] { only } else { &self.path }
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, RowsError> {
    fs::files_in(folder).map_err(|error| RowsError::new(folder, None, RowsErrorKind::Io(error)))
}

/// The files of one set among these.
fn set(folder: &Path, files: &[PathBuf]) -> Result<Vec<PathBuf>, RowsError> {
    let fail = |kind| RowsError::new(folder, None, kind);
    let is_json =
        |file: &PathBuf| unpacked(file).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let rows: Vec<PathBuf> = files.iter().filter(|file| Format::named(file).is_some()).cloned().collect();
    let (json, other): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_json);
    let rows = if other.is_empty() { json } else { other };
    if rows.len() < 2 {
        return if rows.is_empty() { Err(fail(RowsErrorKind::NoFile)) } else { Ok(rows) };
    }
    let formats: BTreeSet<Format> = rows.iter().filter_map(|file| Format::named(file)).collect();
    if formats.len() > 1 {
        return Err(fail(RowsErrorKind::MixedFormats(names(&rows))));
    }
    let mut sets: BTreeMap<String, Vec<Shard>> = BTreeMap::new();
    for file in &rows {
        match shard(&unpacked(file).file_stem().unwrap_or_default().to_string_lossy()) {
            Some((set, shard)) => sets.entry(set).or_default().push(shard),
            None => return Err(fail(RowsErrorKind::SeveralFiles(names(&rows)))),
        }
    }
    let Some((name, shards)) = sets.first_key_value().filter(|_| sets.len() == 1) else {
        return Err(fail(RowsErrorKind::SeveralFiles(names(&rows))));
    };
    // `-of-00003` promises three.
    let promised: BTreeSet<Option<usize>> = shards.iter().map(|shard| shard.of).collect();
    if let Some(of) = promised.last().copied().flatten() {
        let there: BTreeSet<usize> = shards.iter().map(|shard| shard.number).collect();
        let missing = (0..of).find(|number| !there.contains(number));
        if promised.len() > 1 || missing.is_some() {
            let (set, missing) = (name.clone(), missing.unwrap_or(0));
            return Err(fail(RowsErrorKind::MissingShard { set, missing, of }));
        }
    }
    Ok(rows)
}

/// The set that a file's stem names, and its numbers; none for a name that ends with no number.
fn shard(stem: &str) -> Option<(String, Shard)> {
    let numbered = |text: &str| {
        let start = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        Some((text[..start].to_owned(), text[start..].parse::<usize>().ok()?))
    };
    let (before, last) = numbered(stem)?;
    match before.strip_suffix("-of-").and_then(numbered) {
        Some((set, number)) => Some((set, Shard { number, of: Some(last) })),
        None => Some((before, Shard { number: last, of: None })),
    }
}

/// Does a name match a pattern, in which `*` stands for any text?
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        Some((first, rest)) => name.first() == Some(first) && matches(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in files {
            fs::write(&dir.path().join(name), b"").unwrap();
        }
        dir
    }

    fn found(files: &[&str], pattern: Option<&str>) -> Result<Vec<String>, String> {
        let dir = folder(files);
        match Source::find(dir.path(), pattern) {
            Ok(source) => Ok(names(&source.files)),
            Err(error) => Err(error.kind.to_string()),
        }
    }

    #[test]
    fn shards_are_one_set_in_the_order_of_their_names() {
        let three = ["train-00002-of-00003.parquet", "train-00000-of-00003.parquet", "train-00001-of-00003.parquet"];
        let sorted: Vec<_> = (0..3).map(|i| format!("train-0000{i}-of-00003.parquet")).collect();
        assert_eq!(found(&three, None).unwrap(), sorted);
        assert_eq!(found(&["b1.jsonl", "b0.jsonl", "README.md"], None).unwrap(), ["b0.jsonl", "b1.jsonl"]);
        assert_eq!(found(&["0001.parquet", "0000.parquet"], None).unwrap(), ["0000.parquet", "0001.parquet"]);
        assert_eq!(found(&["a.jsonl", "info.json"], None).unwrap(), ["a.jsonl"]);
        assert_eq!(found(&["b1.csv.gz", "b0.csv.gz", "c.gz"], None).unwrap(), ["b0.csv.gz", "b1.csv.gz"]);
        assert_eq!(found(&["a.jsonl.gz", "info.json", "x.parquet.gz"], None).unwrap(), ["a.jsonl.gz"]);
        assert_eq!(found(&["rows.jsonl", "x.parquet", "y.csv"], None).unwrap(), ["rows.jsonl"]);
    }

    #[test]
    fn sets_formats_and_gaps_are_not_guessed_over() {
        let says = |files: &[&str], pattern, words: &str| {
            let message = found(files, pattern).unwrap_err();
            assert!(message.contains(words), "{message}");
        };
        says(&["test.jsonl", "train.jsonl"], None, "several files of rows (test.jsonl, train.jsonl)");
        says(&["test-0.jsonl", "train-0.jsonl"], None, "several files of rows");
        says(&["a-0.csv", "a-1.parquet"], None, "files of rows in different formats (a-0.csv, a-1.parquet)");
        says(&["t-00000-of-00003.parquet", "t-00002-of-00003.parquet"], None, "shard 1 of 3 of `t-` is not there");
        says(&["t-00000-of-00001.parquet", "t-00000-of-00002.parquet"], None, "of `t-` is not there");
        says(&["notes.md"], None, "holds neither");
        says(&["a.csv"], Some("b*"), "no file of rows matches `b*`");
        says(&["a.csv"], Some("../*"), "no file of rows matches `../*`");
        says(&["a.csv"], Some("/etc/*"), "no file of rows matches `/etc/*`");
    }

    #[test]
    fn a_pattern_chooses_a_set() {
        let files = ["data/test-0.csv", "data/train-0.csv", "data/train-1.csv", "README.md"];
        assert_eq!(found(&files, Some("data/train-*")).unwrap(), ["train-0.csv", "train-1.csv"]);
        assert_eq!(found(&files, Some("data/*test*.csv")).unwrap(), ["test-0.csv"]);
        assert!(found(&files, Some("data/*")).unwrap_err().contains("several files"));
    }
}
