//! Every informative sample, once:
//!
//! ```text
//! E = { i : T_low ≤ |A_i| ≤ T_high }
//! ```
//!
//! ReVisual-R1 (arXiv 2506.04207), Table 4, `GRPO-Filter`: PAD without its prioritised sub-sampling. An empty E gives an
//! empty batch, as with PAD.

use rand_chacha::ChaCha8Rng;

use super::{Picked, Pool, Select};

/// Positions of E.
pub(super) fn select(settings: &Select, pool: &Pool<'_>, _: &mut ChaCha8Rng) -> Picked {
    let indices = informative(settings, pool.advantages);
    Picked { law: vec![1.0; indices.len()], indices }
}

/// E, ascending.
pub(super) fn informative(settings: &Select, advantages: &[f32]) -> Vec<usize> {
    let high = settings.high.unwrap_or(f64::INFINITY);
    // In f32, as the advantages are: a bound of 0.03 must include an advantage written as 0.03.
    let bounds = settings.low as f32..=high as f32;
    (0..advantages.len()).filter(|&i| bounds.contains(&advantages[i].abs())).collect()
}
