//! The only room of this crate that touches the disk; every error names its path.

use std::io::Read;
use std::path::{Path, PathBuf};

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} `{}`: {source}", path.display())]
pub struct FsError {
    what: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

impl FsError {
    /// What the system said.
    pub fn into_source(self) -> std::io::Error {
        self.source
    }
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, FsError> {
    std::fs::read(path).map_err(|source| FsError { what: "read", path: path.to_owned(), source })
}

/// Reads a whole file, or nothing where it has more than `most` bytes (devices have no end).
pub fn read_up_to(path: &Path, most: u64) -> Result<Option<Vec<u8>>, FsError> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    let length = read.map_err(|source| FsError { what: "read", path: path.to_owned(), source })?;
    Ok((length as u64 <= most).then_some(bytes))
}

/// Reads a whole text file; bytes that are not UTF-8 are an error.
pub fn read_text(path: &Path) -> Result<String, FsError> {
    std::fs::read_to_string(path).map_err(|source| FsError { what: "read", path: path.to_owned(), source })
}

/// Writes a file, and the folders it lies in.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|source| FsError {
            what: "create folder",
            path: parent.to_owned(),
            source,
        })?;
    }
    std::fs::write(path, bytes).map_err(|source| FsError { what: "write", path: path.to_owned(), source })
}

/// Files directly in a folder, sorted by name.
pub fn files_in(dir: &Path) -> Result<Vec<PathBuf>, FsError> {
    let fail = |source| FsError { what: "list", path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
