//! What a plan lacks → copies on this machine, through whoever can reach the hub. Knows no address and no protocol.

use std::path::PathBuf;

use super::{HubName, Listed, Listing, Shelf, is_commit};
use crate::fs;
use crate::graph::{Graph, Origin};
use crate::plan::Plan;

/// Somebody who can reach the hub.
pub trait Hub {
    /// Every file of a repository at a revision, and the commit that this revision means now.
    ///
    /// # Errors
    /// The hub can't be reached or refuses.
    fn list(&self, name: &HubName, revision: &str, say: &mut dyn FnMut(Progress<'_>)) -> Result<Listing, Trouble>;

    /// Brings files of a commit into the cache. Nothing lies under a file's name before all of it was read and compared with
    /// its digest; what was read of a file before a failure is gone on from later.
    ///
    /// # Errors
    /// The hub can't be reached or refuses, or the disk does.
    fn fetch(
        &self,
        name: &HubName,
        commit: &str,
        files: &[Listed],
        say: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Trouble>;
}

/// How far a fetch is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress<'a> {
    /// A repository's turn has come: so many files, so many bytes.
    Start {
        /// `hf:org/name`.
        source: &'a str,
        /// Files to fetch.
        files: usize,
        /// Bytes to fetch.
        bytes: u64,
    },
    /// So many bytes of the file so far.
    File {
        /// Its path.
        path: &'a str,
        /// Bytes that are here.
        done: u64,
        /// All of its bytes.
        size: u64,
    },
    /// Something went wrong; it is tried again after a while.
    Again {
        /// What went wrong.
        cause: &'a str,
        /// Seconds until then.
        wait_s: f64,
    },
}

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The hub can't be reached, is busy, or sends something else than it promised.
    Hub,
    /// The hub was reached and refuses: no such repository, or not for this user.
    Refused,
    /// Nobody may ask the hub.
    Offline,
    /// The disk is full or can't be written.
    Disk,
}

/// Why something was not fetched: one sentence, and how to go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// What kind.
    pub kind: TroubleKind,
    /// What happened, to which source.
    pub message: String,
    /// How to go on.
    pub help: String,
}

/// Something to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub name: HubName,
    /// The commit, where it is known or locked.
    pub commit: Option<String>,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The commit.
    pub commit: String,
    /// Its copy.
    pub path: PathBuf,
    /// Files fetched now.
    pub files: usize,
    /// Bytes fetched now.
    pub bytes: u64,
}

/// What stages that would run read from the hub and have no copy of, each once.
pub fn orders(graph: &Graph, plan: &Plan) -> Vec<Order> {
    let mut orders = Vec::new();
    for input in plan.to_run().flat_map(|step| graph.stage(step.stage).inputs.values()) {
        let Origin::Remote { name, commit, copy: None, .. } = &input.origin else { continue };
        let order = Order { name: name.clone(), commit: commit.clone() };
        if !orders.contains(&order) {
            orders.push(order);
        }
    }
    orders
}

/// Fetches what is lacking of one order. `afresh` asks the hub what a branch means now, whatever was known.
///
/// # Errors
/// As [`Hub`]; and where the repository has nothing that could be read.
pub fn pull(
    hub: &dyn Hub,
    shelf: &Shelf,
    order: &Order,
    afresh: bool,
    say: &mut dyn FnMut(Progress<'_>),
) -> Result<Pulled, Trouble> {
    let name = &order.name;
    let listing = listing(hub, shelf, order, afresh, say)?;
    let wanted = listing.files.iter().filter(|file| name.wants(&file.path) && file.path != "README.md");
    if wanted.count() == 0 {
        return Err(nothing(name, &listing));
    }
    let lacking = shelf.lacking(name, &listing);
    let bytes = lacking.iter().map(|file| file.size).sum();
    if let Some(free) = fs::free_space(shelf.root()).filter(|free| *free < bytes) {
        let message = format!("{name} needs {bytes} bytes more, and `{}` has {free} free", shelf.root().display());
        let help = "free some space, or keep the hub's cache elsewhere: set `HF_HOME`".into();
        return Err(Trouble { kind: TroubleKind::Disk, message, help });
    }
    if !lacking.is_empty() {
        say(Progress::Start { source: &name.to_string(), files: lacking.len(), bytes });
        hub.fetch(name, &listing.commit, &lacking, say)?;
    }
    let path = shelf.snapshot(name, &listing.commit);
    Ok(Pulled { commit: listing.commit, path, files: lacking.len(), bytes })
}

/// Learns which commit an order means, and which files it has, where that is not known yet; fetches no file.
///
/// # Errors
/// As [`Hub::list`].
pub fn listing(
    hub: &dyn Hub,
    shelf: &Shelf,
    order: &Order,
    afresh: bool,
    say: &mut dyn FnMut(Progress<'_>),
) -> Result<Listing, Trouble> {
    let name = &order.name;
    let known = order.commit.as_ref().filter(|_| !afresh || is_commit(name.revision()));
    if let Some(listing) = known.and_then(|commit| shelf.listing(name, commit)) {
        return Ok(listing);
    }
    let listing = hub.list(name, known.map_or(name.revision(), String::as_str), say)?;
    shelf.remember(name, &listing, known.is_none()).map_err(|error| disk(&error))?;
    Ok(listing)
}

fn disk(error: &fs::FsError) -> Trouble {
    let help = "make the hub's cache writable, or keep it elsewhere: set `HF_HOME`".into();
    Trouble { kind: TroubleKind::Disk, message: error.to_string(), help }
}

fn nothing(name: &HubName, listing: &Listing) -> Trouble {
    const SHOWN: usize = 8;
    let some: Vec<_> = listing.files.iter().take(SHOWN).map(|file| format!("`{}`", file.path)).collect();
    let more = if listing.files.len() > SHOWN { ", …" } else { "" };
    let at = name.path.as_ref().map_or_else(String::new, |path| format!(" at `{path}`"));
    let message = format!("{name} has no file{at} that could be read; it has {}{more}", some.join(", "));
    let help = match (name.kind, &name.path) {
        (super::RepoKind::Data, Some(_)) => "correct `files`: a file, or a pattern such as `main/train-*.parquet`",
        (super::RepoKind::Data, None) => {
            "rows are read from Parquet, JSONL, JSON and CSV; most data sets have a Parquet copy at the revision `refs/convert/parquet`"
        }
        (super::RepoKind::Model, _) => "a model is `config.json`, `tokenizer.json` and `*.safetensors`",
    };
    Trouble { kind: TroubleKind::Refused, message, help: help.into() }
}
