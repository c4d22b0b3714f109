//! Text → [`Recipe`]: every section read, every value with the place where it was written. Names are not resolved here:
//! whether a stage's kind exists, or what `cold_start.model` means, is the graph's business.

mod assume;
mod compose;
mod config;
mod entry;
mod fields;
mod format;
mod gate;
mod interpolate;
mod layout;
mod read;
mod scale;
mod schema;
mod secret;
mod set;
mod source;
mod tree;
mod wiring;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use config::{Config, Line};
pub use format::format;
pub use layout::{LAYOUTS, Layout};
pub use read::ROW_FIELDS;
pub use schema::schema;
pub use source::{At, Position, Source, SourceId, Sources, Span};

pub(crate) use config::{key, quoted};
pub(crate) use entry::{DataEntry, ModelEntry};
pub(crate) use fields::Fields;
pub(crate) use gate::GateEntry;
pub(crate) use interpolate::{Each, Scope};
pub(crate) use read::Change;
pub(crate) use tree::{Entry, Node, Table};
pub(crate) use wiring::{head, items, references};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::fs;
use crate::hub::{Held, HubName, Order, Pin, Shelf};
use crate::stage::{DataView, Role, Runtime};
use crate::vary::Variation;

/// The recipe format that this version reads.
pub const SCHEMA: i64 = 1;

/// What the command line lays over a recipe's file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Files, in order: `-f overlay.toml`.
    pub overlays: Vec<PathBuf>,
    /// Edits, in order: `stages.mrl.params.lr=2e-6`.
    pub set: Vec<String>,
    /// Dotted keys to remove before the edits.
    pub unset: Vec<String>,
}

/// Where the texts of a recipe come from: the disk, or an earlier revision of it.
pub type Texts<'a> = &'a dyn Fn(&Path) -> Result<String, String>;

/// The texts on the disk.
pub fn on_disk(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Where a model or data set lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Location {
    /// A path, joined to the folder of the file that says it.
    File(PathBuf),
    /// A repository of the hub.
    Hub(HubName),
}

/// A `[stages.x]` entry.
#[derive(Debug)]
pub(crate) struct StageEntry {
    /// `x`.
    pub name: At<String>,
    /// The word after `kind =`; none if it is missing or wrong.
    pub kind: Option<At<String>>,
    /// Port → reference.
    pub inputs: Vec<(At<String>, At<String>)>,
    /// Parameters as written.
    pub params: At<Table>,
    /// Items, if the stage stands for one stage per item.
    pub each: Option<Vec<At<String>>>,
    /// Stages that only have to be over first.
    pub after: Vec<At<String>>,
}

/// Which stages take a seed of their own: those named, and what comes after them.
#[derive(Debug, Clone)]
pub(crate) struct Reseed {
    /// Their seed.
    pub seed: u64,
    /// Names of stages, as `[seeds] from` has them.
    pub from: Vec<String>,
}

/// What a recipe was read from: enough to read it again with a change.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Its own file.
    pub source: SourceId,
    /// That file's name without its ending.
    pub stem: String,
    /// The merged values without the sections on variation, before references were replaced.
    pub table: Table,
}

/// A `[models.x]` or `[data.x]` entry, for whoever wants to look at it without a graph.
#[derive(Debug, Clone)]
pub struct OutsideEntry {
    /// `models.base`, `data.mm`.
    pub name: String,
    /// `file:PATH` or `hf:ORG/NAME@REVISION`.
    pub source: String,
    /// What it is on the hub, and the commit that is meant as far as that is known here.
    pub hub: Option<Order>,
    /// Where its files are, or should be; none for what is on the hub and has no copy here.
    pub files: Option<PathBuf>,
    /// How its rows are read; default for models.
    pub view: DataView,
    /// What its rows are for; none for models.
    pub role: Option<Role>,
}

/// A recipe, read and merged. Only [`crate::graph::check`] knows whether it makes sense.
#[derive(Debug)]
pub struct Recipe {
    pub(crate) sources: Arc<Sources>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) variation: Arc<Variation>,
    pub(crate) scales: Vec<String>,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) seed: u64,
    /// Stages with another seed.
    pub(crate) reseed: Option<Reseed>,
    pub(crate) dir: PathBuf,
    pub(crate) params: Table,
    pub(crate) models: BTreeMap<String, ModelEntry>,
    pub(crate) data: BTreeMap<String, DataEntry>,
    /// In the order of the text.
    pub(crate) stages: Vec<StageEntry>,
    /// In the order of the text.
    pub(crate) gates: Vec<GateEntry>,
    pub(crate) runtime: Runtime,
    /// `[runtime.stages.x]`, laid over `runtime`.
    pub(crate) runtime_stages: Vec<(At<String>, Runtime)>,
    pub(crate) jobs: Option<usize>,
    /// What is known here of the hub.
    pub(crate) held: Arc<Held>,
    /// What was wrong so far, below the level of syntax.
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Recipe {
    /// Reads a recipe's file, what it extends, and what the command line lays over it.
    ///
    /// # Errors
    /// Some text can't be read or is not TOML. Everything else that is wrong is found by [`crate::graph::check`],
    /// together with its own findings.
    pub fn load(file: &Path, overrides: &Overrides) -> Result<Self, Diagnostics> {
        Self::load_from(file, overrides, &on_disk)
    }

    /// [`Self::load`] with texts from elsewhere; paths in them mean what they would mean on the disk.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_from(file: &Path, overrides: &Overrides, texts: Texts<'_>) -> Result<Self, Diagnostics> {
        read::recipe(file, compose::compose(file, overrides, texts))
    }

    /// `[recipe] name`, or the name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `[recipe] description`.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Names of its `[scales]`, the chosen one among them.
    pub fn scales(&self) -> &[String] {
        &self.scales
    }

    /// Holds what it takes from the hub to the commits of a lock, by the name of the entry: `models.base`.
    pub fn pin(&mut self, pins: BTreeMap<String, Pin>) {
        self.held = Arc::new(Held { pins, ..Held::clone(&self.held) });
    }

    /// What it takes from outside, models first.
    pub fn entries(&self) -> Vec<OutsideEntry> {
        let models = self.models.values().map(|entry| ("models", &entry.name, &entry.source, None));
        let data = self.data.values().map(|entry| ("data", &entry.name, &entry.source, Some(entry)));
        let known = models.chain(data).filter_map(|(section, name, source, data)| {
            let (name, location) = (format!("{section}.{}", name.value), &source.as_ref()?.value);
            let (source, hub, files) = match location {
                Location::File(path) => (format!("file:{}", path.display()), None, Some(path.clone())),
                Location::Hub(hub) => {
                    let (commit, copy) = self.held.find(&name, hub);
                    (hub.to_string(), Some(Order { name: hub.clone(), commit }), copy)
                }
            };
            let view = data.map(|data| data.view.clone()).unwrap_or_default();
            Some(OutsideEntry { name, source, hub, files, view, role: data.map(|data| data.role.value) })
        });
        known.collect()
    }

    /// Its texts, for whoever has more to say about it.
    pub fn sources(&self) -> Arc<Sources> {
        Arc::clone(&self.sources)
    }

    /// The hub's cache that it looks into.
    pub fn shelf(&self) -> &Shelf {
        &self.held.shelf
    }

    /// `[runtime] jobs`: stages to run at the same time.
    pub fn jobs(&self) -> Option<usize> {
        self.jobs
    }
}

/// The values of a text that is known to be TOML.
#[cfg(test)]
pub(crate) fn parse_table(text: &str, source: SourceId) -> Table {
    tree::parse(text, source, 0, &mut Vec::new()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
