//! Hidden states and target tokens → the supervised loss. Refuses to know batches larger than the one it sees.
//!
//! ```text
//! L = Σ_{i,t} m[i,t] · (−log p(y[i,t] | y[i,<t]))  /  Σ_{i,t} m[i,t]
//! ```
//!
//! Normalisation: one mean over the target tokens of the *global* batch, all micro-batches and rows alike (TRL's and
//! transformers' `num_items_in_batch`), not a mean of means. So this returns the sum; whoever knows the global count
//! divides by it, and splitting a batch differently changes nothing but rounding.

use burn::tensor::Tensor;

/// Sum of the negative log-likelihood `[1]` of tokens whose log-probabilities are `[N]`, in nats.
pub fn nll_sum(logp_n: Tensor<1>) -> Tensor<1> {
    logp_n.sum().neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::logprob::Positions;

    /// Two tokens over a vocabulary of two; the head is the identity.
    fn sum(h: [[f32; 2]; 3], wanted: [bool; 3]) -> (Tensor<2>, Tensor<1>) {
        let device = crate::device::resolve("cpu").unwrap();
        let h_nd = Tensor::<2>::from_data(h, &device).autodiff().require_grad();
        let positions = Positions::new(3, [(&[0, 1, 0][..], &wanted[..], 0)]);
        let loss = nll_sum(positions.logprobs(&positions.states(h_nd.clone()), 2, |h| h));
        (h_nd, loss)
    }

    #[test]
    fn by_hand() {
        // Token 1 from (0, ln 3): p = 3/4. Token 0 from (0, 0): p = 1/2. L = −ln(3/8) = 0.980829.
        let (_, loss) = sum([[0.0, 3_f32.ln()], [0.0, 0.0], [9.0, 9.0]], [false, true, true]);
        assert!((loss.into_scalar::<f32>() - 0.980_829).abs() < 1e-5);
    }

    #[test]
    fn the_gradient_is_p_minus_one_at_the_target() {
        let (h_nd, loss) = sum([[0.0, 3_f32.ln()], [0.0, 0.0], [9.0, 9.0]], [false, true, true]);
        let mut gradients = loss.backward();
        let gradient: Vec<f32> = h_nd.grad_remove(&mut gradients).unwrap().to_data().iter::<f32>().collect();
        // p − onehot: (1/4, 3/4 − 1), (1/2 − 1, 1/2), and nothing at the last state.
        for (got, want) in gradient.iter().zip([0.25, -0.25, -0.5, 0.5, 0.0, 0.0]) {
            assert!((got - want).abs() < 1e-6, "{gradient:?}");
        }
    }

    #[test]
    fn infinite_states_at_unwanted_places_do_not_matter() {
        let (_, loss) = sum([[0.0, 3_f32.ln()], [f32::NEG_INFINITY, f32::NAN], [0.0, 0.0]], [false, true, false]);
        assert!((loss.into_scalar::<f32>() - (4_f32 / 3.0).ln()).abs() < 1e-5);
    }
}
