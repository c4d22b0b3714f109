//! A repository and a revision → the commit that it means now, and every file of it with its size and digest.

use serde::Deserialize;

use super::client::{Client, Repository};
use super::error::{HubError, HubErrorKind};
use super::request::{Failed, header};
use super::transfer::Event;

/// The most bytes of one page of a listing.
const PAGE: u64 = 256 << 20;

/// All files of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// 40 hex digits.
    pub commit: String,
    /// Sorted by path.
    pub files: Vec<RemoteFile>,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// `data/train-00000-of-00002.parquet`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Name of its content in the cache: SHA-256 of a large file, git's object id of another.
    pub blob: String,
    /// Is `blob` the SHA-256 of its bytes?
    pub sha256: bool,
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
}

#[derive(Deserialize)]
struct Entry {
    r#type: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<Large>,
}

#[derive(Deserialize)]
struct Large {
    oid: String,
    size: u64,
}

impl Client {
    /// Lists a repository.
    ///
    /// # Errors
    /// The hub can't be reached or refuses, or lists what no repository has.
    pub fn list(
        &self,
        repository: &Repository,
        revision: &str,
        say: &mut dyn FnMut(Event<'_>),
    ) -> Result<Snapshot, HubError> {
        self.snapshot(repository, revision, say).map_err(|kind| self.error(repository, revision, None, kind))
    }

    fn snapshot(
        &self,
        repository: &Repository,
        revision: &str,
        say: &mut dyn FnMut(Event<'_>),
    ) -> Result<Snapshot, HubErrorKind> {
        let endpoint = &self.settings.endpoint;
        let (Revision { sha }, _) = self.json(&format!("{endpoint}/api/{}", repository.at(revision).api_url()), say)?;
        if !is_hex(&sha, 40) {
            return Err(HubErrorKind::Unexpected("it names no commit".into()));
        }
        let kind = if repository.data { "datasets" } else { "models" };
        let mut next = Some(format!("/api/{kind}/{}/tree/{sha}?recursive=true&expand=false", repository.id));
        let mut files = Vec::new();
        while let Some(page) = next {
            let (entries, more): (Vec<Entry>, _) = self.json(&format!("{endpoint}{page}"), say)?;
            for entry in entries.into_iter().filter(|entry| entry.r#type == "file") {
                files.push(file(entry)?);
            }
            next = more.filter(|more| *more != page);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Snapshot { commit: sha, files })
    }

    /// A document, and the path of its next page.
    fn json<T: for<'de> Deserialize<'de>>(
        &self,
        url: &str,
        say: &mut dyn FnMut(Event<'_>),
    ) -> Result<(T, Option<String>), HubErrorKind> {
        let text = self.insist(say, |_| {
            let mut answer = self.get(url, &[])?;
            let more = header(answer.headers(), "link").and_then(next_page);
            let text = answer.body_mut().with_config().limit(PAGE).read_to_string();
            let cut = |_| Failed::for_now(HubErrorKind::Connection("the connection broke within a listing".into()));
            Ok((text.map_err(cut)?, more))
        });
        let (text, more) = text?;
        let document = serde_json::from_str(&text);
        let document = document.map_err(|error| HubErrorKind::Unexpected(format!("a listing that is none ({error})")));
        Ok((document?, more))
    }
}

/// `<https://hub/api/…?cursor=x>; rel="next"` → the address from `/api/` on: only the hub that was asked is asked again.
fn next_page(link: &str) -> Option<String> {
    let one = link.split(',').find(|one| one.contains("rel=\"next\""))?;
    let address = one.trim().strip_prefix('<')?.split_once('>')?.0;
    address.find("/api/").map(|start| address[start..].to_owned())
}

fn file(entry: Entry) -> Result<RemoteFile, HubErrorKind> {
    let Entry { path, size, oid, lfs, .. } = entry;
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !path.split('/').all(part) || path.contains(|c: char| c.is_control() || c == '\\') {
        return Err(HubErrorKind::Hostile(path.escape_debug().to_string()));
    }
    let (blob, size, sha256) = lfs.map_or((oid, size, false), |large| (large.oid, large.size, true));
    // The name of a file in the cache.
    if !is_hex(&blob, if sha256 { 64 } else { 40 }) {
        return Err(HubErrorKind::Unexpected(format!("`{path}` has no digest")));
    }
    Ok(RemoteFile { path, size, blob, sha256 })
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
