//! All that lies in the store's folder → a list, and what of it nothing needs any more. Removing is a move first, so that
//! nobody ever finds half an entry; what somebody works on, or works from, is never offered.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::claim::holder_of;
use super::folder::PARTIAL;
use super::{Artifact, Holder, InputIdentity, Key, KeyPreimage, Store, StoreError};
use crate::fs::{self, Lock};

/// Ending of a folder that is being removed.
const REMOVED: &str = ".removed";
const REPLACED: &str = ".replaced";

/// A folder of the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its path.
    pub dir: PathBuf,
    /// Bytes in it.
    pub size: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub changed_ns: i64,
    /// What it is.
    pub state: State,
}

/// What a folder of the store is.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// A result.
    Done(Box<Artifact>),
    /// Work that was begun.
    Begun {
        /// The key of what it would have become.
        key: Option<Key>,
        /// Who works on it now.
        holder: Option<Holder>,
    },
    /// What a crash left of an entry that was replaced or removed.
    Leftover,
    /// An entry that does not say what it is.
    Damaged(String),
}

impl Entry {
    /// The stage that made it, as its recipe called it; as the folder's name says it, where nothing else does.
    pub fn stage(&self) -> &str {
        match &self.state {
            State::Done(artifact) => &artifact.manifest().stage,
            _ => self
                .name
                .split_once('.')
                .map_or(self.name.as_str(), |(name, _)| name)
                .rsplit_once('-')
                .map_or("", |(stage, _)| stage),
        }
    }

    /// The key of its result.
    pub fn key(&self) -> Option<Key> {
        match &self.state {
            State::Done(artifact) => Some(artifact.manifest().key),
            State::Begun { key, .. } => *key,
            State::Leftover | State::Damaged(_) => None,
        }
    }

    /// Is it the entry of this stage, of this folder, of a key with these first digits?
    pub fn is_meant_by(&self, word: &str) -> bool {
        let stage = self.stage();
        let digits = word.len() >= 4 && self.key().is_some_and(|key| key.hex().starts_with(word));
        digits
            || self.name == word
            || stage == word
            || stage.strip_prefix(word).is_some_and(|rest| rest.starts_with('['))
    }
}

/// What may go, and what stays.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Nothing needs it.
    pub go: Vec<Entry>,
    /// Why it stays.
    pub stay: Vec<(Entry, Kept)>,
}

/// Why an entry stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// A root, or something that a root was made from.
    Reached,
    /// Somebody works on it, or from it.
    InUse,
    /// It was asked for by name.
    Named,
    /// It was made elsewhere: nothing here can make it again.
    Adopted,
}

impl Store {
    /// Every folder of the store, by name.
    pub fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for name in fs::list(self.root())? {
            let dir = self.root().join(&name);
            if !fs::is_dir(&dir) {
                continue;
            }
            let (size, changed_ns) = measure(&dir)?;
            let state = state(&name, &dir);
            entries.push(Entry { name, dir, size, changed_ns, state });
        }
        Ok(entries)
    }

    /// Sorts the entries into what may go and what stays: `roots` are keys that are needed, `names` are stages, folders or first
    /// digits of keys that stay in any case.
    pub fn sweep(&self, roots: &BTreeSet<Key>, names: &[String]) -> Result<Sweep, StoreError> {
        let entries = self.entries()?;
        let mut in_use = BTreeSet::new();
        for entry in &entries {
            if let State::Begun { key, holder: Some(_) } = &entry.state {
                in_use.extend(key);
                in_use.extend(inputs_of(&entry.dir));
            }
        }
        let (reached, in_use) = (closure(&entries, roots), closure(&entries, &in_use));
        let mut sweep = Sweep::default();
        for entry in entries {
            let held_beside = |name: &str| {
                let stem = name.trim_end_matches(REMOVED).trim_end_matches(REPLACED).trim_end_matches(PARTIAL);
                matches!(
                    state(stem, &self.root().join(format!("{stem}{PARTIAL}"))),
                    State::Begun { holder: Some(_), .. }
                )
            };
            let kept = match &entry.state {
                State::Begun { holder: Some(_), .. } => Some(Kept::InUse),
                State::Leftover if held_beside(&entry.name) => Some(Kept::InUse),
                State::Leftover => None,
                _ if names.iter().any(|name| entry.is_meant_by(name)) => Some(Kept::Named),
                _ if entry.key().is_some_and(|key| in_use.contains(&key)) => Some(Kept::InUse),
                _ if entry.key().is_some_and(|key| reached.contains(&key)) => Some(Kept::Reached),
                State::Done(artifact) if artifact.manifest().adopted.is_some() => Some(Kept::Adopted),
                State::Done(_) | State::Begun { .. } | State::Damaged(_) => None,
            };
            match kept {
                Some(why) => sweep.stay.push((entry, why)),
                None => sweep.go.push(entry),
            }
        }
        Ok(sweep)
    }

    /// Removes an entry that [`Self::sweep`] lets go; `false` if somebody has begun to work on it since.
    pub fn remove(&self, entry: &Entry) -> Result<bool, StoreError> {
        let _leases = match &entry.state {
            State::Begun { .. } => {
                let [lease, worker] = ["lease", "worker"].map(|file| Lock::try_take(&entry.dir.join(file)));
                let (Some(lease), Some(worker)) = (lease?, worker?) else { return Ok(false) };
                Some((lease, worker))
            }
            _ => None,
        };
        if entry.name.ends_with(REMOVED) {
            fs::remove_dir_all(&entry.dir)?;
            return Ok(true);
        }
        let away = self.root().join(format!("{}{REMOVED}", entry.name));
        fs::remove_dir_all(&away)?;
        fs::rename(&entry.dir, &away)?;
        fs::remove_dir_all(&away)?;
        Ok(true)
    }
}

/// These keys and those of everything that their results were made from, as far as it is there.
fn closure(entries: &[Entry], roots: &BTreeSet<Key>) -> BTreeSet<Key> {
    let mut reached = roots.clone();
    let mut open: Vec<Key> = roots.iter().copied().collect();
    while let Some(key) = open.pop() {
        for entry in entries.iter().filter(|entry| entry.key() == Some(key)) {
            open.extend(inputs_of(&entry.dir).into_iter().filter(|input| reached.insert(*input)));
        }
    }
    reached
}

fn preimage(dir: &Path) -> Option<KeyPreimage> {
    serde_json::from_str(&fs::read_to_string(&dir.join("preimage.json")).ok()?).ok()
}

fn inputs_of(dir: &Path) -> Vec<Key> {
    let inputs = preimage(dir).map(|preimage| preimage.inputs).unwrap_or_default();
    let keys = inputs.into_values().filter_map(|input| match input {
        InputIdentity::Stage { key, .. } => Some(key),
        InputIdentity::File { .. } | InputIdentity::Hub { .. } | InputIdentity::Absent { .. } => None,
    });
    keys.collect()
}

fn state(name: &str, dir: &Path) -> State {
    if name.ends_with(REMOVED) || name.ends_with(REPLACED) {
        return State::Leftover;
    }
    if dir.extension().is_some_and(|extension| extension == &PARTIAL[1..]) {
        let key = preimage(dir).map(|preimage| preimage.key());
        return State::Begun { key, holder: holder_of(&dir.join("lease")) };
    }
    match Artifact::read(dir) {
        Ok(Some(artifact)) => State::Done(Box::new(artifact)),
        Ok(None) => State::Damaged("it has no manifest".into()),
        Err(StoreError::Damaged { what, .. }) => State::Damaged(what),
        Err(error) => State::Damaged(error.to_string()),
    }
}

/// Bytes of all files, and the last change of one.
fn measure(dir: &Path) -> Result<(u64, i64), StoreError> {
    let found = match fs::walk(dir) {
        Ok(found) => found,
        // Somebody commits or removes it just now.
        Err(error) if error.is_absent() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let size = found.iter().map(|file| file.stamp.size).sum();
    Ok((size, found.iter().map(|file| file.stamp.modified_ns).max().unwrap_or_default()))
}
