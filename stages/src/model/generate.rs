//! Prompts → completions: prefill, then a token per row and step from the cache.
//!
//! Only so many rows are written at a time; the others wait. Equal prompts (a group of rollouts) are read once, and stay
//! together. As soon as a quarter of the rows is finished they leave, and waiting prompts take their place (continuous
//! batching; Yu et al. 2022, Orca §3). All rows share the current column of the cache: a row that comes in is put so that
//! it ends there, and a mask hides what stands before it. What a row gets depends on its prompt and its seed, not on its
//! neighbours. Knows nothing of text and rewards.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use curricle_datasets::Encoded;
use curricle_kernels::attention::Sight;
use rand_chacha::ChaCha8Rng;

use super::batch::{Batch, Padding};
use super::cache::KvCache;
use super::config::ModelConfig;
use super::rope::{Rotary, text_angles};
use super::sampling::{Sampling, stream};
use super::seen::Seen;
use super::text::Context;
use super::vlm::{Head, Qwen2_5Vl};

/// What a model wrote after one prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// The new tokens, with the one that stopped.
    pub ids: Vec<u32>,
    /// Whether a stop token ended it, rather than the limit.
    pub finished: bool,
}

/// What is to be completed, and how.
#[derive(Debug, Clone, Copy)]
pub struct Queue<'a> {
    /// The prompts, in the order in which they are taken.
    pub prompts: &'a [&'a Encoded],
    /// The seed of each prompt's draws.
    pub seeds: &'a [u64],
    /// How tokens are chosen.
    pub sampling: &'a Sampling,
    /// Rows that are written at the same time.
    pub slots: usize,
}

/// One row that is still written.
struct Row {
    /// Its place among the completions.
    index: usize,
    rng: ChaCha8Rng,
    last: u32,
    done: bool,
    /// Its first column of the cache.
    start: usize,
    /// Position of a token minus its column.
    delta: i64,
    /// What the row holds so far, where repetition counts; else empty.
    held: BTreeSet<u32>,
}

/// State between two steps.
struct Decoder<'a> {
    model: &'a Qwen2_5Vl,
    head: Head,
    config: &'a ModelConfig,
    device: &'a Device,
    queue: Queue<'a>,
    /// The first prompt that waits.
    next: usize,
    /// The rows of the cache.
    rows: Vec<Row>,
    cache: Option<KvCache>,
    completions: Vec<Completion>,
}

/// Completes `prompts[i]` with draws from `seeds[i]`, all at the same time.
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
    let queue = Queue { prompts, seeds, sampling, slots: prompts.len() };
    generate_with(model, config, queue, device, &mut |_, _| ControlFlow::Continue(()))
}

/// As [`generate`] for any number of prompts, telling `seen` every token as it is chosen, with the place of its prompt;
/// `Break` ends all rows there.
///
/// # Panics
/// As [`generate`], and where prompts wait for no slots.
pub fn generate_with(
    model: &Qwen2_5Vl,
    config: &ModelConfig,
    queue: Queue<'_>,
    device: &Device,
    seen: &mut dyn FnMut(usize, u32) -> ControlFlow<()>,
) -> Vec<Completion> {
    assert_eq!(queue.prompts.len(), queue.seeds.len(), "one seed per prompt");
    assert!(queue.slots > 0 || queue.prompts.is_empty(), "prompts wait for no slots");
    let completions = vec![Completion::default(); queue.prompts.len()];
    let mut decoder = Decoder {
        model,
        head: model.wide_head(queue.slots.min(queue.prompts.len())),
        config,
        device,
        queue,
        next: 0,
        rows: Vec::new(),
        cache: None,
        completions,
    };
    if queue.sampling.max_new_tokens > 0 {
        // A caller who has seen enough ends the rows, not the completions so far.
        let _ = decoder.run(seen);
    }
    decoder.completions
}

impl Decoder<'_> {
    fn run(&mut self, seen: &mut dyn FnMut(usize, u32) -> ControlFlow<()>) -> ControlFlow<()> {
        loop {
            let done = self.rows.iter().filter(|row| row.done).count();
            if done * 4 >= self.rows.len() {
                let free = self.queue.slots - (self.rows.len() - done);
                let fresh = self.admitted(free);
                if done == self.rows.len() && fresh == 0 {
                    return ControlFlow::Continue(());
                }
                if done > 0 || fresh > 0 {
                    self.turn_over(fresh, seen)?;
                    continue;
                }
            }
            let mut scores = self.step();
            let width = scores.len() / self.rows.len();
            let Self { rows, completions, queue, .. } = self;
            for (row, scores) in rows.iter_mut().zip(scores.chunks_exact_mut(width)).filter(|(row, _)| !row.done) {
                row.choose(scores, queue.sampling, &mut completions[row.index], seen)?;
            }
        }
    }

    /// How many waiting prompts come in: as many as fit without parting equal ones, unless those alone are too many.
    fn admitted(&self, free: usize) -> usize {
        let waiting = &self.queue.prompts[self.next..];
        let fit = free.min(waiting.len());
        let parted = |at: usize| at > 0 && at < waiting.len() && same(waiting[at - 1], waiting[at]);
        let whole = (0..=fit).rev().find(|&at| !parted(at)).unwrap_or(0);
        if whole == 0 && free == self.queue.slots { fit } else { whole }
    }

    /// Drops the finished rows, and reads the next `fresh` prompts into their places.
    fn turn_over(&mut self, fresh: usize, seen: &mut dyn FnMut(usize, u32) -> ControlFlow<()>) -> ControlFlow<()> {
        let kept: Vec<usize> = (0..self.rows.len()).filter(|&row| !self.rows[row].done).collect();
        self.rows.retain(|row| !row.done);
        let column = self.cache.as_ref().map_or(0, KvCache::len);
        let mut length = self.rows.iter().map(|row| column - row.start).max().unwrap_or(0);
        let mut parts: Vec<_> = self
            .cache
            .take()
            .filter(|_| !kept.is_empty())
            .map(|cache| (cache, indices(&kept, self.device)))
            .into_iter()
            .collect();
        let mut came = Vec::new();
        if fresh > 0 {
            let (cache, which, rows) = self.prefill(self.next..self.next + fresh, seen)?;
            self.next += fresh;
            length = length.max(cache.len());
            for row in rows {
                // Its columns counted from the end of its prompt: the end is what moves.
                came.push(moved(row, cache.len(), length));
            }
            parts.push((cache, which));
        }
        for row in std::mem::take(&mut self.rows) {
            self.rows.push(moved(row, column, length));
        }
        self.rows.extend(came);
        let left = |row: &Row| self.queue.sampling.max_new_tokens - self.completions[row.index].ids.len();
        let capacity = length + self.rows.iter().map(left).max().unwrap_or(0);
        self.cache = (!parts.is_empty()).then(|| KvCache::stack(parts, length, capacity));
        ControlFlow::Continue(())
    }

    /// Reads prompts, each different one once, and chooses the first token after each: their cache, which of its rows each
    /// prompt is, and the prompts' rows in its columns.
    fn prefill(
        &mut self,
        places: std::ops::Range<usize>,
        seen: &mut dyn FnMut(usize, u32) -> ControlFlow<()>,
    ) -> ControlFlow<(), (KvCache, Tensor<1, Int>, Vec<Row>)> {
        let Self { model, config, device, queue, .. } = *self;
        let (unique, which) = distinct(&queue.prompts[places.clone()]);
        let batch = Batch::new(&unique, Padding::Left, config.tokens.pad.unwrap_or(0), config, device);
        let mut cache = KvCache::new(&config.text, batch.rows, batch.width, device, model.dtype());
        let h_btd = model.hidden_cached(&batch, Some(&mut cache));
        let [b, t, d] = h_btd.dims();
        let scores = host(self.head.logits(h_btd.narrow(1, t - 1, 1).reshape([b, d])));
        let width = scores.len() / b;
        let penalty = (queue.sampling.repetition_penalty - 1.0).abs() > f32::EPSILON;
        let mut rows = Vec::with_capacity(which.len());
        for (index, &prompt) in places.zip(&which) {
            let start = batch.start(prompt);
            let mut row = Row {
                index,
                rng: stream(queue.seeds[index]),
                last: 0,
                done: false,
                start,
                delta: batch.deltas[prompt] - start as i64,
                held: if penalty { queue.prompts[index].ids.iter().copied().collect() } else { BTreeSet::new() },
            };
            let mut scores = scores[prompt * width..(prompt + 1) * width].to_vec();
            row.choose(&mut scores, queue.sampling, &mut self.completions[index], seen)?;
            rows.push(row);
        }
        ControlFlow::Continue((cache, indices(&which, device), rows))
    }

    /// Reads every row's last token and scores the next one.
    fn step(&mut self) -> Vec<f32> {
        let (rows, text) = (self.rows.len(), &self.config.text);
        let column = self.cache.as_ref().map_or(0, KvCache::len);
        let ids: Vec<i32> = self.rows.iter().map(|row| row.last as i32).collect();
        let positions: Vec<_> = self.rows.iter().map(|row| [column as i64 + row.delta; 3]).collect();
        let angles = text_angles(&positions, text.mrope_section, text.rope_theta);
        let rotary = Rotary::new(&angles, text.head_dim() / 2, self.device);
        let padded = self.rows.iter().any(|row| row.start > 0);
        let from = if padded { self.rows.iter().map(|row| row.start).collect() } else { vec![] };
        let seen = Seen::from(Sight { causal: true, from, upto: vec![] });
        let ids_bt = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, 1]), self.device);
        let context = Context { rows, rotary: &rotary, seen: &seen, learning: false };
        let h_bd = self.model.text().forward(self.model.text().embed(ids_bt), context, self.cache.as_mut());
        host(self.head.logits(h_bd))
    }
}

impl Row {
    /// Chooses the row's next token.
    fn choose(
        &mut self,
        scores: &mut [f32],
        sampling: &Sampling,
        completion: &mut Completion,
        seen: &mut dyn FnMut(usize, u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        sampling.penalise(scores, &self.held);
        let Some(id) = sampling.choose(scores, &mut self.rng) else {
            self.done = true;
            return ControlFlow::Continue(());
        };
        completion.ids.push(id);
        completion.finished = sampling.stop.contains(&id);
        self.last = id;
        self.done = completion.finished || completion.ids.len() == sampling.max_new_tokens;
        if !self.held.is_empty() {
            self.held.insert(id);
        }
        seen(self.index, id)
    }
}

/// A row whose last column was before `from`, and is before `to` now.
fn moved(mut row: Row, from: usize, to: usize) -> Row {
    row.start = row.start + to - from;
    row.delta += from as i64 - to as i64;
    row
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

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    Tensor::from_data(TensorData::new(rows.clone(), [rows.len()]), device)
}

fn host(logits_bv: Tensor<2>) -> Vec<f32> {
    logits_bv.into_data_as::<f32>().iter::<f32>().collect()
}

#[cfg(test)]
mod tests;
