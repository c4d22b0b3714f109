//! The only room of this crate that touches the disk; every error names its path.

mod part;

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub use part::{Part, link, size};

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} `{}`: {source}", path.display())]
pub struct FsError {
    what: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

impl FsError {
    /// What kind of refusal.
    pub fn kind(&self) -> std::io::ErrorKind {
        self.source.kind()
    }

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
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    let length = read.map_err(|source| FsError { what: "read", path: path.to_owned(), source })?;
    Ok((length as u64 <= most).then_some(bytes))
}

/// What tells one state of a file from another without reading it: size, times of change of content and of all else, number on
/// its disk.
pub type Stamp = [i128; 4];

/// The state of a file, where there is one.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    let (modified, changed) = ((file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()));
    Some([
        file.size().into(),
        nanoseconds(modified.0, modified.1),
        nanoseconds(changed.0, changed.1),
        file.ino().into(),
    ])
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

/// Writes at the end of a file, and makes it where it is not there.
pub fn append(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let opened = File::options().append(true).create(true).open(path);
    opened.and_then(|mut file| file.write_all(bytes)).map_err(|source| failed("write", path, source))
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

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File, FsError> {
    File::open(path).map_err(|source| FsError { what: "read", path: path.to_owned(), source })
}

/// Opens a file for writing, and makes the folders it lies in; what it held is gone.
pub fn create(path: &Path) -> Result<File, FsError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|source| FsError {
        what: "create folder",
        path: parent.to_owned(),
        source,
    })?;
    File::create(path).map_err(|source| FsError { what: "write", path: path.to_owned(), source })
}

/// Gives a file another name; one that has that name is replaced.
pub fn rename(from: &Path, to: &Path) -> Result<(), FsError> {
    std::fs::rename(from, to).map_err(|source| FsError { what: "rename", path: from.to_owned(), source })
}

/// Copies a file, and makes the folders that the copy lies in.
pub fn copy(from: &Path, to: &Path) -> Result<(), FsError> {
    drop(create(to)?);
    std::fs::copy(from, to).map_err(|source| FsError { what: "copy", path: from.to_owned(), source })?;
    Ok(())
}

/// Gives a file a second name, or copies it where the disk can't: another disk, or a file system without links.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<(), FsError> {
    drop(create(to)?);
    let linked = std::fs::remove_file(to).and_then(|()| std::fs::hard_link(from, to));
    linked.or_else(|_| copy(from, to))
}

/// Removes a folder and all in it; fine if it is not there.
pub fn remove_dir_all(path: &Path) -> Result<(), FsError> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", path, source)),
        _ => Ok(()),
    }
}

/// A text file that is written line by line.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Lines {
    /// Begins a file, and makes the folders it lies in.
    pub fn create(path: &Path) -> Result<Self, FsError> {
        Ok(Self { path: path.to_owned(), file: BufWriter::new(create(path)?) })
    }

    /// Writes one line.
    pub fn line(&mut self, text: &str) -> Result<(), FsError> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|source| failed("write", &self.path, source))
    }

    /// Writes what is still in memory.
    pub fn finish(mut self) -> Result<(), FsError> {
        self.file.flush().map_err(|source| failed("write", &self.path, source))
    }
}

/// A failed read or write of an open file.
pub fn failed(what: &'static str, path: &Path, source: std::io::Error) -> FsError {
    FsError { what, path: path.to_owned(), source }
}

/// A file without a name for bytes that need not stay in memory: gone with the process, however it ends.
#[derive(Debug)]
pub struct Scratch {
    file: File,
    folder: PathBuf,
}

impl Scratch {
    /// Makes one in the folder for temporary files (`TMPDIR`).
    pub fn new() -> Result<Self, FsError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let folder = std::env::temp_dir();
        let name = format!("curricle-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = folder.join(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(|source| FsError { what: "create", path: path.clone(), source })?;
        std::fs::remove_file(&path).map_err(|source| FsError { what: "unlink", path, source })?;
        Ok(Self { file, folder })
    }

    /// Writes bytes at a place.
    pub fn write(&self, start: u64, bytes: &[u8]) -> Result<(), FsError> {
        let written = self.file.write_all_at(bytes, start);
        written.map_err(|source| failed("write a scratch file in", &self.folder, source))
    }

    /// Bytes that were written.
    pub fn read(&self, start: u64, length: usize) -> Result<Vec<u8>, FsError> {
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, start);
        read.map_err(|source| failed("read a scratch file in", &self.folder, source))?;
        Ok(bytes)
    }
}

/// Hex digest (blake3) of a file's bytes.
pub fn digest(path: &Path) -> Result<String, FsError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(open(path)?).map_err(|source| failed("read", path, source))?;
    Ok(hasher.finalize().to_hex().to_string())
}
