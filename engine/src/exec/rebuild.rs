//! One stage's work, done again beside the store: its outputs lie in a scratch folder, and nothing is committed.

use std::path::{Path, PathBuf};

use super::schedule::request;
use super::{Executor, Interrupt, Job, StageEvent};
use crate::fs::{self, FsError};
use crate::graph::{Graph, StageId};
use crate::plan::Plan;
use crate::stage::StageError;

/// Why a stage's work could not be done again.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// What it reads is not in the store.
    #[error("stage `{stage}` reads `{needs}`, which is not built")]
    NotBuilt {
        /// The stage.
        stage: String,
        /// What it reads.
        needs: String,
    },
    /// What it reads is not on this machine.
    #[error("stage `{stage}` reads `{needs}`, which is not on this machine")]
    Missing {
        /// The stage.
        stage: String,
        /// What it reads.
        needs: String,
    },
    /// The work failed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// Does the work of a stage in `scratch`, an empty folder; gives the folder of its outputs.
pub fn rebuild(
    graph: &Graph,
    plan: &Plan,
    id: StageId,
    executor: &dyn Executor,
    scratch: &Path,
    events: &mut dyn FnMut(StageEvent),
) -> Result<PathBuf, RebuildError> {
    let (node, step) = (graph.stage(id), plan.step(id));
    if let Some(missing) = step.missing.first() {
        return Err(RebuildError::Missing { stage: node.name.clone(), needs: missing.reference.clone() });
    }
    let absent = graph.inputs_of(id).into_iter().find(|id| plan.step(*id).artifact.is_none());
    if let Some(absent) = absent {
        let needs = plan.step(absent).name.clone();
        return Err(RebuildError::NotBuilt { stage: node.name.clone(), needs });
    }
    let (outputs, work) = (scratch.join("artifact"), scratch.join("work"));
    fs::create_dir_all(&outputs)?;
    fs::create_dir_all(&work)?;
    let made = |id: StageId| plan.step(id).artifact.as_ref();
    let request = request(node, step, &made, (outputs.clone(), work), node.runtime.clone());
    let interrupt = Interrupt::new();
    let job = Job { request: &request, interrupt: &interrupt, log: scratch.join("log") };
    executor.run(&job, events)?;
    Ok(outputs)
}
