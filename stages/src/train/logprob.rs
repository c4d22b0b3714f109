//! Hidden states → log-probabilities of chosen tokens. Refuses to know what they are for: the supervised loss and every
//! objective of reinforcement learning start here.
//!
//! ```text
//! log p(y_t | y_<t) = z[y_t] − log Σ_v exp z[v]        z = head(h_{t−1}), in f32
//! ```
//!
//! Only chosen positions go through the head: prompts, image tokens and padding cost no `[vocabulary]`-wide row, and no
//! number of theirs can reach the result.

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

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

    /// Logits `[N, V]` at the chosen positions, in f32.
    ///
    /// # Shapes
    ///
    /// `h_btd`: `[B, T, D]`; `head` maps `[1, N, D]` to `[1, N, V]`.
    ///
    /// # Panics
    ///
    /// Panics where none is chosen.
    pub fn logits(&self, h_btd: Tensor<3>, head: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<2> {
        let [batch, width, depth] = h_btd.dims();
        let device = h_btd.device();
        let h_nd = h_btd.reshape([batch * width, depth]).select(0, ints(&self.from, &device));
        head(h_nd.unsqueeze()).squeeze_dim::<2>(0).cast(DType::F32)
    }

    /// `log p` `[N]` of the chosen tokens, from their logits `[N, V]`.
    pub fn pick(&self, logp_nv: Tensor<2>) -> Tensor<1> {
        let tokens = ints(&self.token, &logp_nv.device());
        logp_nv.gather(1, tokens.unsqueeze_dim(1)).squeeze_dim(1)
    }

    /// `log p` `[N]` of the chosen tokens. Shapes as for [`Self::logits`].
    pub fn logprobs(&self, h_btd: Tensor<3>, head: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<1> {
        self.pick(log_softmax(self.logits(h_btd, head), 1))
    }
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
        // Row of four states; only the second counts: logits (0, ln 3), so p = (1/4, 3/4).
        let h = [[[f32::INFINITY, f32::NAN], [0.0, 3_f32.ln()], [f32::NAN, 0.0], [f32::NAN, f32::NAN]]];
        let h_btd = Tensor::<3>::from_data(h, &device);
        let positions = Positions::new(4, [(&[0, 0, 1][..], &[false, false, true][..], 0)]);
        let logp: f32 = positions.logprobs(h_btd, |h| h).into_scalar();
        assert!((logp - 0.75_f32.ln()).abs() < 1e-6, "{logp}");
    }
}
