//! A model, what learns of it and a micro-batch → bytes in memory and on disk of a training stage, phase by phase. Refuses to
//! know where the rows come from.
//!
//! ```text
//! weights      4 a parameter; in bfloat16 4 for what learns, 2 for the rest, and 2 more for the view of what learns
//! gradients    4 a parameter that rows reach: the sum so far, and one set for each lane that is behind its backward pass
//! optimizer    8 a parameter that rows reach: two moments; not yet there in the first backward pass
//! logits       4 · chosen tokens · V · copies, of at most 2²⁶ chosen tokens · V at a time; and a gradient of the table
//! ```
//!
//! On a CPU there are as many lanes as threads, each with a micro-batch of its own; on a GPU there is one. In a lane what the
//! forward pass kept goes as gradients come, so that the larger of both counts.

use curricle_engine::stage::{Facts, Length, Memory, Phase};

use super::activations::{self, Form, Micro};
use super::learning::Learning;
use super::sizes::Sizes;
use super::{WIDE, whole};
use crate::train::freeze::Part;
use crate::train::precision::Precision;

/// Most logits in memory at a time; see [`crate::train::logprob`].
const LOGITS: f64 = (1_u64 << 26) as f64;
/// Checkpoints that are kept, and the one that is being written.
const CHECKPOINTS: u64 = 2 + 1;

/// What a training stage holds.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// Its model.
    pub sizes: &'a Sizes,
    /// What learns of it.
    pub learning: &'a Learning<'a>,
    /// Format of weights and activations.
    pub precision: Precision,
    /// Its largest micro-batch.
    pub micro: Micro,
    /// How long the rows are whose micro-batches run beside it: those of a step are cut by length.
    pub lengths: Length,
    /// Tokens of it that are scored.
    pub scored: f64,
    /// Are entropies of the scores differentiated?
    pub entropies: bool,
    /// Micro-batches of an optimizer step.
    pub micros: f64,
    /// Optimizer steps.
    pub steps: f64,
    /// Bytes of other models.
    pub reference: u64,
    /// Bytes of everything else.
    pub other: u64,
}

/// Tensors as large as the scores that are there at a time in the head's backward pass. On a CPU, in float32 whatever the layers
/// compute in (`crate::fused`): the scores and their gradient. On a GPU, out of Burn's operators: the shifted scores, their gradient
/// from the chosen tokens, that through the sum, exp of the scores, and the product of the last two; and two more where entropies
/// are differentiated.
fn copies(gpu: bool, entropies: bool) -> f64 {
    match (gpu, entropies) {
        (false, _) => 2.0,
        (true, false) => 5.0,
        (true, true) => 7.0,
    }
}

impl Training<'_> {
    /// Bytes of the weights, as they are held, and of a view to compute with.
    pub fn weights(&self) -> (u64, u64) {
        let trained = self.learning.trained(self.sizes);
        let all = self.sizes.parameters() + self.adapters();
        match self.precision {
            Precision::F32 => (WIDE * all, 0),
            Precision::Bf16 => (WIDE * trained + 2 * (all - trained.min(all)), 2 * trained),
        }
    }

    /// Parameters of the adapter.
    pub fn adapters(&self) -> u64 {
        if self.learning.adapters() { self.learning.trained(self.sizes) } else { 0 }
    }

    /// Bytes of the moments.
    pub fn moments(&self) -> u64 {
        2 * WIDE * self.learning.reached(self.sizes)
    }

    /// Lanes that work on an optimizer step at the same time.
    pub fn lanes(&self, facts: &Facts<'_>) -> f64 {
        if facts.gpu { 1.0 } else { (facts.threads as f64).min(self.micros).max(1.0) }
    }

    /// The backward pass, and the optimizer's step after it.
    pub fn phases(&self, facts: &Facts<'_>) -> Vec<Phase> {
        let Self { sizes, learning, micro, .. } = self;
        let (lanes, form) = (self.lanes(facts), Form::of(self.precision, facts.gpu));
        let gradients = WIDE * learning.reached(sizes);
        let checkpointing = facts.runtime.gradient_checkpointing;
        // Micro-batches of a step are ordered by length: beside the longest runs the next to it.
        let beside = |lane: f64| self.lengths.quantile((self.micros - lane) / self.micros).min(micro.width);
        let widths: Vec<f64> =
            (0..lanes as usize).map(|lane| if lane == 0 { micro.width } else { beside(lane as f64) }).collect();
        let kept = widths.iter().map(|width| {
            activations::learning(sizes, &Micro { width: *width, ..*micro }, learning, form, checkpointing)
        });
        let kept: f64 = kept.sum();
        let logits: f64 = widths.iter().map(|width| self.logits(facts.gpu, self.scored * width / micro.width)).sum();
        let sum = if self.micros > 1.0 { gradients } else { 0 };
        let (held, view) = self.weights();
        let moments = if self.steps > 1.0 { self.moments() } else { 0 };
        let common = Memory {
            weights: held + view + self.reference,
            optimizer: moments,
            gradients: sum,
            other: self.other,
            ..Memory::default()
        };
        let forward = Memory { activations: whole(kept), logits: whole(logits), ..common };
        let behind = Memory { gradients: sum + whole(lanes * gradients as f64), ..common };
        let backward = if forward.total() >= behind.total() { forward } else { behind };
        let update = Memory {
            weights: held + self.reference,
            gradients,
            optimizer: self.moments(),
            // What AdamW computes of the largest parameter; on a CPU it is one pass, in place.
            activations: if facts.gpu { 3 * WIDE * self.largest() } else { 0 },
            other: self.other,
            ..Memory::default()
        };
        [("backward", backward), ("update", update)]
            .map(|(name, memory)| Phase { name: name.to_owned(), memory })
            .into()
    }

    /// Bytes of the scores of so many tokens in a lane, and of the gradient of the table that they are products with.
    fn logits(&self, gpu: bool, scored: f64) -> f64 {
        let table = self.sizes.table() as f64;
        let part = if self.sizes.tied { Part::Embed } else { Part::Head };
        let scores = (scored * self.sizes.vocabulary as f64).min(LOGITS) * WIDE as f64 * copies(gpu, self.entropies);
        let gradient = if self.learning.weights(part) { table * WIDE as f64 } else { 0.0 };
        // In bfloat16 the table is made wide for the product.
        let wide = if self.precision == Precision::Bf16 { table * WIDE as f64 } else { 0.0 };
        scores + gradient + wide
    }

    /// Parameters of the largest tensor that learns.
    fn largest(&self) -> u64 {
        let sizes = self.sizes;
        let of = |part, size| if self.learning.weights(part) { size } else { 0 };
        let merged = 4 * sizes.vision.hidden;
        of(Part::Embed, sizes.table())
            .max(of(Part::Head, if sizes.tied { 0 } else { sizes.table() }))
            .max(of(Part::Text, sizes.hidden * sizes.inner))
            .max(of(Part::Merger, merged * merged.max(sizes.hidden)))
    }

    /// Bytes of the result: of the model and of each other state that is kept, every weight, and an adapter beside it, in float32;
    /// and the moments, if they are kept too.
    pub fn output_bytes(&self, kept: usize, save_optimizer: bool) -> u64 {
        let moments = if save_optimizer { self.moments() } else { 0 };
        (1 + kept as u64) * WIDE * (self.sizes.parameters() + self.adapters()) + moments
    }

    /// Bytes in the work folder of a stage: checkpoints, of what learns and its moments, none where it ends before the first;
    /// and what learns in each of so many kept states, of which the best may be there for every checkpoint, too.
    pub fn checkpoint_bytes(&self, facts: &Facts<'_>, steps: f64, kept: (usize, bool)) -> u64 {
        let every = facts.runtime.checkpoint_every as f64;
        let learns = WIDE * self.learning.trained(self.sizes);
        let written =
            if every == 0.0 || steps <= every { 0 } else { (steps / every).floor().min(CHECKPOINTS as f64) as u64 };
        let (states, best) = kept;
        let older = if best { written } else { 0 };
        written * (learns + self.moments()) + (states as u64 + older) * learns
    }
}
