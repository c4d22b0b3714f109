//! The hub's cache on this machine, as every Hugging Face tool keeps it: `models--org--name/{refs,blobs,snapshots}`. Beside
//! them lies what the hub listed for a commit, since a snapshot alone does not say whether it is whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{HubName, is_commit};
use crate::fs::{self, FsError};

/// Folder of what the hub listed, beside `snapshots`.
const LISTINGS: &str = ".curricle";

/// The folder of all repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    root: PathBuf,
}

/// All files of a repository at a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// 40 hex digits.
    pub commit: String,
    /// Every file, sorted by path.
    pub files: Vec<Listed>,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// `data/train-00000-of-00002.parquet`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Name of its content in the cache: SHA-256 of a large file, git's object id of another.
    pub blob: String,
    /// Is `blob` the SHA-256 of its bytes?
    pub sha256: bool,
}

impl Shelf {
    /// The cache in this folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the variables say: `HF_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub`.
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || set("HOME").unwrap_or_default().join(".cache");
        let cache = || set("XDG_CACHE_HOME").unwrap_or_else(home).join("huggingface");
        let root = set("HF_HUB_CACHE").unwrap_or_else(|| set("HF_HOME").unwrap_or_else(cache).join("hub"));
        Self::at(fs::absolute(&root))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a repository.
    pub fn repo(&self, name: &HubName) -> PathBuf {
        self.root.join(name.folder())
    }

    /// The commit that a name means: itself where the revision is one, else what was last learned of the branch or tag.
    pub fn commit(&self, name: &HubName) -> Option<String> {
        let revision = name.revision();
        if is_commit(revision) {
            return Some(revision.to_ascii_lowercase());
        }
        let text = fs::read_to_string(&self.repo(name).join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// The folder of a commit's files.
    pub fn snapshot(&self, name: &HubName, commit: &str) -> PathBuf {
        self.repo(name).join("snapshots").join(commit)
    }

    /// What the hub listed for a commit when it was last asked.
    pub fn listing(&self, name: &HubName, commit: &str) -> Option<Listing> {
        let text = fs::read_to_string(&self.listing_file(name, commit)).ok()?;
        serde_json::from_str(&text).ok().filter(|listing: &Listing| listing.commit == commit)
    }

    fn listing_file(&self, name: &HubName, commit: &str) -> PathBuf {
        self.repo(name).join(LISTINGS).join(format!("{commit}.json"))
    }

    /// Keeps what the hub said: which files a commit has, and, unless it was asked for by its commit, what the revision means.
    ///
    /// # Errors
    /// The disk says no.
    pub fn remember(&self, name: &HubName, listing: &Listing, moved: bool) -> Result<(), FsError> {
        let file = self.listing_file(name, &listing.commit);
        fs::create_dir_all(file.parent().unwrap_or(&self.root))?;
        fs::write_atomic(&file, serde_json::to_string(listing).expect("a listing is plain data"))?;
        if moved && !is_commit(name.revision()) {
            let file = self.repo(name).join("refs").join(name.revision());
            fs::create_dir_all(file.parent().unwrap_or(&self.root))?;
            fs::write_atomic(&file, &listing.commit)?;
        }
        Ok(())
    }

    /// Files that a name wants and that are not here in their full size.
    pub fn lacking(&self, name: &HubName, listing: &Listing) -> Vec<Listed> {
        let snapshot = self.snapshot(name, &listing.commit);
        let here = |file: &&Listed| fs::stamp(&snapshot.join(&file.path)).is_ok_and(|stamp| stamp.size == file.size);
        let wanted = listing.files.iter().filter(|file| name.wants(&file.path));
        wanted.filter(|file| !here(file)).cloned().collect()
    }

    /// Where a whole copy of a commit lies: its folder; none if a file that the name wants is lacking.
    pub fn copy(&self, name: &HubName, commit: &str) -> Option<PathBuf> {
        let listing = self.listing(name, commit)?;
        if !self.lacking(name, &listing).is_empty() {
            return None;
        }
        Some(self.snapshot(name, commit))
    }
}

/// A commit that a lock holds a source to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// `hf:org/name`, as locked.
    pub source: String,
    /// The revision, as locked.
    pub revision: Option<String>,
    /// The commit it meant.
    pub commit: String,
}

/// What is known here of all that a recipe takes from the hub.
#[derive(Debug, Clone)]
pub struct Held {
    /// The cache.
    pub shelf: Shelf,
    /// Pins by name: `models.base`.
    pub pins: BTreeMap<String, Pin>,
}

impl Default for Held {
    fn default() -> Self {
        Self { shelf: Shelf::from_env(), pins: BTreeMap::new() }
    }
}

impl Held {
    /// The commit that an entry of a recipe means: as locked, else as last learned; and where a whole copy of it lies.
    pub fn find(&self, entry: &str, name: &HubName) -> (Option<String>, Option<PathBuf>) {
        let same = |pin: &&Pin| pin.source == name.source() && pin.revision == name.revision;
        let pinned = self.pins.get(entry).filter(same).map(|pin| pin.commit.clone());
        let commit = pinned.or_else(|| self.shelf.commit(name));
        let copy = commit.as_ref().and_then(|commit| self.shelf.copy(name, commit));
        (commit, copy)
    }
}
