//! Preimage → key → what was made under it.
//!
//! ```text
//! .curricle/store/v1/
//!   digests.json                content digests of input files, remembered by path and state
//!   <stage>-<key8>/             committed: artifact/ manifest.json preimage.json history.ndjson
//!   <stage>-<key8>.partial/     claimed or left behind: artifact/ work/ preimage.json lease worker
//! ```
//!
//! A lookup gives a hit or a claim; only a claim commits, and a rename makes the commit. This room knows no graph, no
//! plan and no process but the holder of a lease.

mod adopt;
mod claim;
mod damage;
mod determinism;
mod digests;
mod folder;
mod inventory;
mod key;
mod manifest;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upkeep_tests;

use std::path::PathBuf;

pub use adopt::Adopted;
pub use claim::{Claim, Holder, WorkerGuard};
pub use damage::{Damage, DamageKind};
pub use determinism::{Class, Unlike, determinism};
pub use digests::Digests;
pub use folder::{Index, Lookup, Store};
pub use inventory::{Entry, Kept, State, Sweep};
pub use key::{InputIdentity, Key, KeyPreimage};
pub use manifest::{Artifact, FileRecord, Manifest, Usage, Used};

use crate::fs::FsError;

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another live process works on the same entry.
    #[error("stage `{stage}` is being built by {holder}")]
    Held {
        /// The stage asked for.
        stage: String,
        /// Who builds it.
        holder: Holder,
    },
    /// An entry does not say what it should.
    #[error("store entry `{}` is damaged: {what}", path.display())]
    Damaged {
        /// The entry's folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] FsError),
}

impl StoreError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Held { .. } => "wait for that run to end, or stop it",
            Self::Damaged { .. } => "remove the folder; the stage is built again",
            Self::Disk(_) => "check that the store's folder is writable and the disk has room",
        }
    }
}
