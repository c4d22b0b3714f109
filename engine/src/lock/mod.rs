//! Graph + Plan → what a recipe is made of, to be kept beside it: contents of inputs, versions of kinds, keys of stages.
//! Says what has changed since; never decides what to do about it, and knows no result.

mod drift;
mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use drift::Drift;
pub use file::LockError;
use serde_json::json;

use crate::fs;
use crate::graph::{Graph, Input, Origin, StageId, StageNode};
use crate::hub::Pin;
use crate::plan::Plan;
use crate::store::{InputIdentity, Key, KeyPreimage};

/// What a recipe is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// Models and data by their names in the recipe: `models.base`, `data.mm`.
    pub inputs: BTreeMap<String, LockedInput>,
    /// Stages by name.
    pub stages: BTreeMap<String, LockedStage>,
}

/// A model or data set from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedInput {
    /// `file:PATH`, from the recipe's folder where that is near, or `hf:ORG/NAME`.
    pub source: String,
    /// Branch, tag or commit on the hub.
    pub revision: Option<String>,
    /// The commit that the revision meant; none for files, and if nobody asked the hub.
    pub commit: Option<String>,
    /// Digest of its content; none if it is not on this machine, or told by its commit.
    pub content: Option<String>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedStage {
    /// Its kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// Digest of all that the recipe says of it: parameters, seed, what is connected and how rows are read. Known everywhere.
    pub settings: String,
    /// Its key; none if something that it depends on is not on this machine.
    pub key: Option<Key>,
}

impl LockedInput {
    /// Can another machine get other bytes under the same name?
    pub fn moves(&self) -> bool {
        self.content.is_none() && self.commit.is_none()
    }
}

/// `recipes/x.toml` → `recipes/x.lock`.
pub fn path_beside(recipe: &Path) -> PathBuf {
    recipe.with_extension("lock")
}

impl Lock {
    /// What a recipe is made of now. `dir` is the folder of its file.
    pub fn of(graph: &Graph, plan: &Plan, dir: &Path) -> Self {
        let dir = fs::absolute(dir);
        let mut lock = Self::default();
        let mut incomplete = BTreeSet::new();
        for node in graph.stages() {
            let step = plan.step(node.id);
            for (port, input) in &node.inputs {
                let Some((name, source, revision)) = outside(input, &dir) else { continue };
                let (commit, content) = match &step.preimage.inputs[port] {
                    InputIdentity::File { digest, .. } => (None, Some(digest.clone())),
                    InputIdentity::Hub { commit, .. } => (Some(commit.clone()), None),
                    InputIdentity::Stage { .. } | InputIdentity::Absent { .. } => (None, None),
                };
                lock.inputs.insert(name, LockedInput { source, revision, commit, content });
            }
            let upstream = graph.upstream(node.id);
            // A commit tells a key whether or not its files are here.
            let absent = |identity: &InputIdentity| matches!(identity, InputIdentity::Absent { .. });
            if step.preimage.inputs.values().any(absent) || upstream.iter().any(|id| incomplete.contains(id)) {
                incomplete.insert(node.id);
            }
            let key = (!incomplete.contains(&node.id)).then_some(step.key);
            let (kind, version) = (step.preimage.kind.clone(), step.preimage.version);
            let settings = settings(node, &step.preimage);
            lock.stages.insert(node.name.clone(), LockedStage { kind, version, settings, key });
        }
        lock
    }

    /// The commits that it holds sources of the hub to, by name.
    pub fn pins(&self) -> BTreeMap<String, Pin> {
        let pin = |(name, input): (&String, &LockedInput)| {
            let (source, revision, commit) = (input.source.clone(), input.revision.clone(), input.commit.clone()?);
            Some((name.clone(), Pin { source, revision, commit }))
        };
        self.inputs.iter().filter_map(pin).collect()
    }

    /// This lock, with what an older one knows of inputs that this machine does not have.
    #[must_use]
    pub fn keeping(mut self, old: &Self) -> Self {
        for (name, input) in self.inputs.iter_mut().filter(|(_, input)| input.moves()) {
            let same = |it: &&LockedInput| it.source == input.source && it.revision == input.revision;
            if let Some(known) = old.inputs.get(name).filter(same) {
                (input.commit, input.content) = (known.commit.clone(), known.content.clone());
            }
        }
        for (name, stage) in self.stages.iter_mut().filter(|(_, stage)| stage.key.is_none()) {
            let same = |it: &&LockedStage| {
                (&it.kind, it.version, &it.settings) == (&stage.kind, stage.version, &stage.settings)
            };
            stage.key = old.stages.get(name).filter(same).and_then(|it| it.key);
        }
        self
    }

    /// This lock with some entries as they are now, and with every stage that depends on one of them.
    ///
    /// # Errors
    /// A name that neither lock has; `base` stands for `models.base` where only one entry ends so.
    pub fn updated(mut self, now: &Self, graph: &Graph, names: &[String]) -> Result<Self, LockError> {
        let mut wanted = BTreeSet::new();
        for name in names {
            wanted.insert(self.named(now, name)?);
        }
        let mut stages: BTreeSet<StageId> = BTreeSet::new();
        for node in graph.stages() {
            let reads = node.inputs.values().filter_map(|input| entry_of(&input.reference));
            let touched = reads.into_iter().any(|name| wanted.contains(&name))
                || wanted.contains(&format!("stages.{}", node.name))
                || graph.upstream(node.id).iter().any(|id| stages.contains(id));
            if touched {
                stages.insert(node.id);
                wanted.insert(format!("stages.{}", node.name));
            }
        }
        for name in wanted {
            match name.strip_prefix("stages.") {
                Some(stage) => replace(&mut self.stages, &now.stages, stage),
                None => replace(&mut self.inputs, &now.inputs, &name),
            }
        }
        Ok(self)
    }

    fn named(&self, now: &Self, name: &str) -> Result<String, LockError> {
        let stages = self.stages.keys().chain(now.stages.keys()).map(|stage| format!("stages.{stage}"));
        let all: BTreeSet<String> = self.inputs.keys().chain(now.inputs.keys()).cloned().chain(stages).collect();
        if all.contains(name) {
            return Ok(name.to_owned());
        }
        let ending = format!(".{name}");
        let mut near = all.iter().filter(|entry| entry.ends_with(&ending));
        match (near.next(), near.next()) {
            (Some(one), None) => Ok(one.clone()),
            _ => Err(LockError::Unknown { name: name.to_owned(), known: all.into_iter().collect() }),
        }
    }
}

fn replace<T: Clone>(old: &mut BTreeMap<String, T>, now: &BTreeMap<String, T>, name: &str) {
    match now.get(name) {
        Some(entry) => drop(old.insert(name.to_owned(), entry.clone())),
        None => drop(old.remove(name)),
    }
}

fn settings(node: &StageNode, preimage: &KeyPreimage) -> String {
    let input = |(port, identity): (&String, &InputIdentity)| {
        let view = match identity {
            InputIdentity::Stage { .. } => None,
            InputIdentity::File { view, .. } | InputIdentity::Hub { view, .. } | InputIdentity::Absent { view, .. } => {
                Some(view)
            }
        };
        (port.clone(), json!([node.inputs.get(port).map(|input| &input.reference), view]))
    };
    let inputs: BTreeMap<_, _> = preimage.inputs.iter().map(input).collect();
    let said = json!([preimage.params, preimage.seed, inputs]);
    blake3::hash(said.to_string().as_bytes()).to_hex().to_string()
}

/// `data.mm.train` → `data.mm`; none for a stage's output.
fn entry_of(reference: &str) -> Option<String> {
    let mut parts = reference.split('.');
    match (parts.next(), parts.next()) {
        (Some(section @ ("models" | "data")), Some(name)) => Some(format!("{section}.{name}")),
        _ => None,
    }
}

/// Name, source and revision of an input from outside.
fn outside(input: &Input, dir: &Path) -> Option<(String, String, Option<String>)> {
    let name = entry_of(&input.reference)?;
    match &input.origin {
        Origin::Stage { .. } => None,
        Origin::File { path, .. } => Some((name, format!("file:{}", near(path, dir)), None)),
        Origin::Remote { name: hub, .. } => Some((name, hub.source(), hub.revision.clone())),
    }
}

/// A path from the recipe's folder or from one of the two above it, so that the lock is the same in every checkout; else as
/// it is.
fn near(path: &Path, dir: &Path) -> String {
    let mut up = PathBuf::new();
    for folder in dir.ancestors().take(3) {
        match path.strip_prefix(folder) {
            Ok(rest) => return up.join(rest).display().to_string(),
            Err(_) => up.push(".."),
        }
    }
    path.display().to_string()
}
