//! `config.json` → the dimensions of a Qwen2.5-VL model, and back.
//!
//! Two layouts are read: the hub's (text fields at the top, `rope_scaling`, `vision_config`; transformers 4) and the nested
//! one (`text_config` with `rope_parameters`; transformers 5). The hub's is written, because every release loads it.
//! Whatever the model code does not compute (sliding windows, `YaRN`, quantised weights, other activations, other patch
//! sizes) is refused here, all at once. This file knows no tensor.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

/// Side of a patch, pixels.
pub const PATCH: usize = 14;
/// Frames that share one patch.
pub const TEMPORAL_PATCH: usize = 2;
/// Patches per side that are merged into one token.
pub const MERGE: usize = 2;
/// Colour channels of a picture.
pub const CHANNELS: usize = 3;
/// Values of one flattened patch: channels × frames × rows × columns.
pub const PATCH_VALUES: usize = CHANNELS * TEMPORAL_PATCH * PATCH * PATCH;

/// `model_type` of every model that is computed here.
pub const MODEL_TYPE: &str = "qwen2_5_vl";
const ARCHITECTURE: &str = "Qwen2_5_VLForConditionalGeneration";
const VISION_THETA: f64 = 10_000.0;
/// No released model comes near; a larger number in a file is damage, and would overflow products of sizes.
const LARGEST: u64 = 1 << 24;

/// Dimensions and constants of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The language model.
    pub text: TextConfig,
    /// The vision tower.
    pub vision: VisionConfig,
    /// Ids of the tokens that the architecture itself knows.
    pub tokens: TokenIds,
    /// Whether the head shares the embedding's weight.
    pub tie_word_embeddings: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
}

/// Dimensions of the language model.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// Rows of the embedding; may exceed the tokenizer's.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Longest sequence that the model claims to serve.
    pub max_position_embeddings: usize,
    /// ε of the norms.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Frequencies that follow time, height and width; sums to half a head.
    pub mrope_section: [usize; 3],
    /// Kept for the file; without sliding windows it has no meaning.
    pub max_window_layers: usize,
}

/// Dimensions of the vision tower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisionConfig {
    /// Blocks.
    pub depth: usize,
    /// Width of a patch's state.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Width after the merger: the text's.
    pub out_hidden_size: usize,
    /// Side of an attention window, pixels.
    pub window_size: usize,
    /// Blocks that attend over the whole frame.
    pub fullatt_block_indexes: Vec<usize>,
    /// Positions per second of video.
    pub tokens_per_second: usize,
}

/// Ids of tokens with a meaning to the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenIds {
    /// Stands for one merged image patch.
    pub image: u32,
    /// Stands for one merged video patch.
    pub video: u32,
    /// Opens an image.
    pub vision_start: u32,
    /// Closes an image.
    pub vision_end: u32,
    /// Begins a text; not used by the model.
    pub bos: Option<u32>,
    /// Ends a turn.
    pub eos: Option<u32>,
    /// Fills short rows.
    pub pad: Option<u32>,
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
#[error("`{place}`: {kind}")]
pub struct ConfigError {
    /// The file, or `config` for a value made in memory.
    pub place: String,
    /// What is wrong with it.
    pub kind: ConfigErrorKind,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrorKind {
    /// The file can't be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is not JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Fields are missing, of the wrong type, or ask for what is not supported.
    #[error("{}", .0.join("; "))]
    Fields(Vec<String>),
}

impl TextConfig {
    /// Width of one head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads.max(1)
    }

    /// Query heads that share one key head.
    pub fn group(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads.max(1)
    }
}

impl VisionConfig {
    /// Width of one head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_heads.max(1)
    }

    /// Side of an attention window in merged units (4 for 112 pixels).
    pub fn window_units(&self) -> usize {
        self.window_size / MERGE / PATCH
    }
}

impl ModelConfig {
    /// Reads `config.json` of a model folder.
    pub fn read(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join("config.json");
        let place = path.display().to_string();
        let text = fs::read_to_string(&path).map_err(|e| ConfigError { place: place.clone(), kind: e.into() })?;
        let value: Value =
            serde_json::from_str(&text).map_err(|e| ConfigError { place: place.clone(), kind: e.into() })?;
        Self::from_json(&value).map_err(|mistakes| ConfigError { place, kind: ConfigErrorKind::Fields(mistakes) })
    }

    /// Writes `config.json` into a model folder, in the hub's layout, always the same bytes; `dtype` is the number format
    /// of the weights beside it, as torch calls it.
    pub fn write(&self, dir: &Path, dtype: &str) -> Result<(), ConfigError> {
        let path = dir.join("config.json");
        let place = path.display().to_string();
        let mut json = self.to_json();
        json["torch_dtype"] = dtype.into();
        let mut text =
            serde_json::to_string_pretty(&json).map_err(|e| ConfigError { place: place.clone(), kind: e.into() })?;
        text.push('\n');
        fs::write(&path, text).map_err(|e| ConfigError { place, kind: e.into() })
    }

    /// Every rule that a made-up configuration may break; empty when it can be computed.
    pub fn mistakes(&self) -> Vec<String> {
        let (t, v) = (&self.text, &self.vision);
        let mut found = Vec::new();
        let mut rule = |holds: bool, text: String| {
            if !holds {
                found.push(text);
            }
        };
        rule(
            t.num_attention_heads > 0 && t.hidden_size.is_multiple_of(t.num_attention_heads.max(1)),
            format!(
                "`hidden_size` {} is no multiple of `num_attention_heads` {}",
                t.hidden_size, t.num_attention_heads
            ),
        );
        rule(
            t.num_key_value_heads > 0 && t.num_attention_heads.is_multiple_of(t.num_key_value_heads.max(1)),
            format!(
                "`num_attention_heads` {} is no multiple of `num_key_value_heads` {}",
                t.num_attention_heads, t.num_key_value_heads
            ),
        );
        rule(t.head_dim().is_multiple_of(2), format!("the text's head width {} is odd", t.head_dim()));
        let sections = t.mrope_section.iter().sum::<usize>();
        rule(
            sections * 2 == t.head_dim(),
            format!("`mrope_section` sums to {sections}, half a head is {}", t.head_dim() / 2),
        );
        rule(
            t.rms_norm_eps > 0.0 && t.rms_norm_eps < 1.0,
            format!("`rms_norm_eps` {} is not in (0, 1)", t.rms_norm_eps),
        );
        rule(t.rope_theta > 1.0 && t.rope_theta.is_finite(), format!("`rope_theta` {} is not above 1", t.rope_theta));
        rule(
            v.num_heads > 0 && v.hidden_size.is_multiple_of(v.num_heads.max(1)),
            format!("vision `hidden_size` {} is no multiple of `num_heads` {}", v.hidden_size, v.num_heads),
        );
        rule(v.head_dim().is_multiple_of(4), format!("the vision head width {} is no multiple of 4", v.head_dim()));
        rule(
            v.out_hidden_size == t.hidden_size,
            format!("vision `out_hidden_size` {} is not the text's `hidden_size` {}", v.out_hidden_size, t.hidden_size),
        );
        rule(
            v.window_size >= PATCH * MERGE && v.window_size.is_multiple_of(PATCH * MERGE),
            format!("`window_size` {} is no multiple of {}", v.window_size, PATCH * MERGE),
        );
        for block in v.fullatt_block_indexes.iter().filter(|&&block| block >= v.depth) {
            rule(false, format!("`fullatt_block_indexes` names block {block} of {}", v.depth));
        }
        for (name, id) in [("image_token_id", self.tokens.image), ("vision_start_token_id", self.tokens.vision_start)] {
            rule((id as usize) < t.vocab_size, format!("`{name}` {id} is outside the vocabulary of {}", t.vocab_size));
        }
        rule(
            self.initializer_range >= 0.0 && self.initializer_range.is_finite(),
            format!("`initializer_range` {} is not a standard deviation", self.initializer_range),
        );
        found
    }

    /// Reads the JSON of a `config.json`; every mistake at once.
    pub fn from_json(value: &Value) -> Result<Self, Vec<String>> {
        let Some(top) = value.as_object() else {
            return Err(vec!["not an object".to_owned()]);
        };
        let mut read = Reader::default();
        if top.get("model_type").and_then(Value::as_str) != Some(MODEL_TYPE) {
            read.mistakes.push(format!("`model_type` is {}, expected \"{MODEL_TYPE}\"", shown(top.get("model_type"))));
        }
        if top.contains_key("quantization_config") {
            read.mistakes.push("`quantization_config`: quantised weights are not supported".to_owned());
        }
        let text_map = top.get("text_config").and_then(Value::as_object);
        let text = text_map.unwrap_or(top);
        let empty = Map::new();
        let vision = top.get("vision_config").and_then(Value::as_object).unwrap_or_else(|| {
            read.mistakes.push("`vision_config` is missing".to_owned());
            &empty
        });

        let config = Self {
            text: read.text(text),
            vision: read.vision(vision),
            tokens: TokenIds {
                image: read.id(top, "image_token_id"),
                video: read.id(top, "video_token_id"),
                vision_start: read.id(top, "vision_start_token_id"),
                vision_end: optional_id(top, "vision_end_token_id").unwrap_or_default(),
                bos: optional_id(text, "bos_token_id").or_else(|| optional_id(top, "bos_token_id")),
                eos: optional_id(text, "eos_token_id").or_else(|| optional_id(top, "eos_token_id")),
                pad: optional_id(text, "pad_token_id").or_else(|| optional_id(top, "pad_token_id")),
            },
            tie_word_embeddings: top
                .get("tie_word_embeddings")
                .or_else(|| text.get("tie_word_embeddings"))
                .and_then(Value::as_bool)
                .unwrap_or(false),
            initializer_range: text.get("initializer_range").and_then(Value::as_f64).unwrap_or(0.02),
        };
        if read.mistakes.is_empty() {
            read.mistakes = config.mistakes();
        }
        if read.mistakes.is_empty() { Ok(config) } else { Err(read.mistakes) }
    }

    /// The JSON of a `config.json` in the hub's layout.
    pub fn to_json(&self) -> Value {
        let (t, v) = (&self.text, &self.vision);
        json!({
            "architectures": [ARCHITECTURE],
            "attention_dropout": 0.0,
            "bos_token_id": self.tokens.bos,
            "eos_token_id": self.tokens.eos,
            "hidden_act": "silu",
            "hidden_size": t.hidden_size,
            "image_token_id": self.tokens.image,
            "initializer_range": self.initializer_range,
            "intermediate_size": t.intermediate_size,
            "max_position_embeddings": t.max_position_embeddings,
            "max_window_layers": t.max_window_layers,
            "model_type": MODEL_TYPE,
            "num_attention_heads": t.num_attention_heads,
            "num_hidden_layers": t.num_hidden_layers,
            "num_key_value_heads": t.num_key_value_heads,
            "pad_token_id": self.tokens.pad,
            "rms_norm_eps": t.rms_norm_eps,
            "rope_scaling": { "type": "mrope", "mrope_section": t.mrope_section },
            "rope_theta": t.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": "float32",
            "use_cache": true,
            "use_sliding_window": false,
            "video_token_id": self.tokens.video,
            "vision_config": {
                "depth": v.depth,
                "fullatt_block_indexes": v.fullatt_block_indexes,
                "hidden_act": "silu",
                "hidden_size": v.hidden_size,
                "in_channels": CHANNELS,
                "in_chans": CHANNELS,
                "intermediate_size": v.intermediate_size,
                "model_type": MODEL_TYPE,
                "num_heads": v.num_heads,
                "out_hidden_size": v.out_hidden_size,
                "patch_size": PATCH,
                "spatial_merge_size": MERGE,
                "spatial_patch_size": PATCH,
                "temporal_patch_size": TEMPORAL_PATCH,
                "tokens_per_second": v.tokens_per_second,
                "window_size": v.window_size,
            },
            "vision_end_token_id": self.tokens.vision_end,
            "vision_start_token_id": self.tokens.vision_start,
            "vocab_size": t.vocab_size,
        })
    }
}

impl Serialize for ModelConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ModelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_json(&value).map_err(|mistakes| serde::de::Error::custom(mistakes.join("; ")))
    }
}

/// Picks fields and keeps every mistake.
#[derive(Default)]
struct Reader {
    mistakes: Vec<String>,
}

fn optional_id(map: &Map<String, Value>, name: &str) -> Option<u32> {
    map.get(name).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok())
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "missing".to_owned(), Value::to_string)
}

impl Reader {
    fn text(&mut self, map: &Map<String, Value>) -> TextConfig {
        self.only(map, "hidden_act", &json!("silu"));
        self.only(map, "use_sliding_window", &json!(false));
        if map.get("attention_dropout").and_then(Value::as_f64).is_some_and(|p| p != 0.0) {
            self.mistakes.push("`attention_dropout` is not 0: dropout is not supported".to_owned());
        }
        let empty = Map::new();
        let rope = ["rope_parameters", "rope_scaling"]
            .iter()
            .find_map(|name| map.get(*name).and_then(Value::as_object))
            .unwrap_or_else(|| {
                self.mistakes.push("`rope_parameters` or `rope_scaling` with `mrope_section` is missing".to_owned());
                &empty
            });
        for name in ["type", "rope_type"] {
            if let Some(kind) = rope.get(name).filter(|kind| *kind != "mrope" && *kind != "default") {
                self.mistakes.push(format!("rope `{name}` {kind} is not supported, only \"mrope\" and \"default\""));
            }
        }
        let theta = rope.get("rope_theta").or_else(|| map.get("rope_theta")).and_then(Value::as_f64);
        if theta.is_none() {
            self.mistakes.push("`rope_theta` is missing".to_owned());
        }
        let config = TextConfig {
            vocab_size: self.size(map, "vocab_size"),
            hidden_size: self.size(map, "hidden_size"),
            intermediate_size: self.size(map, "intermediate_size"),
            num_hidden_layers: self.size(map, "num_hidden_layers"),
            num_attention_heads: self.size(map, "num_attention_heads"),
            num_key_value_heads: self.size(map, "num_key_value_heads"),
            max_position_embeddings: self.size(map, "max_position_embeddings"),
            rms_norm_eps: map.get("rms_norm_eps").and_then(Value::as_f64).unwrap_or_else(|| {
                self.mistakes.push("`rms_norm_eps` is missing".to_owned());
                1e-6
            }),
            rope_theta: theta.unwrap_or(1e6),
            mrope_section: self.section(rope),
            max_window_layers: map.get("max_window_layers").and_then(Value::as_u64).unwrap_or(0) as usize,
        };
        if let Some(width) = map.get("head_dim").and_then(Value::as_u64)
            && width as usize != config.head_dim()
        {
            self.mistakes.push(format!("`head_dim` {width} is not `hidden_size` / `num_attention_heads`"));
        }
        config
    }

    fn vision(&mut self, map: &Map<String, Value>) -> VisionConfig {
        self.only(map, "hidden_act", &json!("silu"));
        self.only(map, "patch_size", &json!(PATCH));
        self.only(map, "spatial_patch_size", &json!(PATCH));
        self.only(map, "temporal_patch_size", &json!(TEMPORAL_PATCH));
        self.only(map, "spatial_merge_size", &json!(MERGE));
        self.only(map, "in_channels", &json!(CHANNELS));
        self.only(map, "in_chans", &json!(CHANNELS));
        if let Some(rope) = map.get("rope_parameters").and_then(Value::as_object)
            && rope.get("rope_theta").and_then(Value::as_f64).is_some_and(|theta| theta != VISION_THETA)
        {
            self.mistakes.push(format!("vision `rope_theta` is not {VISION_THETA}"));
        }
        let blocks = map.get("fullatt_block_indexes").and_then(Value::as_array).and_then(|list| {
            list.iter().map(|v| v.as_u64().filter(|&i| i < LARGEST).map(|i| i as usize)).collect::<Option<Vec<_>>>()
        });
        VisionConfig {
            depth: self.size(map, "depth"),
            hidden_size: self.size(map, "hidden_size"),
            intermediate_size: self.size(map, "intermediate_size"),
            num_heads: self.size(map, "num_heads"),
            out_hidden_size: self.size(map, "out_hidden_size"),
            window_size: self.size(map, "window_size"),
            fullatt_block_indexes: blocks.unwrap_or_else(|| {
                self.mistakes.push("`fullatt_block_indexes` is not a list of block numbers".to_owned());
                Vec::new()
            }),
            tokens_per_second: self.size(map, "tokens_per_second"),
        }
    }

    fn section(&mut self, rope: &Map<String, Value>) -> [usize; 3] {
        let list = rope.get("mrope_section").and_then(Value::as_array);
        let numbers: Option<Vec<usize>> =
            list.and_then(|l| l.iter().map(|v| v.as_u64().filter(|&n| n < LARGEST).map(|n| n as usize)).collect());
        numbers.and_then(|n| <[usize; 3]>::try_from(n).ok()).unwrap_or_else(|| {
            self.mistakes
                .push(format!("`mrope_section` is {}, expected three numbers", shown(rope.get("mrope_section"))));
            [0; 3]
        })
    }

    fn size(&mut self, map: &Map<String, Value>, name: &str) -> usize {
        match map.get(name).and_then(Value::as_u64) {
            Some(n) if (1..LARGEST).contains(&n) => n as usize,
            _ => {
                self.mistakes.push(format!("`{name}` is {}, expected a positive number", shown(map.get(name))));
                1
            }
        }
    }

    fn id(&mut self, map: &Map<String, Value>, name: &str) -> u32 {
        optional_id(map, name).unwrap_or_else(|| {
            self.mistakes.push(format!("`{name}` is {}, expected a token id", shown(map.get(name))));
            0
        })
    }

    /// A field that, where present, may only have this value.
    fn only(&mut self, map: &Map<String, Value>, name: &str, value: &Value) {
        if let Some(found) = map.get(name).filter(|found| *found != value) {
            self.mistakes.push(format!("`{name}` is {found}, only {value} is supported"));
        }
    }
}

#[cfg(test)]
mod tests;
