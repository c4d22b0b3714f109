//! The efficient-length reward of ReVisual-R1 (arXiv 2506.04207v1, §4.1.2; v2 dropped it):
//!
//! ```text
//! R_raw = α (L_budget − L_y) + δ                           eq. 5
//! R_len = max(0, min(1, R_raw))                            eq. 6
//! ```
//!
//! The paper gives α = 0.005 and δ = 0.5 as examples and no `L_budget` (the released script has 8192), and does not say how
//! it joins the other rewards; the release adds it with weight 0.05, right answer or not. With these values it is no gentle
//! slope: 1 up to 100 tokens below the budget, 0 from 100 above.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answered, Problem};

/// Settings of the reward.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EfficientLength {
    /// Weight in the sum; the release has 0.05.
    pub weight: f64,
    /// `L_budget`: length in tokens at which the reward is δ. The paper does not state it.
    pub budget: usize,
    /// α: reward per token saved.
    #[serde(default = "alpha")]
    pub alpha: f64,
    /// δ: reward of a completion as long as the budget.
    #[serde(default = "delta")]
    pub delta: f64,
}

fn alpha() -> f64 {
    0.005
}

fn delta() -> f64 {
    0.5
}

impl EfficientLength {
    /// Eq. 6 for one completion.
    pub(super) fn score(&self, answered: &Answered<'_>) -> f32 {
        let raw = self.alpha * (self.budget as f64 - answered.tokens as f64) + self.delta;
        raw.clamp(0.0, 1.0) as f32
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.budget == 0 {
            let help = "the released script has 8192, its longest completion";
            problems.push(("budget".into(), "must be at least 1".into(), help));
        }
        if self.alpha <= 0.0 {
            let message = "must be above 0, or length makes no difference";
            problems.push(("alpha".into(), message.into(), "the paper's example is 0.005"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// α = 0.005, δ = 0.5, budget 1000: 0.005 · (1000 − L) + 0.5.
    #[test]
    fn a_ramp_of_100_tokens_to_either_side() {
        let reward: EfficientLength = serde_json::from_str(r#"{"weight":0.05,"budget":1000}"#).unwrap();
        for (tokens, expected) in
            [(0, 1.0), (900, 1.0), (950, 0.75), (1000, 0.5), (1040, 0.3), (1100, 0.0), (9000, 0.0)]
        {
            let score = reward.score(&Answered { tokens, ..Answered::default() });
            assert!((score - expected).abs() < 1e-6, "{tokens}: {score}");
        }
    }
}
