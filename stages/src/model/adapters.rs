//! A model's linear layers under the hub's names: where adapters are attached, told what to drop, and merged.
//!
//! The vision tower's `qkv` is one layer here, as it is on the hub and in PEFT, though the model keeps its thirds apart.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::linear::{Adapter, Linear};
use super::lora::Lora;
use super::vlm::Qwen2_5Vl;
use crate::train::freeze::Part;

/// A linear layer and the place of its adapter.
pub(super) struct Site<'a> {
    /// Name on the hub.
    pub name: String,
    /// `[in, out]`, or the equal parts of a fused weight.
    pub weights: Vec<&'a mut Param<Tensor<2>>>,
    /// Its adapter.
    pub adapter: &'a mut Option<Adapter>,
}

impl Site<'_> {
    /// Values that go in and come out.
    pub fn dims(&self) -> [usize; 2] {
        let [input, output] = self.weights[0].lazy_shape().dims();
        [input, output * self.weights.len()]
    }
}

impl Linear {
    pub(super) fn site(&mut self, name: String) -> Site<'_> {
        Site { name, weights: vec![&mut self.weight], adapter: &mut self.lora }
    }
}

/// Where the randomness of one forward pass comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise([u8; 32]);

impl Noise {
    /// The noise of a place (step, micro-batch, …) below a stage's seed.
    pub fn new(seed: u64, place: &[u64]) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(b"curricle dropout").update(&seed.to_le_bytes());
        for number in place {
            hash.update(&number.to_le_bytes());
        }
        Self(*hash.finalize().as_bytes())
    }

    fn of(self, layer: &str) -> [u8; 32] {
        *blake3::Hasher::new().update(&self.0).update(layer.as_bytes()).finalize().as_bytes()
    }
}

impl Qwen2_5Vl {
    /// Gives every layer that `lora` names a fresh adapter, and returns how many those are.
    ///
    /// `A` is uniform within `±1/√in` (Kaiming's with a = √5, as PEFT), each layer from a stream of its own below `seed`;
    /// `B` is zero, so that the model computes what it did before.
    pub fn attach(&mut self, lora: &Lora, frozen: &[Part], seed: u64, device: &Device) -> usize {
        let mut count = 0;
        for site in self.sites().into_iter().filter(|site| lora.adapts(&site.name, frozen)) {
            let [input, output] = site.dims();
            let mut hash = blake3::Hasher::new();
            hash.update(b"curricle lora").update(&seed.to_le_bytes()).update(site.name.as_bytes());
            let mut rng = ChaCha8Rng::from_seed(*hash.finalize().as_bytes());
            let bound = 1.0 / (input as f32).sqrt();
            let a: Vec<f32> = (0..input * lora.rank).map(|_| (2.0 * rng.random::<f32>() - 1.0) * bound).collect();
            let a = Tensor::from_data(TensorData::new(a, [input, lora.rank]), device);
            let b = Tensor::zeros([lora.rank, output], device);
            *site.adapter = Some(Adapter::new(a, b, lora.scale(), lora.dropout));
            count += 1;
        }
        count
    }

    /// The same model, whose next passes drop what follows from `noise`; none drops nothing.
    #[must_use]
    pub fn with_noise(mut self, noise: Option<Noise>) -> Self {
        for site in self.sites() {
            if let Some(adapter) = site.adapter {
                adapter.set_noise(noise.map(|noise| noise.of(&site.name)));
            }
        }
        self
    }

    /// `W + s · AB` in every adapted layer, and no adapters any more: PEFT's `merge_and_unload`.
    #[must_use]
    pub fn merged(mut self) -> Self {
        for site in self.sites() {
            let Some(adapter) = site.adapter.take() else { continue };
            let product = adapter.product();
            let width = product.dims()[1] / site.weights.len();
            for (part, weight) in site.weights.into_iter().enumerate() {
                let more = product.clone().narrow(1, part * width, width);
                *weight = Param::initialized(weight.id, weight.val() + more);
            }
        }
        self
    }

    /// Has any layer an adapter?
    pub fn is_adapted(&mut self) -> bool {
        self.sites().iter().any(|site| site.adapter.is_some())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::weights::{export, parameters};
    use crate::model::{Batch, Padding, fixture};

    /// Every linear layer adapted, with a `B` that is not zero.
    pub fn adapted(dropout: f64) -> Qwen2_5Vl {
        let mut model = fixture::model();
        let lora = Lora { rank: 3, alpha: 6.0, dropout, targets: vec!["*".to_owned()], ..Lora::default() };
        // 2 decoder layers of 7, 2 blocks of 5, and the merger's 2; the head is tied.
        assert_eq!(model.attach(&lora, &[], 7, &fixture::device()), 26);
        for (place, site) in model.sites().into_iter().enumerate() {
            let adapter = site.adapter.as_mut().unwrap();
            let [rank, output] = adapter.b.lazy_shape().dims();
            let values: Vec<f32> = (0..rank * output).map(|i| ((i * 7 + place) % 11) as f32 / 20.0 - 0.25).collect();
            adapter.b =
                Param::from_tensor(Tensor::from_data(TensorData::new(values, [rank, output]), &fixture::device()));
        }
        model
    }

    /// Hidden states of the fixture's rows.
    pub fn states(model: &Qwen2_5Vl) -> Vec<f32> {
        let rows = fixture::rows();
        let rows: Vec<_> = rows.iter().collect();
        let batch = Batch::new(&rows, Padding::Right, 0, &fixture::config(), &fixture::device());
        model.hidden(&batch).into_data().iter::<f32>().collect()
    }

    fn apart(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_fresh_adapter_changes_nothing() {
        let mut model = fixture::model();
        let before = states(&model);
        model.attach(&Lora { targets: vec!["*".to_owned()], ..Lora::default() }, &[], 7, &fixture::device());
        assert!(model.is_adapted());
        assert_eq!(before, states(&model));
    }

    #[test]
    fn fresh_adapters_are_uniform_and_follow_from_the_seed() {
        let lora = Lora { rank: 64, targets: vec!["down_proj".to_owned()], ..Lora::default() };
        let first = |seed| {
            let mut model = fixture::model();
            model.attach(&lora, &[], seed, &fixture::device());
            let site = model.sites().into_iter().find(|site| site.name == "model.layers.1.mlp.down_proj").unwrap();
            site.adapter.as_ref().unwrap().a.val().into_data().iter::<f32>().collect::<Vec<_>>()
        };
        let (values, bound) = (first(7), 1.0 / 24_f32.sqrt());
        assert!(values.iter().all(|value| value.abs() <= bound));
        let variance = values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32;
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.1, "{variance}");
        assert!(values == first(7) && values != first(8));
    }

    #[test]
    fn layers_are_named_as_on_the_hub() {
        let mut model = fixture::model();
        let mut names: Vec<String> = model.sites().into_iter().map(|site| format!("{}.weight", site.name)).collect();
        names.sort();
        let stored = export(&model);
        let matrices = stored.iter().filter(|(_, (shape, _))| shape.len() == 2);
        let expected: Vec<_> = matrices.map(|(name, _)| name.clone()).filter(|name| !name.contains("embed")).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn merged_is_the_same_model_without_adapters() {
        let model = adapted(0.0);
        let (base, with) = (states(&fixture::model()), states(&model));
        assert!(apart(&base, &with) > 1e-2, "the adapters do nothing");
        let merged = model.merged();
        assert_eq!(parameters(&merged).len(), parameters(&fixture::model()).len());
        let difference = apart(&states(&merged), &with);
        assert!(difference < 1e-4, "{difference}");
    }

    #[test]
    fn dropout_follows_from_seed_and_place() {
        let model = adapted(0.5);
        let noisy = |noise| states(&model.clone().with_noise(noise));
        let (first, other) = (Noise::new(7, &[1, 2]), Noise::new(7, &[2, 1]));
        assert_eq!(noisy(None), states(&adapted(0.0)));
        assert_eq!(noisy(Some(first)), noisy(Some(first)));
        assert!(apart(&noisy(Some(first)), &noisy(Some(other))) > 1e-3);
        assert_eq!(states(&model.clone().with_noise(Some(first)).with_noise(None)), states(&model));
    }
}
