//! Log-ratios of tokens → how far an update is from the model that sampled. Host numbers; refuses to know tensors.
//!
//! ```text
//! ρ = π / π_old, sampled from π_old           KL = KL(π_old ‖ π)
//! mean ρ            1 in expectation           k1   mean of −log ρ
//! ESS = (Σ ρ)² / (n Σ ρ²)                      k3   mean of ρ − 1 − log ρ   (Schulman 2020)
//! ```

/// Sums over the tokens of an update; sums of parts add up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ratios {
    /// Tokens.
    pub tokens: usize,
    ratio: f64,
    square: f64,
    /// Greatest ratio.
    pub max: f64,
    log: f64,
    low: usize,
    high: usize,
}

impl Ratios {
    /// Of `[3, n]` numbers: of each token its log-ratio, which bound acts on it (below 0 the lower, above 0 the upper), and
    /// its weight; 0 hides it.
    pub fn of(tokens: &[f32]) -> Self {
        let mut sums = Self::default();
        let (logs, rest) = tokens.split_at(tokens.len() / 3);
        let (bounds, weights) = rest.split_at(logs.len());
        for ((&log, &bound), _) in logs.iter().zip(bounds).zip(weights).filter(|(_, weight)| **weight != 0.0) {
            let (log, ratio) = (f64::from(log), f64::from(log).exp());
            sums.tokens += 1;
            sums.ratio += ratio;
            sums.square += ratio * ratio;
            sums.max = sums.max.max(ratio);
            sums.log += log;
            sums.low += usize::from(bound < 0.0);
            sums.high += usize::from(bound > 0.0);
        }
        sums
    }

    /// With the tokens of another part.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens + other.tokens,
            ratio: self.ratio + other.ratio,
            square: self.square + other.square,
            max: self.max.max(other.max),
            log: self.log + other.log,
            low: self.low + other.low,
            high: self.high + other.high,
        }
    }

    /// Mean ratio.
    pub fn mean(&self) -> f64 {
        self.per_token(self.ratio)
    }

    /// `KL(π_old ‖ π)` by k1: unbiased, of either sign.
    pub fn k1(&self) -> f64 {
        self.per_token(-self.log)
    }

    /// `KL(π_old ‖ π)` by k3: unbiased, never negative.
    pub fn k3(&self) -> f64 {
        self.per_token(self.ratio - self.log) - 1.0
    }

    /// Effective sample size of the ratios as weights, as a share of the tokens.
    pub fn ess(&self) -> f64 {
        if self.square > 0.0 { self.per_token(self.ratio * self.ratio / self.square) } else { 0.0 }
    }

    /// Share of tokens that the lower bound acts on.
    pub fn low(&self) -> f64 {
        self.per_token(self.low as f64)
    }

    /// Share of tokens that the upper bound acts on.
    pub fn high(&self) -> f64 {
        self.per_token(self.high as f64)
    }

    fn per_token(&self, sum: f64) -> f64 {
        sum / self.tokens.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-6, "{got}, not {want}");
    }

    #[test]
    fn by_hand() {
        // ρ = 2, 1/2: mean 1.25, Σρ² = 4.25, ESS = 2.5² / (2 · 4.25), Σ log ρ = 0, k3 = 1.25 − 1.
        let two = std::f32::consts::LN_2;
        let ratios = Ratios::of(&[two, 9.0, -two, 1.0, 1.0, 0.0, 0.5, 0.0, 2.0]).plus(Ratios::default());
        near(ratios.mean(), 1.25);
        near(ratios.max, 2.0);
        near(ratios.ess(), 6.25 / 8.5);
        near(ratios.k1(), 0.0);
        near(ratios.k3(), 0.25);
        near(ratios.high(), 0.5);
        near(ratios.low(), 0.0);
    }

    #[test]
    fn on_policy_every_sample_counts() {
        let ratios = Ratios::of(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        near(ratios.mean(), 1.0);
        near(ratios.ess(), 1.0);
        near(ratios.k3(), 0.0);
    }

    #[test]
    fn parts_add_up() {
        let logs = [0.3, -0.2, 0.1, 0.7, -1.0];
        let bounds = [0.0, -1.0, 0.0, 1.0, -1.0];
        let of = |logs: &[f32], bounds: &[f32]| Ratios::of(&[logs, bounds, &vec![0.2; logs.len()]].concat());
        let (whole, split) =
            (of(&logs, &bounds), |at: usize| of(&logs[..at], &bounds[..at]).plus(of(&logs[at..], &bounds[at..])));
        for at in 0..5 {
            near(split(at).ess(), whole.ess());
            near(split(at).k1(), whole.k1());
            near(split(at).low(), 0.4);
            near(split(at).max, whole.max);
        }
    }
}
