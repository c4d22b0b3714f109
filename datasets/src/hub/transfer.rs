//! Files of a commit → the cache: read to their end, compared with their digests, and only then given their names.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ureq::Body;
use ureq::http::Response;

use super::client::{Client, Repository};
use super::error::{HubError, HubErrorKind};
use super::listing::RemoteFile;
use super::request::{Failed, escaped, header};
use crate::fs::{self, Part};

/// How a fetch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// So much of a file is here.
    File {
        /// Its path.
        path: &'a str,
        /// Bytes that are here.
        done: u64,
        /// All of its bytes.
        size: u64,
    },
    /// Something went wrong, and is tried again.
    Again {
        /// What.
        cause: &'a str,
        /// When.
        wait: Duration,
    },
}

/// How often a whole file may come damaged.
const DAMAGED: u32 = 2;

impl Client {
    /// Brings files of a commit into the cache, one after the other. What came of a large file before a failure is kept, and
    /// gone on from the next time.
    ///
    /// # Errors
    /// The hub can't be reached or refuses, or the disk does, or what came is not what was listed.
    pub fn fetch(
        &self,
        repository: &Repository,
        commit: &str,
        files: &[RemoteFile],
        say: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), HubError> {
        for file in files {
            let done = self.one(repository, commit, file, say);
            done.map_err(|kind| self.error(repository, commit, Some(&file.path), kind))?;
        }
        Ok(())
    }

    fn one(
        &self,
        repository: &Repository,
        commit: &str,
        file: &RemoteFile,
        say: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), HubErrorKind> {
        let kept = self.cache.repo(repository.at(commit));
        let blob = kept.blob_path(&file.blob);
        if fs::size(&blob) != Some(file.size) {
            let mut part = Part::open(&blob.with_extension("incomplete"))?;
            // Whoever had the part before may have finished it.
            if fs::size(&blob) != Some(file.size) {
                self.fill(repository, commit, file, &mut part, say)?;
                part.finish(&blob)?;
            }
        }
        let shown = kept.pointer_path(commit).join(&file.path);
        let up = "../".repeat(2 + file.path.matches('/').count());
        Ok(fs::link(&shown, Path::new(&format!("{up}blobs/{}", file.blob)))?)
    }

    /// Fills a part to the file's size.
    fn fill(
        &self,
        repository: &Repository,
        commit: &str,
        file: &RemoteFile,
        part: &mut Part,
        say: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), HubErrorKind> {
        let (endpoint, repo) = (&self.settings.endpoint, repository.at(commit).url());
        let url = format!("{endpoint}/{repo}/resolve/{commit}/{}", escaped(&file.path));
        // What no digest can vouch for later is not gone on from; nor is what is longer than the file.
        if !file.sha256 || part.len() > file.size {
            part.restart()?;
        }
        let (mut tag, mut damaged) = (None, 0);
        self.insist(say, |say| {
            let start = part.len();
            if start < file.size || file.size == 0 {
                self.more(&url, file, part, &mut tag, say)?;
            }
            if part.len() != file.size {
                let (wanted, found) = (file.size, part.len());
                let kind = if found < wanted {
                    HubErrorKind::Connection(format!("the connection broke at byte {found} of {wanted}"))
                } else {
                    part.restart()?;
                    HubErrorKind::Size { wanted, found }
                };
                return Err(Failed { progressed: part.len() > start, ..Failed::for_now(kind) });
            }
            let found = part.sha256();
            if file.sha256 && found != file.blob {
                part.restart()?;
                damaged += 1;
                let kind = HubErrorKind::Digest { wanted: file.blob.clone(), found };
                return Err(if damaged < DAMAGED { Failed::for_now(kind) } else { Failed::for_good(kind) });
            }
            Ok(())
        })
    }

    /// One request for the rest of a file, as far as it comes.
    fn more(
        &self,
        url: &str,
        file: &RemoteFile,
        part: &mut Part,
        tag: &mut Option<String>,
        say: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Failed> {
        let start = part.len();
        let range = format!("bytes={start}-");
        let mut headers = Vec::new();
        if start > 0 {
            headers.push(("Range", range.as_str()));
            headers.extend(tag.as_deref().filter(|tag| tag.starts_with('"')).map(|tag| ("If-Range", tag)));
        }
        let answer = match self.get(url, &headers) {
            // The server holds another file than the one begun.
            Err(Failed { kind: HubErrorKind::Unexpected(what), .. }) if start > 0 && what == "status 416" => {
                part.restart()?;
                return Err(Failed::for_now(HubErrorKind::Unexpected(what)));
            }
            answer => answer?,
        };
        let now = header(answer.headers(), "etag").map(str::to_owned);
        let goes_on = answer.status().as_u16() == 206 && continues(&answer, start, file.size);
        let same = tag.is_none() || now.is_none() || *tag == now;
        if start > 0 && answer.status().as_u16() == 206 && !(goes_on && same) {
            part.restart()?;
            *tag = None;
            let what = "the file changed between two requests; it is read from its start".into();
            return Err(Failed::for_now(HubErrorKind::Connection(what)));
        }
        if start > 0 && !goes_on {
            part.restart()?;
        }
        *tag = now;
        copy(answer, file, part, say)
    }
}

/// Does a partial answer begin where it should, in a file of the right size?
fn continues(answer: &Response<Body>, start: u64, size: u64) -> bool {
    let range = header(answer.headers(), "content-range").and_then(|range| range.strip_prefix("bytes "));
    let Some((bytes, all)) = range.and_then(|range| range.split_once('/')) else { return false };
    let first = bytes.split('-').next().and_then(|first| first.parse().ok());
    first == Some(start) && (all == "*" || all.parse() == Ok(size))
}

/// Reads an answer to its end, or to where the connection breaks, or to the first byte too many.
fn copy(
    answer: Response<Body>,
    file: &RemoteFile,
    part: &mut Part,
    say: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failed> {
    let start = part.len();
    let mut body = answer.into_body().into_reader();
    let mut buffer = vec![0; 1 << 17];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) => {
                let kind = HubErrorKind::Connection(format!("the connection broke: {error}"));
                return Err(Failed { progressed: part.len() > start, ..Failed::for_now(kind) });
            }
        };
        part.write(&buffer[..read])?;
        say(Event::File { path: &file.path, done: part.len(), size: file.size });
        if part.len() > file.size {
            return Ok(());
        }
    }
}
