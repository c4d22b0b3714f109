//! Clipped importance-sampling weights (CISPO, MiniMax-M1, arXiv 2506.13585, eqs. 4 and 5):
//!
//! ```text
//! s_n = −sg( min(ρ, cap) ) A log π,   ρ = exp(log π − log π_old)
//! ```
//!
//! The ratio only weighs the gradient of log π, so no token loses it. As in the paper's experiments and TRL there is no
//! bound below. TRL's `epsilon_high` is the cap itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "compute")]
use super::tokens::{Seen, Surrogate, Terms};

/// The weights' bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cispo {
    /// Largest ratio that counts; 5.0 is what TRL recommends (after arXiv 2510.13786).
    pub cap: f64,
}

impl Default for Cispo {
    fn default() -> Self {
        Self { cap: 5.0 }
    }
}

#[cfg(feature = "compute")]
pub(super) fn surrogate(seen: &Seen, terms: &Terms) -> Surrogate {
    let ratio_n = seen.log_ratio_n.clone().exp().detach();
    let clipped_n = ratio_n.clone().greater_scalar(terms.cispo.cap).float();
    let weight_n = ratio_n.clamp_max(terms.cispo.cap) * seen.advantage_n.clone();
    Surrogate { loss_n: (weight_n * seen.logp_n.clone()).neg(), clipped_n }
}
