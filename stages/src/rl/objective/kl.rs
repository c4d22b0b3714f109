//! The KL estimate k3 (Schulman 2020, "Approximating KL divergence"; `low_var_kl` in verl, and in Table 5 of the paper):
//!
//! ```text
//! k3 = exp(Δ) − Δ − 1,   Δ = log π_ref − log π
//! ```
//!
//! Never negative, 0 where both agree, unbiased for `KL(π ‖ π_ref)` over samples of π. Deviation: the released code clamps
//! the result to ±10; here Δ is clamped like every log-ratio, which keeps a gradient up to the bound.
//! TRL 1.10 multiplies k3 by the ratio to `π_old`; neither the paper's framework nor this does.

use burn::tensor::Tensor;

use super::LOG_RATIO_BOUND;

/// k3 of each token `[n]`. `logp_n` and `reference_n` must be finite: hide tokens before.
pub fn k3(logp_n: Tensor<1>, reference_n: Tensor<1>) -> Tensor<1> {
    let delta_n = (reference_n - logp_n).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND);
    delta_n.clone().exp() - delta_n - 1.0
}

#[cfg(test)]
mod tests {
    use super::super::grpo::tests::{gradient, tensor, values};
    use super::*;

    #[test]
    fn by_hand() {
        // Δ = ln 2: 2 − 0.693147 − 1 = 0.306853; Δ = −ln 2: 0.5 + 0.693147 − 1 = 0.193147; Δ = 0: 0.
        let found = values(&k3(tensor(&[-2.0, -2.0, -2.0]), tensor(&[-2.0 + 2_f32.ln(), -2.0 - 2_f32.ln(), -2.0])));
        for (found, expected) in found.iter().zip([0.306_853, 0.193_147, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn gradient_is_one_minus_the_ratio() {
        // d k3 / d logp = 1 − exp(Δ): at Δ = ln 2 it is −1, at 0 it is 0.
        let logp_n = tensor(&[-1.0, -1.0]).autodiff().require_grad();
        let found = gradient(&logp_n, &k3(logp_n.clone(), tensor(&[-1.0 + 2_f32.ln(), -1.0])).sum());
        assert!((found[0] + 1.0).abs() < 1e-5 && found[1].abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn a_vanishing_reference_stays_finite() {
        let found = values(&k3(tensor(&[-1.0, -1000.0]), tensor(&[-1000.0, -1.0])));
        assert!(found.iter().all(|value| value.is_finite() && *value > 0.0), "{found:?}");
    }
}
