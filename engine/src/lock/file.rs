//! A lock ↔ the text of `NAME.lock`: a table per entry, sorted, so that two branches that each add one merge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Lock, LockedInput, LockedStage};
use crate::diagnostic::suggest;
use crate::fs::{self, FsError};
use crate::recipe::{key, quoted};
use crate::store::Key;

/// The layout that this version reads.
const FORMAT: u32 = 1;

/// Why a lock is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] FsError),
    /// It does not hold what it should.
    #[error("cannot understand `{}`: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// There is no such entry.
    #[error("there is no entry `{name}` to update")]
    Unknown {
        /// The name given.
        name: String,
        /// The entries there are.
        known: Vec<String>,
    },
}

impl LockError {
    /// How to go on.
    pub fn help(&self) -> String {
        match self {
            Self::Disk(_) => "check that the recipe's folder can be read and written".into(),
            Self::Damaged { .. } => "write it anew: remove it, then `curricle lock RECIPE`".into(),
            Self::Unknown { name, known } => suggest(name, "entries", known.iter().map(String::as_str)),
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    #[serde(default)]
    models: BTreeMap<String, InputTable>,
    #[serde(default)]
    data: BTreeMap<String, InputTable>,
    #[serde(default)]
    stages: BTreeMap<String, StageTable>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct InputTable {
    source: String,
    revision: Option<String>,
    commit: Option<String>,
    blake3: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StageTable {
    kind: String,
    version: u32,
    settings: String,
    key: Option<Key>,
}

impl Lock {
    /// Reads a lock; none if there is no such file.
    ///
    /// # Errors
    /// A file that can't be read or is no lock of this format.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = |message: String| LockError::Damaged { path: path.to_owned(), message };
        let file: File = toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))?;
        if file.format != FORMAT {
            return Err(damaged(format!("it has format {}, and this version reads {FORMAT}", file.format)));
        }
        let input = |it: InputTable| {
            let InputTable { source, revision, commit, blake3: content } = it;
            LockedInput { source, revision, commit, content }
        };
        let named = |section: &str, entries: BTreeMap<String, InputTable>| {
            entries.into_iter().map(|(name, it)| (format!("{section}.{name}"), input(it))).collect::<Vec<_>>()
        };
        let inputs = named("models", file.models).into_iter().chain(named("data", file.data)).collect();
        let stage =
            |it: StageTable| LockedStage { kind: it.kind, version: it.version, settings: it.settings, key: it.key };
        Ok(Some(Self { inputs, stages: file.stages.into_iter().map(|(name, it)| (name, stage(it))).collect() }))
    }

    /// The text of the lock of a recipe's file.
    pub fn to_toml(&self, recipe: &Path) -> String {
        let recipe = recipe.file_name().unwrap_or_default().to_string_lossy();
        let mut text = format!(
            "# What `{recipe}` is made of: contents of models and data, versions of kinds, keys of stages.\n\
             # Written by `curricle lock {recipe}`; `--update [NAME]` changes it, `--locked` holds a run to it.\n\
             format = {FORMAT}\n"
        );
        for (name, input) in &self.inputs {
            let (section, entry) = name.split_once('.').unwrap_or(("data", name));
            text += &format!("\n[{section}.{}]\nsource = {}\n", key(entry), quoted(&input.source));
            if let Some(revision) = &input.revision {
                text += &format!("revision = {}\n", quoted(revision));
            }
            match (&input.content, &input.commit) {
                (Some(content), _) => text += &format!("blake3 = {}\n", quoted(content)),
                (None, Some(commit)) => text += &format!("commit = {}\n", quoted(commit)),
                (None, None) => text += "# its content was not on this machine\n",
            }
        }
        for (name, stage) in &self.stages {
            text += &format!("\n[stages.{}]\nkind = {}\nversion = {}\n", key(name), quoted(&stage.kind), stage.version);
            text += &format!("settings = {}\n", quoted(&stage.settings));
            match &stage.key {
                Some(digest) => text += &format!("key = {}\n", quoted(&digest.hex())),
                None => text += "# its key was not known: something that it depends on was not on this machine\n",
            }
        }
        text
    }
}
