//! A training loop → burn-train's services around it: metrics, interrupter, renderer and dashboard. Refuses to know what a step
//! computes.
//!
//! [`conduct`] launches burn-train's `SupervisedTraining` with a learning strategy of our own, whose body is the caller's
//! loop. What burn-train does: aggregate metrics per round, keep them, carry the stop request, draw. What it can't carry here,
//! and who does instead:
//!
//! - *Steps.* Its learner checkpoints per epoch, without position or random state, and in files named by random parameter
//!   ids; our loops resume at any step ([`super::checkpoint`]). Its "epoch" is our round: the steps between two looks.
//! - *Data.* Its loaders start over with every epoch; ours is asked for a step by number, so its loaders stay empty.
//! - *Optimizer.* Its state takes the gradient's type, clipping is per tensor, and loading it asks for a default device
//!   ([`super::optimizer`], [`super::clip`]); the learner's own optimizer stays idle.
//! - *Early stopping.* Its strategy knows one rule, the round without a new best however small, and keeps what it has seen to
//!   itself, so that no checkpoint can hold it; ours are in [`super::stop`] and [`super::course`].
//!
//! The loop runs on a thread of its own, in a pool of one (see [`super::lanes`]); the calling thread passes on what
//! happened and whether to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::optim::SgdConfig;
use burn::optim::lr_scheduler::constant::ConstantLr;
use burn::tensor::{Device, ExecutionError, TensorReadError};
use burn::train::logger::InMemoryMetricLogger;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};
use burn::train::{
    AsyncProcessorTraining, EventProcessorTraining, InferenceStep, Interrupter, ItemLazy, Learner, LearnerEvent,
    LearnerModel, SupervisedLearningStrategy, SupervisedTraining, TrainLoader, TrainStep, TrainingComponents,
    TrainingItem, TrainingStrategy, ValidLoader,
};
use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{StageContext, StageError};

use super::lanes;
use super::relay::Relay;

/// With what the dashboard panics, by design, where somebody wants to stop without another checkpoint.
const KILLED: &str = "Killing training from user input.";

/// Numbers of one step or look, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers(pub Vec<(&'static str, f64)>);

impl Numbers {
    /// A number by name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find_map(|&(known, value)| (known == name).then_some(value))
    }
}

impl ItemLazy for Numbers {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<Self> for Numbers {
    fn adapt(&self) -> Self {
        self.clone()
    }
}

/// A number that a loop reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Its name in [`Numbers`], in events and on the dashboard.
    pub name: &'static str,
    /// Is more better?
    pub higher_is_better: bool,
}

impl Shown {
    /// A number of which less is better.
    pub const fn lower(name: &'static str) -> Self {
        Self { name, higher_is_better: false }
    }

    /// A number of which more is better.
    pub const fn higher(name: &'static str) -> Self {
        Self { name, higher_is_better: true }
    }
}

/// What a loop is going to do and report.
#[derive(Debug, Clone)]
pub struct Session {
    /// Steps in all.
    pub steps: usize,
    /// Rounds in all.
    pub rounds: usize,
    /// Numbers of every step.
    pub by_step: Vec<Shown>,
    /// Numbers of every look.
    pub by_look: Vec<Shown>,
}

/// A loop's connection to burn-train.
pub struct Meter {
    processor: Processor,
    interrupter: Interrupter,
    flag: Arc<AtomicBool>,
    events: Sender<StageEvent>,
    session: Session,
    /// Rounds that are over.
    rounds: usize,
    /// Has the next begun?
    open: bool,
}

type Processor = AsyncProcessorTraining<LearnerEvent<Numbers>, LearnerEvent<Numbers>>;

impl Meter {
    /// Continues after `step`, with so many rounds behind it; before the first [`Self::step`].
    pub fn resume(&mut self, step: usize, rounds: usize) {
        self.report(StageEvent::Resumed { step });
        self.rounds = rounds;
    }

    /// Reports a finished step, counted from 1.
    pub fn step(&mut self, step: usize, numbers: Numbers) {
        self.open_round();
        self.tell(step, numbers, false);
    }

    /// Ends a round, with numbers of a look where there was one.
    pub fn look(&mut self, numbers: Option<Numbers>) {
        self.open_round();
        if let Some(numbers) = numbers {
            let total_items = 1;
            let epoch_number = self.round();
            self.check_valid(LearnerEvent::StartSplit { epoch_number, total_items });
            self.tell(1, numbers, true);
            self.check_valid(LearnerEvent::EndSplit(epoch_number));
        }
        self.close_round();
    }

    /// Did somebody ask to stop, here or on the dashboard?
    pub fn should_stop(&self) -> bool {
        self.flag.load(Ordering::Relaxed) || self.interrupter.should_stop()
    }

    /// Reports something else than numbers.
    pub fn report(&self, event: StageEvent) {
        // The receiver outlives the loop, and losing a report must not end a run.
        let _ = self.events.send(event);
    }

    /// Says one line for the stage's log.
    pub fn log(&self, message: impl Into<String>) {
        self.report(StageEvent::Log { message: message.into() });
    }

    /// Number of the round that goes on, from 1.
    fn round(&self) -> usize {
        self.rounds + 1
    }

    fn open_round(&mut self) {
        if !self.open {
            self.open = true;
            let start = LearnerEvent::StartSplit { epoch_number: self.round(), total_items: self.session.steps };
            self.check_train(start);
        }
    }

    fn close_round(&mut self) {
        let round = self.round();
        self.check_train(LearnerEvent::EndSplit(round));
        self.check_train(LearnerEvent::EndEpoch(round));
        self.open = false;
        let flushed = self.processor.flush();
        self.interrupter.fail_on_error(flushed);
        self.rounds = round;
    }

    fn tell(&mut self, step: usize, numbers: Numbers, by_look: bool) {
        let progress = Progress::new(step, self.session.steps, Some("steps".to_owned()));
        let item = LearnerEvent::ProcessedItem(TrainingItem::new(numbers, progress, Some(step), None));
        if by_look { self.check_valid(item) } else { self.check_train(item) }
    }

    fn check_train(&mut self, event: LearnerEvent<Numbers>) {
        let result = self.processor.process_train(event);
        self.interrupter.fail_on_error(result);
    }

    fn check_valid(&mut self, event: LearnerEvent<Numbers>) {
        let result = self.processor.process_valid(event);
        self.interrupter.fail_on_error(result);
    }
}

/// Runs `body` with `model` between burn-train's start and end of training, and returns the model it returns.
///
/// Events reach `context` while the loop runs; a stop that `context` learns of reaches the loop through
/// [`Meter::should_stop`]. With `runtime.tui` and a terminal on standard output burn-train's dashboard is shown.
pub fn conduct<M>(
    context: &mut StageContext<'_>,
    session: Session,
    model: M,
    body: impl FnOnce(M, &mut Meter) -> Result<M, StageError> + Send + 'static,
) -> Result<M, StageError>
where
    M: LearnerModel + TrainStep<Output = Numbers> + InferenceStep<Output = Numbers>,
{
    let (events, received) = mpsc::channel();
    let interrupter = Interrupter::new();
    let (stop, flag, tui) = (interrupter.clone(), context.interrupt_flag(), context.runtime().tui);
    let alone = lanes::single().map_err(|error| StageError::while_doing("starting a thread", error))?;
    let work = std::thread::Builder::new()
        .name("training".to_owned())
        .spawn(move || alone.install(|| launch(session, model, body, interrupter, flag, events, tui)))
        .map_err(|error| StageError::while_doing("starting a thread", error))?;
    let mut kept = 0;
    loop {
        match received.recv_timeout(Duration::from_millis(100)) {
            Ok(event) => {
                if let StageEvent::Checkpoint { step } | StageEvent::Resumed { step } = event {
                    kept = step;
                }
                context.emit(event);
            }
            Err(RecvTimeoutError::Timeout) if context.interrupted() => stop.stop(Some("interrupted")),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    work.join().unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        if message == KILLED {
            return Err(StageError::Interrupted { step: kept });
        }
        Err(StageError::Failed(format!("the training thread panicked: {message}")))
    })
}

fn launch<M, F>(
    session: Session,
    model: M,
    body: F,
    interrupter: Interrupter,
    flag: Arc<AtomicBool>,
    events: Sender<StageEvent>,
    tui: bool,
) -> Result<M, StageError>
where
    M: LearnerModel + TrainStep<Output = Numbers> + InferenceStep<Output = Numbers>,
    F: FnOnce(M, &mut Meter) -> Result<M, StageError> + Send + 'static,
{
    let failure = Arc::new(Mutex::new(None));
    let rounds = session.rounds;
    let relay = Relay::new(events.clone(), session.steps, tui.then(|| interrupter.clone()));
    let mut training = SupervisedTraining::<M>::new(".", Arc::new(Nothing), Arc::new(Nothing))
        .with_application_logger(None)
        .with_metric_logger(InMemoryMetricLogger::new())
        .with_interrupter(interrupter)
        .renderer(Box::new(relay))
        .num_epochs(rounds);
    for shown in &session.by_step {
        training = training.metric_train_numeric(Gauge::new(*shown));
    }
    for shown in &session.by_look {
        training = training.metric_valid_numeric(Gauge::new(*shown));
    }
    let strategy = Ours { parts: Mutex::new(Some((body, session, flag, events))), failure: Arc::clone(&failure) };
    let learner = Learner::new(model, SgdConfig::new().init(), ConstantLr::new(0.0));
    let result = training.with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy))).launch(learner);
    if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    match result.error {
        Some(error) => Err(StageError::while_doing("training", error)),
        None => Ok(result.model),
    }
}

/// A loop, and what its meter is made of.
type Parts<F> = (F, Session, Arc<AtomicBool>, Sender<StageEvent>);

/// A learning strategy whose loop is somebody else's.
struct Ours<F> {
    parts: Mutex<Option<Parts<F>>>,
    failure: Arc<Mutex<Option<StageError>>>,
}

impl<M, F> SupervisedLearningStrategy<M> for Ours<F>
where
    M: LearnerModel + TrainStep<Output = Numbers> + InferenceStep<Output = Numbers>,
    F: FnOnce(M, &mut Meter) -> Result<M, StageError> + Send + 'static,
{
    fn fit(
        &self,
        components: TrainingComponents<M>,
        learner: Learner<M>,
        _train: TrainLoader<M>,
        _valid: ValidLoader<M>,
        _starting_epoch: usize,
    ) -> (M, Processor) {
        let model = learner.model();
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((body, session, flag, events)) = parts else { return (model, components.event_processor) };
        let mut meter = Meter {
            processor: components.event_processor,
            interrupter: components.interrupter,
            flag,
            events,
            session,
            rounds: 0,
            open: false,
        };
        let model = body(model.clone(), &mut meter).unwrap_or_else(|error| {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            model
        });
        (model, meter.processor)
    }
}

/// The loaders that our loops do without.
struct Nothing;

impl<I: Send + 'static> DataLoader<I> for Nothing {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<I> + 'a> {
        Box::new(NoItems(std::marker::PhantomData))
    }

    fn num_items(&self) -> usize {
        0
    }

    fn to_device(&self, _device: &Device) -> Arc<dyn DataLoader<I>> {
        Arc::new(Self)
    }

    fn slice(&self, _start: usize, _end: usize) -> Arc<dyn DataLoader<I>> {
        Arc::new(Self)
    }
}

struct NoItems<I>(std::marker::PhantomData<fn() -> I>);

impl<I> Iterator for NoItems<I> {
    type Item = Result<I, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl<I> DataLoaderIterator<I> for NoItems<I> {
    fn progress(&self) -> Progress {
        Progress::new(0, 0, None)
    }
}

/// burn-train's view of one of a loop's numbers.
#[derive(Clone)]
struct Gauge {
    shown: Shown,
    name: MetricName,
    state: NumericMetricState,
    /// Did the last step have this number? One that has not must not repeat an earlier one's.
    told: bool,
}

impl Gauge {
    fn new(shown: Shown) -> Self {
        Self { shown, name: Arc::new(shown.name.to_owned()), state: NumericMetricState::new(), told: false }
    }

    fn format(&self) -> FormatOptions {
        FormatOptions::new(Arc::clone(&self.name)).precision(4)
    }
}

impl Metric for Gauge {
    type Input = Numbers;

    fn name(&self) -> MetricName {
        Arc::clone(&self.name)
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: None, higher_is_better: self.shown.higher_is_better }.into()
    }

    fn update(&mut self, item: &Numbers, _metadata: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        self.told = item.get(self.shown.name).is_some();
        let Some(value) = item.get(self.shown.name) else { return Ok(SerializedEntry::not_available(None)) };
        self.state.update(value, 1);
        Ok(self.state.compute_update(self.format()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.state.compute_final(self.format()))
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl Numeric for Gauge {
    fn value(&self) -> Option<NumericEntry> {
        self.told.then(|| self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}
