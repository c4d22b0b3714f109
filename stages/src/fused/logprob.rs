//! Logits → log-probabilities of chosen tokens and entropies, without a table of either.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use curricle_kernels::logprob::{self, Score};

use super::{Operator, apply, dense, slice, tensor};
use crate::train::logprob::Entropies;

/// `log p` of a token per row and the entropy of the row, `[N]` each, from logits `[N, V]`.
pub fn scores(logits_nv: Tensor<2>, tokens_n: &[i32], entropies: Entropies) -> [Tensor<1>; 2] {
    let both: Tensor<2> = apply(&Scores { tokens: tokens_n.into(), entropies }, [logits_nv.into()]);
    let row = |at| both.clone().narrow(0, at, 1).squeeze_dim(0);
    [row(0), if entropies == Entropies::Learned { row(1) } else { row(1).detach() }]
}

#[derive(Debug, Clone)]
struct Scores {
    tokens: std::sync::Arc<[i32]>,
    entropies: Entropies,
}

impl Operator<1> for Scores {
    type Saved = Option<(FlexTensor, Vec<Score>)>;

    fn forward(&self, [logits_nv]: [FlexTensor; 1], [tracked]: [bool; 1]) -> (FlexTensor, Self::Saved) {
        let logits_nv = dense(&logits_nv);
        let scores = logprob::forward(slice(&logits_nv), &self.tokens, self.entropies != Entropies::Off);
        let both = scores.iter().map(|score| score.logp).chain(scores.iter().map(|score| score.entropy)).collect();
        (tensor(both, [2, scores.len()]), tracked.then_some((logits_nv, scores)))
    }

    fn backward(&self, saved: Self::Saved, dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let Some((logits_nv, scores)) = saved else { return [None] };
        let dy = dense(&dy);
        let (dlogp_n, dentropy_n) = slice(&dy).split_at(scores.len());
        let dentropy_n = (self.entropies == Entropies::Learned).then_some(dentropy_n);
        let gradient = logprob::backward(slice(&logits_nv), &self.tokens, &scores, dlogp_n, dentropy_n);
        let shape = [0, 1].map(|at| logits_nv.layout().shape()[at]);
        [Some(tensor(gradient, shape))]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::fused::testing::{Random, equal};
    use crate::train::logprob::composed;

    #[test]
    fn equals_the_composed_scores() {
        let both = |scores: [Tensor<1>; 2]| Tensor::stack::<2>(scores.to_vec(), 0);
        for (n, v) in [(1, 2), (5, 33), (16, 600)] {
            let tokens: Vec<i32> = (0..n).map(|i| (i * 31 % v) as i32).collect();
            for entropies in [Entropies::Off, Entropies::Measured, Entropies::Learned] {
                equal(
                    &[Random(19).shaped([n, v])],
                    |[z]| both(scores(z, &tokens, entropies)),
                    |[z]| {
                        let scores = composed(z, &tokens, entropies);
                        both([scores.logp_n, scores.entropy_n])
                    },
                );
            }
        }
    }
}
