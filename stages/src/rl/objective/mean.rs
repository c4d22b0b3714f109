//! Lengths of completions → the weight of each of their tokens in the loss. Here implementations differ most.
//!
//! ```text
//! token      Σ_i Σ_t l_it / Σ_i |o_i|        DAPO (arXiv 2503.14476); TRL `bnpo`, `dapo`; verl `token-mean`
//! sequence   1/B Σ_i ( Σ_t l_it / |o_i| )    GRPO (arXiv 2402.03300); TRL `grpo`; verl `seq-mean-token-mean`
//! constant   1/B Σ_i ( Σ_t l_it / L )        Dr.GRPO (arXiv 2503.20783); TRL `dr_grpo`; verl `seq-mean-token-sum-norm`
//! ```
//!
//! B completions, L the longest there may be. All over the whole batch of an optimizer step. The released code takes token
//! means of micro-batches and then their mean, which depends on how the batch is cut; that is none of these.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the loss is a mean of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mean {
    /// Every token of the optimizer step's batch counts the same.
    #[default]
    Token,
    /// Every completion counts the same, however long.
    Sequence,
    /// Every token counts the same whatever the batch holds: one over completions times `max_new_tokens`.
    Constant,
}

/// Weight of one token of each completion, of at most `longest` tokens; a completion without tokens weighs nothing.
///
/// Over all tokens the weights sum to 1, but with [`Mean::Constant`], where they sum to the mean length over `longest`.
pub fn token_weights(mean: Mean, lengths: &[usize], longest: usize) -> Vec<f32> {
    let total: usize = lengths.iter().sum();
    let filled = lengths.iter().filter(|&&length| length > 0).count();
    let weight = |&length: &usize| match (mean, length) {
        (_, 0) => 0.0,
        (Mean::Token, _) => 1.0 / total as f64,
        (Mean::Sequence, length) => 1.0 / (filled as f64 * length as f64),
        (Mean::Constant, _) => 1.0 / (filled as f64 * longest.max(1) as f64),
    };
    lengths.iter().map(|length| weight(length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_weigh_the_same_or_sequences_do() {
        assert_eq!(token_weights(Mean::Token, &[1, 3], 8), [0.25, 0.25]);
        assert_eq!(token_weights(Mean::Sequence, &[1, 4], 8), [0.5, 0.125]);
        assert_eq!(token_weights(Mean::Sequence, &[0, 2], 8), [0.0, 0.5]);
        assert_eq!(token_weights(Mean::Constant, &[1, 3], 8), [0.0625, 0.0625]);
        assert_eq!(token_weights(Mean::Token, &[], 8), Vec::<f32>::new());
    }
}
