//! Log-probabilities and advantages → the loss of a micro-batch (arXiv 2506.04207, eq. 2).
//!
//! Everything is flat: `n` counts the completion tokens of a micro-batch, sample after sample. A token's weight says how
//! much of the optimizer step's mean it is ([`mean`]), so the losses of micro-batches add up to the loss of the whole, and
//! splitting differently changes nothing but rounding. Weight 0 hides a token. Refuses to know samples and rewards.

#[cfg(feature = "compute")]
pub mod grpo;
#[cfg(feature = "compute")]
pub mod kl;
pub mod mean;

#[cfg(feature = "compute")]
pub use tokens::{Loss, Tokens};

/// Bound on a log-ratio before it is exponentiated: ratios stay in [1e-3, 1e3], as in the released code.
#[cfg(feature = "compute")]
pub const LOG_RATIO_BOUND: f64 = 6.907_755_278_982_137;

#[cfg(feature = "compute")]
mod tokens {
    use burn::tensor::{Bool, Tensor};

    /// The completion tokens of a micro-batch.
    #[derive(Debug, Clone)]
    pub struct Tokens {
        /// Log-probability under the model that learns, `[n]`; the only tensor that gradients flow through.
        pub logp_n: Tensor<1>,
        /// Under the model that sampled, by a forward pass of training, `[n]`; `None`: the model has not moved since.
        pub old_n: Option<Tensor<1>>,
        /// Under the reference, `[n]`; `None`: no KL term.
        pub reference_n: Option<Tensor<1>>,
        /// The sample's advantage, `[n]`.
        pub advantage_n: Tensor<1>,
        /// Share of the mean, `[n]`; 0 hides a token, whatever stands in the other tensors.
        pub weight_n: Tensor<1>,
    }

    impl Tokens {
        /// Which tokens are hidden, `[n]`.
        pub(super) fn hidden(&self) -> Tensor<1, Bool> {
            self.weight_n.clone().equal_scalar(0.0)
        }
    }

    /// A loss and what it is made of; all are this micro-batch's part of the mean, `[1]`.
    #[derive(Debug, Clone)]
    pub struct Loss {
        /// What to differentiate.
        pub loss: Tensor<1>,
        /// Share of tokens whose gradient the clip takes away; detached.
        pub clipped: Tensor<1>,
        /// KL to the reference, unweighted by its coefficient; detached. `None` without a reference.
        pub kl: Option<Tensor<1>>,
    }
}
