//! A file that is still being filled, under a name of its own; one process at a time.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::FsError;

/// A file that is still being filled.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    hasher: Sha256,
}

impl Part {
    /// Opens a part with what is in it, or begins one. Waits for another process that has it.
    ///
    /// # Errors
    /// The disk says no.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let fail = |source| FsError { what: "open", path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(fail)?;
        }
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options.map_err(fail)?;
        file.lock().map_err(fail)?;
        let mut hasher = Sha256::new();
        let length = digest(&mut file, &mut hasher).map_err(fail)?;
        Ok(Self { path: path.to_owned(), file, length, hasher })
    }

    /// Bytes in it.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks whether it is empty")]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// SHA-256 of what is in it, in hex.
    pub fn sha256(&self) -> String {
        format!("{:x}", self.hasher.clone().finalize())
    }

    /// Adds bytes at its end.
    ///
    /// # Errors
    /// The disk says no.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.file.write_all(bytes).map_err(|source| self.failed("write", source))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Throws away what is in it.
    ///
    /// # Errors
    /// The disk says no.
    pub fn restart(&mut self) -> Result<(), FsError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|source| self.failed("empty", source))?;
        (self.length, self.hasher) = (0, Sha256::new());
        Ok(())
    }

    /// Gives it its final name, when every byte of it is on the disk.
    ///
    /// # Errors
    /// The disk says no.
    pub fn finish(self, to: &Path) -> Result<(), FsError> {
        let named = self.file.sync_all().and_then(|()| std::fs::rename(&self.path, to));
        named.map_err(|source| self.failed("finish", source))
    }

    fn failed(&self, what: &'static str, source: std::io::Error) -> FsError {
        FsError { what, path: self.path.clone(), source }
    }
}

/// Reads a file to its end; gives its length.
fn digest(file: &mut File, hasher: &mut Sha256) -> std::io::Result<u64> {
    let (mut length, mut buffer) = (0, vec![0; 1 << 17]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(length),
            read => {
                hasher.update(&buffer[..read]);
                length += read as u64;
            }
        }
    }
}

/// Makes `path` lead to `to`, whatever it was before.
///
/// # Errors
/// The disk says no.
pub fn link(path: &Path, to: &Path) -> Result<(), FsError> {
    let fail = |source| FsError { what: "link", path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(fail)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.link", std::process::id()));
    let made = path.with_file_name(name);
    // A process that was killed may have left one of the same name.
    let _ = std::fs::remove_file(&made);
    std::os::unix::fs::symlink(to, &made).and_then(|()| std::fs::rename(&made, path)).map_err(fail)
}

/// Bytes of a file; none if there is no such file.
pub fn size(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len())
}
