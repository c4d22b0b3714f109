//! Group mean and group standard deviation:
//!
//! ```text
//! A_i = (r_i − mean(r_1 … r_G)) / (std(r_1 … r_G) + ε)
//! ```
//!
//! GRPO (arXiv 2402.03300, §4.1.2); ReVisual-R1 (arXiv 2506.04207), eq. 3, which gives neither the kind of standard
//! deviation nor ε. The released code (`core_algos.py:138`) has the unbiased one and ε = 1e-6: the defaults.

use super::{Advantage, Rewarded, around_mean, wide};

pub(super) fn estimate(settings: &Advantage, rewards: &Rewarded, group: usize) -> Vec<f64> {
    rewards.total.chunks_exact(group).flat_map(|rewards| standardised(settings, rewards)).collect()
}

/// One group in its own standard deviations.
pub(super) fn standardised(settings: &Advantage, rewards: &[f32]) -> Vec<f64> {
    let unit = settings.spread(&wide(rewards)) + settings.epsilon;
    around_mean(rewards).into_iter().map(|apart| if apart == 0.0 { 0.0 } else { apart / unit }).collect()
}
