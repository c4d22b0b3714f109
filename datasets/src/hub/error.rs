//! Why the hub did not give what was asked, and how to go on. Never holds a token, nor an address with a signature in it.

use crate::fs::FsError;

/// A request that came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch {}{}: {kind}", source_name, file.as_ref().map(|file| format!(" (`{file}`)")).unwrap_or_default())]
pub struct HubError {
    /// `hf:org/name`, with the revision asked for.
    pub source_name: Box<str>,
    /// The page of the repository that people read.
    pub page: Box<str>,
    /// The file, where one was asked for.
    pub file: Option<Box<str>>,
    /// What happened.
    pub kind: HubErrorKind,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubErrorKind {
    /// Only the cache may be used.
    #[error("`HF_HUB_OFFLINE` is set, and it is not in the cache")]
    Offline,
    /// The owner of the repository must let its users in one by one.
    #[error("the hub lets in only those who accepted its terms (status {0})")]
    Gated(u16),
    /// No such repository, or one that this user may not see.
    #[error("the hub does not let this user in, or there is no such repository (status {0})")]
    Forbidden(u16),
    /// Not there.
    #[error("there is no such {0} on the hub")]
    NotFound(&'static str),
    /// Too many requests, and no end of it in sight.
    #[error("the hub is busy: it answers 429{}", .0.map(|s| format!(" and wants {s} s of quiet")).unwrap_or_default())]
    Busy(Option<u64>),
    /// The hub is in trouble itself.
    #[error("the hub fails with status {0}")]
    Failing(u16),
    /// No answer, or half of one.
    #[error("{0}")]
    Connection(String),
    /// Some other answer than the protocol has.
    #[error("the hub answers what nobody expects: {0}")]
    Unexpected(String),
    /// Other bytes than were promised.
    #[error("what came is not what the hub promised: its SHA-256 is {found}, and should be {wanted}")]
    Digest {
        /// As listed.
        wanted: String,
        /// Of what came.
        found: String,
    },
    /// More or fewer bytes than were promised.
    #[error("what came is not what the hub promised: {found} bytes instead of {wanted}")]
    Size {
        /// As listed.
        wanted: u64,
        /// What came.
        found: u64,
    },
    /// A name that would leave the folder.
    #[error("the repository lists `{0}`, which could leave its folder")]
    Hostile(String),
    /// The disk is full.
    #[error("the disk is full: {0}")]
    Full(FsError),
    /// The disk said no.
    #[error("{0}")]
    Disk(FsError),
}

impl HubError {
    /// How to go on.
    pub fn help(&self) -> String {
        let page = &self.page;
        match &self.kind {
            HubErrorKind::Offline => {
                "fetch it where there is a network: `curricle data pull`; or unset `HF_HUB_OFFLINE`".into()
            }
            HubErrorKind::Gated(_) => {
                format!("accept its terms at {page}, then set `HF_TOKEN` to a token of that account that may read")
            }
            HubErrorKind::Forbidden(_) => {
                format!("look whether {page} exists; if it is private, set `HF_TOKEN` to a token that may read it")
            }
            HubErrorKind::NotFound("revision") => format!("its branches and tags are at {page}"),
            HubErrorKind::NotFound(_) => format!("look for it at {page}; names are `ORG/NAME`, capitals count"),
            HubErrorKind::Busy(_) => "try later; with a token in `HF_TOKEN` the hub allows more".into(),
            HubErrorKind::Failing(_) | HubErrorKind::Connection(_) => {
                "try again: what came so far is kept; `HF_ENDPOINT` names another hub or mirror".into()
            }
            HubErrorKind::Unexpected(_) => "is `HF_ENDPOINT` the address of a hub?".into(),
            HubErrorKind::Digest { .. } | HubErrorKind::Size { .. } => {
                "nothing of it was kept; a proxy or mirror between here and the hub may change files: try another `HF_ENDPOINT`"
                    .into()
            }
            HubErrorKind::Hostile(_) => format!("do not use this repository; report it at {page}"),
            HubErrorKind::Full(_) => {
                "free some space, or set `HF_HOME` to a folder on another disk; what came so far is kept".into()
            }
            HubErrorKind::Disk(_) => "make the hub's cache writable, or set `HF_HOME` to another folder".into(),
        }
    }
}

impl From<FsError> for HubErrorKind {
    fn from(error: FsError) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded) { Self::Full(error) } else { Self::Disk(error) }
    }
}
