//! Patches → image tokens: patch embedding, blocks with windowed or whole-frame attention, merger.
//!
//! Reference: `Qwen2_5_VisionTransformer`. The patch embedding's 3-D convolution has a stride equal to its kernel and is a
//! linear map of flattened patches. Everything runs in window order. Knows nothing of text.

use burn::module::Module;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

use super::adapters::Site;
use super::attention::VisionAttention;
use super::batch::VisionBatch;
use super::config::{MERGE, PATCH_VALUES, VisionConfig};
use super::dtype::to;
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
    pub(super) patch_embed: Linear,
    pub(super) blocks: Vec<VisionBlock>,
    pub(super) merger: Merger,
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

/// What a block needs besides its input.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Rotary tables of all patches.
    pub rotary: &'a Rotary,
    /// Who sees whom.
    pub segments: &'a Segments,
    /// As [`super::text::Context::learning`].
    pub learning: bool,
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
        let embedded = self.embed(batch);
        let x_nd =
            (0..self.blocks.len()).fold(embedded, |x_nd, at| self.blocks[at].forward(x_nd, self.view(batch, at)));
        self.merger.forward(x_nd)
    }

    /// As [`Self::forward`], with the states on the way.
    pub fn states(&self, batch: &VisionBatch) -> VisionStates {
        let mut blocks = vec![self.embed(batch)];
        let mut x_nd = blocks[0].clone();
        for (at, block) in self.blocks.iter().enumerate() {
            x_nd = block.forward(x_nd, self.view(batch, at));
            blocks.push(x_nd.clone());
        }
        VisionStates { blocks, merged: self.merger.forward(x_nd) }
    }

    /// The linear layers; the patch embedding is a convolution on the hub, and left out.
    pub(super) fn sites(&mut self) -> Vec<Site<'_>> {
        let mut sites = Vec::new();
        for (index, block) in self.blocks.iter_mut().enumerate() {
            let name = format!("visual.blocks.{index}");
            sites.extend(block.attn.sites(&format!("{name}.attn")));
            sites.extend(block.mlp.sites(&format!("{name}.mlp")));
        }
        sites.push(self.merger.inner.site("visual.merger.mlp.0".to_owned()));
        sites.push(self.merger.outer.site("visual.merger.mlp.2".to_owned()));
        sites
    }

    /// The patches in the number format of the tower.
    pub(super) fn patches(&self, batch: &VisionBatch) -> Tensor<2> {
        to(batch.patches_np.clone(), self.patch_embed.weight.val().dtype())
    }

    /// Patches → `[patches, D]`.
    fn embed(&self, batch: &VisionBatch) -> Tensor<2> {
        self.patch_embed.forward(self.patches(batch))
    }

    /// What block number `at` needs besides its input.
    pub(super) fn view<'a>(&self, batch: &'a VisionBatch, at: usize) -> View<'a> {
        let segments = if self.full[at] { &batch.frames } else { &batch.windows };
        View { rotary: &batch.rotary, segments, learning: false }
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

    /// `[N, D] → [N, D]`
    pub(super) fn forward(&self, x_nd: Tensor<2>, view: View<'_>) -> Tensor<2> {
        let x_nd = x_nd.clone() + self.attn.forward(self.norm1.forward(x_nd), view);
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

    /// `[patches, D] → [tokens, out]`
    pub(super) fn forward(&self, x_nd: Tensor<2>) -> Tensor<2> {
        let ([patches, width], unit) = (x_nd.dims(), MERGE * MERGE);
        let merged = self.ln_q.forward(x_nd).reshape([patches / unit, width * unit]);
        self.outer.forward(gelu(self.inner.forward(merged)))
    }
}
