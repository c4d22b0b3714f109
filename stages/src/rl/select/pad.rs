//! Prioritized Advantage Distillation as printed (ReVisual-R1, arXiv 2506.04207, §4.1.1, eq. 4, Algorithm 1):
//!
//! ```text
//! E  = { i : T_low ≤ |A_i| ≤ T_high }                     informative samples
//! k' = min(⌈ρ N⌉, |E|)                                    how many
//! Pr(i | E) = exp(|A_i| / τ) / Σ_{j∈E} exp(|A_j| / τ)     drawn without replacement; uniform if the sum is 0
//! ```
//!
//! An empty E gives an empty batch. Left open by the paper and decided here: draws are without replacement (k' ≤ |E|
//! makes sense only so), and one after the other, each time over what is left. The released code differs in all of
//! this; it is [`super::pad_released`].

use rand_chacha::ChaCha8Rng;

use super::draw::draw;
use super::filter::informative;
use super::{Picked, Pool, Select};

/// Draws k' of the informative samples.
pub(super) fn select(settings: &Select, pool: &Pool<'_>, rng: &mut ChaCha8Rng) -> Picked {
    let mut left = informative(settings, pool.advantages);
    let wanted = ((settings.ratio * pool.advantages.len() as f64).ceil() as usize).min(left.len());
    let law = softmax_weights(&left, pool);
    let mut indices = Vec::with_capacity(wanted);
    while indices.len() < wanted {
        let weights = softmax_weights(&left, pool);
        indices.push(left.swap_remove(draw(&weights, rng)));
    }
    Picked { indices, law }
}

/// Weights proportional to exp(|A|/τ); the greatest exponent is taken out first, which leaves the law as it is.
fn softmax_weights(left: &[usize], pool: &Pool<'_>) -> Vec<f64> {
    let exponents: Vec<f64> = left.iter().map(|&i| f64::from(pool.advantages[i].abs()) / pool.temperature).collect();
    let greatest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    exponents.iter().map(|e| (e - greatest).exp()).collect()
}
