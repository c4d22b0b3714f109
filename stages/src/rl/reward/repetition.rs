//! The n-gram repetition penalty: −(1 − distinct n-grams / all n-grams), over lower-case words.
//!
//! Yeo et al., Demystifying Long Chain-of-Thought Reasoning (arXiv 2502.03373, appendix C.2) have the penalty per token;
//! this is its form per completion, as in open-r1 (`get_repetition_penalty_reward`, whose `max_penalty` is minus our weight).
//! The released ReVisual-R1 counts repeated sentences and five-grams by other rules; it is not this one.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answered, Problem};

/// Settings of the reward.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repetition {
    /// Weight in the sum: the penalty of a completion that says nothing but one thing.
    pub weight: f64,
    /// Words of an n-gram; open-r1 has 3, the paper 40 tokens.
    #[serde(default = "three")]
    pub n: usize,
}

fn three() -> usize {
    3
}

impl Repetition {
    /// 0 where no n-gram comes twice, and for completions shorter than one; towards −1 the more is said again.
    pub(super) fn score(&self, answered: &Answered<'_>) -> f32 {
        let text = answered.text.to_lowercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        let grams = words.windows(self.n.max(1));
        let all = grams.len();
        if all == 0 {
            return 0.0;
        }
        let distinct = grams.collect::<BTreeSet<_>>().len();
        -(1.0 - distinct as f32 / all as f32)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        if self.n > 0 {
            return Vec::new();
        }
        vec![("n".into(), "must be at least 1".into(), "open-r1 has 3")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn said_again_costs() {
        let score = |n, text| Repetition { weight: 1.0, n }.score(&Answered { text, ..Answered::default() });
        // 6 trigrams of "a b c a b c a b": abc bca cab abc bca cab; 3 are distinct.
        assert!((score(3, "a b c A B  C a\nb") + 0.5).abs() < 1e-6);
        assert!((score(1, "no no no no") + 0.75).abs() < 1e-6);
        for text in ["", "one two", "one two three four"] {
            assert!(score(3, text).abs() < 1e-6, "{text}");
        }
    }

    #[test]
    fn long_completions_are_no_trouble() {
        let text = "wait ".repeat(20_000);
        let score = Repetition { weight: 1.0, n: 40 }.score(&Answered { text: &text, ..Answered::default() });
        assert!(score < -0.99);
    }
}
