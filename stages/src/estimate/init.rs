//! What `init` would cost: a model is drawn and written.

use std::sync::Arc;

use curricle_engine::stage::{Estimate, Extent, Facts, Memory, Phase};
use serde_json::json;

use super::sizes::Sizes;
use super::{PROCESS, WIDE};
use crate::kinds::init::{Params, Template};

/// Tokens that the two templates put around a question and its answer, with a tokenizer that cuts the roles' names.
const BARE: f64 = 19.0;
const QWEN: f64 = 34.0;

/// As [`curricle_engine::stage::StageKind::estimate`].
pub fn estimate(params: &Params, _facts: &Facts<'_>) -> Estimate {
    let vision = &params.vision;
    let config = json!({
        "hidden_size": params.hidden_size,
        "intermediate_size": params.intermediate,
        "num_hidden_layers": params.layers,
        "num_attention_heads": params.heads,
        "num_key_value_heads": params.kv_heads,
        "vocab_size": params.vocab_size,
        "max_position_embeddings": params.max_length,
        "tie_word_embeddings": params.tie,
        "vision_config": {
            "depth": vision.depth,
            "hidden_size": vision.hidden,
            "num_heads": vision.heads,
            "intermediate_size": vision.intermediate,
            "window_size": vision.window,
            "fullatt_block_indexes": vision.fullatt,
        },
    });
    let sizes = match Sizes::of(&config) {
        Ok(sizes) => sizes,
        Err(field) => return Estimate::unknown(format!("`{field}` is 0")),
    };
    let parameters = sizes.parameters();
    let memory = Memory { weights: WIDE * parameters, other: PROCESS, ..Memory::default() };
    let made = Extent {
        config: Some(Arc::new(config)),
        adapter: Some(0),
        template: Some(if params.template == Template::Bare { BARE } else { QWEN }),
        pixel_bounds: Some([params.min_pixels as f64, params.max_pixels as f64]),
        ..Extent::default()
    };
    Estimate {
        parameters: Some(parameters),
        phases: vec![Phase { name: "drawing".to_owned(), memory }],
        output_bytes: Some(WIDE * parameters),
        checkpoint_bytes: Some(0),
        notes: vec![format!("at most: the tokenizer may have fewer than {} tokens", params.vocab_size)],
        ..Estimate::default()
    }
    .making("model", made)
}
