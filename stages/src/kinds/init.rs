//! `init`: rows → a model of the Qwen2.5-VL architecture with random weights, and a tokenizer trained on the rows' text.
//! Stands in for a pretrained base where none is at hand. Refuses to know what the model will learn.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, ModelType, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind `init`.
pub struct Init;

/// How a conversation becomes text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// Qwen2.5-VL's own: a default system prompt where the row has none.
    #[default]
    Qwen,
    /// The same without the default system prompt: fewer tokens for small models.
    Bare,
}

/// Sizes of the vision tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Vision {
    /// Blocks.
    pub depth: usize,
    /// Width.
    pub hidden: usize,
    /// Attention heads; `hidden / heads` must be a multiple of 4.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Blocks that attend to the whole image instead of a window.
    pub fullatt: Vec<usize>,
    /// Side of a window in pixels; a multiple of 28.
    pub window: usize,
}

impl Default for Vision {
    fn default() -> Self {
        Self { depth: 2, hidden: 64, heads: 4, intermediate: 128, fullatt: vec![1], window: 112 }
    }
}

/// Parameters of `init`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Width of the language model.
    pub hidden_size: usize,
    /// Its layers.
    pub layers: usize,
    /// Attention heads; `hidden_size / heads` must be even.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Most tokens the tokenizer may have, its 256 bytes and special tokens included; fewer where the text has no more pairs.
    pub vocab_size: usize,
    /// The vision tower.
    pub vision: Vision,
    /// Use the embedding as the head too.
    pub tie: bool,
    /// Longest sequence in tokens.
    pub max_length: usize,
    /// Base of the rotary embedding.
    pub rope_theta: f64,
    /// Smallest image in pixels; smaller ones are enlarged.
    pub min_pixels: usize,
    /// Largest image in pixels; larger ones are reduced.
    pub max_pixels: usize,
    /// How a conversation becomes text.
    pub template: Template,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            hidden_size: 128,
            layers: 4,
            heads: 4,
            kv_heads: 2,
            intermediate: 384,
            vocab_size: 512,
            vision: Vision::default(),
            tie: true,
            max_length: 512,
            rope_theta: 10_000.0,
            min_pixels: 56 * 56,
            max_pixels: 1280 * 28 * 28,
            template: Template::Qwen,
        }
    }
}

impl StageKind for Init {
    const NAME: &'static str = "init";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "a Qwen2.5-VL of any size with random weights, and a tokenizer trained on rows";
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        Ports::new().trains_on("data").output("model", ArtifactKind::Model)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        let vision = &params.vision;
        for (name, value) in [
            ("hidden_size", params.hidden_size),
            ("layers", params.layers),
            ("heads", params.heads),
            ("kv_heads", params.kv_heads),
            ("intermediate", params.intermediate),
            ("max_length", params.max_length),
            ("vision.depth", vision.depth),
            ("vision.hidden", vision.hidden),
            ("vision.heads", vision.heads),
            ("vision.intermediate", vision.intermediate),
        ] {
            if value == 0 {
                problems.param(name, "must be at least 1", "");
            }
        }
        let divides = |whole: usize, part: usize| part == 0 || whole.is_multiple_of(part);
        if !divides(params.hidden_size, 2 * params.heads) {
            problems.param(
                "heads",
                "each head must have an even, whole width",
                "make `hidden_size` a multiple of 2 · `heads`",
            );
        }
        if !divides(params.heads, params.kv_heads) {
            problems.param(
                "kv_heads",
                format!("{} heads can't share {}", params.heads, params.kv_heads),
                "use a divisor of `heads`",
            );
        }
        if !divides(vision.hidden, 4 * vision.heads) {
            problems.param(
                "vision.heads",
                "each head's width must be a multiple of 4: half turns with the row, half with the column",
                "make `vision.hidden` a multiple of 4 · `vision.heads`",
            );
        }
        if let Some(block) = vision.fullatt.iter().find(|block| **block >= vision.depth) {
            problems.param(
                "vision.fullatt",
                format!("there is no block {block}"),
                format!("the last is {}", vision.depth.saturating_sub(1)),
            );
        }
        if vision.window == 0 || !vision.window.is_multiple_of(28) {
            problems.param("vision.window", "must be a multiple of 28 pixels, the side of a merged token", "");
        }
        if params.vocab_size < 300 {
            problems.param("vocab_size", "256 bytes and the special tokens do not fit", "use at least 300");
        }
        if params.rope_theta <= 1.0 {
            problems.param("rope_theta", "must be above 1", "");
        }
        if params.min_pixels < 28 * 28 || params.min_pixels > params.max_pixels {
            problems.param("min_pixels", "must be at least 784 and at most `max_pixels`", "");
        }
    }

    fn types(params: &Params, _inputs: &PortTypes, _problems: &mut Problems) -> PortTypes {
        let model = ModelType { images: Some(true), max_length: Some(params.max_length), vocabulary: None };
        PortTypes::default().with("model", ArtifactType::Model(model))
    }

    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::NoCompute)
    }
}
