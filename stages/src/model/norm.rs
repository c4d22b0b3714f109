//! `x / √(mean(x²) + ε) · w`, with the statistics in float32.
//!
//! Reference: `Qwen2RMSNorm`. Knows rows of a matrix and nothing about what they mean.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{DType, Device, Tensor};

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
        let dtype = x_nd.dtype();
        let x = if dtype == DType::F32 { x_nd } else { x_nd.cast(DType::F32) };
        let inverse_n1 = (x.clone().square().mean_dim(1) + self.epsilon).sqrt().recip();
        let normed = x * inverse_n1;
        let normed = if dtype == DType::F32 { normed } else { normed.cast(dtype) };
        normed * self.weight.val().unsqueeze()
    }
}
