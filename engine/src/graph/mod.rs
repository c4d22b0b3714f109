//! Recipe → [`Graph`]: names resolved, kinds of edges agreed, no cycle, no leak. Only `check` can make one.
//!
//! petgraph finds the order and the cycles inside this room; its indices stand in no public signature. This room knows
//! nothing of keys, stores or processes.

mod check;
mod expand;
mod facts;
mod family;
mod gates;
mod leaks;
mod order;
mod params;
pub mod render;
mod resolve;
mod shared;
mod tiny;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use check::check;
pub use leaks::{Leak, leaks};
pub use tiny::tiny;

use crate::diagnostic::Diagnostics;
use crate::gate::Gate;
use crate::hub::HubName;
use crate::stage::{AnyKind, AnyStage, ArtifactType, DataView, Extent, PortTypes, Ports, Runtime};
pub use crate::vary::Label;

/// A stage's place in [`Graph::stages`]; stages stand in topological order, ties in the order of the recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub(crate) usize);

impl StageId {
    /// Position in [`Graph::stages`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// An output port of another stage.
    Stage {
        /// The producer.
        stage: StageId,
        /// Its output port.
        port: String,
    },
    /// A `[models.x]` or `[data.x]` entry whose files lie on this machine, or will.
    File {
        /// Absolute path of the folder or file.
        path: PathBuf,
        /// How to read rows; default for models.
        view: DataView,
    },
    /// A repository of the hub. Without a copy of it on this machine it is fit to check, not to run.
    Remote {
        /// As the recipe names it.
        name: HubName,
        /// The commit that is meant, as locked or as last learned; none if nobody asked the hub yet.
        commit: Option<String>,
        /// Where a whole copy of that commit lies.
        copy: Option<PathBuf>,
        /// How to read rows; default for models.
        view: DataView,
    },
}

impl Origin {
    /// Files from outside that should be on this machine, and how rows are read from them; none for outputs of stages and for
    /// what is only on a hub.
    pub fn files(&self) -> Option<(&Path, &DataView)> {
        match self {
            Self::File { path, view } | Self::Remote { copy: Some(path), view, .. } => Some((path, view)),
            Self::Stage { .. } | Self::Remote { copy: None, .. } => None,
        }
    }
}

/// One connected input port.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// As the recipe says it: `cold_start.model`, `data.gsm8k.train`.
    pub reference: String,
    /// What is behind it.
    pub origin: Origin,
    /// Type after propagation.
    pub ty: ArtifactType,
    /// What estimates may assume of it where it is not on this machine.
    pub assumed: Option<Arc<Extent>>,
}

/// A checked stage.
#[derive(Debug)]
pub struct StageNode {
    /// Its place.
    pub id: StageId,
    /// Its name; an `each` stage has one per listed stage: `score[mrl]`.
    pub name: String,
    /// Its kind.
    pub kind: &'static dyn AnyKind,
    /// Kind and parameters, decoded.
    pub stage: Box<dyn AnyStage>,
    /// Ports, as its parameters make them.
    pub ports: Ports,
    /// Connected inputs by port.
    pub inputs: BTreeMap<String, Input>,
    /// Types of its outputs.
    pub outputs: PortTypes,
    /// Pure ordering: `after = ["x"]`.
    pub after: Vec<StageId>,
    /// The recipe's root seed: the only seed that counts for the key.
    pub seed: u64,
    /// What does not matter for the result: `[runtime]` merged with `[runtime.stages.NAME]`.
    pub runtime: Runtime,
}

/// A graph, and what [`check`] wants to have said about it.
#[derive(Debug)]
pub struct Checked {
    /// The graph.
    pub graph: Graph,
    /// Warnings and notes.
    pub warnings: Diagnostics,
}

/// A recipe that can be planned: every reference resolves, every edge fits.
#[derive(Debug, Default)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) stages: Vec<StageNode>,
    pub(crate) arms: Vec<Arm>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) tiny: bool,
}

/// A variation of a recipe. Arms share the stages that are the same work.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// What it is called and what it changes.
    pub label: Label,
    /// Other names under which the recipe asks for it.
    pub also: Vec<String>,
    /// Its stages by their names within the arm.
    pub stages: BTreeMap<String, StageId>,
    /// Its gates, by their places in [`Graph::gates`].
    pub gates: Vec<usize>,
    /// Stages that it has not because what they read from is left out, and gates (`gates.x`) that have no sense without them.
    pub without: Vec<String>,
}

impl Graph {
    /// `[recipe] name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Is it the tiny sibling of a recipe, whose results say that it runs and nothing else?
    pub fn is_tiny(&self) -> bool {
        self.tiny
    }

    /// Every arm, the recipe as written first if it is one; empty for a recipe without variation.
    pub fn arms(&self) -> &[Arm] {
        &self.arms
    }

    /// Every gate, those of arms too; gates that require the same of the same stages are one.
    pub fn gates(&self) -> &[Gate] {
        &self.gates
    }

    /// Names of the arms without their seeds, each once.
    pub fn variants(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let mut seen = BTreeSet::new();
        names.extend(self.arms.iter().map(|arm| arm.label.variant.as_str()).filter(|name| seen.insert(*name)));
        names
    }

    /// `7 arms × 5 seeds, 61 stages (245 by hand)`: how much there is, and how much there would be if every arm were a
    /// recipe of its own.
    pub fn size(&self) -> String {
        let unit = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let stages = unit(self.stages.len(), "stage");
        if self.arms.is_empty() {
            return stages;
        }
        let variants = self.variants().len();
        let seeds = self.arms.iter().map(|arm| arm.label.seed).collect::<BTreeSet<_>>().len();
        let times = if seeds > 1 { format!(" × {}", unit(seeds, "seed")) } else { String::new() };
        format!("{}{times}, {stages} ({} by hand)", unit(variants, "arm"), self.by_hand())
    }

    /// Stages that there would be if every arm were a recipe of its own.
    pub fn by_hand(&self) -> usize {
        if self.arms.is_empty() { self.stages.len() } else { self.arms.iter().map(|arm| arm.stages.len()).sum() }
    }

    /// Every stage, producers before consumers.
    pub fn stages(&self) -> &[StageNode] {
        &self.stages
    }

    /// One stage.
    pub fn stage(&self, id: StageId) -> &StageNode {
        &self.stages[id.0]
    }

    /// A stage by name.
    pub fn find(&self, name: &str) -> Option<&StageNode> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Stages whose outputs `id` reads, each once, in order.
    pub fn inputs_of(&self, id: StageId) -> Vec<StageId> {
        let from_inputs = self.stage(id).inputs.values().filter_map(|input| match input.origin {
            Origin::Stage { stage, .. } => Some(stage),
            Origin::File { .. } | Origin::Remote { .. } => None,
        });
        let mut ids: Vec<_> = from_inputs.collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Stages that must end before `id` starts, each once, in order.
    pub fn upstream(&self, id: StageId) -> Vec<StageId> {
        let node = self.stage(id);
        let from_inputs = node.inputs.values().filter_map(|input| match input.origin {
            Origin::Stage { stage, .. } => Some(stage),
            Origin::File { .. } | Origin::Remote { .. } => None,
        });
        let mut ids: Vec<_> = from_inputs.chain(node.after.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

#[cfg(test)]
mod tests;
