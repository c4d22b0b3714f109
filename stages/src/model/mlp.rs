//! `down(silu(gate x) · up x)`: the MLP of the text (no bias) and of the vision tower (bias).
//!
//! Reference: `Qwen2MLP`, `Qwen2_5_VLMLP`.

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

use super::adapters::Site;
use super::linear::Linear;
use crate::fused;

/// `silu(gate) · up` out of Burn's operators, `[N, F]` each.
pub(crate) fn composed(gate_nf: Tensor<2>, up_nf: Tensor<2>) -> Tensor<2> {
    gate_nf.clone() * sigmoid(gate_nf) * up_nf
}

/// Gated MLP.
#[derive(Module, Debug)]
#[expect(clippy::struct_field_names, reason = "the fields are named as the checkpoint's tensors")]
pub struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    /// An MLP over `width` with `inner` hidden values.
    pub fn new(width: usize, inner: usize, bias: bool, device: &Device) -> Self {
        Self {
            gate_proj: Linear::new(width, inner, bias, device),
            up_proj: Linear::new(width, inner, bias, device),
            down_proj: Linear::new(inner, width, bias, device),
        }
    }

    /// `[N, D] → [N, D]`
    pub fn forward(&self, x_nd: Tensor<2>) -> Tensor<2> {
        let gate_nf = self.gate_proj.forward(x_nd.clone());
        let up_nf = self.up_proj.forward(x_nd);
        let inner_nf = if fused::here(&gate_nf) { fused::swiglu(gate_nf, up_nf) } else { composed(gate_nf, up_nf) };
        self.down_proj.forward(inner_nf)
    }

    /// Its linear layers below `name`.
    pub(super) fn sites(&mut self, name: &str) -> Vec<Site<'_>> {
        vec![
            self.gate_proj.site(format!("{name}.gate_proj")),
            self.up_proj.site(format!("{name}.up_proj")),
            self.down_proj.site(format!("{name}.down_proj")),
        ]
    }
}
