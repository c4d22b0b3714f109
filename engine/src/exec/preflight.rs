//! What would fail later, looked for before anything runs: input files that are not here, devices that can't be had.

use crate::graph::Graph;
use crate::plan::{Missing, Plan};
use crate::stage::Runtime;

/// Asked for every stage that would run, before any does: can this machine give it what its runtime asks for?
pub type Preflight<'a> = &'a dyn Fn(&Runtime) -> Result<(), String>;

/// Why nothing may be started.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Input files are not on this machine.
    #[error("{}", missing_text(.0))]
    Missing(Vec<(String, Missing)>),
    /// A stage asks for a device that can't be had.
    #[error("stage `{stage}` cannot have device `{device}`: {message}")]
    Device {
        /// The stage.
        stage: String,
        /// What it asks for.
        device: String,
        /// What is missing.
        message: String,
    },
}

impl RunError {
    /// How to go on.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Missing(missing) if missing.iter().all(|(_, missing)| missing.source.starts_with("hf:")) => {
                "fetch them with `curricle data pull RECIPE`, in a build with the default features"
            }
            Self::Missing(_) => {
                "put the files there, or point at them: `--set data.NAME.source=file:PATH`, `--set models.NAME.source=file:PATH`"
            }
            Self::Device { .. } => "choose another: `--set runtime.device=cpu`",
        }
    }
}

fn missing_text(missing: &[(String, Missing)]) -> String {
    let mut told: Vec<(&Missing, Vec<String>)> = Vec::new();
    for (stage, missing) in missing {
        let stage = format!("`{stage}`");
        match told.iter_mut().find(|(same, _)| *same == missing) {
            Some((_, stages)) => stages.push(stage),
            None => told.push((missing, vec![stage])),
        }
    }
    let line = |(Missing { port, reference, source }, stages): &(&Missing, Vec<String>)| {
        let plural = if stages.len() > 1 { "s" } else { "" };
        let stages = stages.join(", ");
        format!("stage{plural} {stages}: input `{port}` = `{reference}` is not on this machine: `{source}`")
    };
    told.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Looks, before anything runs, for what would fail later: input files that are not here, devices that can't be had.
pub fn preflight(graph: &Graph, plan: &Plan, device: Preflight<'_>) -> Result<(), RunError> {
    let missing = plan.missing();
    if !missing.is_empty() {
        let owned = missing.into_iter().map(|(stage, missing)| (stage.to_owned(), missing.clone()));
        return Err(RunError::Missing(owned.collect()));
    }
    for step in plan.to_run().filter(|step| graph.stage(step.stage).kind.computes()) {
        let runtime = &graph.stage(step.stage).runtime;
        let (stage, device_name) = (step.name.clone(), runtime.device.clone());
        device(runtime).map_err(|message| RunError::Device { stage, device: device_name, message })?;
    }
    Ok(())
}
