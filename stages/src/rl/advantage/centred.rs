//! Group mean and no standard deviation:
//!
//! ```text
//! A_i = r_i − mean(r_1 … r_G)
//! ```
//!
//! Dr.GRPO (arXiv 2503.20783, "GRPO done right"): dividing by the group's standard deviation favours questions that are
//! almost always or almost never answered. TRL's `scale_rewards = "none"`.

use super::{Advantage, Rewarded, around_mean};

pub(super) fn estimate(_: &Advantage, rewards: &Rewarded, group: usize) -> Vec<f64> {
    rewards.total.chunks_exact(group).flat_map(around_mean).collect()
}
