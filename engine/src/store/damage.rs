//! An entry against its own manifest: is every byte still what was committed?

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{Artifact, StoreError};
use crate::fs::{self, Found};

/// Something in an entry that is not as it was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Path below `artifact/`, or a file of the entry itself.
    pub file: String,
    /// What is wrong with it.
    pub what: DamageKind,
}

/// What can be wrong with a file of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DamageKind {
    /// It is gone.
    Missing,
    /// It has other bytes.
    Changed,
    /// Nobody committed it.
    Added,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            DamageKind::Missing => "is missing",
            DamageKind::Changed => "has other bytes than were committed",
            DamageKind::Added => "was not committed",
        };
        write!(f, "`{}` {what}", self.file)
    }
}

impl Artifact {
    /// Reads every byte again; empty if all is as committed.
    pub fn damage(&self) -> Result<Vec<Damage>, StoreError> {
        let mut damage = Vec::new();
        let mut say = |file: &str, what| damage.push(Damage { file: file.to_owned(), what });
        // The key is the digest of the preimage: one that was edited has another.
        match self.preimage() {
            Ok(preimage) if preimage.key() == self.manifest().key => {}
            Ok(_) | Err(StoreError::Damaged { .. }) => say("preimage.json", DamageKind::Changed),
            Err(StoreError::Disk(error)) if error.is_absent() => say("preimage.json", DamageKind::Missing),
            Err(error) => return Err(error),
        }
        let found = fs::walk(&self.dir().join("artifact"))?;
        let committed =
            |file: &&Found| self.manifest().outputs.get(&file.name).is_some_and(|it| it.size == file.stamp.size);
        let whole: Vec<&Found> = found.iter().filter(committed).collect();
        let mut there: BTreeMap<&str, Option<blake3::Hash>> =
            found.iter().map(|file| (file.name.as_str(), None)).collect();
        for (file, digest) in whole.iter().zip(fs::digests(&whole, fs::digest)?) {
            there.insert(&file.name, Some(digest));
        }
        for (name, record) in &self.manifest().outputs {
            match there.get(name.as_str()) {
                None => say(name, DamageKind::Missing),
                Some(Some(digest)) if digest.to_hex().as_str() == record.blake3 => {}
                Some(_) => say(name, DamageKind::Changed),
            }
        }
        for file in found.iter().filter(|file| !self.manifest().outputs.contains_key(&file.name)) {
            say(&file.name, DamageKind::Added);
        }
        Ok(damage)
    }
}
