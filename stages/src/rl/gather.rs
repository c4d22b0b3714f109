//! Prompts of a step → scored completions, asked once or, with dynamic sampling, until enough groups differ. Refuses to
//! know what is done with them.
//!
//! Round 0 asks what every rule asks. Later rounds of `dapo` ask rows drawn without replacement from those that the step
//! has not asked; all rounds of `greso` go on in the order of the data. Every draw follows from (seed, step, round) or from
//! the place in the order, and completions are numbered through over the rounds.

use std::time::{Duration, Instant};

use curricle_datasets::Encoded;
use curricle_datasets::shuffle::Order;
use curricle_engine::stage::StageError;
use rand::seq::SliceRandom;

use super::reward::Scored;
use super::rollout::{Generator, Sample};
use super::seed::{Purpose, derive, stream};
use super::select::SelectKind;
use super::select::greso::{History, Outcome, next_round};
use super::step::Trainer;
use crate::kinds::grpo::Params;
use crate::model::{Completion, Qwen2_5Vl};
use crate::phases::Phase;
use crate::train::ahead::Ahead;
use crate::train::lanes::Copies;

/// The completions of a step, whole groups one after the other.
#[derive(Default)]
pub struct Gathered {
    /// Row of each group.
    pub rows: Vec<usize>,
    /// Every completion.
    pub samples: Vec<Sample>,
    /// Its rewards.
    pub scores: Vec<Scored>,
    /// Times that prompts were asked.
    pub rounds: usize,
    /// How long it took until their rows were there.
    pub waited: Duration,
}

/// The prompts of every coming step's first round, where the rule asks rows that are known before.
pub struct Prompts {
    ahead: Option<Ahead>,
    next: usize,
}

impl Prompts {
    /// The prompts of the next so many rows in order, if they are known.
    fn take(&mut self, rows: usize) -> Option<Result<Vec<Encoded>, StageError>> {
        let first = self.next;
        self.next += rows;
        self.ahead.as_ref().map(|ahead| ahead.take_all(first..self.next))
    }
}

impl Gathered {
    /// How the group at a place came out.
    fn outcome(&self, at: usize, group: usize) -> Outcome {
        let correct = self.scores[at * group..(at + 1) * group].iter().map(|scored| scored.correct);
        Outcome::of(&correct.collect::<Vec<_>>())
    }

    fn outcomes(&self, group: usize) -> Vec<(usize, Outcome)> {
        self.rows.iter().enumerate().map(|(at, &row)| (row, self.outcome(at, group))).collect()
    }
}

impl Trainer {
    /// The prompts of all steps from `done` on.
    pub(super) fn prompts(&self, done: usize) -> Result<Prompts, StageError> {
        if self.params.select.kind == SelectKind::Greso {
            return Ok(Prompts { ahead: None, next: 0 });
        }
        let (order, prompts, len) = (self.order(), self.params.prompts, self.questions.rows().len());
        let rows = (done..self.params.steps).flat_map(move |step| rows(order, len, prompts, step));
        Ok(Prompts { ahead: Some(self.questions.ahead(self.threads, rows)?), next: 0 })
    }

    /// Asks the prompts of step number `step`; `model` are views of the one that learns.
    pub(super) fn gather(
        &self,
        step: usize,
        model: &Copies<Qwen2_5Vl>,
        history: &mut History,
        known: &mut Prompts,
    ) -> Result<Gathered, StageError> {
        let Params { prompts, group, select, .. } = &self.params;
        let (prompts, group) = (*prompts, *group);
        let mut all = Gathered::default();
        let mut count = prompts;
        while all.rounds < select.rounds() {
            let rows = match select.kind {
                SelectKind::Greso => {
                    let len = self.questions.rows().len();
                    history.rows(&select.skip, self.seed, count, len, |pass| self.order().epoch(pass))
                }
                _ if all.rounds == 0 => rows(self.order(), self.questions.rows().len(), prompts, step),
                _ => self.more_rows(step, &all),
            };
            if rows.is_empty() {
                break;
            }
            let began = Instant::now();
            let encoded = match if all.rounds == 0 { known.take(rows.len()) } else { None } {
                Some(encoded) => encoded?,
                None => self.questions.ahead(self.threads, rows.clone().into_iter())?.take_all(0..rows.len())?,
            };
            all.waited += began.elapsed();
            self.ask(step, model, (&rows, &encoded), &mut all)?;
            let outcomes = all.outcomes(group);
            let differing = outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Differs).count();
            if differing >= prompts {
                break;
            }
            let zero_variance = 1.0 - differing as f64 / outcomes.len() as f64;
            count = next_round(select, prompts, prompts - differing, zero_variance);
        }
        if select.kind == SelectKind::Greso {
            history.learn(&select.skip, &all.outcomes(group));
        }
        Ok(all)
    }

    /// Asks `rows` and adds what comes back.
    fn ask(
        &self,
        step: usize,
        model: &Copies<Qwen2_5Vl>,
        (rows, encoded): (&[usize], &[Encoded]),
        all: &mut Gathered,
    ) -> Result<(), StageError> {
        let group = self.params.group;
        let before = all.rows.len();
        let asked: Vec<_> = (0..rows.len() * group).map(|i| &encoded[i / group]).collect();
        let seed = |i: usize| {
            derive(self.seed, Purpose::Sample, &[step as u64, (before + i / group) as u64, (i % group) as u64])
        };
        let seeds: Vec<u64> = (0..asked.len()).map(seed).collect();
        let sampling = self.questions.sampling(&self.config, self.draws());
        let Self { config, lanes, .. } = self;
        let generator = Generator { model, config, sampling: &sampling, batch: self.params.rollout_batch, lanes };
        let completions = self.phases.during(Phase::Rollout, || generator.complete(&asked, &seeds));
        let join = |(i, completion): (usize, &Completion)| {
            Sample::new(rows[i / group], asked[i], completion, self.questions.decode(&completion.ids))
        };
        let samples: Vec<Sample> = completions.iter().enumerate().map(join).collect();
        all.scores.extend(self.scores(&samples)?);
        all.samples.extend(samples);
        all.rows.extend(rows);
        all.rounds += 1;
        Ok(())
    }

    fn order(&self) -> Order {
        Order::new(derive(self.seed, Purpose::Order, &[]), self.questions.rows().len())
    }

    /// Rows of a later round: at random from those that the step has not asked.
    fn more_rows(&self, step: usize, all: &Gathered) -> Vec<usize> {
        let mut rest: Vec<usize> = (0..self.questions.rows().len()).filter(|row| !all.rows.contains(row)).collect();
        rest.shuffle(&mut stream(self.seed, Purpose::Refill, &[step as u64, all.rounds as u64]));
        rest.truncate(self.params.prompts);
        rest
    }
}

/// Rows of a step: the next ones in an order that is drawn anew for every pass over the data.
fn rows(order: Order, len: usize, count: usize, step: usize) -> Vec<usize> {
    let mut rows = Vec::with_capacity(count);
    let (mut epoch, mut place) = ((step * count) / len, (step * count) % len);
    while rows.len() < count {
        let pass = order.epoch(epoch);
        rows.extend(pass[place..].iter().take(count - rows.len()));
        (epoch, place) = (epoch + 1, 0);
    }
    rows
}
