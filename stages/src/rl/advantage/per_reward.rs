//! Each reward standardised in its group, then summed, then scaled by the rollout:
//!
//! ```text
//! B_i = Σ_k w_k (r_ik − mean_g(r_k)) / (std_g(r_k) + ε)
//! A_i = B_i / (std(B_1 … B_N) + ε)
//! ```
//!
//! GDPO (arXiv 2601.05242); TRL's `normalize_then_sum`: two rewards with different spreads keep their weights, where a sum
//! that is standardised afterwards follows the one that varies most. The mean of B is 0 by construction and not taken out
//! again, so that groups without any difference stay at exactly 0.

use super::group::standardised;
use super::{Advantage, Rewarded};

pub(super) fn estimate(settings: &Advantage, rewards: &Rewarded, group: usize) -> Vec<f64> {
    let mut sum = vec![0.0; rewards.total.len()];
    for (weight, values) in &rewards.each {
        let parts = values.chunks_exact(group).flat_map(|values| standardised(settings, values));
        for (sum, part) in sum.iter_mut().zip(parts) {
            *sum += weight * part;
        }
    }
    let unit = settings.spread(&sum) + settings.epsilon;
    sum.into_iter().map(|value| value / unit).collect()
}
