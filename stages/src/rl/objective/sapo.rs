//! Soft adaptive policy optimization (SAPO, Qwen team 2025, arXiv 2511.20347):
//!
//! ```text
//! s_n = −σ( τ (ρ − 1) ) · 4/τ · A,   τ = τ⁺ where A > 0, τ⁻ elsewhere,   ρ = exp(log π − log π_old)
//! ```
//!
//! The gate's slope is 1 at ρ = 1 and fades on both sides, where the clip cuts. τ⁻ > τ⁺ lets go of negative advantages
//! sooner.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "compute")]
use super::tokens::{Seen, Surrogate, Terms};

/// Temperatures of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sapo {
    /// τ⁺, of positive advantages.
    pub positive: f64,
    /// τ⁻, of the others.
    pub negative: f64,
}

impl Default for Sapo {
    /// As in the paper and TRL.
    fn default() -> Self {
        Self { positive: 1.0, negative: 1.05 }
    }
}

#[cfg(feature = "compute")]
pub(super) fn surrogate(seen: &Seen, terms: &Terms) -> Surrogate {
    use burn::tensor::activation::sigmoid;
    let Sapo { positive, negative } = terms.sapo;
    let raised_n = seen.advantage_n.clone().greater_scalar(0.0).float();
    let tau_n = raised_n * (positive - negative) + negative;
    let apart_n = seen.log_ratio_n.clone().exp() - 1.0;
    let gate_n = sigmoid(apart_n * tau_n.clone()) / tau_n * 4.0;
    let clipped_n = gate_n.clone().detach().zeros_like();
    Surrogate { loss_n: (gate_n * seen.advantage_n.clone()).neg(), clipped_n }
}
