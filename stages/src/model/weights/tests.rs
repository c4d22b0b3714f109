use std::fs;

use super::{Precision, export, load, save, save_as};
use crate::model::fixture;

#[test]
fn what_is_saved_comes_back_and_is_always_the_same_bytes() {
    let (config, device, dir) = (fixture::config(), fixture::device(), tempfile::tempdir().unwrap());
    let model = config.init(7, &device);
    save(&model, &config, dir.path()).unwrap();
    let first = fs::read(dir.path().join("model.safetensors")).unwrap();
    let again = load(dir.path(), &super::ModelConfig::read(dir.path()).unwrap(), &device).unwrap();
    assert_eq!(export(&again), export(&model));
    save(&again, &config, dir.path()).unwrap();
    assert_eq!(fs::read(dir.path().join("model.safetensors")).unwrap(), first);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "a draft was left behind");
}

#[test]
fn seeds_make_models() {
    let (config, device) = (fixture::config(), fixture::device());
    assert_eq!(export(&config.init(1, &device)), export(&config.init(1, &device)));
    assert_ne!(export(&config.init(1, &device)), export(&config.init(2, &device)));
    let tensors = export(&config.init(1, &device));
    assert!(tensors["model.norm.weight"].1.iter().all(|w| w.to_bits() == 1.0_f32.to_bits()));
    assert!(tensors["visual.blocks.0.attn.qkv.bias"].1.iter().all(|&b| b == 0.0));
    let words = &tensors["model.embed_tokens.weight"].1;
    let deviation = (words.iter().map(|w| w * w).sum::<f32>() / words.len() as f32).sqrt();
    assert!((deviation - 0.3).abs() < 0.03, "{deviation}");
}

#[test]
fn sixteen_bits_and_untied_heads_come_back() {
    let (mut config, device, dir) = (fixture::config(), fixture::device(), tempfile::tempdir().unwrap());
    config.tie_word_embeddings = false;
    let model = config.init(7, &device);
    // Half a unit in the last place: 8 bits of bfloat16; 11 of float16, and its steps of 2⁻²⁴ next to zero.
    let formats = [(Precision::Bf16, "bfloat16", 256.0, 0.0), (Precision::F16, "float16", 2048.0, 2_f32.powi(-25))];
    for (precision, name, steps, smallest) in formats {
        save_as(&model, &config, dir.path(), precision).unwrap();
        assert!(fs::read_to_string(dir.path().join("config.json")).unwrap().contains(&format!("\"{name}\"")));
        let (wide, narrow) = (export(&model), export(&load(dir.path(), &config, &device).unwrap()));
        assert!(wide.contains_key("lm_head.weight"));
        for (name, (shape, values)) in &wide {
            assert_eq!(&narrow[name].0, shape);
            for (a, b) in values.iter().zip(&narrow[name].1) {
                assert!((a - b).abs() <= a.abs() / steps + smallest, "{name}: {a} {b}");
            }
        }
    }
}

#[test]
fn every_difference_is_told_at_once() {
    let (config, device, dir) = (fixture::config(), fixture::device(), tempfile::tempdir().unwrap());
    save(&config.init(7, &device), &config, dir.path()).unwrap();
    let mut other = config.clone();
    other.text.intermediate_size = 20;
    other.text.num_hidden_layers = 1;
    other.tie_word_embeddings = false;
    let error = load(dir.path(), &other, &device).unwrap_err().to_string();
    for part in
        ["1 missing: lm_head.weight", "unknown: model.layers.1.", "3 unfit: model.layers.0.mlp.down_proj.weight"]
    {
        assert!(error.contains(part), "{part} not in\n{error}");
    }
}

#[test]
fn damaged_files_are_errors() {
    let (config, device, dir) = (fixture::config(), fixture::device(), tempfile::tempdir().unwrap());
    let file = dir.path().join("model.safetensors");
    assert!(load(dir.path(), &config, &device).unwrap_err().to_string().contains("neither"));
    save(&config.init(7, &device), &config, dir.path()).unwrap();
    let good = fs::read(&file).unwrap();
    let header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let mut huge = good.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut broken = good.clone();
    broken[8 + header / 2] = b'\\';
    for bytes in [&good[..good.len() - 4], &good[..100], &good[..3], &[], &huge, &broken] {
        fs::write(&file, bytes).unwrap();
        let error = load(dir.path(), &config, &device).unwrap_err().to_string();
        assert!(error.contains("model.safetensors"), "{error}");
    }
}

#[test]
fn shards_are_read_and_may_not_lie_elsewhere() {
    let (config, device, dir) = (fixture::config(), fixture::device(), tempfile::tempdir().unwrap());
    save(&config.init(7, &device), &config, dir.path()).unwrap();
    fs::rename(dir.path().join("model.safetensors"), dir.path().join("part-1.safetensors")).unwrap();
    let index = dir.path().join("model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map": {"model.norm.weight": "part-1.safetensors"}}"#).unwrap();
    assert_eq!(export(&load(dir.path(), &config, &device).unwrap()), export(&config.init(7, &device)));
    fs::write(&index, r#"{"weight_map": {"model.norm.weight": "../part-1.safetensors"}}"#).unwrap();
    assert!(load(dir.path(), &config, &device).unwrap_err().to_string().contains("same folder"));
}
