//! Prioritized Advantage Distillation as printed (ReVisual-R1, arXiv 2506.04207, §4.1.1, eq. 4, Algorithm 1):
//!
//! ```text
//! E  = { i : T_low ≤ |A_i| ≤ T_high }                     informative samples
//! k' = min(⌈ρ N⌉, |E|)                                    how many
//! Pr(i | E) = exp(|A_i| / τ) / Σ_{j∈E} exp(|A_j| / τ)     drawn without replacement; uniform if the sum is 0
//! ```
//!
//! An empty E gives an empty batch. Left open by the paper and decided here: draws are without replacement (k' ≤ |E|
//! makes sense only so), and one after the other, each time over what is left. The released code differs in all of
//! this (|A|^1.5, with replacement, 1.5 N, bounds .03 and .97 strict, empty E → whole batch); it is not this rule.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Select;

/// Draws k' of the informative samples.
pub(super) fn select(settings: &Select, advantages: &[f32], tau: f64, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let high = settings.high.unwrap_or(f64::INFINITY);
    // In f32, as the advantages are: a bound of 0.03 must include an advantage written as 0.03.
    let bounds = settings.low as f32..=high as f32;
    let mut pool: Vec<usize> = (0..advantages.len()).filter(|&i| bounds.contains(&advantages[i].abs())).collect();
    let wanted = ((settings.ratio * advantages.len() as f64).ceil() as usize).min(pool.len());
    let mut chosen = Vec::with_capacity(wanted);
    while chosen.len() < wanted {
        let weights = softmax_weights(&pool, advantages, tau);
        chosen.push(pool.swap_remove(draw(&weights, rng)));
    }
    chosen
}

/// Weights proportional to exp(|A|/τ); the greatest exponent is taken out first, which leaves the law as it is.
fn softmax_weights(pool: &[usize], advantages: &[f32], tau: f64) -> Vec<f64> {
    let exponents: Vec<f64> = pool.iter().map(|&i| f64::from(advantages[i].abs()) / tau).collect();
    let greatest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    exponents.iter().map(|e| (e - greatest).exp()).collect()
}

/// A position drawn in proportion to its weight; uniform if the weights have no usable sum (Z = 0 in the paper).
fn draw(weights: &[f64], rng: &mut ChaCha8Rng) -> usize {
    let sum: f64 = weights.iter().sum();
    let mut left = rng.random::<f64>() * sum;
    if !(sum.is_finite() && sum > 0.0) {
        return rng.random_range(0..weights.len());
    }
    for (i, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return i;
        }
    }
    weights.len() - 1
}

#[cfg(test)]
mod tests {
    use super::super::{Select, SelectKind};
    use crate::rl::seed::{Purpose, stream};

    fn pad(low: f64, high: Option<f64>, ratio: f64) -> Select {
        Select { kind: SelectKind::Pad, low, high, ratio, ..Select::default() }
    }

    fn pick(settings: &Select, advantages: &[f32], tau: f64, seed: u64) -> Vec<usize> {
        settings.pick(advantages, tau, &mut stream(seed, Purpose::Select, &[])).indices
    }

    #[test]
    fn bounds_are_inclusive_and_look_at_the_size() {
        let advantages = [0.0, 0.03, -0.03, 0.029, 1.0, -2.5];
        assert_eq!(pick(&pad(0.03, Some(1.0), 1.0), &advantages, 0.3, 0), [1, 2, 4]);
        assert_eq!(pick(&pad(0.03, None, 1.0), &advantages, 0.3, 0), [1, 2, 4, 5]);
    }

    #[test]
    fn takes_the_ceiling_of_the_share_but_no_more_than_there_are() {
        let advantages = [1.0, 1.0, 1.0, 0.0, 0.0];
        assert_eq!(pick(&pad(0.03, None, 0.3), &advantages, 0.3, 0).len(), 2, "⌈0.3 · 5⌉");
        assert_eq!(pick(&pad(0.03, None, 1.0), &advantages, 0.3, 0).len(), 3, "|E|");
    }

    #[test]
    fn nothing_informative_gives_an_empty_batch() {
        assert!(pick(&pad(0.03, None, 0.5), &[0.0; 8], 0.3, 0).is_empty());
        assert!(pick(&pad(0.03, None, 0.5), &[], 0.3, 0).is_empty());
    }

    #[test]
    fn each_sample_is_drawn_at_most_once_and_the_draw_is_repeatable() {
        let advantages: Vec<f32> = (0..40).map(|i| (i as f32 - 20.0) / 10.0).collect();
        for seed in 0..50 {
            let picked = pick(&pad(0.03, None, 0.5), &advantages, 0.3, seed);
            assert!(picked.windows(2).all(|pair| pair[0] < pair[1]), "{picked:?}");
            assert_eq!(picked, pick(&pad(0.03, None, 0.5), &advantages, 0.3, seed));
        }
    }

    /// One of three is drawn with weights e^0.5 : e^1 : e^1.5 = 1 : 1.6487 : 2.7183 at τ = 1, so .1863 : .3072 : .5065.
    #[test]
    fn follows_the_softmax_law() {
        let mut counts = [0_u32; 3];
        for seed in 0..20_000 {
            counts[pick(&pad(0.03, None, 0.33), &[0.5, -1.0, 1.5], 1.0, seed)[0]] += 1;
        }
        for (count, expected) in counts.iter().zip([0.1863, 0.3072, 0.5065]) {
            let share = f64::from(*count) / 20_000.0;
            assert!((share - expected).abs() < 0.012, "{counts:?}"); // three standard errors are 0.0106
        }
    }

    /// Without replacement: the last one left out of three has probability Σ over both orders of the two drawn.
    /// With p = (.1863, .3072, .5065): P(2 is left out) = p0·p1/(1−p0) + p1·p0/(1−p1) = .0703 + .0826 = .1529.
    #[test]
    fn second_draw_is_over_what_is_left() {
        let left_out =
            (0..20_000).filter(|&seed| pick(&pad(0.03, None, 0.6), &[0.5, -1.0, 1.5], 1.0, seed) == [0, 1]).count();
        assert!((left_out as f64 / 20_000.0 - 0.1529).abs() < 0.008, "{left_out}");
    }

    #[test]
    fn a_tiny_temperature_takes_the_largest_and_does_not_overflow() {
        assert_eq!(pick(&pad(0.03, None, 0.25), &[0.5, -2.4, 1.5, 0.1], 1e-9, 3), [1]);
        assert_eq!(pick(&pad(0.03, None, 1.0), &[0.5, -2.4, 1.5, 0.1], 1e-300, 3).len(), 4);
    }
}
