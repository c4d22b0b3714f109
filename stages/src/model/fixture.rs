//! A model small enough for a unit test, shared by the tests of this folder.

use super::config::{ModelConfig, TextConfig, TokenIds, VisionConfig};

/// 2 text layers of width 16, 2 vision blocks of width 8, 40 words.
pub fn config() -> ModelConfig {
    ModelConfig {
        text: TextConfig {
            vocab_size: 40,
            hidden_size: 16,
            intermediate_size: 24,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            max_position_embeddings: 128,
            rms_norm_eps: 1e-6,
            rope_theta: 1e4,
            mrope_section: [1, 1, 0],
            max_window_layers: 2,
        },
        vision: VisionConfig {
            depth: 2,
            hidden_size: 8,
            intermediate_size: 12,
            num_heads: 2,
            out_hidden_size: 16,
            window_size: 56,
            fullatt_block_indexes: vec![1],
            tokens_per_second: 2,
        },
        tokens: TokenIds { image: 3, video: 4, vision_start: 1, vision_end: 2, bos: None, eos: Some(5), pad: Some(0) },
        tie_word_embeddings: true,
        initializer_range: 0.3,
    }
}

/// The device of every test.
#[cfg(feature = "compute")]
pub fn device() -> burn::tensor::Device {
    crate::device::resolve("cpu").unwrap()
}

/// A model whose weights, biases and norms follow from their names: no two are alike, none is trivial.
#[cfg(feature = "compute")]
pub fn model() -> super::Qwen2_5Vl {
    model_of(&config())
}

/// As [`model`], of another configuration.
#[cfg(feature = "compute")]
pub fn model_of(config: &ModelConfig) -> super::Qwen2_5Vl {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::{Tensor, TensorData};

    struct Fill(super::names::Path);
    impl ModuleMapper for Fill {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (path, shape) = (self.0.joined(), param.lazy_shape());
            let mut state = path.bytes().fold(17_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_003);
            let mut next = || {
                state = (state * 48_271) % 2_147_483_647;
                state as f32 / 2_147_483_647.0 - 0.5
            };
            let norm = path.contains("norm") || path.contains("ln_q");
            let values: Vec<f32> = (0..shape.num_elements()).map(|_| next() + f32::from(norm)).collect();
            Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &device()))
        }
    }
    super::Qwen2_5Vl::new(config, &device()).map(&mut Fill(super::names::Path::default()))
}

/// A row of text, and rows with one and two pictures of different shapes.
#[cfg(feature = "compute")]
pub fn rows() -> Vec<curricle_datasets::Encoded> {
    let text = |range: std::ops::Range<u32>| range.map(|i| 6 + (i * 7) % 33).collect::<Vec<_>>();
    let two = [text(0..3), vec![1], vec![3; 4], vec![2], text(3..5), vec![1], vec![3; 6], vec![2], text(5..9)].concat();
    let one = [vec![1], vec![3; 6], vec![2], text(2..9)].concat();
    vec![
        encoded(text(1..8), vec![]),
        encoded(one, vec![picture([1, 4, 6], 1)]),
        encoded(two, vec![picture([1, 4, 4], 2), picture([1, 6, 4], 3)]),
    ]
}

#[cfg(feature = "compute")]
fn encoded(ids: Vec<u32>, images: Vec<curricle_datasets::ImagePatches>) -> curricle_datasets::Encoded {
    let target = ids.iter().enumerate().map(|(i, &id)| i > 0 && id > 5).collect();
    curricle_datasets::Encoded { ids, target, images: images.into_iter().map(std::sync::Arc::new).collect() }
}

/// Patches whose values follow from their place.
#[cfg(feature = "compute")]
pub fn picture(grid: [usize; 3], seed: usize) -> curricle_datasets::ImagePatches {
    let count = grid.iter().product::<usize>() * super::config::PATCH_VALUES;
    let patches = (0..count).map(|i| (((i * 37 + seed * 101) % 255) as f32 - 127.0) / 100.0).collect();
    curricle_datasets::ImagePatches { grid, patches }
}
