//! The same records from every format, and files that are damaged: each is refused with its place.

mod damage;
mod shapes;

use serde_json::{Value, json};

use super::*;

/// A folder with one file.
pub(super) fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    crate::fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// The columns of every record, or the first mistake without the folder's name.
pub(super) fn read(path: &Path) -> Result<Vec<Value>, String> {
    let records = open(path).and_then(|records| records.map(|record| Ok(Value::Object(record?.columns))).collect());
    records.map_err(|error: RowsError| {
        let folder = path.parent().unwrap().display().to_string();
        error.to_string().replace("cannot read rows from ", "").replace(&format!("{folder}/"), "")
    })
}

pub(super) fn of(name: &str, bytes: &[u8]) -> Result<Vec<Value>, String> {
    let (_dir, path) = file(name, bytes);
    read(&path)
}
