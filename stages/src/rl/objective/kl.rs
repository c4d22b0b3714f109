//! Estimates of `KL(π ‖ π_ref)` from samples of π (Schulman 2020, "Approximating KL divergence"):
//!
//! ```text
//! k1            −Δ                       Δ = log π_ref − log π
//! k2            Δ²/2
//! k3            exp(Δ) − Δ − 1           `low_var_kl` in verl and in Table 5 of ReVisual-R1
//! k3-corrected  ρ (exp(Δ) − Δ − 1)       DeepSeek-V3.2 (arXiv 2512.02556); TRL's `use_bias_correction_kl`
//! ```
//!
//! In the loss, `+ β k` per token: the gradient of k2 is that of the KL on policy, the one of k1 is 0 in expectation, the
//! one of k3 is that of the KL the other way round, and the corrected k3's is right again. In the reward, `r − β Σ_t k_t`
//! before advantages are made, as TRL's RLOO does with k1. Deviation: the released code clamps k3 to ±10; here Δ is clamped
//! like every log-ratio, which keeps a gradient up to the bound.

#[cfg(feature = "compute")]
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LOG_RATIO_BOUND;

/// The pull towards a reference: the model on the port `reference`, or else a frozen copy of what the stage starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kl {
    /// Weight of the KL estimate; 0 also saves the reference and its forward passes.
    pub coef: f64,
    /// Which estimate.
    pub estimator: Estimator,
    /// Where it counts.
    #[serde(rename = "in")]
    pub place: Place,
}

/// An estimate of the KL divergence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// The log-ratio: unbiased, of either sign. Its gradient in a loss is zero in expectation.
    K1,
    /// Half its square: biased, with the right gradient on policy.
    K2,
    /// Unbiased and never negative: `low_var_kl`.
    #[default]
    K3,
    /// k3 times the ratio to the model that sampled: value and gradient are unbiased. For the loss only.
    K3Corrected,
}

/// Where the KL estimate counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Added to the loss, token by token.
    #[default]
    Loss,
    /// Taken from the reward, summed over the completion.
    Reward,
}

impl Estimator {
    /// The estimate of one token, given its log-probabilities.
    pub fn value(self, logp: f32, reference: f32) -> f64 {
        let delta = (f64::from(reference) - f64::from(logp)).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND);
        match self {
            Self::K1 => -delta,
            Self::K2 => 0.5 * delta * delta,
            Self::K3 | Self::K3Corrected => delta.exp() - delta - 1.0,
        }
    }

    /// The estimate of each token `[n]`; all must be finite: hide tokens before.
    #[cfg(feature = "compute")]
    pub fn of(self, logp_n: &Tensor<1>, reference_n: &Tensor<1>, log_ratio_n: &Tensor<1>) -> Tensor<1> {
        let delta_n = (reference_n.clone() - logp_n.clone()).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND);
        let k3 = |delta_n: Tensor<1>| delta_n.clone().exp() - delta_n - 1.0;
        match self {
            Self::K1 => delta_n.neg(),
            Self::K2 => delta_n.clone() * delta_n * 0.5,
            Self::K3 => k3(delta_n),
            Self::K3Corrected => k3(delta_n) * log_ratio_n.clone().exp(),
        }
    }
}
