//! Prompts → completions: prefill, then a token per row and step from the cache.
//!
//! Only so many rows are written at a time; the others wait. Equal prompts (a group of rollouts) are read once, and stay
//! together. As soon as a quarter of the rows is finished they leave, and waiting prompts take their place (continuous
//! batching; Yu et al. 2022, Orca §3). All rows share the current column of the cache: a row that comes in is put so that
//! it ends there, and a mask hides what stands before it. What a row gets depends on its prompt and its seed, not on its
//! neighbours. Knows nothing of text and rewards.
//!
//! A device that is no CPU is spared what it is slow at ([`Manner`]): tokens are chosen there, and sizes are few, so
//! finished rows stay until half of the rows can go or others come in, and attention walks over hidden columns behind the
//! current one.
//!
//! A step is not recorded as a CUDA graph: the column that it writes is an argument of a kernel, which a recording would
//! freeze; it would have to be read from a tensor, and a replay is sound only while every buffer that it touched, cache
//! included, stays where it is and nobody else's, which no type here can promise.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use curricle_datasets::Encoded;
use curricle_kernels::attention::Sight;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::batch::{Batch, Padding};
use super::cache::KvCache;
use super::choose::Chooser;
use super::config::ModelConfig;
use super::rope::{Rotary, text_angles};
use super::sampling::{Sampling, stream};
use super::seen::Seen;
use super::sizes::Sizes;
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

/// How a device is served; the tokens are the same but for rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Manner {
    sizes: Sizes,
    /// Are tokens chosen where the scores lie, as far as the sampling allows, or on the host?
    there: bool,
}

impl Manner {
    fn of(device: &Device) -> Self {
        Self { sizes: Sizes::of(device), there: !crate::device::on_cpu(device) }
    }
}

/// One row that is still written.
#[derive(Clone)]
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
    sizes: Sizes,
    /// Chooses where the scores lie; none where the host does.
    chooser: Option<Chooser>,
    /// The first prompt that waits.
    next: usize,
    /// The rows of the cache.
    rows: Vec<Row>,
    /// How many of them, at the end, are nobody's: done from the start, to make up a size.
    fillers: usize,
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
    complete(model, config, queue, Manner::of(device), device, seen)
}

fn complete(
    model: &Qwen2_5Vl,
    config: &ModelConfig,
    queue: Queue<'_>,
    manner: Manner,
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
        sizes: manner.sizes,
        chooser: if manner.there { Chooser::new(queue.sampling, model.text().vocabulary(), device) } else { None },
        next: 0,
        rows: Vec::new(),
        fillers: 0,
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
            let open = self.rows.iter().filter(|row| !row.done).count();
            let held = self.rows.len() - self.fillers;
            if (held - open) * 4 >= held {
                let fresh = self.admitted(self.queue.slots - open);
                if open == 0 && fresh == 0 {
                    return ControlFlow::Continue(());
                }
                if fresh > 0 || self.sizes.rows(open, self.queue.slots) < self.rows.len() {
                    self.turn_over(fresh, seen)?;
                    continue;
                }
            }
            let logits_bv = self.step();
            let mut rows = std::mem::take(&mut self.rows);
            let chosen = self.choose(logits_bv, &mut rows);
            self.rows = rows;
            for (row, id) in self.rows.iter_mut().zip(chosen).filter(|(row, _)| !row.done) {
                row.take(id, self.queue.sampling, &mut self.completions[row.index], seen)?;
            }
        }
    }

    /// The next token of every row that is not done, from the rows' scores `[B, V]`.
    fn choose(&self, logits_bv: Tensor<2>, rows: &mut [Row]) -> Vec<Option<u32>> {
        let sampling = self.queue.sampling;
        if let Some(chooser) = &self.chooser {
            let shares: Vec<f32> = rows.iter_mut().map(|row| row.share(sampling)).collect();
            return chooser.choose(logits_bv, &shares);
        }
        let mut scores = host(logits_bv);
        let width = scores.len() / rows.len();
        let each = rows.iter_mut().zip(scores.chunks_exact_mut(width));
        each.map(|(row, scores)| if row.done { None } else { row.choose(scores, sampling) }).collect()
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
        let mut parts: Vec<_> =
            self.cache.take().filter(|_| !kept.is_empty()).map(|cache| (cache, kept)).into_iter().collect();
        let mut came = Vec::new();
        if fresh > 0 {
            let (cache, which, rows) = self.prefill(self.next..self.next + fresh, seen)?;
            self.next += fresh;
            length = rows.iter().map(|row| cache.len() - row.start).fold(length, usize::max);
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
        let capacity = self.sizes.columns(length + self.rows.iter().map(left).max().unwrap_or(0));
        self.fillers = self.sizes.rows(self.rows.len(), self.queue.slots) - self.rows.len();
        if let (Some((_, which)), Some(last)) = (parts.last_mut(), self.rows.last()) {
            let (again, filler) = (which[which.len() - 1], last.filler());
            which.extend(std::iter::repeat_n(again, self.fillers));
            self.rows.extend(std::iter::repeat_n(filler, self.fillers));
        }
        let parts: Vec<_> = parts.into_iter().map(|(cache, which)| (cache, indices(&which, self.device))).collect();
        self.cache = (!parts.is_empty()).then(|| KvCache::stack(parts, length, capacity));
        ControlFlow::Continue(())
    }

    /// Reads prompts, each different one once, and chooses the first token after each: their cache, which of its rows each
    /// prompt is, and the prompts' rows in its columns.
    fn prefill(
        &mut self,
        places: std::ops::Range<usize>,
        seen: &mut dyn FnMut(usize, u32) -> ControlFlow<()>,
    ) -> ControlFlow<(), (KvCache, Vec<usize>, Vec<Row>)> {
        let Self { model, config, device, queue, .. } = *self;
        let (unique, which) = distinct(&queue.prompts[places.clone()]);
        let pad = config.tokens.pad.unwrap_or(0);
        let batch = Batch::sized(&unique, Padding::Left, pad, self.sizes, config, device);
        let mut cache = KvCache::new(&config.text, [batch.rows, batch.width], self.sizes, device, model.dtype());
        let h_btd = model.hidden_cached(&batch, Some(&mut cache));
        let [b, t, d] = h_btd.dims();
        let h_bd = h_btd.narrow(1, t - 1, 1).reshape([b, d]);
        let row = |(index, &prompt): (usize, &usize)| {
            let start = batch.start(prompt);
            Row {
                index,
                rng: stream(queue.seeds[index]),
                last: 0,
                done: false,
                start,
                delta: batch.deltas[prompt] - start as i64,
                held: if queue.sampling.penalises() {
                    queue.prompts[index].ids.iter().copied().collect()
                } else {
                    BTreeSet::new()
                },
            }
        };
        let mut rows: Vec<Row> = places.zip(&which).map(row).collect();
        let logits_bv = self.head.logits(h_bd).select(0, indices(&which, device));
        let chosen = self.choose(logits_bv, &mut rows);
        for (row, id) in rows.iter_mut().zip(chosen) {
            row.take(id, queue.sampling, &mut self.completions[row.index], seen)?;
        }
        ControlFlow::Continue((cache, which, rows))
    }

    /// Reads every row's last token and scores the next one, `[B, V]`.
    fn step(&mut self) -> Tensor<2> {
        let (rows, text) = (self.rows.len(), &self.config.text);
        let column = self.cache.as_ref().map_or(0, KvCache::len);
        let ids: Vec<i32> = self.rows.iter().map(|row| row.last as i32).collect();
        let positions: Vec<_> = self.rows.iter().map(|row| [column as i64 + row.delta; 3]).collect();
        let angles = text_angles(&positions, text.mrope_section, text.rope_theta);
        let rotary = Rotary::new(&angles, text.head_dim() / 2, self.device);
        let padded = self.rows.iter().any(|row| row.start > 0);
        let from = if padded { self.rows.iter().map(|row| row.start).collect() } else { vec![] };
        // What stands behind the new token is nobody's yet: its column is what changes from step to step, no shape.
        let shown = self.cache.as_ref().map_or(0, |cache| cache.shown(column + 1));
        let upto = if shown > column + 1 { vec![column + 1; rows] } else { vec![] };
        let seen = Seen::from(Sight { causal: upto.is_empty(), from, upto });
        let ids_bt = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, 1]), self.device);
        let context = Context { rows, rotary: &rotary, seen: &seen, learning: false };
        let h_bd = self.model.text().forward(self.model.text().embed(ids_bt), context, self.cache.as_mut());
        self.head.logits(h_bd)
    }
}

impl Row {
    /// Nobody's row, with the columns of this one.
    fn filler(&self) -> Self {
        Self { rng: stream(0), last: 0, done: true, held: BTreeSet::new(), ..*self }
    }

    /// The row's next token, chosen on the host.
    fn choose(&mut self, scores: &mut [f32], sampling: &Sampling) -> Option<u32> {
        sampling.penalise(scores, &self.held);
        sampling.choose(scores, &mut self.rng)
    }

    /// The share of all weights at which the row's next token is drawn: what [`Sampling::choose`] would take.
    fn share(&mut self, sampling: &Sampling) -> f32 {
        if self.done || sampling.temperature <= 0.0 { 0.0 } else { self.rng.random::<f64>() as f32 }
    }

    /// Takes the row's next token, or ends it where there is none.
    fn take(
        &mut self,
        id: Option<u32>,
        sampling: &Sampling,
        completion: &mut Completion,
        seen: &mut dyn FnMut(usize, u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some(id) = id else {
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
