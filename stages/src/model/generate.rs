//! Prompts → completions: one prefill, then a token per row and step from the cache.
//!
//! Equal prompts (a group of rollouts) are read once. Finished rows leave the batch as soon as at least half of it is
//! finished. What a row gets depends on its prompt and its seed, not on its neighbours. Knows nothing of text and rewards.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use curricle_datasets::Encoded;
use rand_chacha::ChaCha8Rng;

use super::attention::HIDDEN;
use super::batch::{Batch, Padding};
use super::cache::KvCache;
use super::config::ModelConfig;
use super::rope::{Rotary, text_angles};
use super::sampling::{Sampling, stream};
use super::text::Context;
use super::vlm::Qwen2_5Vl;

/// What a model wrote after one prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// The new tokens, with the one that stopped.
    pub ids: Vec<u32>,
    /// Whether a stop token ended it, rather than the limit.
    pub finished: bool,
}

/// One row that is still written.
struct Row {
    /// Its place among the completions.
    index: usize,
    rng: ChaCha8Rng,
    last: u32,
    done: bool,
    /// What the row holds so far, where repetition counts; else empty.
    held: BTreeSet<u32>,
}

/// State between two steps; all lists run over the rows of the cache.
struct Decoder<'a> {
    model: &'a Qwen2_5Vl,
    config: &'a ModelConfig,
    device: &'a Device,
    cache: KvCache,
    rows: Vec<Row>,
    /// Position of a token minus its column.
    deltas: Vec<i64>,
    /// Hides the padding before the prompts, `[B, 1, columns]`; none where there is no padding.
    bias: Option<Tensor<3>>,
}

/// Completes `prompts[i]` with draws from `seeds[i]`.
///
/// The model must be a plain one (`valid()`), or every step's operations are kept for a backward pass that never comes.
///
/// # Panics
/// Where there are not as many seeds as prompts, or where a prompt's pad tokens don't match its images.
pub fn generate(
    model: &Qwen2_5Vl,
    config: &ModelConfig,
    prompts: &[&Encoded],
    sampling: &Sampling,
    seeds: &[u64],
    device: &Device,
) -> Vec<Completion> {
    generate_with(model, config, prompts, sampling, seeds, device, &mut |_, _| ControlFlow::Continue(()))
}

/// As [`generate`], telling `seen` every token as it is chosen, with the place of its prompt; `Break` ends all rows there.
///
/// # Panics
/// As [`generate`].
pub fn generate_with(
    model: &Qwen2_5Vl,
    config: &ModelConfig,
    prompts: &[&Encoded],
    sampling: &Sampling,
    seeds: &[u64],
    device: &Device,
    seen: &mut dyn FnMut(usize, u32) -> ControlFlow<()>,
) -> Vec<Completion> {
    assert_eq!(prompts.len(), seeds.len(), "one seed per prompt");
    let mut completions = vec![Completion::default(); prompts.len()];
    if prompts.is_empty() || sampling.max_new_tokens == 0 {
        return completions;
    }
    let (unique, which) = distinct(prompts);
    let batch = Batch::new(&unique, Padding::Left, config.tokens.pad.unwrap_or(0), config, device);
    let capacity = batch.width + sampling.max_new_tokens;
    let mut cache = KvCache::new(&config.text, batch.rows, capacity, device);
    let h_btd = model.hidden_cached(&batch, Some(&mut cache));
    let [b, t, d] = h_btd.dims();
    let logits_bv = model.logits_of(h_btd.narrow(1, t - 1, 1).reshape([b, d]));
    let scores = host(logits_bv);
    let width = scores.len() / b;

    let repeated = indices(&which, device);
    let cache = if which.len() == b { cache } else { cache.select(&repeated) };
    let bias = decode_bias(&batch, capacity, device).map(|bias| bias.select(0, repeated));
    let mut scores: Vec<f32> = which.iter().flat_map(|&u| &scores[u * width..(u + 1) * width]).copied().collect();
    let penalty = (sampling.repetition_penalty - 1.0).abs() > f32::EPSILON;
    let row = |(index, &seed): (usize, &u64)| {
        let held = if penalty { prompts[index].ids.iter().copied().collect() } else { BTreeSet::new() };
        Row { index, rng: stream(seed), last: 0, done: false, held }
    };
    let mut decoder = Decoder {
        model,
        config,
        device,
        cache,
        rows: seeds.iter().enumerate().map(row).collect(),
        deltas: which.iter().map(|&u| batch.deltas[u] - batch.start(u) as i64).collect(),
        bias,
    };
    for step in 1..=sampling.max_new_tokens {
        for (row, scores) in decoder.rows.iter_mut().zip(scores.chunks_exact_mut(width)).filter(|(row, _)| !row.done) {
            let completion = &mut completions[row.index];
            sampling.penalise(scores, &row.held);
            let Some(id) = sampling.choose(scores, &mut row.rng) else {
                row.done = true;
                continue;
            };
            completion.ids.push(id);
            completion.finished = sampling.stop.contains(&id);
            (row.last, row.done) = (id, completion.finished);
            if penalty {
                row.held.insert(id);
            }
            if seen(row.index, id).is_break() {
                return completions;
            }
        }
        if step == sampling.max_new_tokens || decoder.rows.iter().all(|row| row.done) {
            break;
        }
        decoder = decoder.compact();
        scores = decoder.step();
    }
    completions
}

impl Decoder<'_> {
    /// Reads every row's last token and scores the next one.
    fn step(&mut self) -> Vec<f32> {
        let (rows, column, text) = (self.rows.len(), self.cache.len(), &self.config.text);
        let ids: Vec<i32> = self.rows.iter().map(|row| row.last as i32).collect();
        let positions: Vec<_> = self.deltas.iter().map(|delta| [column as i64 + delta; 3]).collect();
        let angles = text_angles(&positions, text.mrope_section, text.rope_theta);
        let rotary = Rotary::new(&angles, text.head_dim() / 2, self.device);
        let bias = self.bias.as_ref().map(|bias| bias.clone().narrow(2, 0, column + 1));
        let ids_bt = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, 1]), self.device);
        let context = Context { rows, rotary: &rotary, bias: bias.as_ref(), learning: false };
        let h_bd = self.model.text().forward(self.model.text().embed(ids_bt), context, Some(&mut self.cache));
        host(self.model.logits_of(h_bd))
    }

    /// Drops the finished rows, if they are at least half: then the copy of the cache pays.
    fn compact(self) -> Self {
        let kept: Vec<usize> = (0..self.rows.len()).filter(|&i| !self.rows[i].done).collect();
        if kept.len() * 2 > self.rows.len() {
            return self;
        }
        let rows = indices(&kept, self.device);
        Self {
            cache: self.cache.select(&rows),
            deltas: kept.iter().map(|&i| self.deltas[i]).collect(),
            bias: self.bias.map(|bias| bias.select(0, rows)),
            rows: self.rows.into_iter().filter(|row| !row.done).collect(),
            ..self
        }
    }
}

/// The different prompts, and which of them each prompt is.
fn distinct<'a>(prompts: &[&'a Encoded]) -> (Vec<&'a Encoded>, Vec<usize>) {
    let mut unique: Vec<&Encoded> = Vec::new();
    let which = prompts.iter().map(|prompt| {
        unique.iter().position(|other| same(other, prompt)).unwrap_or_else(|| {
            unique.push(prompt);
            unique.len() - 1
        })
    });
    let which = which.collect();
    (unique, which)
}

/// Whether two prompts are one: equal ids, and the very same images.
fn same(a: &Encoded, b: &Encoded) -> bool {
    std::ptr::eq(a, b)
        || (a.ids == b.ids
            && a.images.len() == b.images.len()
            && a.images.iter().zip(&b.images).all(|(a, b)| Arc::ptr_eq(a, b)))
}

/// What a new token may not see, `[B, 1, capacity]`.
fn decode_bias(batch: &Batch, capacity: usize, device: &Device) -> Option<Tensor<3>> {
    if batch.real.iter().all(|&real| real) {
        return None;
    }
    let row = |real: &[bool]| {
        let hidden = real.iter().map(|&real| if real { 0.0 } else { HIDDEN });
        hidden.chain(std::iter::repeat_n(0.0, capacity - batch.width)).collect::<Vec<f32>>()
    };
    let values: Vec<f32> = batch.real.chunks_exact(batch.width).flat_map(row).collect();
    Some(Tensor::from_data(TensorData::new(values, [batch.rows, 1, capacity]), device))
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    Tensor::from_data(TensorData::new(rows.clone(), [rows.len()]), device)
}

fn host(logits_bv: Tensor<2>) -> Vec<f32> {
    logits_bv.into_data_as::<f32>().iter::<f32>().collect()
}

#[cfg(test)]
mod tests;
