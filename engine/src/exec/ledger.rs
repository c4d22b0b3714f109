//! Events → `.curricle/runs/<time>-<name>/events.ndjson`, and the receipt at the end.

use std::path::{Path, PathBuf};

use super::{Receipt, RunEvent};
use crate::clock;
use crate::fs::{self, Appender, FsError};

/// The folder of one run, being written.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    events: Appender,
}

impl Ledger {
    /// Makes the folder of a run that begins now.
    pub fn create(curricle_dir: &Path, recipe: &str) -> Result<Self, FsError> {
        let runs = fs::absolute(curricle_dir).join("runs");
        fs::create_dir_all(&runs)?;
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' };
        let name: String = recipe.chars().map(plain).take(80).collect();
        let stem = format!("{}-{name}", clock::now_for_names());
        let mut dir = runs.join(&stem);
        let mut another = 1;
        while !fs::create_new_dir(&dir)? {
            another += 1;
            dir = runs.join(format!("{stem}.{another}"));
        }
        fs::create_dir_all(&dir.join("logs"))?;
        let events = Appender::open(&dir.join("events.ndjson"))?;
        Ok(Self { dir, events })
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Folder for logs of stages.
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// Appends one line.
    pub fn record(&mut self, event: &RunEvent) -> Result<(), FsError> {
        self.events.line(&serde_json::to_string(event).expect("events are plain data"))
    }

    /// Writes the receipt.
    pub fn finish(self, receipt: &Receipt) -> Result<(), FsError> {
        let text = serde_json::to_string_pretty(receipt).expect("a receipt is plain data") + "\n";
        fs::write_atomic(&self.dir.join("receipt.json"), text)
    }
}
