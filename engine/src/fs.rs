//! The only room of the engine that touches the disk; every error names its path.

use std::path::{Path, PathBuf};

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} `{}`: {source}", path.display())]
pub struct FsError {
    what: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

/// Creates a folder and its parents.
pub fn create_dir_all(path: &Path) -> Result<(), FsError> {
    std::fs::create_dir_all(path).map_err(|source| FsError { what: "create folder", path: path.to_owned(), source })
}
