//! The right to build one entry. A claim holds the entry's lease as long as it lives; committing consumes it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::manifest::record;
use super::{Adopted, Artifact, KeyPreimage, Manifest, StoreError, Usage};
use crate::fs::{self, FsError, Lock};

/// How long the worker of a run that was killed may take to notice.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(10);

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process.
    pub pid: u32,
    /// Machine.
    pub host: String,
    /// When it took the lease, UTC.
    pub since: String,
}

impl Holder {
    /// This process, as text for a lease.
    fn me() -> String {
        let me = Self { pid: std::process::id(), host: fs::host(), since: crate::clock::now() };
        serde_json::to_string(&me).expect("a holder is plain data")
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {} since {}", self.pid, self.host, self.since)
    }
}

/// A stage's exclusive right to fill one entry. Dropped without [`Claim::commit`], it leaves the partial folder for the
/// next attempt.
#[derive(Debug)]
pub struct Claim {
    /// Held, not read: the lease ends when the claim does.
    _lease: Lock,
    partial: PathBuf,
    target: PathBuf,
    stage: String,
    preimage: KeyPreimage,
    /// Where the outputs came from, if nothing here makes them.
    pub(super) adopted: Option<Box<Adopted>>,
    usage: Option<Usage>,
}

impl Claim {
    /// Takes the lease on a partial folder; adopts what an earlier attempt left in `work/` and wipes its outputs.
    ///
    /// `None`: the entry was committed, or its folder moved, between the caller's look and the lock; look again.
    pub(super) fn take(
        partial: PathBuf,
        target: PathBuf,
        stage: &str,
        preimage: &KeyPreimage,
    ) -> Result<Option<Self>, StoreError> {
        fs::create_dir_all(&partial)?;
        let lease_path = partial.join("lease");
        let mut lease = match Lock::try_take(&lease_path) {
            Ok(Some(lease)) => lease,
            Ok(None) => return Err(StoreError::Held { stage: stage.to_owned(), holder: holder(&lease_path) }),
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !lease.in_place(&lease_path) {
            return Ok(None);
        }
        lease.write(&Holder::me())?;
        wait_for_orphan(&partial.join("worker"), stage)?;
        fs::remove_dir_all(&partial.join("artifact"))?;
        fs::create_dir_all(&partial.join("artifact"))?;
        fs::create_dir_all(&partial.join("work"))?;
        fs::write(&partial.join("preimage.json"), preimage.pretty())?;
        let (stage, preimage) = (stage.to_owned(), preimage.clone());
        Ok(Some(Self { _lease: lease, partial, target, stage, preimage, adopted: None, usage: None }))
    }

    /// Folder whose subfolders are the output ports.
    pub fn output_dir(&self) -> PathBuf {
        self.partial.join("artifact")
    }

    /// Folder that survives a crash.
    pub fn work_dir(&self) -> PathBuf {
        self.partial.join("work")
    }

    /// Folder that the entry will be: what lies in it beside `artifact/` and `work/` is kept, and no part of the result.
    pub fn entry_dir(&self) -> &Path {
        &self.partial
    }

    /// Gives the right up and removes the partial folder with all in it.
    pub(super) fn discard(self) -> Result<(), FsError> {
        fs::remove_dir_all(&self.partial)
    }

    /// This claim with something to remember of what the work cost.
    #[must_use]
    pub fn having_used(self, usage: Usage) -> Self {
        Self { usage: Some(usage), ..self }
    }

    /// Makes the entry: digests and syncs every output, writes the manifest, and moves the folder to its name. Until
    /// the move there is no entry, after it there is a whole one.
    pub fn commit(self, wall_s: f64) -> Result<Artifact, StoreError> {
        let manifest = Manifest {
            format: 1,
            stage: self.stage.clone(),
            kind: self.preimage.kind.clone(),
            key: self.preimage.key(),
            created: crate::clock::now(),
            wall_s,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            adopted: self.adopted.clone(),
            usage: self.usage.clone().map(Box::new),
            outputs: record(&self.output_dir())?,
        };
        let text = serde_json::to_string_pretty(&manifest).expect("a manifest is plain data") + "\n";
        fs::write_atomic(&self.partial.join("manifest.json"), text)?;
        fs::sync(&self.partial.join("preimage.json"))?;
        fs::sync(&self.partial)?;
        // A forced stage replaces its entry; a crash between the two moves costs the old entry, never a half one.
        let replaced = self.target.with_extension("replaced");
        if fs::exists(&self.target) {
            fs::remove_dir_all(&replaced)?;
            fs::rename(&self.target, &replaced)?;
        }
        fs::rename(&self.partial, &self.target)?;
        fs::remove_dir_all(&replaced)?;
        fs::remove_dir_all(&self.target.join("work"))?;
        fs::remove_file(&self.target.join("worker"))?;
        fs::remove_file(&self.target.join("lease"))?;
        Ok(Artifact::new(self.target, manifest))
    }
}

/// Held by a worker process while it writes: a new claim waits for the worker of a run that was killed.
#[derive(Debug)]
pub struct WorkerGuard {
    /// Held, not read.
    _lock: Lock,
}

impl WorkerGuard {
    /// Marks the entry that `work_dir` belongs to as being written by this process.
    pub fn take(work_dir: &Path) -> Result<Self, FsError> {
        let partial = work_dir.parent().unwrap_or(work_dir);
        let mut lock = Lock::take(&partial.join("worker"))?;
        lock.write(&Holder::me())?;
        Ok(Self { _lock: lock })
    }
}

fn wait_for_orphan(path: &Path, stage: &str) -> Result<(), StoreError> {
    let start = Instant::now();
    while Lock::try_take(path)?.is_none() {
        if start.elapsed() > ORPHAN_PATIENCE {
            return Err(StoreError::Held { stage: stage.to_owned(), holder: holder(path) });
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Who works under a lease now; nobody if the process that took it is gone. Looks without taking the lease, so that nobody
/// who wants it is turned away.
pub(super) fn holder_of(lease: &Path) -> Option<Holder> {
    let holder: Holder = serde_json::from_str(&fs::read_to_string(lease).ok()?).ok()?;
    // A process on another machine can't be looked at: it counts as alive.
    let alive = holder.host != fs::host() || fs::exists(&Path::new("/proc").join(holder.pid.to_string()));
    alive.then_some(holder)
}

fn holder(lease: &Path) -> Holder {
    let text = fs::read_to_string(lease).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|_| Holder {
        pid: 0,
        host: "an unknown machine".into(),
        since: "just now".into(),
    })
}
