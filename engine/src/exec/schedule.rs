//! The loop: for each stage whose turn it is: key → hit? → run → commit.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::history::{HISTORY, Writer};
use super::receipt::{ArmReceipt, InputReceipt, MemoryReceipt, Outcome, Receipt, StageReceipt, Status};
use super::usage::Watch;
use super::{Executor, Happening, Interrupt, Job, RunEvent, StageEvent};
use crate::clock;
use crate::gate::{Barrier, GateRecord, Term};
use crate::graph::{Arm, Graph, Label, Origin, StageId, StageNode};
use crate::plan::{Decision, Plan, Reason, Step};
use crate::stage::{InputArtifact, Runtime, StageError, StageRequest};
use crate::store::{Artifact, Claim, Lookup, Store, StoreError};

/// All that [`execute`] needs.
pub struct Run<'a> {
    /// The checked recipe.
    pub graph: &'a Graph,
    /// What to do with it.
    pub plan: &'a Plan,
    /// Where results are.
    pub store: &'a Store,
    /// Where work is done.
    pub executor: &'a dyn Executor,
    /// The wish to stop.
    pub interrupt: &'a Interrupt,
    /// Stages at once, at least 1.
    pub jobs: usize,
    /// Go on with independent stages after one failed.
    pub keep_going: bool,
    /// Folder for logs of stages; exists.
    pub logs: &'a Path,
}

/// Runs a plan that passed [`super::preflight`]. Events go to `emit` as they happen; what became of every stage comes back.
pub fn execute(run: &Run<'_>, emit: &mut dyn FnMut(RunEvent)) -> Receipt {
    Scheduler::new(run, emit).run()
}

/// Where a stage stands.
enum State {
    Waiting,
    Running,
    Done {
        artifact: Artifact,
        status: Status,
    },
    /// Failed, interrupted, skipped or not selected.
    Without {
        status: Status,
        message: Option<String>,
    },
}

enum Message {
    Event(StageId, StageEvent),
    Ended(StageId, Result<Artifact, Ending>),
}

enum Ending {
    Stage(StageError),
    Store(StoreError),
}

struct Scheduler<'a> {
    run: &'a Run<'a>,
    emit: &'a mut dyn FnMut(RunEvent),
    states: Vec<State>,
    /// Histories of stages that were started here.
    histories: Vec<Option<PathBuf>>,
    gates: Barrier,
    outcome: Outcome,
    running: usize,
}

impl<'a> Scheduler<'a> {
    fn new(run: &'a Run<'a>, emit: &'a mut dyn FnMut(RunEvent)) -> Self {
        let initial = |step: &Step| match (&step.decision, &step.artifact) {
            (Decision::Reuse, Some(artifact)) => State::Done { artifact: artifact.clone(), status: Status::Reused },
            (Decision::Skip, Some(artifact)) => State::Done { artifact: artifact.clone(), status: Status::NotSelected },
            (Decision::Skip, None) => State::Without { status: Status::NotSelected, message: None },
            _ => State::Waiting,
        };
        let states = run.plan.steps.iter().map(initial).collect();
        let histories = vec![None; run.plan.steps.len()];
        let gates = run.plan.gates.clone();
        Self { run, emit, states, histories, gates, outcome: Outcome::Done, running: 0 }
    }

    fn run(mut self) -> Receipt {
        let (started, start) = (clock::now(), Instant::now());
        let summary = self.run.plan.summary();
        self.say(Happening::RunStarted {
            recipe: self.run.plan.recipe.clone(),
            to_run: summary.to_run(),
            reused: summary.reused,
            jobs: self.run.jobs,
        });
        for step in &self.run.plan.steps {
            if matches!(step.decision, Decision::Reuse) {
                self.say(Happening::StageReused { stage: step.name.clone(), key: step.key });
            }
        }
        for gate in self.gates.judged() {
            self.tell_gate(gate);
        }
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            loop {
                self.start_what_is_ready(scope, &sender);
                if self.running == 0 {
                    return;
                }
                match receiver.recv_timeout(Duration::from_millis(100)) {
                    Ok(Message::Event(id, event)) => {
                        let step = self.run.plan.step(id);
                        (self.emit)(RunEvent::of_stage(&step.name, step.key, event));
                    }
                    Ok(Message::Ended(id, result)) => {
                        self.settle(id, result);
                        self.judge_gates();
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        self.skip_the_rest();
        if self.outcome == Outcome::Done && self.gates.records(self.run.graph).iter().any(GateRecord::stops) {
            self.outcome = Outcome::GateNotMet;
        }
        if self.run.interrupt.requested() && self.states.iter().any(is_short) {
            self.outcome = Outcome::Interrupted { signal: self.run.interrupt.signal() };
        }
        let wall_s = start.elapsed().as_secs_f64();
        self.say(Happening::RunFinished { outcome: self.outcome, wall_s });
        self.receipt(started, wall_s)
    }

    fn start_what_is_ready<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, sender: &Sender<Message>)
    where
        'a: 'scope,
    {
        // A stage found done frees those behind it, which stand later in the order: one pass is enough, unless it opens a gate.
        loop {
            for step in &self.run.plan.steps {
                let stopping = self.run.interrupt.requested() || self.outcome != Outcome::Done && !self.run.keep_going;
                if stopping || self.running >= self.run.jobs.max(1) {
                    return;
                }
                if matches!(self.states[step.stage.index()], State::Waiting) && self.is_ready(step) {
                    match self.start(step, scope, sender) {
                        Ok(()) => {}
                        Err(error) => self.settle(step.stage, Err(Ending::Store(error))),
                    }
                }
            }
            if !self.judge_gates() {
                return;
            }
        }
    }

    /// Judges the gates whose stages have measured by now; `false` if there is none.
    fn judge_gates(&mut self) -> bool {
        let states = &self.states;
        let made = |term: &Term| match &states[term.stage.index()] {
            State::Done { artifact, .. } => Some(artifact.output(&term.port)),
            _ => None,
        };
        let judged = self.gates.judge(self.run.graph, &made);
        for &gate in &judged {
            self.tell_gate(gate);
        }
        !judged.is_empty()
    }

    fn tell_gate(&mut self, gate: usize) {
        let record = self.gates.record(self.run.graph, gate);
        let Some(judgement) = record.judgement else { return };
        let GateRecord { gate, on_fail, ignored, holds, .. } = record;
        let (verdict, message) = (judgement.verdict, judgement.to_string());
        self.say(Happening::GateJudged { gate, verdict, on_fail, ignored, holds, message });
    }

    fn is_ready(&self, step: &Step) -> bool {
        let over = |id: &StageId| match &self.states[id.index()] {
            State::Done { .. } => true,
            // Not selected and not built: only an `after` edge can lead here, and there is nothing to wait for.
            State::Without { status, .. } => *status == Status::NotSelected,
            State::Waiting | State::Running => false,
        };
        let graph = self.run.graph;
        let twin = match step.decision {
            // Held back, the other will not do the work.
            Decision::Share(twin) if self.gates.bars(graph, twin).is_none() => Some(twin),
            _ => None,
        };
        self.gates.admits(graph, step.stage) && graph.upstream(step.stage).iter().chain(&twin).all(over)
    }

    /// Takes the result from the store or from a twin, or starts the work.
    fn start<'scope>(
        &mut self,
        step: &'a Step,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<Message>,
    ) -> Result<(), StoreError>
    where
        'a: 'scope,
    {
        let reasons = match &step.decision {
            Decision::Run(reasons) => reasons.as_slice(),
            _ => &[],
        };
        // A stage that runs although its result is there replaces it.
        let again = step.artifact.is_some() && !reasons.is_empty();
        let found = if again {
            Lookup::Miss(self.run.store.claim(&step.name, &step.preimage)?)
        } else {
            self.run.store.lookup(&step.name, &step.preimage)?
        };
        let claim = match found {
            Lookup::Hit(artifact) => {
                self.states[step.stage.index()] = State::Done { artifact, status: Status::Reused };
                self.say(Happening::StageReused { stage: step.name.clone(), key: step.key });
                return Ok(());
            }
            Lookup::Miss(claim) => claim,
        };
        let node = self.run.graph.stage(step.stage);
        self.say(Happening::StageStarted {
            stage: step.name.clone(),
            key: step.key,
            kind: node.kind.name().to_owned(),
            reasons: reasons.iter().map(Reason::to_string).collect(),
        });
        self.histories[step.stage.index()] = Some(claim.entry_dir().join(HISTORY));
        let request = self.request(node, step, &claim);
        let log = self.run.logs.join(format!("{}.log", step.name.replace(['/', '\\'], "_")));
        let (executor, interrupt, sender) = (self.run.executor, self.run.interrupt, sender.clone());
        let watch = Watch::new(self.run.plan.expected.get(&step.stage));
        scope.spawn(move || {
            let job = Job { request: &request, interrupt, log };
            let mut forward = |event| drop(sender.send(Message::Event(step.stage, event)));
            let attempt = || work(executor, &job, node, claim, watch, &mut forward);
            let result = catch_unwind(AssertUnwindSafe(attempt))
                .unwrap_or_else(|_| Err(Ending::Stage(StageError::Failed("the stage panicked".into()))));
            drop(sender.send(Message::Ended(step.stage, result)));
        });
        self.states[step.stage.index()] = State::Running;
        self.running += 1;
        Ok(())
    }

    fn request(&self, node: &StageNode, step: &Step, claim: &Claim) -> StageRequest {
        let made = |id: StageId| match &self.states[id.index()] {
            State::Done { artifact, .. } => Some(artifact),
            _ => None,
        };
        request(node, step, &made, (claim.output_dir(), claim.work_dir()), self.runtime(node))
    }

    /// Stages that run at once share the cores.
    fn runtime(&self, node: &StageNode) -> Runtime {
        let mut runtime = node.runtime.clone();
        let at_once = self.run.jobs.min(self.run.plan.to_run().count()).max(1);
        if runtime.threads == 0 && at_once > 1 {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            runtime.threads = (cores / at_once).max(1);
        }
        runtime
    }

    fn settle(&mut self, id: StageId, result: Result<Artifact, Ending>) {
        let step = self.run.plan.step(id);
        let (stage, key) = (step.name.clone(), step.key);
        if matches!(self.states[id.index()], State::Running) {
            self.running -= 1;
        }
        let (what, state) = match result {
            Ok(artifact) => {
                let wall_s = artifact.manifest().wall_s;
                (Happening::StageFinished { stage, key, wall_s }, State::Done { artifact, status: Status::Ran })
            }
            Err(Ending::Stage(StageError::Interrupted { step })) => {
                // Somebody may have asked the stage itself, on its dashboard: that too means the whole run.
                if !self.run.interrupt.requested() {
                    self.run.interrupt.raise(Signal::INT.as_raw());
                }
                let state = State::Without { status: Status::Interrupted, message: None };
                (Happening::StageInterrupted { stage, key, step }, state)
            }
            Err(ending) => {
                let (message, outcome) = match ending {
                    Ending::Stage(error) => (error.to_string(), Outcome::Failed),
                    Ending::Store(error) => (format!("{error}; {}", error.help()), Outcome::StoreTrouble),
                };
                if self.outcome == Outcome::Done {
                    self.outcome = outcome;
                }
                let state = State::Without { status: Status::Failed, message: Some(message.clone()) };
                (Happening::StageFailed { stage, key, message }, state)
            }
        };
        self.states[id.index()] = state;
        self.say(what);
    }

    fn skip_the_rest(&mut self) {
        for step in &self.run.plan.steps {
            if !matches!(self.states[step.stage.index()], State::Waiting) {
                continue;
            }
            let blocks = |id: &StageId| matches!(&self.states[id.index()], State::Without { status, .. } if *status != Status::NotSelected);
            let because = match self.run.graph.upstream(step.stage).into_iter().find(blocks) {
                Some(id) => format!("`{}` has no result", self.run.plan.step(id).name),
                None => self.why_not_started(step),
            };
            let state = State::Without { status: Status::Skipped, message: Some(because.clone()) };
            self.states[step.stage.index()] = state;
            self.say(Happening::StageSkipped { stage: step.name.clone(), key: step.key, because });
        }
    }

    /// Of a stage that had all that it needs.
    fn why_not_started(&self, step: &Step) -> String {
        let record = |gate| self.gates.record(self.run.graph, gate);
        if let Some(gate) = self.gates.bars(self.run.graph, step.stage).map(record) {
            return format!("gate `{}` is {}: {}", gate.gate, gate.words(), gate.why());
        }
        if self.run.interrupt.requested() {
            return "the run was interrupted".to_owned();
        }
        match self.gates.awaited(self.run.graph, step.stage).first() {
            Some(&gate) => format!("gate `{}` was not judged: it {}", record(gate).gate, record(gate).why()),
            None => "the run stopped at the first failure".to_owned(),
        }
    }

    fn receipt(&self, started: String, wall_s: f64) -> Receipt {
        let stages = self.run.plan.steps.iter().zip(&self.states).map(|(step, state)| self.stage_receipt(step, state));
        Receipt {
            schema_version: 1,
            recipe: self.run.plan.recipe.clone(),
            tiny: self.run.graph.is_tiny(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            finished: clock::now(),
            wall_s,
            outcome: self.outcome,
            stages: stages.collect(),
            arms: self.run.graph.arms().iter().map(|arm| self.arm_receipt(arm)).collect(),
            gates: self.gates.records(self.run.graph),
        }
    }

    fn arm_receipt(&self, arm: &Arm) -> ArmReceipt {
        let Label { name, ablation, variant, seed, settings } = arm.label.clone();
        let place = |(stage, id): (&String, &StageId)| (stage.clone(), self.run.plan.step(*id).name.clone());
        ArmReceipt { name, ablation, variant, seed, settings, stages: arm.stages.iter().map(place).collect() }
    }

    fn stage_receipt(&self, step: &Step, state: &State) -> StageReceipt {
        let node = self.run.graph.stage(step.stage);
        let (status, artifact, message) = match state {
            State::Done { artifact, status } => (*status, Some(artifact), None),
            State::Without { status, message } => (*status, None, message.clone()),
            State::Waiting | State::Running => (Status::Skipped, None, None),
        };
        let input = |(port, input): (&String, &crate::graph::Input)| {
            let identity = serde_json::to_string(&step.preimage.inputs[port]).expect("an identity is plain data");
            let reference = input.reference.clone();
            (port.clone(), InputReceipt { reference, kind: input.ty.kind(), identity, rows: self.rows_of(input) })
        };
        StageReceipt {
            stage: step.name.clone(),
            kind: node.kind.name().to_owned(),
            key: step.key,
            status,
            reasons: match &step.decision {
                Decision::Run(reasons) => reasons.clone(),
                _ => Vec::new(),
            },
            wall_s: artifact.map(|artifact| artifact.manifest().wall_s),
            memory: artifact.and_then(|artifact| artifact.manifest().usage.as_deref()).map(MemoryReceipt::from),
            artifact: artifact.map(|artifact| artifact.dir().to_owned()),
            history: match artifact {
                Some(artifact) => Some(artifact.dir().join(HISTORY)),
                None => self.histories[step.stage.index()].clone(),
            },
            inputs: node.inputs.iter().map(input).collect(),
            outputs: node.ports.outputs.iter().map(|port| (port.name.to_string(), port.kind)).collect(),
            adopted: artifact.and_then(|artifact| artifact.manifest().adopted.as_deref().cloned()),
            message,
        }
    }

    /// Digest of the rows behind an input, where a stage made them.
    fn rows_of(&self, input: &crate::graph::Input) -> Option<String> {
        let Origin::Stage { stage, port } = &input.origin else { return None };
        let State::Done { artifact, .. } = &self.states[stage.index()] else { return None };
        Some(artifact.manifest().outputs.get(&format!("{port}/rows.jsonl"))?.blake3.clone())
    }

    fn say(&mut self, what: Happening) {
        (self.emit)(RunEvent::now(what));
    }
}

/// All that a worker needs: `made` gives the results of the stages before this one, `dirs` are those of outputs and of work.
pub(super) fn request<'a>(
    node: &StageNode,
    step: &Step,
    made: &dyn Fn(StageId) -> Option<&'a Artifact>,
    dirs: (PathBuf, PathBuf),
    runtime: Runtime,
) -> StageRequest {
    let mut inputs = BTreeMap::new();
    for (port, input) in &node.inputs {
        let (path, view) = match &input.origin {
            Origin::Stage { stage, port } => match made(*stage) {
                Some(artifact) => (artifact.output(port), crate::stage::DataView::default()),
                None => continue,
            },
            Origin::File { .. } | Origin::Remote { .. } => match input.origin.files() {
                Some((path, view)) => (path.to_owned(), view.clone()),
                None => continue,
            },
        };
        let (ty, reference) = (input.ty.clone(), input.reference.clone());
        inputs.insert(port.clone(), InputArtifact { path, ty, view, reference });
    }
    let (output_dir, work_dir) = dirs;
    StageRequest {
        stage: node.name.clone(),
        kind: node.kind.name().to_owned(),
        params: node.stage.params(),
        key: step.key.hex(),
        seed: step.key.seed(),
        inputs,
        output_dir,
        work_dir,
        runtime,
    }
}

fn is_short(state: &State) -> bool {
    matches!(state, State::Without { status: Status::Interrupted | Status::Skipped, .. })
}

/// Runs one stage and commits what it made.
fn work(
    executor: &dyn Executor,
    job: &Job<'_>,
    node: &StageNode,
    claim: Claim,
    mut watch: Watch,
    events: &mut dyn FnMut(StageEvent),
) -> Result<Artifact, Ending> {
    let start = Instant::now();
    let mut history = Writer::to(claim.entry_dir().join(HISTORY));
    let mut keep = |event| {
        watch.see(&event);
        if let Err(error) = history.keep(&event) {
            events(StageEvent::Log { message: format!("the history of this stage is not kept: {error}") });
        }
        events(event);
    };
    executor.run(job, &mut keep).map_err(Ending::Stage)?;
    let absent = node.ports.outputs.iter().find(|port| !crate::fs::exists(&claim.output_dir().join(&*port.name)));
    if let Some(port) = absent {
        return Err(Ending::Stage(StageError::Failed(format!("the stage ended without its output `{}`", port.name))));
    }
    let claim = watch.tell(claim);
    claim.commit(start.elapsed().as_secs_f64()).map_err(Ending::Store)
}
