//! Rewards of a group → advantages (ReVisual-R1, arXiv 2506.04207, eq. 3; GRPO, arXiv 2402.03300, §4.1.2).
//!
//! ```text
//! A_i = (r_i − mean(r_1 … r_G)) / (std(r_1 … r_G) + ε)
//! ```
//!
//! The paper gives neither the kind of standard deviation nor ε: both are the released code's (`core_algos.py:138`):
//! unbiased (divided by G − 1), ε = 1e-6. Host code over plain slices; knows neither rewards' meaning nor tokens.

/// ε of eq. 3, as in the released code (TRL has 1e-4).
pub const STD_EPSILON: f64 = 1e-6;

/// Advantage of each sample, given its reward; `rewards` holds whole groups of `group` samples one after the other.
///
/// A group whose rewards are all equal, and a group of one, has advantage 0.
///
/// # Panics
/// If `group` is 0 or does not divide the number of rewards.
pub fn group_advantages(rewards: &[f32], group: usize) -> Vec<f32> {
    assert!(group > 0 && rewards.len().is_multiple_of(group), "{} rewards are no groups of {group}", rewards.len());
    rewards.chunks_exact(group).flat_map(|rewards| standardised(rewards, STD_EPSILON)).collect()
}

fn standardised(rewards: &[f32], epsilon: f64) -> Vec<f32> {
    let count = rewards.len() as f64;
    if rewards.iter().all(|&reward| reward.to_bits() == rewards[0].to_bits()) {
        // Rounding of the mean must not turn "no difference" into a tiny one that ε would blow up.
        return vec![0.0; rewards.len()];
    }
    let mean = rewards.iter().map(|&r| f64::from(r)).sum::<f64>() / count;
    let variance = rewards.iter().map(|&r| (f64::from(r) - mean).powi(2)).sum::<f64>() / (count - 1.0);
    rewards.iter().map(|&r| ((f64::from(r) - mean) / (variance.sqrt() + epsilon)) as f32).collect()
}

/// Share of groups whose rewards differ: the others carry no gradient.
pub fn effective_groups(advantages: &[f32], group: usize) -> f64 {
    let groups = advantages.chunks_exact(group);
    let total = groups.len();
    let effective = groups.filter(|group| group.iter().any(|&a| a != 0.0)).count();
    if total == 0 { 0.0 } else { effective as f64 / total as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Binary rewards, G = 8, k correct. With p = k/8: std² = 8p(1−p)/7, A⁺ = (1−p)/std, A⁻ = −p/std.
    #[test]
    fn binary_rewards_of_eight() {
        for (correct, plus, minus) in
            [(1, 2.4749, -0.3536), (2, 1.6202, -0.5401), (3, 1.2076, -0.7246), (4, 0.9354, -0.9354)]
        {
            let rewards: Vec<f32> = (0..8).map(|i| if i < correct { 1.0 } else { 0.0 }).collect();
            let advantages = group_advantages(&rewards, 8);
            assert!((advantages[0] - plus).abs() < 1e-3, "{advantages:?}");
            assert!((advantages[7] - minus).abs() < 1e-3, "{advantages:?}");
        }
    }

    #[test]
    fn equal_rewards_have_no_advantage() {
        let advantages = group_advantages(&[0.1, 0.1, 0.1, 1.0, 0.0, 1.0], 3);
        assert_eq!(&advantages[..3], &[0.0; 3]);
        assert!((effective_groups(&advantages, 3) - 0.5).abs() < 1e-12);
        assert_eq!(group_advantages(&[0.7], 1), [0.0]);
    }

    #[test]
    fn sums_to_zero_and_ignores_an_offset() {
        let advantages = group_advantages(&[0.0, 0.5, 1.0, 0.25], 4);
        assert!(advantages.iter().sum::<f32>().abs() < 1e-5);
        let moved = group_advantages(&[10.0, 10.5, 11.0, 10.25], 4);
        assert!(advantages.iter().zip(&moved).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
