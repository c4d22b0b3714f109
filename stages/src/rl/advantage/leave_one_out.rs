//! The mean of the others as baseline:
//!
//! ```text
//! A_i = r_i − 1/(G − 1) Σ_{j≠i} r_j  =  G/(G − 1) (r_i − mean(r_1 … r_G))
//! ```
//!
//! RLOO (Ahmadian et al. 2024, arXiv 2402.14740; Kool et al. 2019): the baseline does not depend on the sample, so the
//! estimate of the gradient is unbiased. A group of one has advantage 0.

use super::{Advantage, Rewarded, around_mean};

pub(super) fn estimate(_: &Advantage, rewards: &Rewarded, group: usize) -> Vec<f64> {
    let factor = group as f64 / (group.max(2) - 1) as f64;
    rewards.total.chunks_exact(group).flat_map(around_mean).map(|apart| apart * factor).collect()
}
