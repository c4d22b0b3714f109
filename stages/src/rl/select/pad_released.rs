//! Prioritized Advantage Distillation as released (CSfufu/Revisual-R1 @ 802f5c2, `ray_trainer.py`, `fit`, lines 577–655):
//!
//! ```text
//! E = { i : 0.03 < |A_i| < 0.97 }                          both bounds strict
//! k = ⌊1.5 N⌋                                              more than there are
//! Pr(i) = (|A_i| + 1e-8)^1.5 / Σ_{j∈E} (|A_j| + 1e-8)^1.5   drawn with replacement
//! ```
//!
//! An empty E gives the whole batch. What follows from the numbers: with binary rewards and 8 samples, 0.97 drops every
//! right sample of a prompt with up to 3 right ones, and every wrong sample of one with 5 or more; only 4 of 8 keeps both
//! signs. A sample drawn twice is trained on twice. The release cuts its 1.5 N draws into mini-batches of the usual size,
//! so it makes half as many optimizer steps again; `updates` says how many there are here. Deviation: advantages of the
//! accuracy reward alone; the release's include style terms, which make almost every group look informative.

use rand_chacha::ChaCha8Rng;

use super::draw::draw;
use super::{Picked, Pool, Released, Select};

/// Draws ⌊ratio · N⌋ times.
pub(super) fn select(settings: &Select, pool: &Pool<'_>, rng: &mut ChaCha8Rng) -> Picked {
    let Released { power, low, high, ratio } = settings.released;
    let size = |i: usize| pool.advantages[i].abs();
    let count = pool.advantages.len();
    let left: Vec<usize> = (0..count).filter(|&i| size(i) > low as f32 && size(i) < high as f32).collect();
    if left.is_empty() {
        return Picked { indices: (0..count).collect(), law: vec![1.0; count] };
    }
    let law: Vec<f64> = left.iter().map(|&i| (f64::from(size(i)) + 1e-8).powf(power)).collect();
    let draws = (ratio * count as f64) as usize;
    Picked { indices: (0..draws).map(|_| left[draw(&law, rng)]).collect(), law }
}
