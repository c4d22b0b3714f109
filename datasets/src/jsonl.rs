//! A file of JSON objects → records with their place; and canonical rows → `rows.jsonl`. Knows JSON, not what a column means.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::fs;
use crate::rows::{Row, RowsError, RowsErrorKind};

/// Name of the file of rows in a folder that a stage made.
pub const ROWS: &str = "rows.jsonl";

/// One JSON object and where it stands: the line of a JSONL file, or the number of an array's item; from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Line or item, from 1.
    pub line: usize,
    /// Columns by name.
    pub columns: Map<String, Value>,
}

/// The file that holds a source's rows: the path itself, or `rows.jsonl` in it, or its only `.jsonl`/`.json` file.
pub fn find(path: &Path) -> Result<PathBuf, RowsError> {
    if !path.exists() {
        return Err(RowsError::new(path, None, RowsErrorKind::Absent));
    }
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let rows = path.join(ROWS);
    if rows.is_file() {
        return Ok(rows);
    }
    let files = fs::files_in(path).map_err(|error| RowsError::new(path, None, RowsErrorKind::Io(error)))?;
    for extension in ["jsonl", "json"] {
        let found: Vec<_> = files.iter().filter(|file| file.extension().is_some_and(|e| e == extension)).collect();
        match found[..] {
            [] => {}
            [only] => return Ok(only.clone()),
            _ => {
                let names = found.iter().filter_map(|file| file.file_name()).map(|n| n.to_string_lossy().into_owned());
                return Err(RowsError::new(path, None, RowsErrorKind::SeveralFiles(names.collect())));
            }
        }
    }
    Err(RowsError::new(path, None, RowsErrorKind::NoFile))
}

/// Reads every record of a JSONL file (blank lines are skipped) or of a file that holds one JSON array of objects.
pub fn read(file: &Path) -> Result<Vec<Record>, RowsError> {
    let text = fs::read_text(file).map_err(|error| RowsError::new(file, None, RowsErrorKind::Io(error)))?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('[') {
        return array(file, text);
    }
    let mut records = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value = serde_json::from_str(line)
            .map_err(|error| RowsError::new(file, Some(index + 1), RowsErrorKind::Json(error.to_string())))?;
        records.push(record(file, index + 1, value)?);
    }
    Ok(records)
}

fn array(file: &Path, text: &str) -> Result<Vec<Record>, RowsError> {
    let values: Vec<Value> = serde_json::from_str(text)
        .map_err(|error| RowsError::new(file, Some(error.line()), RowsErrorKind::Json(error.to_string())))?;
    values.into_iter().enumerate().map(|(index, value)| record(file, index + 1, value)).collect()
}

fn record(file: &Path, line: usize, value: Value) -> Result<Record, RowsError> {
    match value {
        Value::Object(columns) => Ok(Record { line, columns }),
        _ => Err(RowsError::new(file, Some(line), RowsErrorKind::NotAnObject)),
    }
}

/// Writes canonical rows to `dir/rows.jsonl`. Images that lie in `dir` are named relative to it, so that the folder can move.
pub fn write(dir: &Path, rows: &[Row]) -> Result<(), fs::FsError> {
    let mut text = String::new();
    for row in rows {
        let mut row = row.clone();
        for image in &mut row.images {
            if let Ok(relative) = image.strip_prefix(dir) {
                *image = relative.to_owned();
            }
        }
        text.push_str(&serde_json::to_string(&row).expect("a row is plain data"));
        text.push('\n');
    }
    fs::write(&dir.join(ROWS), text.as_bytes())
}
