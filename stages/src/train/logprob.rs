//! Hidden states → log-probabilities of chosen tokens. Refuses to know what they are for: the supervised loss and every
//! objective of reinforcement learning start here.
//!
//! ```text
//! log p(y_t | y_<t) = z[y_t] − log Σ_v exp z[v]        z = head(h_{t−1}), in f32
//! H_t               = −Σ_v p_v log p_v                 where somebody wants the entropy too
//! ```
//!
//! Only chosen positions go through the head: prompts, image tokens and padding cost no `[vocabulary]`-wide row, and no
//! number of theirs can reach the result. The chosen ones go through it a part at a time.

use std::ops::Range;

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, IndexingUpdateOp, Int, Tensor, TensorData};

use crate::fused;

/// Most logits in memory at a time: 256 MiB of them, and as much again for each of the few tensors made from them. A
/// constant, because cutting elsewhere adds up gradients of the head in another order.
const LOGITS: usize = 1 << 26;

/// What is wanted of the distribution that a token is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entropies {
    /// Nothing but the token's log-probability.
    Off,
    /// Its entropy, to look at.
    Measured,
    /// Its entropy, to differentiate.
    Learned,
}

/// Log-probabilities of chosen tokens, and the entropies of the distributions they were drawn from.
#[derive(Debug, Clone)]
pub struct Scores {
    /// `log p`, `[n]`.
    pub logp_n: Tensor<1>,
    /// `H` in nats, `[n]`; zeros where it is not wanted.
    pub entropy_n: Tensor<1>,
}

/// Tokens of a padded batch whose log-probability is wanted, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// Where the state that predicts the token stands in `[B · T]`.
    from: Vec<i32>,
    /// The token.
    token: Vec<i32>,
    /// Chosen tokens per row.
    per_row: Vec<usize>,
}

impl Positions {
    /// Positions of one batch of rows of `width` tokens each, padding included.
    ///
    /// Each row gives its tokens without padding, which of them are wanted, and where the first stands: 0 with padding on
    /// the right, `width - len` with padding on the left. A row's first token is predicted by nothing and never chosen.
    pub fn new<'a>(width: usize, rows: impl IntoIterator<Item = (&'a [u32], &'a [bool], usize)>) -> Self {
        let mut positions = Self { from: Vec::new(), token: Vec::new(), per_row: Vec::new() };
        for (row, (ids, wanted, start)) in rows.into_iter().enumerate() {
            let before = positions.token.len();
            for index in (1..ids.len()).filter(|index| wanted[*index]) {
                positions.from.push((row * width + start + index - 1) as i32);
                positions.token.push(ids[index] as i32);
            }
            positions.per_row.push(positions.token.len() - before);
        }
        positions
    }

    /// Number of chosen tokens.
    pub fn len(&self) -> usize {
        self.token.len()
    }

    /// Is none chosen?
    pub fn is_empty(&self) -> bool {
        self.token.is_empty()
    }

    /// Chosen tokens of each row: `[N]` results are the rows' tokens one after the other.
    pub fn per_row(&self) -> &[usize] {
        &self.per_row
    }

    /// The states that predict the chosen tokens, `[B·T, D] → [N, D]`.
    pub fn states(&self, h_nd: Tensor<2>) -> Tensor<2> {
        let from = ints(&self.from, &h_nd.device());
        h_nd.select(0, from)
    }

    /// The gradient of [`Self::states`], `[N, D] → [B·T, D]`.
    pub fn spread(&self, cotangent_nd: Tensor<2>, tokens: usize) -> Tensor<2> {
        let ([_, depth], device) = (cotangent_nd.dims(), cotangent_nd.device());
        let zeros = Tensor::zeros([tokens, depth], (&device, cotangent_nd.dtype()));
        zeros.select_assign(0, ints(&self.from, &device), cotangent_nd, IndexingUpdateOp::Add)
    }

    /// The chosen tokens cut into parts whose logits over `vocabulary` tokens are in memory at a time.
    pub fn parts(&self, vocabulary: usize) -> Vec<Range<usize>> {
        let size = (LOGITS / vocabulary.max(1)).max(1);
        (0..self.len()).step_by(size).map(|start| start..self.len().min(start + size)).collect()
    }

    /// `log p` `[n]` of one part of the chosen tokens, from their logits `[n, V]`.
    pub fn pick(&self, logits_nv: Tensor<2>, part: Range<usize>) -> Tensor<1> {
        self.score(logits_nv, part, Entropies::Off).logp_n
    }

    /// As [`Self::pick`], with the entropy as far as it is wanted.
    pub fn score(&self, logits_nv: Tensor<2>, part: Range<usize>, entropies: Entropies) -> Scores {
        let (logits_nv, tokens_n) = (logits_nv.cast(DType::F32), &self.token[part]);
        if fused::here(&logits_nv) {
            let [logp_n, entropy_n] = fused::scores(logits_nv, tokens_n, entropies);
            return Scores { logp_n, entropy_n };
        }
        composed(logits_nv, tokens_n, entropies)
    }

    /// `log p` `[N]` of the chosen tokens, part by part; for plain tensors, because a tape would keep all parts.
    ///
    /// # Shapes
    ///
    /// `states_nd`: `[N, D]`, from [`Self::states`]; `head` maps `[n, D]` to `[n, V]`.
    ///
    /// # Panics
    ///
    /// Panics where none is chosen.
    pub fn logprobs(
        &self,
        states_nd: &Tensor<2>,
        vocabulary: usize,
        head: impl Fn(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<1> {
        let part = |part: Range<usize>| {
            let states_nd = states_nd.clone().slice([part.clone()]);
            self.pick(head(states_nd), part)
        };
        Tensor::cat(self.parts(vocabulary).into_iter().map(part).collect(), 0)
    }
}

/// Scores of one token per row, out of Burn's operators.
pub(crate) fn composed(logits_nv: Tensor<2>, tokens_n: &[i32], entropies: Entropies) -> Scores {
    let logp_nv = log_softmax(logits_nv, 1);
    let tokens = ints(tokens_n, &logp_nv.device());
    let logp_n = logp_nv.clone().gather(1, tokens.unsqueeze_dim(1)).squeeze_dim(1);
    let entropy_n = match entropies {
        Entropies::Off => logp_n.clone().detach().zeros_like(),
        Entropies::Measured => entropy(logp_nv.detach()),
        Entropies::Learned => entropy(logp_nv),
    };
    Scores { logp_n, entropy_n }
}

/// `−Σ p log p` of each row, `[n, V] → [n]`.
fn entropy(logp_nv: Tensor<2>) -> Tensor<1> {
    (logp_nv.clone().exp() * logp_nv).sum_dim(1).squeeze_dim::<1>(1).neg()
}

/// Logits of the distribution at a temperature.
#[expect(clippy::float_cmp, reason = "exactly 1 leaves every bit, and saves two walks over the logits")]
pub fn tempered(logits_nv: Tensor<2>, temperature: f64) -> Tensor<2> {
    if temperature == 1.0 { logits_nv } else { logits_nv / temperature }
}

fn ints(values: &[i32], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::from(values), &device.clone().inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_on_either_side_finds_the_same_tokens() {
        let (ids, wanted) = ([7, 8, 9], [false, false, true]);
        let row = |start| Positions::new(5, [(&ids[..], &wanted[..], start)]);
        assert_eq!(row(0).from, [1]);
        assert_eq!(row(2).from, [3]);
        assert_eq!(row(2).token, [9]);
    }

    #[test]
    fn a_first_token_is_never_chosen() {
        let positions = Positions::new(2, [(&[7, 8][..], &[true, true][..], 0), (&[9][..], &[true][..], 0)]);
        assert_eq!((positions.per_row(), &positions.token[..]), (&[1, 0][..], &[8][..]));
    }

    #[test]
    fn states_that_nobody_wants_do_not_matter() {
        let device = crate::device::resolve("cpu").unwrap();
        // Four states; only the second counts: logits (0, ln 3), so p = (1/4, 3/4).
        let h = [[f32::INFINITY, f32::NAN], [0.0, 3_f32.ln()], [f32::NAN, 0.0], [f32::NAN, f32::NAN]];
        let positions = Positions::new(4, [(&[0, 0, 1][..], &[false, false, true][..], 0)]);
        let states_nd = positions.states(Tensor::<2>::from_data(h, &device));
        let logp: f32 = positions.logprobs(&states_nd, 2, |h| h).into_scalar();
        assert!((logp - 0.75_f32.ln()).abs() < 1e-6, "{logp}");
        let spread = positions.spread(Tensor::from_data([[5.0, 6.0]], &device), 4);
        assert_eq!(spread.into_data().iter::<f32>().collect::<Vec<_>>(), [0., 0., 5., 6., 0., 0., 0., 0.]);
    }

    /// p = (1/4, 3/4): H = ¼ ln 4 + ¾ ln 4/3 = .562335, and dH/dz = −p (log p + H) = ±.205990.
    #[test]
    fn entropy_is_over_the_vocabulary_and_differentiable() {
        let device = crate::device::resolve("cpu").unwrap();
        let logits_nv = Tensor::<2>::from_data([[0.0, 3_f32.ln()]], &device).autodiff().require_grad();
        let positions = Positions::new(2, [(&[0, 1][..], &[false, true][..], 0)]);
        let scores = positions.score(logits_nv.clone(), 0..1, Entropies::Learned);
        assert!((scores.entropy_n.clone().into_scalar::<f32>() - 0.562_335).abs() < 1e-6);
        let gradient = logits_nv.grad_remove(&mut scores.entropy_n.sum().backward()).unwrap();
        let gradient: Vec<f32> = gradient.into_data().iter::<f32>().collect();
        assert!((gradient[0] - 0.205_990).abs() < 1e-5 && (gradient[1] + 0.205_990).abs() < 1e-5, "{gradient:?}");
        let measured = positions.score(logits_nv.clone(), 0..1, Entropies::Measured).entropy_n;
        assert!(!measured.is_tracked() && (measured.into_scalar::<f32>() - 0.562_335).abs() < 1e-6);
        assert!(positions.score(logits_nv, 0..1, Entropies::Off).entropy_n.into_scalar::<f32>().abs() < 1e-9);
        let sharp = Tensor::<2>::from_data([[-1e4, 1e4]], &device);
        assert!(positions.score(sharp, 0..1, Entropies::Measured).entropy_n.into_scalar::<f32>().abs() < 1e-6);
    }

    #[test]
    fn parts_cover_every_token_once_and_change_nothing() {
        let device = crate::device::resolve("cpu").unwrap();
        let (ids, wanted): (Vec<u32>, Vec<bool>) = ((0..8).map(|i| i % 3).collect(), vec![true; 8]);
        let positions = Positions::new(8, [(&ids[..], &wanted[..], 0)]);
        assert_eq!(positions.parts(3), vec![0..7]);
        assert_eq!(positions.parts(LOGITS / 3), [0..3, 3..6, 6..7]);
        assert_eq!(positions.parts(2 * LOGITS).len(), 7);
        let logits = Tensor::<2>::from_data([[0.3, -1.0, 2.0]; 7], &device).cumsum(0);
        let values = |logp: Tensor<1>| logp.into_data().iter::<f32>().collect::<Vec<_>>();
        let whole = values(positions.logprobs(&logits, 3, |h| h));
        assert_eq!(whole, values(positions.logprobs(&logits, LOGITS / 3, |h| h)));
    }
}
