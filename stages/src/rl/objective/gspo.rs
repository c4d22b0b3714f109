//! Group sequence policy optimization (GSPO, Zheng et al. 2025, arXiv 2507.18071, eqs. 5 and 7):
//!
//! ```text
//! s_i = −min( ρ_i A, clip(ρ_i, 1 − ε_low, 1 + ε_high) A ),   ρ_i = exp( 1/|o_i| Σ_t (log π − log π_old) )
//! ```
//!
//! One ratio per completion, the geometric mean of its tokens'; its bounds are a thousandth of those of tokens. Every token
//! of a completion holds the same value, so with `mean = "sequence"` it is the paper's; TRL's
//! `importance_sampling_level = "sequence"`, which keeps the bounds of tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "compute")]
use super::clip::{Clip, clipped};
#[cfg(feature = "compute")]
use super::tokens::{Seen, Surrogate, Terms};

/// Bounds of a completion's ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gspo {
    /// ε below.
    pub low: f64,
    /// ε above.
    pub high: f64,
}

impl Default for Gspo {
    /// As in the paper, §5.1.
    fn default() -> Self {
        Self { low: 3e-4, high: 4e-4 }
    }
}

#[cfg(feature = "compute")]
pub(super) fn surrogate(seen: &Seen, terms: &Terms) -> Surrogate {
    let Gspo { low, high } = terms.gspo;
    let ratio_n = seen.mean_of_completion(&seen.log_ratio_n).exp();
    clipped(ratio_n, seen, &Clip { low, high, dual: None })
}
