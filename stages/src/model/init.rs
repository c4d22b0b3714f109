//! A seed → fresh weights: normal with the configuration's deviation, biases 0, norms 1.
//!
//! Reference: `Qwen2_5_VLPreTrainedModel._init_weights`. Every tensor draws from its own stream, named by its path, so the
//! values depend neither on the device nor on the order of fields.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::config::ModelConfig;
use super::names::Path;
use super::vlm::Qwen2_5Vl;

impl ModelConfig {
    /// A model with random weights; the same seed gives the same bytes.
    pub fn init(&self, seed: u64, device: &Device) -> Qwen2_5Vl {
        let mut fill = Fill { path: Path::default(), seed, deviation: self.initializer_range as f32, device };
        Qwen2_5Vl::new(self, device).map(&mut fill)
    }
}

struct Fill<'a> {
    path: Path,
    seed: u64,
    deviation: f32,
    device: &'a Device,
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D == 1 {
            return param;
        }
        let shape = param.lazy_shape();
        let mut hash = blake3::Hasher::new();
        hash.update(b"curricle init").update(&self.seed.to_le_bytes()).update(self.path.joined().as_bytes());
        let mut rng = ChaCha8Rng::from_seed(*hash.finalize().as_bytes());
        let values = normal(&mut rng, shape.num_elements(), self.deviation);
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device))
    }
}

/// Normal values by Box and Muller's transformation.
fn normal(rng: &mut ChaCha8Rng, count: usize, deviation: f32) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // 1 − u lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
        values.extend([(radius * cos) as f32 * deviation, (radius * sin) as f32 * deviation]);
    }
    values.truncate(count);
    values
}
