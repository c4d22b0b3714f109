//! Where a stage's work is done. An executor runs one stage to its end and reports; it knows no plan and no store.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::{Interrupt, StageEvent};
use crate::stage::{AnyKind, StageContext, StageError, StageRequest};

/// One stage to run.
#[derive(Debug)]
pub struct Job<'a> {
    /// What the stage is given.
    pub request: &'a StageRequest,
    /// The wish to stop.
    pub interrupt: &'a Interrupt,
    /// File for what the stage's libraries print.
    pub log: PathBuf,
}

/// Runs stages.
pub trait Executor: Sync {
    /// Runs one stage to its end. Outputs and checkpoints lie in the folders of the request afterwards.
    fn run(&self, job: &Job<'_>, events: &mut dyn FnMut(StageEvent)) -> Result<(), StageError>;
}

/// Runs stages in this process: for tests, and for dashboards that need the terminal.
#[derive(Debug, Clone, Copy)]
pub struct InProcess {
    /// Kinds it can run.
    pub kinds: &'static [&'static dyn AnyKind],
}

impl Executor for InProcess {
    fn run(&self, job: &Job<'_>, events: &mut dyn FnMut(StageEvent)) -> Result<(), StageError> {
        run_here(self.kinds, job.request, job.interrupt.flag(), events)
    }
}

/// Runs nothing: remembers what was asked for and makes empty outputs. For tests.
#[derive(Debug, Default)]
pub struct Recording {
    outputs: Vec<String>,
    requests: Mutex<Vec<StageRequest>>,
}

impl Recording {
    /// Gives every stage these output ports, empty.
    pub fn making(outputs: &[&str]) -> Self {
        Self { outputs: outputs.iter().map(|port| (*port).to_owned()).collect(), requests: Mutex::default() }
    }

    /// What was asked for so far, in order.
    pub fn requests(&self) -> Vec<StageRequest> {
        self.requests.lock().map(|requests| requests.clone()).unwrap_or_default()
    }
}

impl Executor for Recording {
    fn run(&self, job: &Job<'_>, _events: &mut dyn FnMut(StageEvent)) -> Result<(), StageError> {
        if let Ok(mut requests) = self.requests.lock() {
            requests.push(job.request.clone());
        }
        for port in &self.outputs {
            let dir = job.request.output_dir.join(port);
            crate::fs::create_dir_all(&dir).map_err(|error| StageError::Failed(error.to_string()))?;
        }
        Ok(())
    }
}

/// Decodes the request's parameters and runs its kind.
pub(super) fn run_here(
    kinds: &[&dyn AnyKind],
    request: &StageRequest,
    interrupt: Arc<AtomicBool>,
    events: &mut dyn FnMut(StageEvent),
) -> Result<(), StageError> {
    let kind = kinds.iter().find(|kind| kind.name() == request.kind);
    let kind = kind.ok_or_else(|| StageError::Failed(format!("this build knows no kind `{}`", request.kind)))?;
    let stage = kind.decode(&request.params).map_err(|error| {
        StageError::Failed(format!(
            "cannot read parameters of kind `{}`: {}: {}",
            request.kind, error.path, error.message
        ))
    })?;
    let mut emit = |event| for_json(event, events);
    stage.run(&mut StageContext::new(request, interrupt, &mut emit))
}

/// JSON has no NaN: a number that is none leaves the event and becomes a line of the log.
fn for_json(event: StageEvent, events: &mut dyn FnMut(StageEvent)) {
    let StageEvent::Progress { step, total, mut metrics } = event else { return events(event) };
    let odd: Vec<_> = metrics.extract_if(.., |_, value| !value.is_finite()).collect();
    events(StageEvent::Progress { step, total, metrics });
    for (name, value) in odd {
        events(StageEvent::Log { message: format!("step {step}: `{name}` is {value}") });
    }
}
