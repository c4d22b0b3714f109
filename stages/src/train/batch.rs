//! Encoded rows and a step number → the micro-batches of that step. Host memory only; refuses to know tensors.
//!
//! Which rows a step holds follows from the seed and the step alone, so a resumed run sees what it would have seen. Within
//! a step rows are ordered by length before they are cut into micro-batches: less padding, the same sum.

use curricle_datasets::Encoded;
use curricle_datasets::shuffle::Order;

/// How the steps of a run walk over the rows.
#[derive(Debug, Clone)]
pub struct Walk {
    order: Order,
    rows: usize,
    batch: usize,
    micro_batch: usize,
}

impl Walk {
    /// A walk over `rows` rows, `batch` per step, in pieces of `micro_batch`.
    pub fn new(seed: u64, rows: usize, batch: usize, micro_batch: usize) -> Self {
        Self { order: Order::new(seed, rows), rows, batch, micro_batch }
    }

    /// Steps in a pass over the rows; the last may hold fewer.
    pub fn steps_per_epoch(&self) -> usize {
        self.rows.div_ceil(self.batch)
    }

    /// Row numbers of a step (from 0), cut into micro-batches.
    pub fn step(&self, step: usize, rows: &[Encoded]) -> Vec<Vec<usize>> {
        let (epoch, within) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        let order = self.order.epoch(epoch);
        let start = within * self.batch;
        let mut chosen = order[start..self.rows.min(start + self.batch)].to_vec();
        chosen.sort_by_key(|row| rows[*row].ids.len());
        chosen.chunks(self.micro_batch).map(<[usize]>::to_vec).collect()
    }
}
