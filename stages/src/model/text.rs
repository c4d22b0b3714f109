//! Embedded tokens → hidden states: decoder layers and the final norm.
//!
//! Reference: `Qwen2_5_VLTextModel`. Knows nothing of images.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor};

use super::adapters::Site;
use super::attention::TextAttention;
use super::cache::{KvCache, LayerCache};
use super::config::TextConfig;
use super::mlp::Mlp;
use super::norm::RmsNorm;
use super::rope::Rotary;
use super::seen::Seen;

/// The language model without its head.
#[derive(Module, Debug)]
pub struct TextModel {
    /// `[V, D]`
    pub embed_tokens: Param<Tensor<2>>,
    pub(super) layers: Vec<TextLayer>,
    pub(super) norm: RmsNorm,
}

/// `x + attention(norm x)`, then `x + mlp(norm x)`.
#[derive(Module, Debug)]
pub struct TextLayer {
    input_layernorm: RmsNorm,
    self_attn: TextAttention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

/// What every layer needs besides its input.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Rows of the batch.
    pub rows: usize,
    /// Rotary tables of all `B·T` tokens.
    pub rotary: &'a Rotary,
    /// What a token may see.
    pub seen: &'a Seen,
    /// Whether a backward pass follows: then attention takes the form that is cheap to differentiate, on plain tensors too.
    pub learning: bool,
}

impl TextModel {
    /// Zero weights; see [`super::weights`].
    pub fn new(config: &TextConfig, device: &Device) -> Self {
        Self {
            embed_tokens: Initializer::Zeros.init([config.vocab_size, config.hidden_size], device),
            layers: (0..config.num_hidden_layers).map(|_| TextLayer::new(config, device)).collect(),
            norm: RmsNorm::new(config.hidden_size, config.rms_norm_eps, device),
        }
    }

    /// Number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.embed_tokens.lazy_shape()[0]
    }

    /// `[B, T] → [B·T, D]`
    pub fn embed(&self, ids_bt: Tensor<2, Int>) -> Tensor<2> {
        let embedded = embedding(self.embed_tokens.val(), ids_bt);
        let [rows, width, d] = embedded.dims();
        embedded.reshape([rows * width, d])
    }

    /// Embedded tokens `[B·T, D]` → hidden states after the final norm, `[B·T, D]`.
    pub fn forward(&self, x_nd: Tensor<2>, context: Context<'_>, cache: Option<&mut KvCache>) -> Tensor<2> {
        self.norm.forward(self.run(x_nd, context, cache, |_| ()))
    }

    /// Hidden states after every layer, before the final norm.
    pub fn states(&self, x_nd: Tensor<2>, context: Context<'_>) -> Vec<Tensor<2>> {
        let mut states = Vec::with_capacity(self.layers.len());
        self.run(x_nd, context, None, |x_nd| states.push(x_nd.clone()));
        states
    }

    /// The linear layers.
    pub(super) fn sites(&mut self) -> Vec<Site<'_>> {
        let mut sites = Vec::new();
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let name = format!("model.layers.{index}");
            sites.extend(layer.self_attn.sites(&format!("{name}.self_attn")));
            sites.extend(layer.mlp.sites(&format!("{name}.mlp")));
        }
        sites
    }

    fn run(
        &self,
        mut x_nd: Tensor<2>,
        context: Context<'_>,
        cache: Option<&mut KvCache>,
        mut seen: impl FnMut(&Tensor<2>),
    ) -> Tensor<2> {
        let mut caches = cache.map(|cache| cache.layers.iter_mut());
        for layer in &self.layers {
            let cache = caches.as_mut().and_then(Iterator::next);
            x_nd = layer.forward(x_nd, context, cache);
            seen(&x_nd);
        }
        x_nd
    }
}

impl TextLayer {
    fn new(config: &TextConfig, device: &Device) -> Self {
        Self {
            input_layernorm: RmsNorm::new(config.hidden_size, config.rms_norm_eps, device),
            self_attn: TextAttention::new(config, device),
            post_attention_layernorm: RmsNorm::new(config.hidden_size, config.rms_norm_eps, device),
            mlp: Mlp::new(config.hidden_size, config.intermediate_size, false, device),
        }
    }

    /// `[B·T, D] → [B·T, D]`
    pub(super) fn forward(&self, x_nd: Tensor<2>, context: Context<'_>, cache: Option<&mut LayerCache>) -> Tensor<2> {
        let context_nd = self.self_attn.forward(self.input_layernorm.forward(x_nd.clone()), context, cache);
        let x_nd = x_nd + context_nd;
        x_nd.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x_nd))
    }
}
