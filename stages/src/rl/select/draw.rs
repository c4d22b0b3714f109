//! Weights → positions drawn in proportion to them. Knows nothing of what the weights are made of.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// A position drawn in proportion to its weight; uniform if the weights have no usable sum (Z = 0 in the paper).
pub(super) fn draw(weights: &[f64], rng: &mut ChaCha8Rng) -> usize {
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
