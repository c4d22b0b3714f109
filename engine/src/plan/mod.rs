//! Graph + Store → [`Plan`]: what would run, what is reused, and why. `plan` prints it and `run` follows it; there is no
//! second place that decides. This room starts nothing and writes nothing but the digest cache.

mod compare;
mod decide;
mod effect;
mod gates;
mod json;
mod reason;
mod select;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fmt;

pub use decide::plan;
pub use effect::{Effect, EffectKind, effects};
pub use reason::Reason;
pub use tree::{Branch, Bundle, tree};

use crate::fs::FsError;
use crate::gate::Barrier;
use crate::graph::StageId;
use crate::store::{Adopted, Artifact, Key, KeyPreimage, StoreError, Usage};

/// Which part of a graph is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// These arms; empty means all. A name is an arm's own, that of its variant (for every seed), or that of an ablation.
    pub arms: Vec<String>,
    /// Exactly these stages; empty means all. `score` stands for every `score[…]`, and for that of every arm.
    pub only: Vec<String>,
    /// These and everything that needs them.
    pub from: Vec<String>,
    /// These and everything they need.
    pub until: Vec<String>,
    /// Widens `only` to everything that needs its stages.
    pub downstream: bool,
    /// Stages to run although they are done; what needs them follows.
    pub force: Force,
    /// Gates hold nothing back.
    pub ignore_gates: bool,
}

/// What `--force` covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Force {
    /// Nothing.
    #[default]
    Nothing,
    /// Every selected stage.
    All,
    /// These.
    Stages(Vec<String>),
}

/// What to do with every stage of a graph, in its order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the recipe.
    pub recipe: String,
    /// One step per stage; `steps[id.index()]` is the step of stage `id`.
    pub steps: Vec<Step>,
    /// What stages that run are expected to cost, where somebody asked; kept beside what they will have cost.
    pub expected: BTreeMap<StageId, Usage>,
    /// Gates, those judged whose stages have all measured already.
    pub gates: Barrier,
}

/// What to do with one stage.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which stage.
    pub stage: StageId,
    /// Its name.
    pub name: String,
    /// Name of its result.
    pub key: Key,
    /// What the key is the digest of.
    pub preimage: KeyPreimage,
    /// What to do.
    pub decision: Decision,
    /// The result, if the store has it, whatever the decision.
    pub artifact: Option<Artifact>,
    /// Inputs whose files are not on this machine.
    pub missing: Vec<Missing>,
}

/// What to do with a stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Its result is in the store.
    Reuse,
    /// It has to run.
    Run(Vec<Reason>),
    /// It is the same work as another stage of this plan, which runs.
    Share(StageId),
    /// It was not asked for.
    Skip,
    /// It would have to run, and a gate before it is not met.
    Hold {
        /// Which: its place in [`crate::graph::Graph::gates`].
        gate: usize,
        /// Why it would run.
        reasons: Vec<Reason>,
    },
}

/// An input that a run would need and this machine does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Input port.
    pub port: String,
    /// As the recipe refers to it: `models.base`.
    pub reference: String,
    /// Path or hub name.
    pub source: String,
}

/// How many stages end up where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Never built.
    pub new: usize,
    /// Built before from something else.
    pub changed: usize,
    /// Run only because something before them does.
    pub downstream: usize,
    /// Run because somebody said so.
    pub forced: usize,
    /// Taken from the store, or from a stage that does the same work.
    pub reused: usize,
    /// Not asked for.
    pub skipped: usize,
    /// Held back by a gate.
    #[serde(skip_serializing_if = "is_none")]
    pub held: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Step {
    /// Where the result came from, if it was made elsewhere.
    pub fn adopted(&self) -> Option<&Adopted> {
        self.artifact.as_ref()?.manifest().adopted.as_deref()
    }
}

impl Plan {
    /// The step of a stage.
    pub fn step(&self, id: StageId) -> &Step {
        &self.steps[id.index()]
    }

    /// The steps that have to run.
    pub fn to_run(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| matches!(step.decision, Decision::Run(_)))
    }

    /// Inputs that are missing from stages that would run, each with its stage.
    pub fn missing(&self) -> Vec<(&str, &Missing)> {
        self.to_run().flat_map(|step| step.missing.iter().map(|missing| (step.name.as_str(), missing))).collect()
    }

    /// Stages whose result is in the store, whatever the decision.
    pub fn cached(&self) -> usize {
        self.steps.iter().filter(|step| step.artifact.is_some()).count()
    }

    /// The counts.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for step in &self.steps {
            match &step.decision {
                Decision::Reuse | Decision::Share(_) => summary.reused += 1,
                Decision::Skip => summary.skipped += 1,
                Decision::Hold { .. } => summary.held += 1,
                Decision::Run(reasons) if reasons.contains(&Reason::Forced) => summary.forced += 1,
                Decision::Run(reasons) if reasons.contains(&Reason::FirstRun) => summary.new += 1,
                Decision::Run(reasons) if reasons.iter().all(Reason::is_consequence) => summary.downstream += 1,
                Decision::Run(_) => summary.changed += 1,
            }
        }
        summary
    }
}

impl Summary {
    /// Stages that have to run.
    pub fn to_run(&self) -> usize {
        self.new + self.changed + self.downstream + self.forced
    }
}

impl fmt::Display for Summary {
    /// `3 to run (1 changed, 2 downstream), 4 reused`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |parts: &[(usize, &str)]| {
            let some = parts.iter().filter(|(count, _)| *count > 0);
            some.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
        };
        match self.to_run() {
            0 => f.write_str("nothing to run")?,
            to_run => {
                let (new, changed) = ((self.new, "new"), (self.changed, "changed"));
                let why = counted(&[new, changed, (self.downstream, "downstream"), (self.forced, "forced")]);
                write!(f, "{to_run} to run ({why})")?;
            }
        }
        match counted(&[(self.reused, "reused"), (self.held, "held back by a gate"), (self.skipped, "not selected")]) {
            rest if rest.is_empty() => Ok(()),
            rest => write!(f, ", {rest}"),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A selection names a stage that is not in the recipe.
    #[error("there is no stage `{name}` in this recipe")]
    UnknownStage {
        /// The name given.
        name: String,
        /// The nearest name there is.
        suggestion: Option<String>,
    },
    /// A selection names an arm that is not in the recipe.
    #[error("there is no arm `{name}` in this recipe")]
    UnknownArm {
        /// The name given.
        name: String,
        /// What there is.
        help: String,
    },
    /// A selected stage needs a result that is neither selected nor there.
    #[error("stage `{stage}` needs `{needs}`, which is not built and not selected")]
    NotBuilt {
        /// The selected stage.
        stage: String,
        /// The stage left out.
        needs: String,
    },
    /// A selected stage waits for a gate that nothing selected measures for.
    #[error("stage `{stage}` waits for gate `{gate}`, whose `{needs}` is not built and not selected")]
    GateNotBuilt {
        /// The selected stage.
        stage: String,
        /// The gate.
        gate: String,
        /// The stage left out.
        needs: String,
    },
    /// Input files can't be read.
    #[error(transparent)]
    Input(FsError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PlanError {
    /// How to go on.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownStage { suggestion, .. } => suggestion.as_ref().map(|name| format!("did you mean `{name}`?")),
            Self::UnknownArm { help, .. } => Some(help.clone()),
            Self::NotBuilt { needs, .. } => Some(format!("select `{needs}` too, or run it first: `--until {needs}`")),
            Self::GateNotBuilt { needs, .. } => {
                Some(format!("select `{needs}` too, or go on without gates: `--ignore-gates`"))
            }
            Self::Input(_) => Some("the content of every input is part of a stage's key".into()),
            Self::Store(error) => Some(error.help().into()),
        }
    }

    /// Exit code of a command that ends here: 2 usage, 3 recipe, 7 store.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownStage { .. } | Self::UnknownArm { .. } | Self::NotBuilt { .. } | Self::GateNotBuilt { .. } => {
                2
            }
            Self::Input(_) => 3,
            Self::Store(_) => 7,
        }
    }
}
