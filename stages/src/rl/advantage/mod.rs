//! Rewards of a rollout → the advantage of each sample. One estimator per file; [`AdvantageKind::estimator`] is the table.
//!
//! ```text
//! group           A = (r − mean_g) / (std_g + ε)          GRPO (arXiv 2402.03300, §4.1.2); ReVisual-R1, eq. 3
//! batch           A = (r − mean_g) / (std_batch + ε)      Lite PPO (arXiv 2508.08221)
//! centred         A = r − mean_g                          Dr.GRPO (arXiv 2503.20783)
//! leave-one-out   A = r − mean of the others of g         RLOO (arXiv 2402.14740)
//! per-reward      each reward by its own group, then the sum by the batch   GDPO (arXiv 2601.05242)
//! ```
//!
//! Every estimator gives exactly 0 where all rewards of a group are equal: selection counts on it. Host code over plain
//! slices; knows neither rewards' meaning nor tokens.

mod batch;
mod centred;
mod group;
mod leave_one_out;
mod per_reward;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a sample is compared with others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdvantageKind {
    /// With its group, in standard deviations of its group: GRPO.
    #[default]
    Group,
    /// With its group, in standard deviations of the whole rollout.
    Batch,
    /// With its group, as it is: Dr.GRPO.
    Centred,
    /// With the others of its group, as it is: RLOO.
    LeaveOneOut,
    /// Each reward with its group on its own, then summed and scaled by the whole rollout: GDPO.
    PerReward,
}

/// Which standard deviation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Std {
    /// Squares divided by n − 1, as in verl, TRL and the release.
    #[default]
    Unbiased,
    /// Squares divided by n.
    Biased,
}

/// How rewards become advantages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Advantage {
    /// What a sample is compared with.
    pub kind: AdvantageKind,
    /// Which standard deviation; nothing where there is none.
    pub std: Std,
    /// ε, added to a standard deviation; the release has 1e-6, TRL 1e-4.
    pub epsilon: f64,
}

impl Default for Advantage {
    fn default() -> Self {
        Self { kind: AdvantageKind::Group, std: Std::Unbiased, epsilon: 1e-6 }
    }
}

/// Rewards of the samples of a rollout, whole groups one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewarded {
    /// Weighted sum of each sample.
    pub total: Vec<f32>,
    /// Each reward with its weight in that sum.
    pub each: Vec<(f64, Vec<f32>)>,
}

impl Rewarded {
    /// One reward alone, with weight 1.
    pub fn alone(values: Vec<f32>) -> Self {
        Self { total: values.clone(), each: vec![(1.0, values)] }
    }
}

type Estimator = fn(&Advantage, &Rewarded, usize) -> Vec<f64>;

impl AdvantageKind {
    fn estimator(self) -> Estimator {
        match self {
            Self::Group => group::estimate,
            Self::Batch => batch::estimate,
            Self::Centred => centred::estimate,
            Self::LeaveOneOut => leave_one_out::estimate,
            Self::PerReward => per_reward::estimate,
        }
    }
}

impl Advantage {
    /// The advantage of each sample; `group` samples make a group.
    ///
    /// # Panics
    /// If `group` is 0 or does not divide the number of samples.
    pub fn of(&self, rewards: &Rewarded, group: usize) -> Vec<f32> {
        let count = rewards.total.len();
        assert!(group > 0 && count.is_multiple_of(group), "{count} rewards are no groups of {group}");
        (self.kind.estimator())(self, rewards, group).into_iter().map(|a| a as f32).collect()
    }

    /// Standard deviation of values around their mean; 0 of fewer than two.
    fn spread(&self, values: &[f64]) -> f64 {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        match self.std {
            _ if values.len() < 2 => 0.0,
            Std::Unbiased => (squares / (count - 1.0)).sqrt(),
            Std::Biased => (squares / count).sqrt(),
        }
    }
}

/// Rewards of one group around their mean. Where all are equal, exactly 0: rounding of the mean must not turn "no
/// difference" into a tiny one that ε would blow up.
fn around_mean(rewards: &[f32]) -> Vec<f64> {
    if rewards.iter().all(|reward| reward.to_bits() == rewards[0].to_bits()) {
        return vec![0.0; rewards.len()];
    }
    let mean = rewards.iter().map(|&r| f64::from(r)).sum::<f64>() / rewards.len() as f64;
    rewards.iter().map(|&r| f64::from(r) - mean).collect()
}

fn wide(rewards: &[f32]) -> Vec<f64> {
    rewards.iter().map(|&r| f64::from(r)).collect()
}

/// Share of groups whose rewards differ: the others carry no gradient.
pub fn effective_groups(advantages: &[f32], group: usize) -> f64 {
    let groups = advantages.chunks_exact(group);
    let total = groups.len();
    let effective = groups.filter(|group| group.iter().any(|&a| a != 0.0)).count();
    if total == 0 { 0.0 } else { effective as f64 / total as f64 }
}

#[cfg(test)]
mod tests;
