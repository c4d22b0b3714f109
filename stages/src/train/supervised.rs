//! A model, rows and a plan → the model after supervised training. Refuses to know recipes and ports.
//!
//! One step: the rows of the step are cut into micro-batches; each goes forward and backward in a lane, on leaves of its
//! own, with its loss divided by the target tokens of the *whole* step; gradients add up in order, are clipped by their
//! global norm, and move the weights; where the loss or the norm is not finite, the weights stay. What a step computes follows from its number, the seed and the weights before it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use burn::optim::GradientsParams;
use burn::tensor::Device;
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use curricle_datasets::{EncodeError, Encoded, Processor, Row};
use curricle_engine::exec::StageEvent;
use curricle_engine::stage::StageError;
use serde_json::json;

use super::ahead::Ahead;
use super::batch::Walk;
use super::carry;
use super::checkpoint::{Checkpoints, weights};
use super::clip::global_norm;
use super::course::Course;
use super::freeze::{Learns, Part};
use super::gradients::Gradients;
use super::kept::Keeper;
use super::lanes::{Copies, Lanes, Seat};
use super::learn::Pass;
use super::logprob::{Entropies, Positions};
use super::loss::nll_sum;
use super::meter::{Meter, Numbers};
use super::optimizer::{AdamW, AdamWConfig};
use super::precision::Precision;
use super::schedule::Schedule;
use super::told::Told;
use crate::health::{Guard, Held};
use crate::kinds::sft::Watched;
use crate::model::tape::Keep;
use crate::model::{Batch, ModelConfig, Noise, Padding, Qwen2_5Vl};
use crate::phases::{Phase, Phases};

/// Rows of one forward pass.
pub struct Piece {
    rows: Vec<Encoded>,
    /// Factor on the loss: one over the target tokens of the whole step.
    scale: f64,
    pad: u32,
    config: Arc<ModelConfig>,
    device: Device,
    freeze: Vec<Part>,
    keep: Keep,
}

impl Piece {
    fn batch(&self) -> (Batch, Positions) {
        let rows: Vec<&Encoded> = self.rows.iter().collect();
        let batch = Batch::new(&rows, Padding::Right, self.pad, &self.config, &self.device);
        let positions = Positions::new(batch.width, self.rows.iter().map(|row| (&row.ids[..], &row.target[..], 0)));
        (batch, positions)
    }

    /// Gradients of the scaled loss, and the loss before that: the sum over the rows' targets, `[1]`.
    fn learn(&self, model: &Qwen2_5Vl) -> (GradientsParams, Told) {
        let (batch, positions) = self.batch();
        let pass = Pass {
            model,
            freeze: &self.freeze,
            batch: &batch,
            positions: &positions,
            temperature: 1.0,
            entropies: Entropies::Off,
            keep: self.keep,
        };
        pass.run(|scores| {
            let sum = nll_sum(scores.logp_n);
            (sum.clone() * self.scale, Told::from(sum))
        })
    }

    /// The loss as [`Self::learn`] tells it.
    fn look(&self, model: &Qwen2_5Vl) -> Told {
        let (batch, positions) = self.batch();
        let states_nd = positions.states(model.hidden(&batch).flatten(0, 1));
        let logp_n = positions.logprobs(&states_nd, model.text().vocabulary(), |h_nd| model.logits_of(h_nd));
        Told::from(nll_sum(logp_n))
    }
}

/// The sum of what pieces told.
fn total(told: &[Vec<f32>]) -> f64 {
    told.iter().flatten().copied().map(f64::from).sum()
}

// burn-train's view of a pass, which it asks of every model. The loop below leaves the loss on the device until its one read.
impl TrainStep for Qwen2_5Vl {
    type Input = Piece;
    type Output = Numbers;

    fn step(&self, piece: Piece) -> TrainOutput<Numbers> {
        let (grads, told) = piece.learn(self);
        TrainOutput { grads, item: Numbers(vec![("nll", total(&told.read()))]) }
    }
}

impl InferenceStep for Qwen2_5Vl {
    type Input = Piece;
    type Output = Numbers;

    fn step(&self, piece: Piece) -> Numbers {
        Numbers(vec![("nll", total(&piece.look(self).read()))])
    }
}

/// Rows to learn from or to look at, with what planning needs to know of each.
pub struct Rows {
    all: Vec<Row>,
    /// Tokens of each row.
    lengths: Vec<usize>,
    /// Target tokens of each row.
    targets: Vec<usize>,
    /// Cuts longer rows.
    limit: usize,
}

/// How rows that are too long are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Longer {
    /// An error.
    Refuse,
    /// Left out.
    Drop,
    /// Cut, unless that cuts off an image or every target.
    Truncate,
}

impl Rows {
    /// Encodes every row once to learn its length; the second value is how many were left out.
    pub fn measure(
        rows: Vec<Row>,
        processor: &Processor,
        lanes: &Lanes,
        limit: usize,
        longer: Longer,
    ) -> Result<(Self, usize), StageError> {
        let measured = lanes.map(&rows, |_, row| {
            let failed = |error: EncodeError| StageError::Failed(format!("row `{}`: {error}", row.id));
            let whole = processor.example(row).map_err(failed)?;
            let length = whole.ids.len();
            if length > limit && longer == Longer::Refuse {
                return Err(StageError::Failed(format!(
                    "row `{}` has {length} tokens, the limit is {limit}; set `too_long` or a larger `max_length`",
                    row.id
                )));
            }
            let images = if length > limit { whole.images.len() } else { 0 };
            let mut cut = whole;
            cut_to(&mut cut, limit);
            let targets = cut.target.iter().filter(|target| **target).count();
            let keep = targets > 0 && (length <= limit || (longer == Longer::Truncate && images == 0));
            Ok(keep.then_some((cut.ids.len(), targets)))
        });
        let mut kept = Self { all: Vec::new(), lengths: Vec::new(), targets: Vec::new(), limit };
        let before = rows.len();
        for (row, measure) in rows.into_iter().zip(measured) {
            if let Some((length, targets)) = measure? {
                kept.all.push(row);
                kept.lengths.push(length);
                kept.targets.push(targets);
            }
        }
        let left_out = before - kept.all.len();
        Ok((kept, left_out))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn encode(&self, chosen: &[usize], processor: &Processor) -> Result<Vec<Encoded>, StageError> {
        let encode = |row: &usize| {
            let row = &self.all[*row];
            let failed = |error: EncodeError| StageError::Failed(format!("row `{}`: {error}", row.id));
            let mut encoded = processor.example(row).map_err(failed)?;
            cut_to(&mut encoded, self.limit);
            Ok(encoded)
        };
        chosen.iter().map(encode).collect()
    }
}

fn cut_to(row: &mut Encoded, limit: usize) {
    row.ids.truncate(limit);
    row.target.truncate(limit);
}

/// Everything that a supervised run needs besides the model.
pub struct Plan {
    /// Dimensions of the model.
    pub config: ModelConfig,
    /// Encodes rows.
    pub processor: Arc<Processor>,
    /// Rows to learn from.
    pub data: Arc<Rows>,
    /// Rows to look at.
    pub val: Option<Arc<Rows>>,
    /// Which rows a step holds.
    pub walk: Walk,
    /// Optimizer steps.
    pub steps: usize,
    /// Steps between looks.
    pub look_every: usize,
    /// Learning rate by step.
    pub schedule: Schedule,
    /// AdamW's numbers.
    pub adamw: AdamWConfig,
    /// Largest global norm; 0 does not clip.
    pub max_grad_norm: f64,
    /// Parts that stay as they are.
    pub freeze: Vec<Part>,
    /// In which format it computes; the model that it is given and gives back is the one that is held.
    pub precision: Precision,
    /// What a forward pass keeps for its backward pass.
    pub keep: Keep,
    /// Root of what is drawn at random in a pass.
    pub seed: u64,
    /// What its phases have in memory.
    pub phases: Phases,
    /// Where it computes; what learns and its optimizer are on the first device.
    pub lanes: Lanes,
    /// On how many threads rows are encoded; 0: per core.
    pub threads: usize,
    /// Where its checkpoints lie.
    pub checkpoints: Checkpoints,
    /// Steps between checkpoints; 0 writes one only when interrupted.
    pub checkpoint_every: usize,
    /// What is asked of the model beside its training.
    pub guard: Guard,
    /// When it ends before its last step, and which state is its best.
    pub course: Course<Watched>,
    /// Where states are kept.
    pub keeper: Keeper,
    /// Folder of the state that the optimizer begins with.
    pub moments: Option<PathBuf>,
    /// Folder for notes beside the model.
    pub notes: PathBuf,
    /// Folder for the optimizer's state after the last step.
    pub leaves: Option<PathBuf>,
}

impl Plan {
    /// Runs every step that no earlier attempt finished, and returns the model after the last, or the one that a rule or a
    /// detector ends with.
    ///
    /// # Errors
    ///
    /// [`StageError::Interrupted`] after writing a checkpoint; a failure where a row can't be encoded, gradients stay not
    /// finite or the disk refuses.
    pub fn run(mut self, model: Qwen2_5Vl, meter: &mut Meter) -> Result<Qwen2_5Vl, StageError> {
        let failed = |error: super::checkpoint::CheckpointError| StageError::Failed(error.to_string());
        let (learns, leaves) = (Learns::of(&model, &self.freeze), self.leaves.clone());
        let (mut model, mut adamw, mut saved) = (model, AdamW::new(self.adamw), 0);
        if let Some(found) = self.checkpoints.latest(|said| meter.log(said)) {
            self.guard.restore(&found, &model, leaves.as_ref().map(|_| self.adamw), &learns)?;
            model = found.restore(model, &learns).map_err(failed)?;
            adamw = AdamW::restore(self.adamw, &model, |name| found.tensor(name));
            saved = found.step;
            self.course.restore(&found)?;
            self.keeper.named(self.course.best());
            meter.resume(found.step, found.step / self.look_every);
        } else {
            if let Some(folder) = &self.moments {
                let said;
                (adamw, said) = carry::read(folder, self.adamw, &model, &learns)?;
                meter.log(said);
            }
            self.guard.begin(&model, leaves.as_ref().map(|_| &adamw), &self.lanes, meter)?;
        }
        let mut done = saved;
        let mut ahead = self.steps_from(done)?;
        while done < self.steps && !self.ends() {
            let due = self.checkpoint_every > 0 && done > 0 && done.is_multiple_of(self.checkpoint_every);
            let stop = meter.should_stop();
            if (due || stop) && done != saved {
                let mut tensors = weights(&model, &learns);
                tensors.extend(adamw.save(&model));
                let (kept, health) = self.guard.save(&learns);
                tensors.extend(kept);
                let state = json!({ "course": self.course.save(), "health": health });
                self.checkpoints.save(done, &tensors, state).map_err(failed)?;
                self.keeper.named(self.course.best());
                meter.report(StageEvent::Checkpoint { step: done });
            }
            if stop {
                return Err(StageError::Interrupted { step: done });
            }
            let (next, mut numbers, tokens) = self.step(model, &mut adamw, done, &mut ahead)?;
            model = next;
            done += 1;
            let (finite, loss) = (numbers.get("not_finite") == Some(0.0), numbers.get("loss"));
            let right = self.guard.look(done, &model, leaves.as_ref().map(|_| &adamw), &self.lanes)?;
            numbers.0.extend(right.map(|right| ("image_accuracy", right)));
            meter.step(done, numbers);
            self.guard.announce(meter);
            self.guard.finite(done, finite)?;
            self.keeper.after(done, &model, &learns)?;
            self.course.step(done, tokens);
            if let Some(loss) = loss {
                self.course.collect(Watched::Loss, loss, usize::MAX);
            }
            self.judge(done, &model, &learns, &[(Watched::ImageAccuracy, right)])?;
            if done.is_multiple_of(self.look_every) || done == self.steps || self.ends() {
                let looked = self.val.as_ref().map(|val| self.phases.during(Phase::Look, || self.look(&model, val)));
                let looked = looked.transpose()?;
                let val_loss = looked.as_ref().and_then(|looked| looked.get("val_loss"));
                meter.look(looked);
                let loss = self.course.take(Watched::Loss);
                self.judge(done, &model, &learns, &[(Watched::Loss, loss), (Watched::ValLoss, val_loss)])?;
            }
        }
        let best = self.course.best();
        self.course.tell(done, self.steps, &self.notes, meter)?;
        let held = self.guard.end(Held { model, optimizer: Some(adamw) }, done, self.steps, &self.notes)?;
        if let (Some(folder), Some(optimizer)) = (&leaves, &held.optimizer) {
            carry::write(optimizer, &held.model, folder)?;
        }
        self.keeper.finish((done, &held.model), best, &learns, meter)?;
        self.phases.told().into_iter().for_each(|event| meter.report(event));
        Ok(held.model)
    }

    /// Does the stage end here, wherever its last step is?
    fn ends(&self) -> bool {
        self.guard.ends() || self.course.ended().is_some()
    }

    /// Shows looks at the state after a step to the rules, and keeps it where it is the best.
    fn judge(
        &mut self,
        step: usize,
        model: &Qwen2_5Vl,
        learns: &Learns,
        looks: &[(Watched, Option<f64>)],
    ) -> Result<(), StageError> {
        for &(metric, value) in looks {
            if value.is_some_and(|value| self.course.look(step, step, metric, value)) {
                self.keeper.best(step, model, learns)?;
            }
        }
        Ok(())
    }

    /// The model after step number `step`, from 0; numbers of that step, and how many tokens its rows have.
    fn step(
        &self,
        model: Qwen2_5Vl,
        adamw: &mut AdamW,
        step: usize,
        ahead: &mut Steps,
    ) -> Result<(Qwen2_5Vl, Numbers, usize), StageError> {
        let began = Instant::now();
        let pieces = ahead.walk.step(step, &self.data.lengths);
        let tokens: usize = pieces.iter().flatten().map(|row| self.data.lengths[*row]).sum();
        let backward = || {
            let view = self.lanes.copies(self.precision.view(&model));
            self.gradients(&view, step, &pieces, ahead)
        };
        let (gradients, told) = self.phases.during(Phase::Backward, backward)?;
        let (gradients, norm, told) = global_norm(gradients, told, self.max_grad_norm);
        let loss = total(&told) / self.targets(&pieces) as f64;
        let (lr, finite) = (self.schedule.at(step), norm.is_finite() && loss.is_finite());
        let optimize = |model| self.phases.during(Phase::Optimizer, || adamw.step(model, gradients, lr));
        let model = if finite { optimize(model) } else { model };
        let mut numbers = vec![
            ("lr", lr),
            ("tokens_per_s", tokens as f64 / began.elapsed().as_secs_f64()),
            ("wait_share", ahead.rows.waited(self.lanes.count(), began.elapsed())),
            ("not_finite", f64::from(u8::from(!finite))),
        ];
        numbers.extend(self.phases.step().map(|gib| ("memory_gib", gib)));
        if finite {
            numbers.extend([("loss", loss), ("grad_norm", norm)]);
        }
        Ok((model, Numbers(numbers), tokens))
    }

    /// Target tokens of a step.
    fn targets(&self, pieces: &[Vec<usize>]) -> usize {
        pieces.iter().flatten().map(|row| self.data.targets[*row]).sum()
    }

    /// Gradients of the mean loss over the target tokens of all `pieces`, whose rows are those that `ahead` has next; each
    /// tells the sum of its loss.
    fn gradients(
        &self,
        model: &Copies<Qwen2_5Vl>,
        step: usize,
        pieces: &[Vec<usize>],
        ahead: &mut Steps,
    ) -> Result<(Gradients, Told), StageError> {
        let scale = 1.0 / self.targets(pieces) as f64;
        let jobs: Vec<_> = ahead.turns(pieces.len()).enumerate().collect();
        let work = |seat: Seat<'_>, (index, turn): (usize, usize)| {
            let piece = self.piece(ahead.rows.take(turn)?, scale, seat);
            let model = model.at(seat).clone().with_noise(Some(Noise::new(self.seed, &[step as u64, index as u64])));
            let (raw, told) = piece.learn(&model);
            Ok((Gradients::take(&model, raw), told))
        };
        self.lanes.sum(jobs, work).unwrap_or_else(|| Ok(Default::default()))
    }

    /// Mean loss over the target tokens of all of `val`.
    fn look(&self, model: &Qwen2_5Vl, val: &Arc<Rows>) -> Result<Numbers, StageError> {
        let (model, each) = (self.lanes.copies(self.precision.view(model)), 16);
        let chunks: Vec<Vec<usize>> =
            (0..val.len()).step_by(each).map(|first| (first..val.len().min(first + each)).collect()).collect();
        let jobs = 0..chunks.len();
        let rows = self.encoded(val, each, chunks.into_iter())?;
        let work = |seat: Seat<'_>, turn| Ok(self.piece(rows.take(turn)?, 1.0, seat).look(model.at(seat)));
        let told: Result<Told, StageError> = self.lanes.sum(jobs, work).unwrap_or_else(|| Ok(Told::default()));
        Ok(Numbers(vec![("val_loss", total(&told?.read()) / val.targets.iter().sum::<usize>() as f64)]))
    }

    /// The rows of every step from `done` on.
    fn steps_from(&self, done: usize) -> Result<Steps, StageError> {
        let (mut walk, data) = (self.walk.clone(), Arc::clone(&self.data));
        let pieces = (done..self.steps).flat_map(move |step| walk.step(step, &data.lengths));
        let rows = self.encoded(&self.data, self.walk.micro_batch(), pieces)?;
        Ok(Steps { walk: self.walk.clone(), rows, next: 0 })
    }

    /// These rows of `all`, `each` at a time at most, ahead of who takes them.
    fn encoded(
        &self,
        all: &Arc<Rows>,
        each: usize,
        chosen: impl Iterator<Item = Vec<usize>> + Send + 'static,
    ) -> Result<Ahead, StageError> {
        let (all, processor) = (Arc::clone(all), Arc::clone(&self.processor));
        Ahead::new(self.threads, each, chosen, move |rows: Vec<usize>| all.encode(&rows, &processor))
    }

    fn piece(&self, rows: Vec<Encoded>, scale: f64, seat: Seat<'_>) -> Piece {
        Piece {
            rows,
            scale,
            pad: self.processor.special().pad,
            config: Arc::new(self.config.clone()),
            device: seat.device.clone(),
            freeze: self.freeze.clone(),
            keep: self.keep,
        }
    }
}

/// The rows of coming steps, and how many of their pieces have been given out.
struct Steps {
    walk: Walk,
    rows: Ahead,
    next: usize,
}

impl Steps {
    /// The turns of the next so many pieces.
    fn turns(&mut self, pieces: usize) -> Range<usize> {
        self.next += pieces;
        self.next - pieces..self.next
    }
}

#[cfg(test)]
mod tests;
