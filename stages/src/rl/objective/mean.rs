//! Lengths of completions → the weight of each of their tokens in the loss. Here implementations differ most.
//!
//! ```text
//! token      Σ_i Σ_t l_it / Σ_i |o_i|        DAPO (arXiv 2503.14476); TRL `bnpo`, `dapo`; verl `token-mean`
//! sequence   1/B Σ_i ( Σ_t l_it / |o_i| )    GRPO (arXiv 2402.03300); TRL `grpo`; verl `seq-mean-token-mean`
//! ```
//!
//! Both over the whole batch of an optimizer step. The released code takes token means of micro-batches and then their
//! mean, which depends on how the batch is cut; that is neither.

use crate::kinds::grpo::Mean;

/// Weight of one token of each completion; over all tokens they sum to 1. A completion without tokens weighs nothing.
pub fn token_weights(mean: Mean, lengths: &[usize]) -> Vec<f32> {
    let total: usize = lengths.iter().sum();
    let filled = lengths.iter().filter(|&&length| length > 0).count();
    let weight = |&length: &usize| match (mean, length) {
        (_, 0) => 0.0,
        (Mean::Token, _) => 1.0 / total as f64,
        (Mean::Sequence, length) => 1.0 / (filled as f64 * length as f64),
    };
    lengths.iter().map(|length| weight(length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_weigh_the_same_or_sequences_do() {
        assert_eq!(token_weights(Mean::Token, &[1, 3]), [0.25, 0.25]);
        assert_eq!(token_weights(Mean::Sequence, &[1, 4]), [0.5, 0.125]);
        assert_eq!(token_weights(Mean::Sequence, &[0, 2]), [0.0, 0.5]);
        assert_eq!(token_weights(Mean::Token, &[]), Vec::<f32>::new());
    }
}
