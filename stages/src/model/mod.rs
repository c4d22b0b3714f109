//! Qwen2.5-VL on Burn, equal to Hugging Face transformers: `config.json` → model → hidden states, logits, tokens.
//!
//! ```text
//! Encoded rows ──batch──▶ Batch { ids, rotary, mask, patches, slots }
//!                           │ vision: patch embedding → blocks (window | frame attention) → merger
//!                           ▼
//!        words + image tokens ──text: layers (M-RoPE, grouped queries)──▶ hidden ──▶ logits ──generate──▶ tokens
//! safetensors ⇄ weights ⇄ Qwen2_5Vl
//! what learns, a batch ──tape──▶ hidden, and from its gradient ──▶ gradients
//! ```
//!
//! Legend of shapes: `b` rows, `t` tokens per row, `n` tokens of the batch (`b·t`) or patches, `d` width or head width,
//! `h` heads, `g` key heads, `q` queries of a group, `s` keys, `f` MLP width, `v` vocabulary, `l` patches of a segment.
//!
//! Differences from the reference: no dropout but that of adapters, no sliding window, no video; in
//! bfloat16, logits come from a product in float32 and a norm rounds once.

pub mod config;
pub mod generation;

#[cfg(feature = "compute")]
mod adapters;
#[cfg(feature = "compute")]
pub(crate) mod attention;
#[cfg(feature = "compute")]
pub mod batch;
#[cfg(feature = "compute")]
mod cache;
#[cfg(feature = "compute")]
mod choose;
#[cfg(feature = "compute")]
pub mod dtype;
#[cfg(feature = "compute")]
pub mod generate;
#[cfg(feature = "compute")]
mod init;
#[cfg(feature = "compute")]
mod linear;
pub mod lora;
#[cfg(feature = "compute")]
pub(crate) mod mlp;
#[cfg(feature = "compute")]
mod names;
#[cfg(feature = "compute")]
pub(crate) mod norm;
#[cfg(feature = "compute")]
pub mod peft;
#[cfg(feature = "compute")]
mod position;
#[cfg(feature = "compute")]
mod resize;
#[cfg(feature = "compute")]
pub(crate) mod rope;
#[cfg(feature = "compute")]
pub mod sampling;
#[cfg(feature = "compute")]
pub(crate) mod seen;
pub mod sizes;
#[cfg(feature = "compute")]
pub mod tape;
#[cfg(feature = "compute")]
mod text;
#[cfg(feature = "compute")]
mod vision;
#[cfg(feature = "compute")]
mod vlm;
#[cfg(feature = "compute")]
pub mod weights;
#[cfg(feature = "compute")]
mod window;

#[cfg(feature = "compute")]
pub use adapters::Noise;
#[cfg(feature = "compute")]
pub use batch::{Batch, Padding, VisionBatch};
pub use config::ModelConfig;
#[cfg(feature = "compute")]
pub use generate::{Completion, Queue, generate, generate_with};
pub use generation::GenerationConfig;
#[cfg(feature = "compute")]
pub use sampling::Sampling;
#[cfg(feature = "compute")]
pub use text::TextModel;
#[cfg(feature = "compute")]
pub use vision::VisionTower;
#[cfg(feature = "compute")]
pub use vlm::Qwen2_5Vl;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
#[cfg(feature = "compute")]
mod golden;
