//! Scores of all rows → one token per row, chosen where the scores lie, so that nothing but the ids comes back.
//!
//! What [`Sampling::choose`] does on the host, for the settings that need no order among the tokens: the best one, and a
//! draw from all of them. A draw is a share of the sum of the weights `exp((s − peak)/T)`; the token is the one at which the
//! sum so far, in the order of the vocabulary, passes that share. Blocks of weights are added up, and blocks of those, so
//! that one after the other never more than 64 numbers are added:
//!
//! ```text
//! before(i) = w_0 + … + w_{i−1}      chosen = the last i with w_i > 0 and before(i) ≤ left      left −= before(chosen)
//! ```
//!
//! among the blocks of blocks, inside of the chosen one, and so on. The first weight of any block has nothing before it,
//! exactly, so a token without weight can't be chosen however sums are rounded; the host adds in 64 bits and this in 32,
//! so a draw that falls within rounding of the border between two tokens may take the other. Products would be shorter,
//! but tensor cores round their operands. Knows nothing of models and rows.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::sampling::Sampling;

/// Numbers that are added one after the other.
const BLOCK: usize = 64;

/// Chooses as one [`Sampling`] says.
#[derive(Debug, Clone)]
pub struct Chooser {
    /// Added to the scores: −∞ for what is banned, `[1, V]`.
    bias_1v: Option<Tensor<2>>,
    /// 0 chooses the best.
    temperature: f32,
}

impl Chooser {
    /// Where `sampling` can be followed without looking at the scores of single rows; else none.
    pub fn new(sampling: &Sampling, vocabulary: usize, device: &Device) -> Option<Self> {
        let draws = sampling.temperature > 0.0;
        if sampling.penalises() || draws && (sampling.top_k > 0 || sampling.top_p < 1.0) {
            return None;
        }
        let mut bias = vec![0.0_f32; vocabulary];
        for id in sampling.never() {
            if let Some(bias) = bias.get_mut(id as usize) {
                *bias = f32::NEG_INFINITY;
            }
        }
        let hides = bias.contains(&f32::NEG_INFINITY);
        let bias_1v = hides.then(|| Tensor::from_data(TensorData::new(bias, [1, vocabulary]), device));
        Some(Self { bias_1v, temperature: sampling.temperature.max(0.0) })
    }

    /// The token of each row of scores `[B, V]` at its share (0..1) of all weights; `None` if every one is banned or no score
    /// is a number. The best token is the same at any share.
    ///
    /// # Panics
    /// Where there are not as many shares as rows.
    pub fn choose(&self, logits_bv: Tensor<2>, shares: &[f32]) -> Vec<Option<u32>> {
        let ([b, _], device) = (logits_bv.dims(), logits_bv.device());
        let mut levels = vec![self.weights(logits_bv)];
        while let Some(sums) = levels.last_mut().and_then(blocks) {
            levels.push(sums);
        }
        let mut levels = levels.into_iter().rev();
        let Some(top_bn) = levels.next() else { return vec![None; b] };
        let mut left_b1 = if self.temperature > 0.0 {
            top_bn.clone().sum_dim(1) * Tensor::from_data(TensorData::new(shares.to_vec(), [b, 1]), &device)
        } else {
            assert_eq!(shares.len(), b, "one share per row");
            Tensor::zeros([b, 1], &device)
        };
        let mut at_b1 = last_open(top_bn, &mut left_b1);
        let nothing = at_b1.clone().lower_elem(0);
        at_b1 = at_b1.clamp_min(0);
        let rows_b1 = Tensor::<1, Int>::arange(0..b as i64, &device).reshape([b, 1]);
        for level_bn in levels {
            let [_, n] = level_bn.dims();
            let block_b = (rows_b1.clone() * (n / BLOCK) as i32 + at_b1.clone()).reshape([b]);
            let block_bn = level_bn.reshape([b * n / BLOCK, BLOCK]).select(0, block_b);
            // A block of which every number is too late can't be: its first weight has nothing before it.
            let inside_b1 = last_open(block_bn, &mut left_b1).clamp_min(0);
            at_b1 = at_b1 * BLOCK as i32 + inside_b1;
        }
        let ids = at_b1.mask_fill(nothing, -1).into_data();
        ids.iter::<i64>().map(|id| u32::try_from(id).ok()).collect()
    }

    /// What each token counts, `[B, V]`: 0 where its score is −∞ or no number.
    fn weights(&self, logits_bv: Tensor<2>) -> Tensor<2> {
        let scores_bv = match &self.bias_1v {
            None => logits_bv,
            Some(bias_1v) => logits_bv + bias_1v.clone(),
        };
        let hidden: Tensor<2, Bool> = scores_bv.clone().greater_equal_elem(f32::MIN).bool_not();
        let scores_bv = scores_bv.mask_fill(hidden.clone(), f32::MIN);
        let peak_b1 = scores_bv.clone().max_dim(1);
        let weights_bv = if self.temperature > 0.0 {
            ((scores_bv - peak_b1) * (1.0 / self.temperature)).exp()
        } else {
            scores_bv.greater_equal(peak_b1).float()
        };
        weights_bv.mask_fill(hidden, 0.0)
    }
}

/// Sums of blocks, where there is more than one; fills up the last block.
fn blocks(level_bn: &mut Tensor<2>) -> Option<Tensor<2>> {
    let [b, n] = level_bn.dims();
    if n <= BLOCK {
        return None;
    }
    let missing = n.next_multiple_of(BLOCK) - n;
    if missing > 0 {
        let zeros = Tensor::zeros([b, missing], &level_bn.device());
        *level_bn = Tensor::cat(vec![level_bn.clone(), zeros], 1);
    }
    let count = n.div_ceil(BLOCK);
    Some(level_bn.clone().reshape([b, count, BLOCK]).sum_dim(2).reshape([b, count]))
}

/// The last place of each row `[B, n]` that has a weight and no more than `left` before it, `[B, 1]`, or −1; takes what is
/// before it off `left`.
fn last_open(weights_bn: Tensor<2>, left_b1: &mut Tensor<2>) -> Tensor<2, Int> {
    let [b, n] = weights_bn.dims();
    let before_bn = weights_bn.clone().cumsum(1) - weights_bn.clone();
    let open = weights_bn.greater_elem(0.0).bool_and(before_bn.clone().lower_equal(left_b1.clone()));
    let places_bn = Tensor::<1, Int>::arange(0..n as i64, &before_bn.device()).reshape([1, n]).expand([b, n]);
    let at_b1 = places_bn.mask_fill(open.bool_not(), -1).max_dim(1);
    *left_b1 = left_b1.clone() - before_bn.gather(1, at_b1.clone().clamp_min(0));
    at_b1
}

#[cfg(test)]
mod tests;
