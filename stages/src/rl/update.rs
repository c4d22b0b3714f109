//! Chosen samples of a rollout → the model after its optimizer steps (arXiv 2506.04207, eq. 2).
//!
//! ```text
//! reference, old log-probabilities (forward only, where needed)
//! for each pass, for each mini-batch:  micro-batches ──lanes: loss, backward──▶ sum ──clip, the one read──▶ AdamW
//! ```
//!
//! Log-probabilities are those of the distribution that was sampled from, so logits are divided by the temperature. With
//! one optimizer step per rollout the ratio is 1, and no forward pass for old ones runs. Refuses to know rewards and how
//! samples were chosen.

use burn::tensor::{Device, Tensor, TensorData};
use curricle_datasets::Encoded;
use rand::seq::SliceRandom;

use super::objective::entropy::{Controller, EntropyKind};
use super::objective::kl::Place;
use super::objective::mean::token_weights;
use super::objective::ratio::Ratios;
use super::objective::{Loss, Terms, Tokens};
use super::seed::{Purpose, stream};
use crate::kinds::grpo::Params;
use crate::model::tape::Keep;
use crate::model::{Batch, ModelConfig, Noise, Padding, Qwen2_5Vl};
use crate::phases::{Phase, Phases};
use crate::train::clip::global_norm;
use crate::train::gradients::Gradients;
use crate::train::lanes::{Copies, Lanes, Seat, Summand};
use crate::train::learn::Pass;
use crate::train::logprob::{Entropies, Positions, Scores, tempered};
use crate::train::optimizer::AdamW;
use crate::train::told::Told;

/// The model that learns, and its optimizer.
pub struct Learner {
    /// Plain weights, as [`hold`](crate::train::precision::Precision::hold) holds them.
    pub model: Qwen2_5Vl,
    /// Moments of the weights.
    pub optimizer: AdamW,
    /// What steers the entropy bonus.
    pub entropy: Controller,
}

/// A chosen sample.
pub struct Chosen<'a> {
    /// Prompt and completion; the completion's tokens are the targets.
    pub sequence: &'a Encoded,
    /// Tokens of the completion.
    pub tokens: usize,
    /// Its advantage.
    pub advantage: f32,
    /// Log-probabilities of its tokens under the model that sampled it, where that is not the one that learns.
    pub old: Option<Vec<f32>>,
}

/// What an update has to know besides its samples.
pub struct Updater<'a> {
    /// Parameters of the stage.
    pub params: &'a Params,
    /// Sizes of the model.
    pub config: &'a ModelConfig,
    /// Views of what the KL term pulls towards, if it is on.
    pub reference: Option<&'a Copies<Qwen2_5Vl>>,
    /// The token that fills up.
    pub pad: u32,
    /// Root of the stage's randomness.
    pub seed: u64,
    /// Devices and threads; the model and its optimizer are on the first device.
    pub lanes: &'a Lanes,
    /// What its phases have in memory.
    pub phases: &'a Phases,
    /// What a forward pass keeps for its backward pass.
    pub keep: Keep,
}

/// Numbers of the optimizer steps of one rollout, each a mean over them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Report {
    /// The loss.
    pub loss: f64,
    /// Share of tokens that the objective's bounds act on.
    pub clipped: f64,
    /// KL to the reference per token; 0 where the loss has none.
    pub kl: f64,
    /// Entropy per token, in nats.
    pub entropy: f64,
    /// Weight of the entropy bonus.
    pub entropy_coef: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Optimizer steps left out because their loss or gradient was not finite.
    pub not_finite: usize,
    /// Optimizer steps that took place.
    pub taken: usize,
    /// How far the tokens are from the model that sampled them; of no token where none had moved.
    pub ratios: Ratios,
}

/// A sample with what forward passes said of it.
struct Prepared<'a> {
    sample: &'a Chosen<'a>,
    old: Option<Vec<f32>>,
    reference: Option<Vec<f32>>,
}

impl Updater<'_> {
    /// Runs the optimizer steps of rollout `step` at learning rate `lr` on at least one sample.
    pub fn run(&self, step: usize, lr: f64, mut learner: Learner, samples: &[Chosen<'_>]) -> (Learner, Report) {
        let reference = self.reference.filter(|_| self.params.kl.place == Place::Loss);
        let reference = reference.map(|model| self.logprobs(model, samples));
        let (updates, epochs) = (self.params.updates.min(samples.len()), self.params.epochs);
        let moves = updates * epochs > 1 || samples.iter().any(|sample| sample.old.is_some());
        let unknown = samples.iter().any(|sample| sample.old.is_none());
        let view = || self.lanes.copies(self.params.precision.view(&learner.model));
        let old = (moves && unknown).then(|| self.logprobs(&view(), samples));
        let prepared: Vec<Prepared<'_>> = samples
            .iter()
            .enumerate()
            .map(|(i, sample)| Prepared {
                sample,
                old: sample.old.clone().or_else(|| old.as_ref().map(|rows| rows[i].clone())),
                reference: reference.as_ref().map(|rows| rows[i].clone()),
            })
            .collect();

        let mut reports = Vec::new();
        for epoch in 0..epochs {
            let mut order: Vec<&Prepared<'_>> = prepared.iter().collect();
            if updates > 1 {
                order.shuffle(&mut stream(self.seed, Purpose::Shuffle, &[step as u64, epoch as u64]));
            }
            for (update, batch) in order.chunks(samples.len().div_ceil(updates)).enumerate() {
                let report;
                let optimize = || self.optimize([step, epoch, update], lr, learner, batch.to_vec());
                (learner, report) = self.phases.during(Phase::Update, optimize);
                reports.push(report);
            }
        }
        (learner, Report::mean(&reports))
    }

    /// One optimizer step; `place` is its rollout, pass and number.
    fn optimize(
        &self,
        place: [usize; 3],
        lr: f64,
        mut learner: Learner,
        batch: Vec<&Prepared<'_>>,
    ) -> (Learner, Report) {
        let Params { epochs, updates, entropy, .. } = self.params;
        let [step, epoch, update] = place;
        let terms = self.params.terms(learner.entropy.coef(entropy, (step * epochs + epoch) * updates + update));
        let view = self.lanes.copies(self.params.precision.view(&learner.model));
        let (gradients, told) = self.gradients(place, &view, batch, &terms);
        drop(view);
        let (gradients, norm, told) = global_norm(gradients, told, self.params.max_grad_norm);
        let mut report = Report::told(&told);
        (report.grad_norm, report.entropy_coef, report.taken) = (norm, terms.entropy_coef, 1);
        if !norm.is_finite() || !report.loss.is_finite() {
            return (learner, Report { not_finite: 1, ..Report::default() });
        }
        learner.entropy.observe(&self.params.entropy, report.entropy);
        learner.model = learner.optimizer.step(learner.model, gradients, lr);
        (learner, report)
    }

    /// Gradients and numbers of an optimizer step's samples, however they are cut into micro-batches.
    fn gradients(
        &self,
        place: [usize; 3],
        model: &Copies<Qwen2_5Vl>,
        mut batch: Vec<&Prepared<'_>>,
        terms: &Terms,
    ) -> (Gradients, Told) {
        batch.sort_by_key(|prepared| prepared.sample.sequence.ids.len());
        let lengths: Vec<usize> = batch.iter().map(|prepared| prepared.sample.tokens).collect();
        let weights = token_weights(self.params.mean, &lengths, self.params.max_new_tokens);
        let share = 1.0 / lengths.iter().sum::<usize>().max(1) as f64;
        let size = self.params.micro_batch;
        let jobs = batch.chunks(size).zip(weights.chunks(size)).enumerate();
        let [step, epoch, update] = place.map(|number| number as u64);
        let work = |seat: Seat<'_>, (index, (micro, weights)): (usize, (&[&Prepared<'_>], &[f32]))| {
            let noise = Noise::new(self.seed, &[step, epoch, update, index as u64]);
            let model = model.at(seat).clone().with_noise(Some(noise));
            self.backward((&model, seat.device), micro, weights, share, terms)
        };
        self.lanes.sum(jobs, work).unwrap_or_default()
    }

    /// Gradients and numbers of a micro-batch.
    fn backward(
        &self,
        (model, device): (&Qwen2_5Vl, &Device),
        micro: &[&Prepared<'_>],
        weights: &[f32],
        share: f64,
        terms: &Terms,
    ) -> (Gradients, Told) {
        let sequences: Vec<&Encoded> = micro.iter().map(|prepared| prepared.sample.sequence).collect();
        let (batch, positions) = self.batch(&sequences, device);
        let tensor = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::from(&values[..]), device);
        let repeated = |value: &dyn Fn(usize) -> f32| {
            let each = micro.iter().enumerate();
            tensor(each.flat_map(|(i, prepared)| vec![value(i); prepared.sample.tokens]).collect())
        };
        let joined = |rows: &dyn Fn(&Prepared<'_>) -> Option<Vec<f32>>| {
            let rows: Option<Vec<_>> = micro.iter().map(|prepared| rows(prepared)).collect();
            rows.map(|rows| tensor(rows.concat()))
        };
        let learned = terms.entropy_coef != 0.0 && terms.entropy == EntropyKind::Full;
        let pass = Pass {
            model,
            freeze: &self.params.freeze,
            batch: &batch,
            positions: &positions,
            temperature: self.params.temperature,
            entropies: if learned { Entropies::Learned } else { Entropies::Measured },
            keep: self.keep,
        };
        let (raw, told) = pass.run(|Scores { logp_n, entropy_n }| {
            let tokens = Tokens {
                logp_n,
                entropy_n,
                old_n: joined(&|prepared| prepared.old.clone()),
                reference_n: joined(&|prepared| prepared.reference.clone()),
                advantage_n: repeated(&|i| micro[i].sample.advantage),
                weight_n: repeated(&|i| weights[i]),
                lengths: micro.iter().map(|prepared| prepared.sample.tokens).collect(),
                share,
            };
            let Loss { loss, clipped, kl, entropy, ratios_3n } = tokens.loss(terms);
            let kl = kl.unwrap_or_else(|| clipped.zeros_like());
            let values = [loss.clone().detach(), clipped, kl, entropy].into_iter();
            let values = values.chain(ratios_3n.map(|ratios_3n| ratios_3n.flatten(0, 1)));
            (loss, Told::from(Tensor::cat(values.collect(), 0)))
        });
        (Gradients::take(model, raw), told)
    }

    /// Log-probabilities of the completions under plain models, on the host, in the order of the samples; a phase of its own.
    pub fn logprobs_of(&self, model: &Copies<Qwen2_5Vl>, sequences: &[&Encoded]) -> Vec<Vec<f32>> {
        let work = |seat: Seat<'_>, micro: &[&Encoded]| {
            let (model, (batch, positions)) = (model.at(seat), self.batch(micro, seat.device));
            let states_nd = positions.states(model.hidden(&batch).flatten(0, 1));
            let head = |h_nd| tempered(model.logits_of(h_nd), self.params.temperature);
            let logp_n = positions.logprobs(&states_nd, model.text().vocabulary(), head);
            (Told::from(logp_n).to_device(self.lanes.first().device), positions.per_row().to_vec())
        };
        let pass = || {
            let micros = self.lanes.map(sequences.chunks(self.params.micro_batch), work);
            let (told, counts): (Vec<Told>, Vec<Vec<usize>>) = micros.into_iter().unzip();
            (told.into_iter().fold(Told::default(), Told::plus).read().concat(), counts.concat())
        };
        let (values, counts) = self.phases.during(Phase::LogProbs, pass);
        let mut rest = values.as_slice();
        let mut take = |count| {
            let (row, after) = rest.split_at(count);
            rest = after;
            row.to_vec()
        };
        counts.into_iter().map(&mut take).collect()
    }

    fn logprobs(&self, model: &Copies<Qwen2_5Vl>, samples: &[Chosen<'_>]) -> Vec<Vec<f32>> {
        self.logprobs_of(model, &samples.iter().map(|sample| sample.sequence).collect::<Vec<_>>())
    }

    /// Sequences as a batch, and where the completions' tokens are in it.
    fn batch(&self, sequences: &[&Encoded], device: &Device) -> (Batch, Positions) {
        let batch = Batch::new(sequences, Padding::Right, self.pad, self.config, device);
        let rows = sequences.iter().map(|sequence| (&sequence.ids[..], &sequence.target[..], 0));
        let positions = Positions::new(batch.width, rows);
        (batch, positions)
    }
}

impl Report {
    /// Of what the micro-batches of an optimizer step told: loss, clipped share, KL and entropy, then the ratios' tokens.
    fn told(micros: &[Vec<f32>]) -> Self {
        let of = |values: &Vec<f32>| {
            let (numbers, ratios) = values.split_at(4);
            let [loss, clipped, kl, entropy] = [0, 1, 2, 3].map(|at| f64::from(numbers[at]));
            Self { loss, clipped, kl, entropy, ratios: Ratios::of(ratios), ..Self::default() }
        };
        micros.iter().map(of).fold(Self::default(), Self::plus)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            loss: self.loss + other.loss,
            clipped: self.clipped + other.clipped,
            kl: self.kl + other.kl,
            entropy: self.entropy + other.entropy,
            entropy_coef: self.entropy_coef + other.entropy_coef,
            grad_norm: self.grad_norm + other.grad_norm,
            not_finite: self.not_finite + other.not_finite,
            taken: self.taken + other.taken,
            ratios: self.ratios.plus(other.ratios),
        }
    }

    /// Over the optimizer steps that took place; how many did and did not are no means, and ratios are over all tokens.
    fn mean(reports: &[Self]) -> Self {
        let sum = reports.iter().copied().fold(Self::default(), Self::plus);
        let count = sum.taken.max(1) as f64;
        Self {
            loss: sum.loss / count,
            clipped: sum.clipped / count,
            kl: sum.kl / count,
            entropy: sum.entropy / count,
            entropy_coef: sum.entropy_coef / count,
            grad_norm: sum.grad_norm / count,
            not_finite: sum.not_finite,
            taken: sum.taken,
            ratios: sum.ratios,
        }
    }
}

#[cfg(test)]
mod tests;
