//! `init`: rows → a model of the Qwen2.5-VL architecture with random weights, and a tokenizer trained on the rows' text.
//! Stands in for a pretrained base where none is at hand. Refuses to know what the model will learn.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Fact, Facts, ModelType, Pixels, PortTypes, Ports, Problems, StageContext,
    StageError, StageKind, StandIn,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::config::MODEL_TYPE;

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
    /// Standard deviation of the random weights. 0.02 suits widths of thousands; a narrow model learns sooner from 1/√width.
    pub initializer_range: f64,
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
            initializer_range: 0.02,
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
        if params.initializer_range <= 0.0 {
            problems.param("initializer_range", "must be above 0: equal weights can't learn apart", "");
        }
        if params.rope_theta <= 1.0 {
            problems.param("rope_theta", "must be above 1", "");
        }
        if params.min_pixels < 28 * 28 || params.min_pixels > params.max_pixels {
            problems.param("min_pixels", "must be at least 784 and at most `max_pixels`", "");
        }
    }

    fn types(params: &Params, inputs: &PortTypes, _problems: &mut Problems) -> PortTypes {
        let pixels = Pixels { min: params.min_pixels, max: params.max_pixels };
        let model = ModelType {
            architecture: Fact::known(MODEL_TYPE.to_owned()),
            images: Fact::known(true),
            max_length: Fact::param(params.max_length, "max_length"),
            tied: Fact::param(params.tie, "tie"),
            template: Fact::param(true, "template"),
            pixels: Fact::param(Some(pixels), "max_pixels"),
            adapter: Fact::known(None),
            precision: Fact::known("F32".to_owned()),
            trained: Fact::known(true),
            ..ModelType::default()
        };
        PortTypes::default().with("model", ArtifactType::Model(model.made_from(inputs.data("data"))))
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::init::estimate(params, facts)
    }

    fn tiny(params: &mut Params) {
        crate::tiny::init(params);
    }

    fn stand_in(ty: &ArtifactType, _salt: u64) -> Option<StandIn<Params>> {
        crate::tiny::model(ty)
    }

    #[cfg(not(feature = "compute"))]
    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::NoCompute)
    }

    #[cfg(feature = "compute")]
    fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        run::run(params, context)
    }
}

#[cfg(feature = "compute")]
mod run {
    use curricle_datasets::bpe::ProcessorFiles;
    use curricle_datasets::{Processor, fs};
    use curricle_engine::stage::{StageContext, StageError};

    use super::{Params, Template};
    use crate::model::config::{TextConfig, TokenIds, VisionConfig};
    use crate::model::{ModelConfig, weights};

    /// What Qwen2.5-VL's template says where a conversation does not begin with a system turn.
    const DEFAULT_SYSTEM: &str = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful \
                                  assistant.<|im_end|>\n{% endif %}";

    pub(super) fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let failed = |error: &dyn std::fmt::Display| StageError::Failed(error.to_string());
        let mut corpus = Vec::new();
        for row in crate::inputs::rows(context.input("data")?)? {
            let target = row.target();
            corpus.extend([Some(row.prompt), row.system, target].into_iter().flatten());
        }
        let pixels = (params.min_pixels, params.max_pixels);
        let mut files = ProcessorFiles::train(&corpus, params.vocab_size, pixels).map_err(|error| failed(&error))?;
        if params.template == Template::Qwen {
            files.template.insert_str(0, DEFAULT_SYSTEM);
        }
        let output = context.output("model")?;
        files.write(&output).map_err(|error| failed(&error))?;
        let processor = Processor::open(&output).map_err(|error| failed(&error))?;
        let config = config(params, &processor);
        let mistakes = config.mistakes();
        if !mistakes.is_empty() {
            return Err(StageError::Failed(mistakes.join("; ")));
        }
        // Drawn on the host: the device is only where the model passes through on its way to the disk.
        let device = crate::device::resolve(&context.runtime().device).map_err(|error| failed(&error))?;
        let model = config.init(context.seed(), &device);
        weights::save(&model, &config, &output).map_err(|error| failed(&error))?;
        let generation = serde_json::json!({
            "do_sample": false,
            "eos_token_id": config.tokens.eos,
            "pad_token_id": config.tokens.pad,
        });
        fs::write(&output.join("generation_config.json"), format!("{generation:#}\n").as_bytes())
            .map_err(|error| failed(&error))
    }

    fn config(params: &Params, processor: &Processor) -> ModelConfig {
        let (vision, special) = (&params.vision, processor.special());
        ModelConfig {
            text: TextConfig {
                vocab_size: processor.vocab_size(),
                hidden_size: params.hidden_size,
                intermediate_size: params.intermediate,
                num_hidden_layers: params.layers,
                num_attention_heads: params.heads,
                num_key_value_heads: params.kv_heads,
                max_position_embeddings: params.max_length,
                rms_norm_eps: 1e-6,
                rope_theta: params.rope_theta,
                mrope_section: sections(params.hidden_size / params.heads / 2),
                max_window_layers: params.layers,
            },
            vision: VisionConfig {
                depth: vision.depth,
                hidden_size: vision.hidden,
                intermediate_size: vision.intermediate,
                num_heads: vision.heads,
                out_hidden_size: params.hidden_size,
                window_size: vision.window,
                fullatt_block_indexes: vision.fullatt.clone(),
                tokens_per_second: 2,
            },
            tokens: TokenIds {
                image: special.image_pad,
                video: special.video_pad,
                vision_start: special.vision_start,
                vision_end: special.vision_end,
                bos: Some(special.pad),
                eos: Some(special.eos),
                pad: Some(special.pad),
            },
            tie_word_embeddings: params.tie,
            initializer_range: params.initializer_range,
        }
    }

    /// Half a head split between time, height and width as in the released models: 16, 24, 24 of 64.
    fn sections(half: usize) -> [usize; 3] {
        let side = half * 3 / 8;
        [half - 2 * side, side, side]
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn sections_are_the_released_models() {
            assert_eq!(super::sections(64), [16, 24, 24]);
            assert_eq!(super::sections(16), [4, 6, 6]);
            assert_eq!(super::sections(1), [1, 0, 0]);
        }
    }
}
