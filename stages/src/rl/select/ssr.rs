//! Selective sample replay (VL-Rethinker, Wang et al. 2025, arXiv 2504.08837):
//!
//! ```text
//! fresh    { i : A_i ≠ 0 }
//! again    ⌈share · N⌉ of the buffer, Pr(j) = |A_j|^α / Σ_k |A_k|^α, with replacement
//! buffer   the last `capacity` fresh samples of earlier steps
//! ```
//!
//! A sample that comes back keeps its advantage and the log-probabilities it had when it was sampled, so the ratio says
//! how far the model has moved since. Left open by the paper and decided here: how many come back (the released code
//! makes about half of the update of them), the capacity, and that a step's own samples come back from the next step on.

use std::collections::VecDeque;

use rand_chacha::ChaCha8Rng;

use super::draw::draw;
use super::{Picked, Pool, Replay, Select};

/// Every sample with an advantage.
pub(super) fn select(_: &Select, pool: &Pool<'_>, _: &mut ChaCha8Rng) -> Picked {
    let indices: Vec<usize> = (0..pool.advantages.len()).filter(|&i| pool.advantages[i] != 0.0).collect();
    Picked { law: vec![1.0; indices.len()], indices }
}

/// A sample that may come back.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Row that was asked.
    pub row: usize,
    /// Tokens of the completion.
    pub ids: Vec<u32>,
    /// Its advantage.
    pub advantage: f32,
    /// |advantage| of its accuracy reward.
    pub priority: f32,
    /// Log-probability of each token under the model that sampled it.
    pub old: Vec<f32>,
}

/// Samples of earlier steps, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buffer(pub VecDeque<Kept>);

impl Buffer {
    /// Samples that come back beside `sampled` new ones.
    pub fn draw(&self, settings: &Replay, sampled: usize, rng: &mut ChaCha8Rng) -> Vec<&Kept> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let law: Vec<f64> = self.0.iter().map(|kept| f64::from(kept.priority).powf(settings.alpha)).collect();
        let count = (settings.share * sampled as f64).ceil() as usize;
        (0..count).map(|_| &self.0[draw(&law, rng)]).collect()
    }

    /// Takes in the fresh samples of a step; the oldest leave.
    pub fn extend(&mut self, settings: &Replay, fresh: impl IntoIterator<Item = Kept>) {
        self.0.extend(fresh);
        let surplus = self.0.len().saturating_sub(settings.capacity);
        self.0.drain(..surplus);
    }
}
