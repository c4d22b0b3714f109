//! The store's folder: keys → entries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Artifact, Claim, Digests, Key, KeyPreimage, StoreError, Used};
use crate::fs;

pub(super) const PARTIAL: &str = ".partial";
/// Longest part of a stage's name in a folder's name.
const NAME_LIMIT: usize = 80;

/// What a lookup gives: the result, or the right to make it.
#[derive(Debug)]
pub enum Lookup {
    /// It is there.
    Hit(Artifact),
    /// It is not; the claim makes it.
    Miss(Claim),
}

/// All that was ever built and not removed.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store below a `.curricle` folder. Nothing is created until something is built.
    pub fn open(curricle_dir: &Path) -> Self {
        // Raise `v1` when entries of one version can't be read by the other.
        Self { root: fs::absolute(curricle_dir).join("store").join("v1") }
    }

    /// Folder of the entries.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Digests of input files, as remembered here.
    pub fn digests(&self) -> Digests {
        Digests::open(self.root.join("digests.json"))
    }

    /// Names of all entries, read once.
    pub fn index(&self) -> Result<Index, StoreError> {
        let mut index = Index::default();
        for name in fs::list(&self.root)? {
            if let Some(name) = name.strip_suffix(PARTIAL) {
                index.partial.push(name.to_owned());
            } else if let Some((_, short)) = name.rsplit_once('-') {
                index.by_short_key.entry(short.to_owned()).or_default().push(name);
            }
        }
        Ok(index)
    }

    /// The entry of a key, whichever stage made it.
    pub fn find(&self, index: &Index, key: &Key) -> Result<Option<Artifact>, StoreError> {
        for name in index.by_short_key.get(&key.short()).into_iter().flatten() {
            match Artifact::read(&self.root.join(name))? {
                Some(artifact) if artifact.manifest().key == *key => return Ok(Some(artifact)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Every committed entry whose key begins with these hex digits, at least four of them.
    pub fn entries_of(&self, digits: &str) -> Result<Vec<Artifact>, StoreError> {
        let mut found = Vec::new();
        let hex = digits.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        if !(4..=64).contains(&digits.len()) || !hex {
            return Ok(found);
        }
        let near = |short: &str| short.starts_with(digits) || digits.starts_with(short);
        for name in self.index()?.by_short_key.iter().filter(|(short, _)| near(short)).flat_map(|(_, names)| names) {
            let artifact = Artifact::read(&self.root.join(name))?;
            found.extend(artifact.filter(|artifact| artifact.manifest().key.hex().starts_with(digits)));
        }
        Ok(found)
    }

    /// The newest entry that a stage of this name made.
    pub fn latest(&self, index: &Index, stage: &str) -> Result<Option<Artifact>, StoreError> {
        let mut latest: Option<Artifact> = None;
        let wanted = sanitised(stage);
        for name in index.by_short_key.values().flatten() {
            if name.rsplit_once('-').is_none_or(|(prefix, _)| prefix != wanted) {
                continue;
            }
            let Some(artifact) = Artifact::read(&self.root.join(name))? else { continue };
            let newer = latest.as_ref().is_none_or(|old| old.manifest().created <= artifact.manifest().created);
            if artifact.manifest().stage == stage && newer {
                latest = Some(artifact);
            }
        }
        Ok(latest)
    }

    /// What every entry cost of which that is known, oldest first. An entry that can't be read is left out: whoever needs it
    /// will say so.
    pub fn used(&self, index: &Index) -> Vec<Used> {
        let names = index.by_short_key.values().flatten();
        let mut all: Vec<Used> = names.filter_map(|name| Used::read(&self.root.join(name))).collect();
        all.sort_by(|a, b| (&a.created, &a.stage).cmp(&(&b.created, &b.stage)));
        all
    }

    /// Did an attempt at this entry end early and leave something to go on from?
    pub fn unfinished(&self, index: &Index, stage: &str, key: &Key) -> Result<bool, StoreError> {
        let name = folder_name(stage, key);
        if !index.partial.contains(&name) {
            return Ok(false);
        }
        Ok(!fs::list(&self.root.join(name + PARTIAL).join("work"))?.is_empty())
    }

    /// The result of a preimage, or the right to make it.
    pub fn lookup(&self, stage: &str, preimage: &KeyPreimage) -> Result<Lookup, StoreError> {
        let key = preimage.key();
        loop {
            if let Some(artifact) = self.find(&self.index()?, &key)? {
                return Ok(Lookup::Hit(artifact));
            }
            if let Some(claim) = self.try_claim(stage, preimage)? {
                // Somebody may have committed between the look and the lock.
                let Some(artifact) = self.find(&self.index()?, &key)? else { return Ok(Lookup::Miss(claim)) };
                claim.discard()?;
                return Ok(Lookup::Hit(artifact));
            }
        }
    }

    /// The right to make a result again, there or not.
    pub fn claim(&self, stage: &str, preimage: &KeyPreimage) -> Result<Claim, StoreError> {
        loop {
            if let Some(claim) = self.try_claim(stage, preimage)? {
                return Ok(claim);
            }
        }
    }

    fn try_claim(&self, stage: &str, preimage: &KeyPreimage) -> Result<Option<Claim>, StoreError> {
        let name = folder_name(stage, &preimage.key());
        let partial = self.root.join(format!("{name}{PARTIAL}"));
        Claim::take(partial, self.root.join(name), stage, preimage)
    }
}

/// Names of all entries at one moment.
#[derive(Debug, Default)]
pub struct Index {
    by_short_key: BTreeMap<String, Vec<String>>,
    partial: Vec<String>,
}

fn folder_name(stage: &str, key: &Key) -> String {
    format!("{}-{}", sanitised(stage), key.short())
}

/// A stage's name as part of a folder's name: `score[mrl]` → `score_mrl`.
fn sanitised(stage: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let name: String = stage.chars().map(plain).take(NAME_LIMIT).collect();
    name.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_folder_names() {
        assert_eq!(sanitised("score[mrl]"), "score_mrl");
        assert_eq!(sanitised("../../etc"), "______etc");
        assert_eq!(sanitised(&"x".repeat(300)).len(), NAME_LIMIT);
    }
}
