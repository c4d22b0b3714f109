//! Scores → intervals. Everything here is a pure function of its arguments: the same items give the same bytes.

use serde::{Deserialize, Serialize};

/// Resamples of a bootstrap.
pub(super) const RESAMPLES: usize = 10_000;
/// 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// An interval; at 95 % unless its maker says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Wilson's score interval of a proportion: `hits` of `items` (E. B. Wilson 1927, JASA 22:209, without continuity
/// correction). Unlike `p ± z·se` it stays within 0…1 and is not empty at 0 and 1.
pub fn wilson(hits: usize, items: usize) -> Interval {
    if items == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let n = items as f64;
    let p = hits as f64 / n;
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At the ends the bound is 0 or 1 exactly; rounding must not say otherwise.
    let low = if hits == 0 { 0.0 } else { centre - half };
    let high = if hits == items { 1.0 } else { centre + half };
    Interval { low, high }
}

/// Percentile bootstrap of a mean over items.
pub fn bootstrap_mean(values: &[f64]) -> Interval {
    if values.is_empty() {
        return Interval { low: 0.0, high: 0.0 };
    }
    let mut draws = Draws::new();
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..values.len()).map(|_| values[draws.below(values.len())]).sum::<f64>() / values.len() as f64)
        .collect();
    percentiles(&mut means)
}

/// The middle 95 % of some values.
pub(super) fn percentiles(values: &mut [f64]) -> Interval {
    without_tails(values, 0.025)
}

/// Some values without this share of them at each end.
pub(super) fn without_tails(values: &mut [f64], share: f64) -> Interval {
    values.sort_unstable_by(f64::total_cmp);
    Interval { low: quantile(values, share), high: quantile(values, 1.0 - share) }
}

/// Mean of `after − before` over items that both scored, and its percentile bootstrap: items are drawn as pairs, so what
/// makes an item hard for both cancels out.
pub fn paired_bootstrap(pairs: &[(f64, f64)]) -> (f64, Interval) {
    let differences: Vec<f64> = pairs.iter().map(|(before, after)| after - before).collect();
    let mean = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
    (mean, bootstrap_mean(&differences))
}

/// Linear interpolation between order statistics (type 7 of Hyndman and Fan 1996).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// Uniform draws from blake3's output stream under a fixed name.
pub(super) struct Draws {
    stream: blake3::OutputReader,
    buffer: [u8; 4096],
    at: usize,
}

impl Draws {
    pub fn new() -> Self {
        let stream = blake3::Hasher::new().update(b"curricle bootstrap 1").finalize_xof();
        Self { stream, buffer: [0; 4096], at: 4096 }
    }

    /// A whole number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        loop {
            // Lemire 2019 (ACM TOMACS 29:3): the high half of a product, without the values that would be too frequent.
            let product = u64::from(self.word()) * bound;
            let rest = product & 0xffff_ffff;
            if rest >= bound || rest >= (1_u64 << 32) % bound {
                return (product >> 32) as usize;
            }
        }
    }

    /// A number of at least 0 and below 1, in steps of 2⁻³².
    pub fn unit(&mut self) -> f64 {
        f64::from(self.word()) / 4_294_967_296.0
    }

    fn word(&mut self) -> u32 {
        if self.at == self.buffer.len() {
            self.stream.fill(&mut self.buffer);
            self.at = 0;
        }
        let mut word = [0; 4];
        word.copy_from_slice(&self.buffer[self.at..self.at + 4]);
        self.at += 4;
        u32::from_le_bytes(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn wilson_by_hand() {
        // n = 10, p = 0.5, z² = 3.8414588: centre = (0.5 + 0.19207294) / 1.38414588 = 0.5 exactly;
        // half = 1.95996398 / 1.38414588 · √(0.025 + 3.8414588 / 400) = 1.41600998 · 0.18602523 = 0.26340...
        let Interval { low, high } = wilson(5, 10);
        near(low, 0.236_593, 1e-6);
        near(high, 0.763_407, 1e-6);
        // k = 0: high = z² / (n + z²) = 3.8414588 / 23.8414588.
        let none = wilson(0, 20);
        near(none.low, 0.0, 0.0);
        near(none.high, 3.841_458_8 / 23.841_458_8, 1e-8);
        near(wilson(20, 20).low, 20.0 / 23.841_458_8, 1e-8);
    }

    #[test]
    fn draws_are_uniform_and_always_the_same() {
        let mut draws = Draws::new();
        let mut counts = [0_u32; 5];
        for _ in 0..50_000 {
            counts[draws.below(5)] += 1;
        }
        // Standard deviation of each count: √(50000 · 0.2 · 0.8) = 89; five of them.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 450), "{counts:?}");
        let first = || {
            let mut draws = Draws::new();
            [(); 8].map(|()| draws.below(1000))
        };
        assert_eq!(first(), first());
    }

    #[test]
    fn bootstrap_agrees_with_the_normal_approximation() {
        // 100 zeros and 100 ones: the mean's standard error is √(0.25 / 200) = 0.035355; 1.96 of it is 0.0693.
        let values: Vec<f64> = (0..200).map(|i| f64::from(i % 2)).collect();
        let Interval { low, high } = bootstrap_mean(&values);
        near(low, 0.5 - 0.0693, 0.006);
        near(high, 0.5 + 0.0693, 0.006);
    }

    #[test]
    fn pairing_removes_what_items_share() {
        // Before and after differ by 1 on every tenth item only; the items themselves range over 0…9.
        let pairs: Vec<_> = (0..100).map(|i| (f64::from(i % 10), f64::from(i % 10 + i32::from(i % 10 == 0)))).collect();
        let (difference, interval) = paired_bootstrap(&pairs);
        near(difference, 0.1, 1e-12);
        // Standard error of a proportion of 0.1 over 100: 0.03.
        assert!(interval.low > 0.03 && interval.high < 0.17, "{interval:?}");
        let (none, flat) = paired_bootstrap(&[(1.0, 1.0), (0.0, 0.0)]);
        assert_eq!((none, flat), (0.0, Interval { low: 0.0, high: 0.0 }));
    }

    #[test]
    fn quantiles_interpolate() {
        near(quantile(&[0.0, 1.0, 2.0, 3.0], 0.5), 1.5, 0.0);
        near(quantile(&[7.0], 0.975), 7.0, 0.0);
    }
}
