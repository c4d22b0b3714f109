//! `x / √(mean(x²) + ε) · w`, in float32; only the result is rounded to the number format of the input.
//!
//! Reference: `Qwen2RMSNorm`, which rounds before it multiplies with `w` too. Knows rows of a matrix and nothing about what they mean.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{DType, Device, Tensor};

use super::dtype::to;
use crate::fused;

/// Root-mean-square normalisation of rows.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[D]`
    pub weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl RmsNorm {
    /// A norm over `width` values with weight 1.
    pub fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        Self { weight: Initializer::Ones.init([width], device), epsilon }
    }

    /// `[N, D] → [N, D]`
    pub fn forward(&self, x_nd: Tensor<2>) -> Tensor<2> {
        if fused::here(&x_nd) {
            return fused::rms_norm(x_nd, self.weight.val(), self.epsilon);
        }
        Self::composed(x_nd, self.weight.val(), self.epsilon)
    }

    /// [`Self::forward`] out of Burn's operators.
    pub(crate) fn composed(x_nd: Tensor<2>, w_d: Tensor<1>, epsilon: f64) -> Tensor<2> {
        let dtype = x_nd.dtype();
        let x_nd = to(x_nd, DType::F32);
        let inverse_n1 = (x_nd.clone().square().mean_dim(1) + epsilon).sqrt().recip();
        to(x_nd * inverse_n1 * to(w_d, DType::F32).unsqueeze(), dtype)
    }
}
