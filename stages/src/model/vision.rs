//! Patches → image tokens: patch embedding, blocks with windowed or whole-frame attention, merger.
//!
//! Reference: `Qwen2_5_VisionTransformer`. The patch embedding's 3-D convolution has a stride equal to its kernel and is a
//! linear map of flattened patches. Everything runs in window order. Knows nothing of text.

use burn::module::Module;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

use super::attention::VisionAttention;
use super::batch::VisionBatch;
use super::config::{MERGE, PATCH_VALUES, VisionConfig};
use super::linear::Linear;
use super::mlp::Mlp;
use super::norm::RmsNorm;
use super::rope::Rotary;
use super::window::Segments;

/// ε of every norm of the tower; a constant of the architecture.
const EPSILON: f64 = 1e-6;

/// The vision tower.
#[derive(Module, Debug)]
pub struct VisionTower {
    patch_embed: Linear,
    blocks: Vec<VisionBlock>,
    merger: Merger,
    #[module(skip)]
    full: Vec<bool>,
}

/// `x + attn(norm1 x)`, then `x + mlp(norm2 x)`.
#[derive(Module, Debug)]
pub struct VisionBlock {
    norm1: RmsNorm,
    attn: VisionAttention,
    norm2: RmsNorm,
    mlp: Mlp,
}

/// Four patches → one token of the text's width.
#[derive(Module, Debug)]
pub struct Merger {
    ln_q: RmsNorm,
    inner: Linear,
    outer: Linear,
}

/// States of the tower, for comparison with the reference.
#[derive(Debug, Clone)]
pub struct VisionStates {
    /// After the patch embedding and after every block, `[patches, D]` in window order.
    pub blocks: Vec<Tensor<2>>,
    /// After the merger, `[tokens, out]` in window order.
    pub merged: Tensor<2>,
}

impl VisionTower {
    /// Zero weights; see [`super::weights`].
    pub fn new(config: &VisionConfig, device: &Device) -> Self {
        Self {
            patch_embed: Linear::new(PATCH_VALUES, config.hidden_size, false, device),
            blocks: (0..config.depth).map(|_| VisionBlock::new(config, device)).collect(),
            merger: Merger::new(config, device),
            full: (0..config.depth).map(|block| config.fullatt_block_indexes.contains(&block)).collect(),
        }
    }

    /// The images' tokens, `[tokens, out]` in window order.
    pub fn forward(&self, batch: &VisionBatch) -> Tensor<2> {
        let embedded = self.patch_embed.forward(batch.patches_np.clone());
        let x_nd = self.each().fold(embedded, |x, (block, full)| block.forward(x, &batch.rotary, batch.cut(full)));
        self.merger.forward(x_nd)
    }

    /// As [`Self::forward`], with the states on the way.
    pub fn states(&self, batch: &VisionBatch) -> VisionStates {
        let mut blocks = vec![self.patch_embed.forward(batch.patches_np.clone())];
        let mut x_nd = blocks[0].clone();
        for (block, full) in self.each() {
            x_nd = block.forward(x_nd, &batch.rotary, batch.cut(full));
            blocks.push(x_nd.clone());
        }
        VisionStates { blocks, merged: self.merger.forward(x_nd) }
    }

    fn each(&self) -> impl Iterator<Item = (&VisionBlock, bool)> {
        self.blocks.iter().zip(self.full.iter().copied())
    }
}

impl VisionBatch {
    fn cut(&self, full: bool) -> &Segments {
        if full { &self.frames } else { &self.windows }
    }
}

impl VisionBlock {
    fn new(config: &VisionConfig, device: &Device) -> Self {
        Self {
            norm1: RmsNorm::new(config.hidden_size, EPSILON, device),
            attn: VisionAttention::new(config, device),
            norm2: RmsNorm::new(config.hidden_size, EPSILON, device),
            mlp: Mlp::new(config.hidden_size, config.intermediate_size, true, device),
        }
    }

    fn forward(&self, x_nd: Tensor<2>, rotary: &Rotary, segments: &Segments) -> Tensor<2> {
        let x_nd = x_nd.clone() + self.attn.forward(self.norm1.forward(x_nd), rotary, segments);
        x_nd.clone() + self.mlp.forward(self.norm2.forward(x_nd))
    }
}

impl Merger {
    fn new(config: &VisionConfig, device: &Device) -> Self {
        let merged = config.hidden_size * MERGE * MERGE;
        Self {
            ln_q: RmsNorm::new(config.hidden_size, EPSILON, device),
            inner: Linear::new(merged, merged, true, device),
            outer: Linear::new(merged, config.out_hidden_size, true, device),
        }
    }

    fn forward(&self, x_nd: Tensor<2>) -> Tensor<2> {
        let ([patches, width], unit) = (x_nd.dims(), MERGE * MERGE);
        let merged = self.ln_q.forward(x_nd).reshape([patches / unit, width * unit]);
        self.outer.forward(gelu(self.inner.forward(merged)))
    }
}
