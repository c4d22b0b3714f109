//! The clipped objective (ReVisual-R1, arXiv 2506.04207, eq. 2; PPO, arXiv 1707.06347, eq. 7):
//!
//! ```text
//! s_n = −min( ρ A, clip(ρ, 1 − ε_low, 1 + ε_high) A ),   ρ = exp(log π − log π_old)
//! ```
//!
//! With `ε_low = ε_high` it is GRPO's, with a larger `ε_high` DAPO's. `dual` caps ρ for negative advantages (Ye et al.
//! 2020, arXiv 1912.09729, `clip_ratio_c` in verl; TRL's `delta`). Eq. 2 as printed has `π_ref` in place of `π_old` and one
//! ratio per sequence; the released code has what stands here. Weights: [`super::mean`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "compute")]
use super::tokens::{Seen, Surrogate, Terms};

/// Bounds of the probability ratio in the clipped objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clip {
    /// ε below: the ratio counts from `1 − low`.
    pub low: f64,
    /// ε above: the ratio counts up to `1 + high`.
    pub high: f64,
    /// Largest ratio that counts for a negative advantage (two-sided clip); left out, there is none.
    pub dual: Option<f64>,
}

impl Default for Clip {
    fn default() -> Self {
        Self { low: 0.2, high: 0.2, dual: None }
    }
}

#[cfg(feature = "compute")]
pub(super) fn surrogate(seen: &Seen, terms: &Terms) -> Surrogate {
    clipped(seen.log_ratio_n.clone().exp(), seen, &terms.clip)
}

/// The formula, for ratios of tokens or of completions `[n]`.
#[cfg(feature = "compute")]
pub(super) fn clipped(ratio_n: burn::tensor::Tensor<1>, seen: &Seen, clip: &Clip) -> Surrogate {
    let inside_n = ratio_n.clone().clamp(1.0 - clip.low, 1.0 + clip.high) * seen.advantage_n.clone();
    let capped_n = match clip.dual {
        Some(most) => ratio_n.clamp_max(most),
        None => ratio_n,
    };
    let free_n = capped_n * seen.advantage_n.clone();
    // A bound acts where the ratio has gone the way that the advantage wants it to.
    let clipped_n = inside_n.clone().lower(free_n.clone()).float() * seen.advantage_n.clone().detach().sign();
    Surrogate { loss_n: free_n.min_pair(inside_n).neg(), clipped_n }
}
