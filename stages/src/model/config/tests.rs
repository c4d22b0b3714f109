use serde_json::{Value, json};

use super::ModelConfig;
use crate::model::fixture;

fn nested() -> Value {
    json!({
        "model_type": "qwen2_5_vl", "image_token_id": 3, "video_token_id": 4, "vision_start_token_id": 1,
        "vision_end_token_id": 2, "tie_word_embeddings": true,
        "text_config": {
            "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
            "rope_parameters": { "rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2] },
            "eos_token_id": 5
        },
        "vision_config": {
            "depth": 2, "hidden_size": 8, "intermediate_size": 12, "num_heads": 2, "out_hidden_size": 16,
            "window_size": 112, "fullatt_block_indexes": [1], "tokens_per_second": 2, "patch_size": 14
        }
    })
}

#[test]
fn both_layouts_say_the_same() {
    let config = ModelConfig::from_json(&nested()).unwrap();
    assert_eq!(config.text.mrope_section, [1, 1, 2]);
    assert_eq!(config.tokens.eos, Some(5));
    assert!(config.to_json().get("text_config").is_none());
    assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config);
}

#[test]
fn every_mistake_is_told_at_once() {
    let mut value = nested();
    value["model_type"] = json!("llama");
    value["quantization_config"] = json!({});
    value["text_config"]["rope_parameters"]["rope_type"] = json!("yarn");
    value["text_config"]["use_sliding_window"] = json!(true);
    value["text_config"]["vocab_size"] = json!(-3);
    value["vision_config"]["patch_size"] = json!(16);
    let mistakes = ModelConfig::from_json(&value).unwrap_err().join("\n");
    for word in ["llama", "quantised", "yarn", "use_sliding_window", "vocab_size", "patch_size"] {
        assert!(mistakes.contains(word), "{word} not in\n{mistakes}");
    }
}

#[test]
fn dimensions_must_fit() {
    let mut config = fixture::config();
    config.text.mrope_section = [1, 1, 1];
    config.vision.out_hidden_size = 7;
    config.vision.fullatt_block_indexes = vec![9];
    assert_eq!(config.mistakes().len(), 3, "{:?}", config.mistakes());
    assert!(fixture::config().mistakes().is_empty());
}
