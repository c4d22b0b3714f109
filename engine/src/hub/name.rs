//! The text after `source =` → which repository of the hub, at which revision, and what of it.

use std::fmt;

/// What a repository holds; it decides where the hub and its cache keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RepoKind {
    /// A model.
    Model,
    /// A data set.
    Data,
}

impl RepoKind {
    /// As the hub's addresses and its cache spell it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Data => "datasets",
        }
    }
}

/// A repository at a revision, and what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HubName {
    /// Model or data set.
    pub kind: RepoKind,
    /// `org/name`.
    pub repo: String,
    /// Branch, tag or commit; none for the branch `main`.
    pub revision: Option<String>,
    /// A file, a folder or a pattern (`main/train-*.parquet`) in it; none for everything that can be read.
    pub path: Option<String>,
}

/// Why a text names no repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not `org/name`.
    #[error("a repository is `ORG/NAME`, in letters, digits, `-`, `_` and `.`")]
    Repo,
    /// A revision that could leave its place.
    #[error("`{0}` can't be a branch, a tag or a commit")]
    Revision(String),
    /// A path that could leave its place.
    #[error("`{0}` does not lie in the repository")]
    Path(String),
    /// Two revisions.
    #[error("the source says revision `{0}`, and `revision` says `{1}`")]
    Twice(String, String),
}

impl HubName {
    /// Reads `org/name` or `org/name@revision`: what stands after `hf:`.
    ///
    /// # Errors
    /// What is no name, no revision or no path.
    pub fn parse(
        kind: RepoKind,
        text: &str,
        revision: Option<String>,
        path: Option<String>,
    ) -> Result<Self, NameError> {
        let (repo, said) = text.split_once('@').map_or((text, None), |(repo, said)| (repo, Some(said.to_owned())));
        let parts: Vec<_> = repo.split('/').collect();
        if parts.len() != 2 || !parts.iter().all(|part| is_name(part)) {
            return Err(NameError::Repo);
        }
        let revision = match (said, revision) {
            (Some(one), Some(other)) if one != other => return Err(NameError::Twice(one, other)),
            (one, other) => one.or(other),
        };
        if let Some(revision) = revision.as_ref().filter(|revision| !stays(revision, "?#%\\@ ")) {
            return Err(NameError::Revision(revision.clone()));
        }
        if let Some(path) = path.as_ref().filter(|path| !stays(path, "\\")) {
            return Err(NameError::Path(path.clone()));
        }
        Ok(Self { kind, repo: repo.to_owned(), revision, path })
    }

    /// Its folder in the hub's cache: `models--org--name`.
    pub fn folder(&self) -> String {
        format!("{}--{}", self.kind.plural(), self.repo.replace('/', "--"))
    }

    /// The revision asked for.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// `hf:org/name`, without its revision.
    pub fn source(&self) -> String {
        format!("hf:{}", self.repo)
    }

    /// Does a run need this file of the repository? Of a model: what lies at its top and is weights, settings, tokenizer,
    /// template or card. Of data: rows and images, in every folder or below [`Self::path`], and the card.
    pub fn wants(&self, file: &str) -> bool {
        let ending = |file: &str| file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let packed = file.len() > 3 && ending(file).is_some_and(|ending| ending == "gz");
        let ending = ending(if packed { &file[..file.len() - 3] } else { file }).unwrap_or_default();
        let is = |endings: &[&str]| endings.contains(&ending.as_str());
        match self.kind {
            _ if file == "README.md" => true,
            _ if file.split('/').any(|part| part.starts_with('.')) => false,
            RepoKind::Model => !packed && !file.contains('/') && is(&["safetensors", "json", "jinja", "txt"]),
            RepoKind::Data => {
                let readable = is(&["jsonl", "ndjson", "json", "csv", "tsv"]) || (!packed && is(&["parquet"]));
                let image = !packed && is(&["png", "jpg", "jpeg", "webp", "gif", "bmp"]);
                match &self.path {
                    None => (readable || image) && file != "dataset_infos.json",
                    // Rows may name images that lie elsewhere.
                    Some(path) => image || (readable && lies_in(file, path)),
                }
            }
        }
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.repo)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

/// Is it the full name of a commit?
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.chars().all(|c| c.is_ascii_hexdigit())
}

fn is_name(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edges = |c: char| matches!(c, '-' | '.');
    !part.is_empty()
        && part.chars().all(plain)
        && !part.starts_with(edges)
        && !part.ends_with(edges)
        && !part.contains("--")
        && !part.contains("..")
}

/// Is it a relative path that never goes up, without the characters given?
fn stays(path: &str, without: &str) -> bool {
    !path.contains(|c: char| c.is_control() || without.contains(c))
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Is it the file, below the folder, or what the pattern means? A `*` stands for anything but `/`.
fn lies_in(file: &str, path: &str) -> bool {
    let (mut files, mut parts) = (file.split('/'), path.split('/'));
    loop {
        match (files.next(), parts.next()) {
            // Everything below a folder belongs to it.
            (_, None) => return true,
            (Some(file), Some(part)) if matches(file, part) => {}
            _ => return false,
        }
    }
}

fn matches(text: &str, pattern: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(text) = text.strip_prefix(before) else { return false };
    text.char_indices().map(|(start, _)| start).chain([text.len()]).any(|start| matches(&text[start..], rest))
}
