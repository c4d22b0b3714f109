//! What a recipe says of low-rank adapters → which linear layers get one, and how large. Host memory only; refuses to know
//! how an adapter is computed ([`super::linear`]) and how it lies on disk ([`super::peft`]).
//!
//! Hu et al. 2021 (arXiv 2106.09685); names and defaults of the parameters are PEFT's `LoraConfig`'s, with two exceptions:
//! a pattern may hold `*`, and without `targets` every linear layer of the language model is adapted.

use std::sync::LazyLock;

use curricle_engine::stage::{Adapter, Fact, ModelType, Problems};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::train::freeze::Part;

/// Low-rank adapters to train in place of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lora {
    /// Rank of the adapters (PEFT's `r`).
    pub rank: usize,
    /// What they add is multiplied by `alpha / rank`.
    pub alpha: f64,
    /// Multiplies by `alpha / √rank` instead (rank-stabilised, arXiv 2312.03732).
    pub rslora: bool,
    /// Probability to drop a value of an adapter's input while training.
    pub dropout: f64,
    /// Layers to adapt, by the end of their name on the hub: `q_proj`, `attn.qkv`, `model.layers.3.mlp.up_proj`; `*` stands
    /// for anything. Layers of frozen parts stay without. The patch embedding is a convolution, and never adapted.
    pub targets: Vec<String>,
}

impl Default for Lora {
    fn default() -> Self {
        Self { rank: 8, alpha: 8.0, rslora: false, dropout: 0.0, targets: vec!["model.layers.*".to_owned()] }
    }
}

/// Linear layers of one decoder layer, of one block of the vision tower, and outside of both.
const TEXT: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];
const VISION: [&str; 5] = ["attn.qkv", "attn.proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];
const SINGLE: [&str; 3] = ["visual.merger.mlp.0", "visual.merger.mlp.2", "lm_head"];

/// More layers than any model of this architecture has: a pattern may name the last.
const DEEPEST: usize = 256;

impl Lora {
    /// The factor `s` on what an adapter adds.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    /// Does the linear layer of this name on the hub get an adapter?
    pub fn adapts(&self, layer: &str, frozen: &[Part]) -> bool {
        !frozen.contains(&part(layer)) && self.targets.iter().any(|target| fits(target, layer))
    }

    /// Rules on the values, and on patterns that no model can satisfy.
    pub fn validate(&self, frozen: &[Part], problems: &mut Problems) {
        if self.rank == 0 {
            problems.param("lora.rank", "must be at least 1", "usual values are 8 to 64");
        }
        if self.alpha <= 0.0 {
            problems.param("lora.alpha", "must be above 0: at 0 the adapters add nothing", "a usual value is the rank");
        }
        if !(0.0..1.0).contains(&self.dropout) {
            problems.param("lora.dropout", "must be at least 0 and below 1", "");
        }
        if self.targets.is_empty() {
            problems.param("lora.targets", "names no layer: nothing would learn", "`[\"*\"]` is every linear layer");
        }
        let layers = layers();
        for (index, target) in self.targets.iter().enumerate() {
            if !layers.iter().any(|layer| fits(target, layer)) {
                problems.param(
                    format!("lora.targets[{index}]"),
                    format!("`{target}` fits no linear layer of a Qwen2.5-VL"),
                    "layers end in q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, attn.qkv, attn.proj, \
                     merger.mlp.0, merger.mlp.2 or lm_head; `*` stands for anything",
                );
            } else if !layers.iter().any(|layer| fits(target, layer) && !frozen.contains(&part(layer))) {
                problems.param(
                    format!("lora.targets[{index}]"),
                    format!("`{target}` fits layers of frozen parts only"),
                    "take it out, or the part out of `freeze`",
                );
            }
        }
    }
}

/// The model that training leaves, where it starts from `model`.
pub fn flow(lora: Option<&Lora>, model: ModelType, problems: &mut Problems) -> ModelType {
    let Some(lora) = lora else {
        // An adapter goes on learning; without one the weights do, and end as 32-bit floats.
        let full = model.adapter.is(&None);
        let precision = if full { Fact::known("F32".to_owned()) } else { model.precision.clone() };
        let trained = if full { Fact::known(true) } else { model.trained.clone() };
        return ModelType { precision, trained, ..model };
    };
    if let Some(Some(_)) = model.adapter.get() {
        problems.param(
            "lora",
            "can't be added: the model has an adapter already",
            "leave `lora` out and it goes on learning, or make it part of the weights with a `merge` stage before this one",
        );
        problems.see(&model.adapter, "the adapter that it has");
    }
    let adapter = Adapter { rank: Some(lora.rank), targets: lora.targets.clone() };
    ModelType { adapter: Fact::param(Some(adapter), "lora"), ..model }
}

/// Does any of these patterns fit a layer outside of frozen parts?
pub fn reaches(targets: &[String], frozen: &[Part]) -> bool {
    layers().iter().any(|layer| !frozen.contains(&part(layer)) && targets.iter().any(|target| fits(target, layer)))
}

/// The part of the model that holds a linear layer.
fn part(layer: &str) -> Part {
    match layer {
        "lm_head" => Part::Head,
        _ if layer.starts_with("visual.merger.") => Part::Merger,
        _ if layer.starts_with("visual.") => Part::Vision,
        _ => Part::Text,
    }
}

/// Names of the linear layers that some model of this architecture has.
fn layers() -> &'static [String] {
    static LAYERS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let text = (0..DEEPEST).flat_map(|layer| TEXT.map(|name| format!("model.layers.{layer}.{name}")));
        let vision = (0..DEEPEST).flat_map(|block| VISION.map(|name| format!("visual.blocks.{block}.{name}")));
        text.chain(vision).chain(SINGLE.map(str::to_owned)).collect()
    });
    &LAYERS
}

/// Is `target` the name, or its end after a dot? Names in memory (`model.language_model.…`) count as well.
fn fits(target: &str, layer: &str) -> bool {
    let ends = |name: &str| {
        let after_dots = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
        std::iter::once(name).chain(after_dots).any(|end| like(target.as_bytes(), end.as_bytes()))
    };
    ends(layer) || ends(&in_memory(layer))
}

/// Equality with a pattern in which `*` stands for any run of characters.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|from| like(rest, &text[from..])),
        Some((first, rest)) => text.split_first().is_some_and(|(byte, text)| byte == first && like(rest, text)),
    }
}

/// The name that transformers (from 4.52) gives a module with this name on the hub.
pub fn in_memory(hub: &str) -> String {
    if let Some(rest) = hub.strip_prefix("model.") {
        return format!("model.language_model.{rest}");
    }
    if hub.starts_with("visual.") { format!("model.{hub}") } else { hub.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(lora: &str, frozen: &[Part]) -> Vec<String> {
        let mut problems = Problems::default();
        serde_json::from_str::<Lora>(lora).unwrap().validate(frozen, &mut problems);
        problems.into_vec().into_iter().map(|problem| format!("{:?}: {}", problem.at, problem.message)).collect()
    }

    #[test]
    fn a_target_is_the_end_of_a_name() {
        let layer = "model.layers.3.self_attn.q_proj";
        for yes in ["q_proj", "self_attn.q_proj", layer, "model.language_model.layers.3.self_attn.q_proj"] {
            assert!(fits(yes, layer), "{yes}");
        }
        for yes in ["*", "layers.*.q_proj", "model.layers.*", "*_proj", "model.language_model.*"] {
            assert!(fits(yes, layer), "{yes}");
        }
        for no in ["proj", "q_pro", "layers.4.*", "visual.*", "self_attn", ""] {
            assert!(!fits(no, layer), "{no}");
        }
        assert!(fits("proj", "visual.blocks.0.attn.proj") && fits("model.visual.*", "visual.merger.mlp.0"));
    }

    #[test]
    fn frozen_parts_get_no_adapter() {
        let lora = Lora { targets: vec!["*".to_owned()], ..Lora::default() };
        assert!(lora.adapts("visual.merger.mlp.0", &[Part::Vision]));
        assert!(!lora.adapts("visual.blocks.0.attn.qkv", &[Part::Vision]));
        assert!(!lora.adapts("lm_head", &[Part::Head]) && lora.adapts("model.layers.0.mlp.up_proj", &[Part::Head]));
        assert!(!Lora::default().adapts("visual.merger.mlp.0", &[]), "the default is the language model");
    }

    #[test]
    fn factors_are_alpha_over_the_rank_or_its_root() {
        let lora = Lora { rank: 16, alpha: 32.0, ..Lora::default() };
        assert!((lora.scale() - 2.0).abs() < 1e-12);
        assert!((Lora { rslora: true, ..lora }.scale() - 8.0).abs() < 1e-12);
    }

    #[test]
    fn impossible_adapters_are_refused_all_at_once() {
        assert!(problems("{}", &[Part::Vision, Part::Embed]).is_empty());
        let found = problems(r#"{ "rank": 0, "alpha": 0.0, "dropout": 1.0, "targets": ["q_projj", "attn.qkv"] }"#, &[]);
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[3].contains("lora.targets[0]") && found[3].contains("`q_projj` fits no"), "{found:#?}");
        assert!(problems(r#"{ "targets": ["attn.qkv"] }"#, &[Part::Vision])[0].contains("frozen parts only"));
        assert!(problems(r#"{ "targets": [] }"#, &[])[0].contains("names no layer"));
    }
}
