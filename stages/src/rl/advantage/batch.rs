//! Group mean and the standard deviation of the whole rollout:
//!
//! ```text
//! A_i = (r_i − mean(group of i)) / (std(r_1 … r_N) + ε)
//! ```
//!
//! Lite PPO (arXiv 2508.08221); TRL's `scale_rewards = "batch"`. A group that barely differs is not blown up to the size of
//! one that differs much. With dynamic sampling N counts every sample of the step, also those of groups that are dropped.

use super::{Advantage, Rewarded, around_mean, wide};

pub(super) fn estimate(settings: &Advantage, rewards: &Rewarded, group: usize) -> Vec<f64> {
    let unit = settings.spread(&wide(&rewards.total)) + settings.epsilon;
    let apart = rewards.total.chunks_exact(group).flat_map(around_mean);
    apart.map(|apart| if apart == 0.0 { 0.0 } else { apart / unit }).collect()
}
