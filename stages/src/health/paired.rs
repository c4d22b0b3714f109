//! Verdicts on the same questions at two times → how much was lost, and whether chance does that. Refuses to know the
//! questions.

/// How the answers to some questions changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Right then and wrong now.
    pub lost: usize,
    /// Wrong then and right now.
    pub won: usize,
    /// Questions.
    pub items: usize,
}

impl Change {
    /// Between verdicts on the same questions.
    pub fn between(then: &[bool], now: &[bool]) -> Self {
        let count = |from: bool| then.iter().zip(now).filter(|&(&then, &now)| then == from && now != from).count();
        Self { lost: count(true), won: count(false), items: then.len().min(now.len()) }
    }

    /// Loss in the share of right answers; negative where more were won.
    pub fn drop(&self) -> f64 {
        (self.lost as f64 - self.won as f64) / self.items.max(1) as f64
    }

    /// Probability that at least so many of the changed answers are losses, where losses and gains are equally likely: the
    /// exact one-sided form of the paired test for proportions (`McNemar`, Psychometrika 12, 1947).
    ///
    /// ```text
    /// p = 2⁻ⁿ Σ_{k = lost}^{n} C(n, k),   n = lost + won
    /// ```
    pub fn p_value(&self) -> f64 {
        let changed = self.lost + self.won;
        let mut log_choose = 0.0;
        let mut sum = 0.0;
        for k in 0..=changed {
            if k >= self.lost {
                sum += (log_choose - changed as f64 * std::f64::consts::LN_2).exp();
            }
            log_choose += ((changed - k) as f64 / (k + 1) as f64).ln();
        }
        sum.min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_answers_count() {
        let then = [true, true, true, false, false];
        let now = [true, false, false, true, false];
        let change = Change::between(&then, &now);
        assert_eq!(change, Change { lost: 2, won: 1, items: 5 });
        assert!((change.drop() - 0.2).abs() < 1e-12);
    }

    #[test]
    fn the_test_is_exact() {
        // n = 10: (C(10,8) + C(10,9) + C(10,10)) / 1024 = (45 + 10 + 1) / 1024.
        let p = Change { lost: 8, won: 2, items: 50 }.p_value();
        assert!((p - 56.0 / 1024.0).abs() < 1e-12, "{p}");
        assert!((Change { lost: 0, won: 0, items: 50 }.p_value() - 1.0).abs() < 1e-12);
        assert!((Change { lost: 0, won: 7, items: 50 }.p_value() - 1.0).abs() < 1e-12);
        let many = Change { lost: 900, won: 700, items: 5000 }.p_value();
        assert!(many > 1e-8 && many < 1e-6, "{many}");
    }
}
