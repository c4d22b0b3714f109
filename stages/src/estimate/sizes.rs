//! `config.json`, or the part of it that a recipe states → the numbers of parameters of a Qwen2.5-VL. Needs no weights, no
//! tokenizer and no token ids; what the model is computed from is [`crate::model::config`]'s.

use serde_json::Value;

use crate::model::config::PATCH_VALUES;
use crate::model::lora::Lora;
use crate::train::freeze::Part;

/// Dimensions that sizes follow from; names as in `config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the language model.
    pub hidden: u64,
    /// Its layers.
    pub layers: u64,
    /// Its query heads.
    pub heads: u64,
    /// Its key and value heads.
    pub kv_heads: u64,
    /// Width inside its MLP.
    pub inner: u64,
    /// Rows of the embedding.
    pub vocabulary: u64,
    /// Does the head share the embedding's weight?
    pub tied: bool,
    /// The vision tower.
    pub vision: Tower,
}

/// Dimensions of the vision tower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tower {
    /// Blocks.
    pub depth: u64,
    /// Width of a patch's state.
    pub hidden: u64,
    /// Attention heads.
    pub heads: u64,
    /// Width inside the MLP.
    pub inner: u64,
    /// Patches of an attention window.
    pub window: u64,
    /// Blocks that attend over the whole image.
    pub full: u64,
}

/// Parameters of one layer: of its matrices, and of its biases and norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Entries of its matrices: two operations each per token of a forward pass.
    pub matrices: u64,
    /// Everything else.
    pub rest: u64,
}

impl Sizes {
    /// From `config.json` in either layout; the error names the first field that is missing.
    pub fn of(config: &Value) -> Result<Self, String> {
        let text = config.get("text_config").filter(|text| text.is_object()).unwrap_or(config);
        let empty = Value::Null;
        let vision = config.get("vision_config").unwrap_or(&empty);
        let number = |table: &Value, name: &str, title: &str| {
            table.get(name).and_then(Value::as_u64).filter(|n| *n > 0).ok_or_else(|| format!("{title}{name}"))
        };
        let of_text = |name: &str| number(text, name, "");
        let of_vision = |name: &str| number(vision, name, "vision_config.");
        let tied = config.get("tie_word_embeddings").or_else(|| text.get("tie_word_embeddings"));
        let side = of_vision("window_size")? / 14;
        Ok(Self {
            hidden: of_text("hidden_size")?,
            layers: of_text("num_hidden_layers")?,
            heads: of_text("num_attention_heads")?,
            kv_heads: of_text("num_key_value_heads")?,
            inner: of_text("intermediate_size")?,
            vocabulary: of_text("vocab_size")?,
            tied: tied.and_then(Value::as_bool).unwrap_or(false),
            vision: Tower {
                depth: of_vision("depth")?,
                hidden: of_vision("hidden_size")?,
                heads: of_vision("num_heads")?,
                inner: of_vision("intermediate_size")?,
                window: side * side,
                full: vision.get("fullatt_block_indexes").and_then(Value::as_array).map_or(0, Vec::len) as u64,
            },
        })
    }

    /// Width of all key heads together.
    pub fn kv_width(&self) -> u64 {
        self.kv_heads * (self.hidden / self.heads.max(1))
    }

    /// One decoder layer: `q`, `k`, `v` with biases, `o` and the MLP without, two norms.
    pub fn text_layer(&self) -> Layer {
        let (d, kv, f) = (self.hidden, self.kv_width(), self.inner);
        Layer { matrices: 2 * d * d + 2 * d * kv + 3 * d * f, rest: d + 2 * kv + 2 * d }
    }

    /// One block of the vision tower: all maps with biases, two norms.
    pub fn vision_block(&self) -> Layer {
        let Tower { hidden: d, inner: f, .. } = self.vision;
        Layer { matrices: 4 * d * d + 3 * d * f, rest: 4 * d + 2 * f + d + 2 * d }
    }

    /// The merger: a norm, and two maps of four patches with biases.
    pub fn merger(&self) -> Layer {
        let (d, merged) = (self.vision.hidden, 4 * self.vision.hidden);
        Layer { matrices: merged * merged + merged * self.hidden, rest: d + merged + self.hidden }
    }

    /// The patch embedding, a matrix without bias.
    pub fn patch_embedding(&self) -> u64 {
        PATCH_VALUES as u64 * self.vision.hidden
    }

    /// Entries of the embedding, and of an untied head.
    pub fn table(&self) -> u64 {
        self.vocabulary * self.hidden
    }

    /// Parameters of a part.
    pub fn part(&self, part: Part) -> u64 {
        let all = |layer: Layer| layer.matrices + layer.rest;
        match part {
            Part::Vision => self.patch_embedding() + self.vision.depth * all(self.vision_block()),
            Part::Merger => all(self.merger()),
            Part::Text => self.layers * all(self.text_layer()) + self.hidden,
            Part::Head if self.tied => 0,
            Part::Embed | Part::Head => self.table(),
        }
    }

    /// All parameters.
    pub fn parameters(&self) -> u64 {
        Part::ALL.iter().map(|part| self.part(*part)).sum()
    }

    /// Parameters of fresh adapters: `r · (in + out)` for each adapted map; the fused `qkv` of a vision block is one.
    pub fn adapters(&self, lora: &Lora, frozen: &[Part]) -> u64 {
        let (d, kv, f) = (self.hidden, self.kv_width(), self.inner);
        let text = [
            ("self_attn.q_proj", d + d),
            ("self_attn.k_proj", d + kv),
            ("self_attn.v_proj", d + kv),
            ("self_attn.o_proj", d + d),
            ("mlp.gate_proj", d + f),
            ("mlp.up_proj", d + f),
            ("mlp.down_proj", f + d),
        ];
        let Tower { hidden: v, inner: w, .. } = self.vision;
        let vision = [
            ("attn.qkv", v + 3 * v),
            ("attn.proj", v + v),
            ("mlp.gate_proj", v + w),
            ("mlp.up_proj", v + w),
            ("mlp.down_proj", w + v),
        ];
        let merged = 4 * v;
        let mut maps: Vec<(String, u64)> = Vec::new();
        let names = |prefix: &'static str, count: u64| (0..count).map(move |index| format!("{prefix}.{index}"));
        for name in names("model.layers", self.layers) {
            maps.extend(text.map(|(map, width)| (format!("{name}.{map}"), width)));
        }
        for name in names("visual.blocks", self.vision.depth) {
            maps.extend(vision.map(|(map, width)| (format!("{name}.{map}"), width)));
        }
        maps.push(("visual.merger.mlp.0".to_owned(), merged + merged));
        maps.push(("visual.merger.mlp.2".to_owned(), merged + d));
        if !self.tied {
            maps.push(("lm_head".to_owned(), d + self.vocabulary));
        }
        let widths = maps.iter().filter(|(name, _)| lora.adapts(name, frozen)).map(|(_, width)| width);
        widths.sum::<u64>() * lora.rank as u64
    }
}

/// A model small enough to count by hand.
#[cfg(test)]
pub(crate) fn small() -> Sizes {
    Sizes::of(&serde_json::json!({
        "hidden_size": 8, "intermediate_size": 20, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 100, "tie_word_embeddings": true,
        "vision_config": {
            "depth": 2, "hidden_size": 16, "num_heads": 2, "intermediate_size": 24, "window_size": 56,
            "fullatt_block_indexes": [1],
        },
    }))
    .unwrap()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use serde_json::json;

    use super::*;

    fn read(path: &Path) -> Value {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// Numbers in the safetensors files of a folder, from their headers.
    fn counted(folder: &Path, mut wanted: impl FnMut(&str) -> bool) -> u64 {
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "safetensors") {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let header: serde_json::Map<String, Value> = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
            for (name, tensor) in header.iter().filter(|(name, _)| *name != "__metadata__" && wanted(name)) {
                let shape = tensor["shape"].as_array().unwrap_or_else(|| panic!("{name} has no shape"));
                count += shape.iter().map(|side| side.as_u64().unwrap()).product::<u64>();
            }
        }
        count
    }

    #[test]
    fn parameters_are_those_of_every_checkpoint_of_the_fixtures() {
        for name in ["tied", "untied", "bfloat16", "text"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name).join("model");
            let sizes = Sizes::of(&read(&folder.join("config.json"))).unwrap();
            assert_eq!(sizes.parameters(), counted(&folder, |_| true), "{name}");
            let of = |part| sizes.part(part);
            let is_merger = |tensor: &str| tensor.contains("visual.merger.");
            assert_eq!(of(Part::Merger), counted(&folder, is_merger), "{name}");
            let is_vision = |tensor: &str| tensor.contains("visual.") && !is_merger(tensor);
            assert_eq!(of(Part::Vision), counted(&folder, is_vision), "{name}");
            assert_eq!(of(Part::Embed), counted(&folder, |tensor| tensor.contains("embed_tokens")), "{name}");
            assert_eq!(of(Part::Head), counted(&folder, |tensor| tensor.contains("lm_head")), "{name}");
        }
    }

    #[test]
    fn adapters_are_those_that_peft_makes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/lora");
        let sizes = Sizes::of(&read(&folder.join("base/config.json"))).unwrap();
        let mut seen = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let adapter = entry.unwrap().path();
            if !adapter.join("adapter_config.json").exists() {
                continue;
            }
            let said = read(&adapter.join("adapter_config.json"));
            let targets = said["target_modules"].as_array().unwrap().iter();
            let targets = targets.map(|name| name.as_str().unwrap().to_owned()).collect();
            let lora = Lora { rank: said["r"].as_u64().unwrap() as usize, targets, ..Lora::default() };
            assert_eq!(
                sizes.adapters(&lora, &[]),
                counted(&adapter, |tensor| tensor.contains(".lora_")),
                "{}",
                adapter.display()
            );
            seen += 1;
        }
        assert!(seen > 0, "{}", folder.display());
    }

    /// The released models: `config.json` of Qwen2.5-VL-3B-Instruct and -7B-Instruct.
    fn released(large: bool) -> Value {
        let [hidden, inner, layers, heads, kv, words] =
            if large { [3584, 18944, 28, 28, 4, 152_064] } else { [2048, 11008, 36, 16, 2, 151_936] };
        json!({
            "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": kv, "vocab_size": words, "tie_word_embeddings": !large,
            "vision_config": {
                "depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420, "window_size": 112,
                "fullatt_block_indexes": [7, 15, 23, 31],
            },
        })
    }

    /// By hand. 3B: layer 2048·(2·2048 + 2·256 + 3·11008) + 2048 + 512 + 4096 = 77,076,992, times 36, and 2048: 2,774,773,760;
    /// embedding 151936·2048 = 311,164,928. Tower: 1176·1280 + 32·(4·1280² + 3·1280·3420 + 7·1280 + 2·3420) = 631,975,680;
    /// merger 5120² + 5120·2048 + 1280 + 5120 + 2048 = 36,708,608. The index of the released 3B says 7,509,245,952 bytes of
    /// bfloat16, that of the 7B 16,584,333,312.
    #[test]
    fn the_released_models_have_as_many_as_their_files() {
        let three = Sizes::of(&released(false)).unwrap();
        let parts: Vec<u64> = Part::ALL.iter().map(|part| three.part(*part)).collect();
        assert_eq!(parts, [631_975_680, 36_708_608, 2_774_773_760, 311_164_928, 0]);
        assert_eq!(three.parameters() * 2, 7_509_245_952);
        let seven = Sizes::of(&released(true)).unwrap();
        assert_eq!(seven.parameters() * 2, 16_584_333_312);
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut config = released(false);
        config.as_object_mut().unwrap().remove("num_key_value_heads");
        assert_eq!(Sizes::of(&config), Err("num_key_value_heads".to_owned()));
        assert_eq!(Sizes::of(&json!({})), Err("vision_config.window_size".to_owned()));
    }
}
