//! The clipped objective (ReVisual-R1, arXiv 2506.04207, eq. 2; PPO, arXiv 1707.06347, eq. 7):
//!
//! ```text
//! L = Σ_n w_n [ −min( ρ A, clip(ρ, 1 − ε_low, 1 + ε_high) A ) + β k3 ],   ρ = exp(log π − log π_old)
//! ```
//!
//! With `ε_low = ε_high` it is GRPO's, with a larger `ε_high` DAPO's. `dual` caps ρ for negative advantages (Ye et al.
//! 2020, arXiv 1912.09729, `clip_ratio_c` in verl; TRL's `delta`). Eq. 2 as printed has `π_ref` in place of `π_old` and one
//! ratio per sequence; the released code has what stands here. Weights: [`super::mean`].

use burn::tensor::Tensor;

use super::kl::k3;
use super::{LOG_RATIO_BOUND, Loss, Tokens};
use crate::kinds::grpo::Clip;

/// The loss of a micro-batch.
///
/// Tokens are hidden before anything is exponentiated, so a hidden one may hold −inf. Without old log-probabilities the
/// ratio is 1 and its gradient that of log π: one update per rollout needs no second forward pass.
pub fn loss(tokens: &Tokens, clip: &Clip, kl_coef: f64) -> Loss {
    let hidden_n = tokens.hidden();
    let shown = |tensor_n: Tensor<1>| tensor_n.mask_fill(hidden_n.clone(), 0.0);
    let logp_n = shown(tokens.logp_n.clone());
    let old_n = shown(tokens.old_n.clone().unwrap_or_else(|| tokens.logp_n.clone())).detach();
    let advantage_n = shown(tokens.advantage_n.clone());

    let ratio_n = (logp_n.clone() - old_n).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).exp();
    let inside_n = ratio_n.clone().clamp(1.0 - clip.low, 1.0 + clip.high) * advantage_n.clone();
    let capped_n = match clip.dual {
        Some(most) => ratio_n.clamp_max(most),
        None => ratio_n,
    };
    let free_n = capped_n * advantage_n;
    let clipped_n = inside_n.clone().lower(free_n.clone()).float();
    let mut loss_n = free_n.min_pair(inside_n).neg();

    let mut kl = None;
    if let Some(reference_n) = &tokens.reference_n {
        let kl_n = k3(logp_n, shown(reference_n.clone()));
        kl = Some((kl_n.clone().detach() * tokens.weight_n.clone()).sum());
        loss_n = loss_n + kl_n * kl_coef;
    }
    Loss { loss: (loss_n * tokens.weight_n.clone()).sum(), clipped: (clipped_n * tokens.weight_n.clone()).sum(), kl }
}

#[cfg(test)]
pub(super) mod tests;
