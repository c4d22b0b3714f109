use std::fs;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};

use super::{Format, Precision, Width, export, load, load_as, save, save_as};
use crate::model::dtype::cast;
use crate::model::{Qwen2_5Vl, fixture};
use crate::testing::peak;

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
        save_as(&model, &config, dir.path(), Format { precision, max_shard: None }).unwrap();
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

#[test]
fn large_models_go_into_shards_and_come_back() {
    let (config, device, dir) = (fixture::config(), fixture::device(), tempfile::tempdir().unwrap());
    let model = config.init(7, &device);
    let max = 12_000;
    for precision in [Precision::F32, Precision::Bf16] {
        let dir = dir.path().join(format!("{precision:?}"));
        fs::create_dir(&dir).unwrap();
        save_as(&model, &config, &dir, Format { precision, max_shard: Some(max) }).unwrap();
        assert!(!dir.join("model.safetensors").exists());
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(dir.join("model.safetensors.index.json")).unwrap()).unwrap();
        let places = index["weight_map"].as_object().unwrap();
        let tensors = export(&model);
        assert_eq!(places.keys().collect::<Vec<_>>(), tensors.keys().collect::<Vec<_>>());
        let files: std::collections::BTreeSet<_> = places.values().map(|file| file.as_str().unwrap()).collect();
        let (mut bytes, count) = (0, files.len());
        assert!(count > 2);
        for (number, file) in files.into_iter().enumerate() {
            assert_eq!(file, format!("model-{:05}-of-{count:05}.safetensors", number + 1));
            let stored = fs::read(dir.join(file)).unwrap();
            let stored = safetensors::SafeTensors::deserialize(&stored).unwrap();
            let size: usize = stored.iter().map(|(_, view)| view.data().len()).sum();
            assert!(size as u64 <= max || stored.len() == 1, "{file} has {size} bytes");
            assert!(stored.names().iter().all(|name| places[*name] == *file));
            bytes += size;
        }
        let values: usize = tensors.values().map(|(_, values)| values.len()).sum();
        assert_eq!(index["metadata"]["total_size"], bytes);
        assert_eq!(index["metadata"]["total_parameters"], values);
        let again = export(&load(&dir, &config, &device).unwrap());
        assert!(precision != Precision::F32 || again == tensors);
        assert_eq!(again.len(), tensors.len());
    }
}

/// Bytes that are held at a time: the model while it is read and one tensor while it is written, whatever its size.
#[test]
#[expect(clippy::print_stderr, reason = "the measurement is worth seeing")]
fn a_model_is_never_in_memory_twice() {
    let (mut config, device, dir) = (fixture::config(), fixture::device(), tempfile::tempdir().unwrap());
    (config.text.hidden_size, config.text.num_hidden_layers, config.vision.out_hidden_size) = (128, 12, 128);
    (config.text.intermediate_size, config.text.vocab_size) = (512, 600);
    config.text.mrope_section = [8, 4, 4];
    // One thread: the count is of what this thread allocates.
    crate::train::lanes::single().unwrap().install(|| {
        let model = config.init(7, &device);
        let sizes: Vec<usize> = export(&model).values().map(|(_, values)| 4 * values.len()).collect();
        let (whole, largest) = (sizes.iter().sum::<usize>(), sizes.iter().copied().max().unwrap());
        assert!(30 * largest < whole, "{largest} of {whole}");
        // What the writer gathers before it writes, headers and names.
        let small = (1 << 20) + 400_000;
        for (precision, max_shard) in [(Precision::F32, None), (Precision::Bf16, Some(1 << 20))] {
            let written = peak(|| save_as(&model, &config, dir.path(), Format { precision, max_shard }).unwrap());
            assert!(written < 3 * largest + small, "{written} bytes to write, the largest tensor has {largest}");
            let mut read = None;
            let held = peak(|| read = Some(load(dir.path(), &config, &device).unwrap()));
            assert!(held < whole + 3 * largest + small, "{held} bytes to read {whole}");
            assert!(held > whole, "the count is of another thread");
            drop(read);
            let mut read = None;
            let narrow = peak(|| read = Some(load_as(dir.path(), &config, &device, |_| Width::Narrow).unwrap()));
            assert!(narrow < whole / 2 + 3 * largest + small, "{narrow} bytes to read {whole} into half");
            assert!(narrow > whole / 2, "the count is of another thread");
            eprintln!(
                "{precision:?}: {written} bytes held to write {whole}, {held} to read it, {narrow} into half; the largest tensor has \
                 {largest}"
            );
            fs::remove_file(dir.path().join("model.safetensors")).unwrap_or_default();
        }
    });
}

/// The number format of every parameter, in the order of its fields.
fn formats(model: &Qwen2_5Vl) -> Vec<DType> {
    struct Formats(Vec<DType>);
    impl ModuleVisitor for Formats {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().dtype());
        }
    }
    let mut formats = Formats(Vec::new());
    model.visit(&mut formats);
    formats.0
}

#[test]
fn what_is_read_narrow_is_what_would_have_been_rounded() {
    let (mut config, device, dir) = (fixture::config(), fixture::device(), tempfile::tempdir().unwrap());
    config.tie_word_embeddings = false;
    let model = config.init(7, &device);
    let tower = |path: &str| if path.starts_with("visual.") { Width::Narrow } else { Width::Wide };
    for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
        save_as(&model, &config, dir.path(), Format { precision, max_shard: None }).unwrap();
        let wide = load(dir.path(), &config, &device).unwrap();
        let narrow = load_as(dir.path(), &config, &device, |_| Width::Narrow).unwrap();
        assert!(formats(&wide).iter().all(|format| *format == DType::F32));
        assert!(formats(&narrow).iter().all(|format| *format == DType::BF16));
        let bits = |model: &Qwen2_5Vl| {
            let of =
                |(_, values): &(Vec<usize>, Vec<f32>)| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            export(model).iter().map(|(name, tensor)| (name.clone(), of(tensor))).collect::<Vec<_>>()
        };
        let rounded = bits(&cast(wide.clone(), DType::BF16));
        assert!(bits(&narrow) == rounded && rounded.iter().any(|(_, bits)| bits.iter().any(|bits| *bits != 0)));
        let mixed = load_as(dir.path(), &config, &device, tower).unwrap();
        for ((name, mixed), ((_, wide), (_, narrow))) in bits(&mixed).iter().zip(bits(&wide).iter().zip(&rounded)) {
            assert!(mixed == if name.starts_with("visual.") { narrow } else { wide }, "{name}");
        }
        assert!(formats(&mixed).contains(&DType::BF16) && formats(&mixed).contains(&DType::F32));
    }
}
