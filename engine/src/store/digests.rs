//! Input file or folder → digest of its content, read once per state of the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::fs::{self, Found, FsError, Stamp};

/// A file changed this shortly before it was read may change again without a new time stamp; it is not remembered.
const UNSETTLED_NS: i64 = 2_000_000_000;

/// Remembers digests of files by path and state, in a file beside the store's entries.
#[derive(Debug)]
pub struct Digests {
    file: PathBuf,
    known: BTreeMap<PathBuf, Known>,
    asked: BTreeMap<PathBuf, String>,
    changed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    digest: String,
}

impl Digests {
    /// Reads what is remembered; nothing, if the file is absent or damaged.
    pub(super) fn open(file: PathBuf) -> Self {
        let known =
            fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { file, known, asked: BTreeMap::new(), changed: false }
    }

    /// Digest of a file's bytes, or of every file below a folder together with its name there. One question has one
    /// answer as long as this value lives, whatever happens on the disk meanwhile.
    pub fn of(&mut self, path: &Path) -> Result<String, FsError> {
        if let Some(digest) = self.asked.get(path) {
            return Ok(digest.clone());
        }
        let digest = if fs::is_dir(path) { self.folder(path)? } else { self.file(path)? };
        self.asked.insert(path.to_owned(), digest.clone());
        Ok(digest)
    }

    /// Writes down what was learned; nothing is written if nothing was.
    pub fn save(&mut self) -> Result<(), FsError> {
        if std::mem::take(&mut self.changed) {
            let text = serde_json::to_string(&self.known).expect("digests are plain data");
            fs::write_atomic(&self.file, text)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<String, FsError> {
        let found = Found { name: String::new(), path: path.to_owned(), stamp: fs::stamp(path)? };
        let mut digests = self.all(std::slice::from_ref(&found))?;
        Ok(digests.remove(0))
    }

    fn folder(&mut self, root: &Path) -> Result<String, FsError> {
        let found = fs::walk(root)?;
        let digests = self.all(&found)?;
        let mut hasher = blake3::Hasher::new();
        for (file, digest) in found.iter().zip(&digests) {
            hasher.update(format!("{digest} {}\n", file.name).as_bytes());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    fn all(&mut self, files: &[Found]) -> Result<Vec<String>, FsError> {
        let remembered = |file: &&Found| self.known.get(&file.path).is_some_and(|known| known.stamp == file.stamp);
        let unknown: Vec<&Found> = files.iter().filter(|file| !remembered(file)).collect();
        let fresh = read_in_parallel(&unknown)?;
        let now = now_ns();
        let mut read: BTreeMap<&Path, String> = BTreeMap::new();
        for (file, digest) in unknown.into_iter().zip(fresh) {
            if now - file.stamp.changed_ns.max(file.stamp.modified_ns) > UNSETTLED_NS {
                self.known.insert(file.path.clone(), Known { stamp: file.stamp, digest: digest.clone() });
                self.changed = true;
            }
            read.insert(&file.path, digest);
        }
        let digest_of = |file: &Found| match read.get(file.path.as_path()) {
            Some(digest) => digest.clone(),
            None => self.known[&file.path].digest.clone(),
        };
        Ok(files.iter().map(digest_of).collect())
    }
}

fn read_in_parallel(files: &[&Found]) -> Result<Vec<String>, FsError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match files.get(index) {
                Some(file) => done.push((index, fs::digest(&file.path)?.to_hex().to_string())),
                None => return Ok::<_, FsError>(done),
            }
        }
    };
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(files.len());
        for worker in workers {
            all.extend(worker.join().expect("reading files does not panic")?);
        }
        Ok::<_, FsError>(all)
    })?;
    all.sort_unstable_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, digest)| digest).collect())
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_names_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, files: &[(&str, &str)]| {
            let root = dir.path().join(name);
            for (file, text) in files {
                fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
                fs::write(&root.join(file), text).unwrap();
            }
            Digests::open(dir.path().join("digests.json")).of(&root).unwrap()
        };
        let first = make("a", &[("rows.jsonl", "1"), ("images/x", "2")]);
        assert_eq!(first, make("b", &[("images/x", "2"), ("rows.jsonl", "1")]));
        assert_ne!(first, make("c", &[("rows.jsonl", "1"), ("images/y", "2")]));
        assert_ne!(first, make("d", &[("rows.jsonl", "1"), ("images/x", "3")]));
        assert_eq!(first, make("e", &[("rows.jsonl", "1"), ("images/x", "2"), (".cache/z", "4")]));
    }

    #[test]
    fn remembers_settled_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, file) = (dir.path().join("digests.json"), dir.path().join("rows"));
        fs::write(&file, "1").unwrap();
        let mut digests = Digests::open(cache.clone());
        digests.of(&file).unwrap();
        digests.save().unwrap();
        assert!(!fs::exists(&cache), "a file written just now may still change");

        let stamp = fs::stamp(&file).unwrap();
        let known = Known { stamp, digest: "remembered".into() };
        digests.known.insert(file.clone(), known);
        digests.changed = true;
        digests.save().unwrap();
        assert_eq!(Digests::open(cache.clone()).of(&file).unwrap(), "remembered");

        fs::write(&file, "22").unwrap();
        assert_eq!(Digests::open(cache).of(&file).unwrap(), blake3::hash(b"22").to_hex().to_string());
    }
}
