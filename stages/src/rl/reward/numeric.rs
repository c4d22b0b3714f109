//! Is the boxed number near enough? For answers that are measured or estimated, where `accuracy` would be too strict.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{boxed, number};
use super::{Answered, Problem};

/// Settings of the reward: |found − gold| ≤ max(absolute, relative · |gold|).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Numeric {
    /// Weight in the sum.
    pub weight: f64,
    /// Tolerance as a share of the gold number.
    #[serde(default)]
    pub relative: f64,
    /// Tolerance in the unit of the gold number.
    #[serde(default)]
    pub absolute: f64,
}

impl Numeric {
    /// 1 if the last boxed number is within the tolerance of the gold number, else 0; also where either is no number.
    pub(super) fn score(&self, answered: &Answered<'_>) -> f32 {
        let (Some(gold), Some(found)) = (number(answered.answer), boxed(answered.text).and_then(number)) else {
            return 0.0;
        };
        // What rounding of decimals explains counts as equal: 0.1 + 0.2 is within 0 of 0.3.
        let tolerance = self.absolute.max(self.relative * gold.abs()) + 1e-12 * gold.abs();
        if (found - gold).abs() <= tolerance { 1.0 } else { 0.0 }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let named = [("relative", self.relative), ("absolute", self.absolute)].into_iter();
        let negative = named.filter(|(_, value)| *value < 0.0);
        negative.map(|(name, _)| (name.into(), "must not be negative".into(), "0.01 is 1 %")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_include_their_bounds() {
        let near = |relative, absolute, answer, text| {
            Numeric { weight: 1.0, relative, absolute }.score(&Answered { text, answer, ..Answered::default() }) > 0.5
        };
        assert!(near(0.01, 0.0, "200", r"\boxed{202}") && !near(0.01, 0.0, "200", r"\boxed{202.1}"));
        assert!(near(0.0, 0.5, "-3", r"\boxed{-3.5}") && !near(0.0, 0.5, "-3", r"\boxed{3}"));
        assert!(near(0.0, 0.0, "0.3", r"\boxed{\frac{1}{10} + 0.2}") && !near(0.0, 0.0, "0.3", r"\boxed{0.31}"));
        assert!(near(0.01, 0.0, "3.14", r"\boxed{\pi}") && near(0.01, 0.0, r"5\text{ cm}", r"\boxed{5.02 cm}"));
        assert!(near(0.1, 0.0, "x = 10", r"\boxed{y = 9.5}") && near(0.0, 0.1, "0", r"\boxed{0.1}"));
        for no_number in
            [r"\boxed{x}", r"\boxed{1, 2}", "5", r"\boxed{}", r"\boxed{i}", r"\boxed{1/0}", r"\boxed{\infty}"]
        {
            assert!(!near(10.0, 10.0, "5", no_number), "{no_number}");
        }
        assert!(!near(1.0, 1.0, "red", r"\boxed{5}"));
    }
}
