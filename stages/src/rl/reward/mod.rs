//! A completion and its gold answer → a reward (arXiv 2506.04207, eq. 1: 1 if correct, else 0), plus the format terms
//! around it. [`REWARDS`] is the table: a new reward is one file, one field of [`Weights`] and one line there.
//!
//! A recipe weighs the rewards; each is also logged alone, so a rising total can be told from a rising accuracy. Host
//! code over text; knows neither groups nor tokens.

mod accuracy;
pub mod answer;
mod format;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use accuracy::accuracy;
pub use format::format;

/// A completion next to what was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The completion, without special tokens.
    pub text: &'a str,
    /// The gold answer.
    pub answer: &'a str,
    /// Options of a choice question; empty for others.
    pub choices: &'a [String],
}

/// Weight of each reward in the sum that advantages are made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// 1 if the boxed answer equals the gold answer.
    pub accuracy: f64,
    /// 1 if the completion is `<think>…</think>` and then `\boxed{…}`.
    pub format: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { accuracy: 1.0, format: 0.0 }
    }
}

/// One line of [`REWARDS`].
pub struct Reward {
    /// Its name in recipes and logs.
    pub name: &'static str,
    /// Its weight in a recipe.
    pub weight: fn(&Weights) -> f64,
    /// Its value for a completion, in [0, 1].
    pub score: fn(&Answered<'_>) -> f32,
}

/// Every reward; accuracy is first.
pub static REWARDS: &[Reward] = &[
    Reward { name: "accuracy", weight: |weights| weights.accuracy, score: accuracy },
    Reward { name: "format", weight: |weights| weights.format, score: format },
];

/// The rewards of one completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Weighted sum.
    pub total: f32,
    /// Each reward unweighted, in the order of [`REWARDS`].
    pub each: Vec<f32>,
}

impl Scored {
    /// The accuracy reward: what selection looks at.
    pub fn accuracy(&self) -> f32 {
        self.each[0]
    }
}

/// Scores a completion by every reward.
pub fn score(answered: &Answered<'_>, weights: &Weights) -> Scored {
    let each: Vec<f32> = REWARDS.iter().map(|reward| (reward.score)(answered)).collect();
    let total =
        REWARDS.iter().zip(&each).map(|(reward, &value)| (reward.weight)(weights) * f64::from(value)).sum::<f64>();
    Scored { total: total as f32, each }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_is_the_weighted_sum() {
        let answered = Answered { text: r"<think>2+2</think> \boxed{5}", answer: "4", choices: &[] };
        let weights = Weights { accuracy: 1.0, format: 0.25 };
        assert_eq!(score(&answered, &weights), Scored { total: 0.25, each: vec![0.0, 1.0] });
        let right = Answered { text: r"it is \boxed{4}", ..answered };
        assert_eq!(score(&right, &weights), Scored { total: 1.0, each: vec![1.0, 0.0] });
    }

    #[test]
    fn selection_looks_at_the_first_line() {
        assert_eq!(REWARDS[0].name, "accuracy");
    }
}
