//! The only room of the engine that touches the disk; every error names its path. It knows bytes, folders and locks, and
//! refuses to know what any file means.

#![expect(clippy::disallowed_methods, reason = "the one room that may")]

mod hash;

use std::borrow::Borrow;
use std::fs::{self, File, TryLockError};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::parallel;

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} `{}`: {source}", path.display())]
pub struct FsError {
    what: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

impl FsError {
    fn at<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self { what, path: path.to_owned(), source }
    }

    /// True if the file or folder is not there.
    pub fn is_absent(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::NotFound
    }
}

/// What tells one state of a file from another without reading it. The number of the disk is not part of it: it changes
/// with every mount of a network's disk or start of a container, and a file whose content differs has another `changed_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change of the content, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// Last change of content or metadata; unlike `modified_ns` no tool can set it back.
    pub changed_ns: i64,
    /// The file's number on its disk.
    pub inode: u64,
}

/// A file found by [`walk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Path below the folder, with `/` between parts.
    pub name: String,
    /// Path to open.
    pub path: PathBuf,
    /// Its state.
    pub stamp: Stamp,
}

/// A file that is read piece by piece.
pub type Reader = BufReader<File>;

/// Opens a file to be read piece by piece.
pub fn reader(path: &Path) -> Result<Reader, FsError> {
    let file = File::open(path).map_err(FsError::at("read", path))?;
    Ok(BufReader::new(file))
}

/// Creates a folder and its parents.
pub fn create_dir_all(path: &Path) -> Result<(), FsError> {
    fs::create_dir_all(path).map_err(FsError::at("create folder", path))
}

/// Creates a folder that must not exist yet; `false` if it does.
pub fn create_new_dir(path: &Path) -> Result<bool, FsError> {
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(FsError::at("create folder", path)(error)),
    }
}

/// Reads a text file.
pub fn read_to_string(path: &Path) -> Result<String, FsError> {
    fs::read_to_string(path).map_err(FsError::at("read", path))
}

/// The first bytes of a file, at most `limit`, and whether they are all of it.
pub fn head(path: &Path, limit: u64) -> Result<(Vec<u8>, bool), FsError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(FsError::at("read", path))?;
    let whole = bytes.len() as u64 <= limit;
    bytes.truncate(limit as usize);
    Ok((bytes, whole))
}

/// Bytes that are free on the disk of a path, or of the nearest folder above it that is there.
pub fn free_space(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Writes a file in place.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), FsError> {
    fs::write(path, bytes).map_err(FsError::at("write", path))
}

/// Writes a file so that a reader, or a crash at any moment, sees the old content or the new, never a part. Of several that
/// write at the same time, one has the last word.
pub fn write_atomic(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), FsError> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}.new", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside).map_err(FsError::at("create", &beside))?;
    file.write_all(bytes.as_ref()).and_then(|()| file.sync_all()).map_err(FsError::at("write", &beside))?;
    rename(&beside, path)
}

/// Moves a file or folder within one disk, and makes the move itself survive a crash.
pub fn rename(from: &Path, to: &Path) -> Result<(), FsError> {
    fs::rename(from, to).map_err(FsError::at("move", from))?;
    match to.parent() {
        Some(parent) if parent == Path::new("") => sync(Path::new(".")),
        Some(parent) => sync(parent),
        None => Ok(()),
    }
}

/// Waits until a file or folder is on the disk.
pub fn sync(path: &Path) -> Result<(), FsError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(FsError::at("sync", path))
}

/// Copies a file to a new place; folders that it needs are made.
pub fn copy(from: &Path, to: &Path) -> Result<(), FsError> {
    to.parent().map_or(Ok(()), create_dir_all)?;
    fs::copy(from, to).map(drop).map_err(FsError::at("copy", from))
}

/// Removes a folder and all in it; fine if it is not there.
pub fn remove_dir_all(path: &Path) -> Result<(), FsError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(FsError::at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a file; fine if it is not there.
pub fn remove_file(path: &Path) -> Result<(), FsError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(FsError::at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Is there something at this path?
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Is there a folder at this path?
pub fn is_dir(path: &Path) -> bool {
    path.is_dir()
}

/// An absolute path without links; the path itself where there is nothing.
pub fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// State of a file; links are followed.
pub fn stamp(path: &Path) -> Result<Stamp, FsError> {
    fs::metadata(path).map(|meta| stamp_of(&meta)).map_err(FsError::at("look at", path))
}

/// Sets the time of a file's last modification, as a user's tools may.
#[cfg(test)]
pub fn set_modified(path: &Path, modified: std::time::SystemTime) -> Result<(), FsError> {
    let file = File::options().write(true).open(path).map_err(FsError::at("open", path))?;
    file.set_modified(modified).map_err(FsError::at("change", path))
}

/// Names in a folder, sorted; empty if the folder is not there.
pub fn list(path: &Path) -> Result<Vec<String>, FsError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FsError::at("list", path)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FsError::at("list", path))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Every file below a folder, sorted by name; links are followed, names that begin with a dot are left out.
pub fn walk(root: &Path) -> Result<Vec<Found>, FsError> {
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), root.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        for name in list(&folder)?.into_iter().filter(|name| !name.starts_with('.')) {
            let path = folder.join(&name);
            let meta = fs::metadata(&path).map_err(FsError::at("look at", &path))?;
            let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            if meta.is_dir() {
                folders.push((name, path));
            } else {
                found.push(Found { name, path, stamp: stamp_of(&meta) });
            }
        }
    }
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// What `digest` says of every file, in their order: small files are read side by side, and of a large one all cores read
/// parts.
pub fn digests(
    files: &[impl Borrow<Found>],
    digest: fn(&Path) -> Result<blake3::Hash, FsError>,
) -> Result<Vec<blake3::Hash>, FsError> {
    let files = files.iter().map(Borrow::borrow).enumerate();
    let (large, small): (Vec<_>, Vec<_>) = files.partition(|(_, file)| file.stamp.size > hash::PIECE);
    let of = |(index, file): &(usize, &Found)| Ok((*index, digest(&file.path)?));
    let mut all = parallel::each(&small, of)?;
    for file in &large {
        all.push(of(file)?);
    }
    all.sort_unstable_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, hash)| hash).collect())
}

/// blake3 of a file's bytes.
pub fn digest(path: &Path) -> Result<blake3::Hash, FsError> {
    let mut file = File::open(path).map_err(FsError::at("open", path))?;
    digest_open(&mut file).map_err(FsError::at("read", path))
}

/// [`digest`], after making sure that the bytes are on the disk.
pub fn digest_synced(path: &Path) -> Result<blake3::Hash, FsError> {
    let mut file = File::open(path).map_err(FsError::at("open", path))?;
    file.sync_all().map_err(FsError::at("sync", path))?;
    digest_open(&mut file).map_err(FsError::at("read", path))
}

/// The last `lines` lines of a text file, at most 16 KiB of it; empty if it can't be read.
pub fn tail(path: &Path, lines: usize) -> String {
    const LIMIT: u64 = 16 * 1024;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(LIMIT)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The name of this machine.
pub fn host() -> String {
    read_to_string(Path::new("/proc/sys/kernel/hostname"))
        .map_or_else(|_| "localhost".into(), |name| name.trim().into())
}

/// A file that only grows.
#[derive(Debug)]
pub struct Appender {
    file: File,
    path: PathBuf,
}

impl Appender {
    /// Opens a file to append to; creates it if it is not there.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let file = File::options().append(true).create(true).open(path).map_err(FsError::at("open", path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// [`Self::open`]; a last line that a crash cut short is ended, so that the next one begins on its own.
    pub fn open_after_crash(path: &Path) -> Result<Self, FsError> {
        let mut end = [b'\n'];
        let last_byte = |end: &mut [u8]| -> std::io::Result<()> {
            let mut file = File::open(path)?;
            if file.metadata()?.len() > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(end)?;
            }
            Ok(())
        };
        match last_byte(&mut end) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(FsError::at("read", path)(error)),
            _ => {}
        }
        let mut appender = Self::open(path)?;
        if end != [b'\n'] {
            appender.line("")?;
        }
        Ok(appender)
    }

    /// Appends one line with a single write, so that lines of several writers never mix.
    pub fn line(&mut self, line: &str) -> Result<(), FsError> {
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(FsError::at("write", &self.path))
    }

    /// The file as an output of a child process.
    pub fn into_stdio(self) -> Stdio {
        self.file.into()
    }
}

/// An exclusive lock on a file. The system drops it when the holder's process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock; `None` if another process, or another [`Lock`] of this one, holds it.
    pub fn try_take(path: &Path) -> Result<Option<Self>, FsError> {
        let file = Self::open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file, path: path.to_owned() })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(FsError::at("lock", path)(error)),
        }
    }

    /// Waits for the lock.
    pub fn take(path: &Path) -> Result<Self, FsError> {
        let file = Self::open(path)?;
        file.lock().map_err(FsError::at("lock", path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Is the locked file still the one at this path? Not so once its folder was moved or removed.
    pub fn in_place(&self, path: &Path) -> bool {
        match (self.file.metadata(), fs::metadata(path)) {
            (Ok(here), Ok(there)) => here.ino() == there.ino() && here.dev() == there.dev(),
            _ => false,
        }
    }

    /// Replaces the content of the locked file.
    pub fn write(&mut self, text: &str) -> Result<(), FsError> {
        let replace = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(text.as_bytes())
        };
        replace(&mut self.file).map_err(FsError::at("write", &self.path))
    }

    fn open(path: &Path) -> Result<File, FsError> {
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(FsError::at("open", path))
    }
}

fn digest_open(file: &mut File) -> std::io::Result<blake3::Hash> {
    let size = file.metadata()?.len();
    if size > hash::PIECE {
        let file: &File = file;
        return hash::hash(size, |part, at| file.read_exact_at(part, at));
    }
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&buffer[..read]),
        };
    }
}

fn stamp_of(meta: &fs::Metadata) -> Stamp {
    let ns = |seconds: i64, nanos: i64| seconds * 1_000_000_000 + nanos;
    Stamp {
        size: meta.size(),
        modified_ns: ns(meta.mtime(), meta.mtime_nsec()),
        changed_ns: ns(meta.ctime(), meta.ctime_nsec()),
        inode: meta.ino(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walk_is_sorted_relative_and_skips_hidden_names() {
        let dir = tempfile::tempdir().unwrap();
        create_dir_all(&dir.path().join("b/c")).unwrap();
        create_dir_all(&dir.path().join(".cache")).unwrap();
        for name in ["z", "b/c/x", "b/a", ".cache/y", ".hidden"] {
            write(&dir.path().join(name), name).unwrap();
        }
        let names: Vec<_> = walk(dir.path()).unwrap().into_iter().map(|found| found.name).collect();
        assert_eq!(names, ["b/a", "b/c/x", "z"]);
    }

    #[test]
    fn a_lock_is_exclusive_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lease");
        let held = Lock::try_take(&path).unwrap();
        assert!(held.is_some());
        assert!(Lock::try_take(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::try_take(&path).unwrap().is_some());
    }

    #[test]
    fn tail_takes_the_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        write(&path, "1\n2\n3\n").unwrap();
        assert_eq!(tail(&path, 2), "2\n3");
        assert_eq!(tail(&dir.path().join("absent"), 2), "");
    }

    #[test]
    fn errors_name_the_path() {
        let error = read_to_string(Path::new("/nowhere/x")).unwrap_err();
        assert!(error.is_absent());
        assert!(error.to_string().starts_with("cannot read `/nowhere/x`: "), "{error}");
    }
}
