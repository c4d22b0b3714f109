//! Rows → rows: `y = xW + b`, and the low-rank adapter that may stand beside a frozen `W`.
//!
//! ```text
//! y = xW + b + s · (drop(x) A) B          A: [in, r]   B: [r, out]   s = alpha / r   (Hu et al. 2021, eq. 3)
//! ```
//!
//! The product `AB` is never formed while training. Where `W` is frozen, the backward pass needs neither its gradient nor
//! its input: `x` is kept for `A` alone. A map computes in the number format of its input. Reference: `torch.nn.Linear`, PEFT's `LoraLayer`. Knows no names; which layers
//! have adapters is [`super::lora`]'s.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::module::linear;
use burn::tensor::{Bool, Device, Distribution, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::dtype::to;
use crate::fused;

/// A linear map with zero weights, to be filled by [`super::weights`].
#[derive(Module, Debug)]
pub struct Linear {
    /// `[in, out]`
    pub weight: Param<Tensor<2>>,
    /// `[out]`
    pub bias: Option<Param<Tensor<1>>>,
    /// What is added to it.
    pub lora: Option<Adapter>,
}

impl Linear {
    /// Zero weights, no adapter.
    pub fn new(input: usize, output: usize, bias: bool, device: &Device) -> Self {
        Self {
            weight: Initializer::Zeros.init([input, output], device),
            bias: bias.then(|| Initializer::Zeros.init([output], device)),
            lora: None,
        }
    }

    /// `[N, in] → [N, out]`
    pub fn forward(&self, x_nd: Tensor<2>) -> Tensor<2> {
        match &self.lora {
            None => self.base(x_nd),
            Some(adapter) => self.base(x_nd.clone()) + adapter.raise(adapter.lower(x_nd)),
        }
    }

    /// [`Self::forward`] without the adapter.
    pub fn base(&self, x_nd: Tensor<2>) -> Tensor<2> {
        let dtype = x_nd.dtype();
        let (weight, bias) = (to(self.weight.val(), dtype), self.bias.as_ref().map(|bias| to(bias.val(), dtype)));
        if fused::here(&x_nd) { fused::linear(x_nd, weight, bias) } else { linear(x_nd, weight, bias) }
    }
}

/// A low-rank addition to a linear map.
#[derive(Module, Debug)]
pub struct Adapter {
    /// `[in, r]`
    pub a: Param<Tensor<2>>,
    /// `[r, out]`
    pub b: Param<Tensor<2>>,
    scale: f64,
    dropout: f64,
    /// Where this pass draws what it drops; none drops nothing.
    #[module(skip)]
    noise: Option<[u8; 32]>,
}

impl Adapter {
    /// An adapter with factor `scale` and a probability to drop each input value.
    pub fn new(a: Tensor<2>, b: Tensor<2>, scale: f64, dropout: f64) -> Self {
        Self { a: Param::from_tensor(a), b: Param::from_tensor(b), scale, dropout, noise: None }
    }

    /// `s · drop(x) A`, `[N, in] → [N, r]`
    pub fn lower(&self, x_nd: Tensor<2>) -> Tensor<2> {
        let a = to(self.a.val(), x_nd.dtype());
        // What is kept grows by `1 / (1 − p)`; as the map is linear, the factor goes with `s`.
        match self.noise.filter(|_| self.dropout > 0.0) {
            None => x_nd.matmul(a) * self.scale,
            Some(noise) => {
                let dropped = dropped(x_nd.dims(), self.dropout, noise, &x_nd.device());
                x_nd.mask_fill(dropped, 0.0).matmul(a) * (self.scale / (1.0 - self.dropout))
            }
        }
    }

    /// `low · B`, `[N, r] → [N, out]`
    pub fn raise(&self, low_nr: Tensor<2>) -> Tensor<2> {
        let b = to(self.b.val(), low_nr.dtype());
        low_nr.matmul(b)
    }

    /// One of `parts` equal parts of [`Self::raise`]'s columns.
    pub fn raise_part(&self, low_nr: Tensor<2>, part: usize, parts: usize) -> Tensor<2> {
        let b = to(self.b.val(), low_nr.dtype());
        let width = b.dims()[1] / parts;
        low_nr.matmul(b.narrow(1, part * width, width))
    }

    /// `s · AB`, `[in, out]`: what merging adds to the weight.
    pub fn product(&self) -> Tensor<2> {
        self.a.val().matmul(self.b.val()) * self.scale
    }

    /// Draws what the next passes drop from here; none drops nothing.
    pub fn set_noise(&mut self, noise: Option<[u8; 32]>) {
        self.noise = noise;
    }
}

/// `true` with the given probability. A pass that is computed again drops the same values again.
fn dropped(shape: [usize; 2], probability: f64, noise: [u8; 32], device: &Device) -> Tensor<2, Bool> {
    let device = device.clone().inner();
    if crate::device::on_cpu(&device) {
        // The host draws here: the device's generator is one for all threads.
        let mut rng = ChaCha8Rng::from_seed(noise);
        let below = (probability * 2_f64.powi(32)) as u32;
        let drawn: Vec<bool> = (0..shape[0] * shape[1]).map(|_| rng.next_u32() < below).collect();
        return Tensor::from_data(TensorData::new(drawn, shape), &device);
    }
    device.seed(u64::from_le_bytes(std::array::from_fn(|i| noise[i])));
    Tensor::<2>::random(shape, Distribution::Uniform(0.0, 1.0), &device).lower_elem(probability)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::model::fixture;

    fn tensor(rows: &[&[f32]]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), rows[0].len()]), &fixture::device())
    }

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    fn adapted(dropout: f64) -> Linear {
        let mut map = Linear::new(2, 3, true, &fixture::device());
        map.weight = Param::from_tensor(tensor(&[&[1., 2., 3.], &[4., 5., 6.]]));
        map.bias = Some(Param::from_tensor(Tensor::from_floats([10., 20., 30.], &fixture::device())));
        map.lora = Some(Adapter::new(tensor(&[&[1.], &[-1.]]), tensor(&[&[2., 0., -2.]]), 0.5, dropout));
        map
    }

    #[test]
    fn an_adapter_adds_its_product() {
        // x = (1, 3): xW + b = (23, 37, 51); xA = −2; s·(xA)B = (−2, 0, 2).
        assert_eq!(values(adapted(0.0).forward(tensor(&[&[1., 3.]]))), [21., 37., 53.]);
        assert_eq!(values(adapted(0.0).lora.unwrap().product()), [1., 0., -1., -1., 0., 1.]);
    }

    #[test]
    fn parts_are_the_whole() {
        let adapter = adapted(0.0).lora.unwrap();
        let low = adapter.lower(tensor(&[&[1., 3.]]));
        let parts: Vec<f32> = (0..3).flat_map(|part| values(adapter.raise_part(low.clone(), part, 3))).collect();
        assert_eq!(parts, values(adapter.raise(low)));
    }

    #[test]
    fn dropout_needs_noise_repeats_itself_and_keeps_the_mean() {
        let mut map = adapted(0.25);
        let x = Tensor::ones([40_000, 2], &fixture::device()).mul_scalar(1.0_f32);
        let added = |map: &Linear| values(map.lora.as_ref().unwrap().lower(x.clone()));
        assert!(added(&map).iter().all(|v| *v == 0.0), "nothing may be dropped outside training");
        map.lora.as_mut().unwrap().set_noise(Some([7; 32]));
        let (first, second) = (added(&map), added(&map));
        assert_eq!(first, second);
        // Each value is s / (1 − p) · (k₁ − k₂), where k is 1 with probability 1 − p: variance s² · 2 p / (1 − p).
        let count = first.len() as f64;
        let square = first.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / count;
        let expected = 0.25 * 2.0 * 0.25 / 0.75;
        assert!((square - expected).abs() < 0.02 * expected, "{square} {expected}");
        map.lora.as_mut().unwrap().set_noise(Some([8; 32]));
        assert_ne!(first, added(&map));
    }

    #[test]
    fn a_frozen_map_gives_gradients_to_its_adapter_alone() {
        let mut map = adapted(0.0);
        let adapter = map.lora.take().unwrap();
        let leaf = |param: &Param<Tensor<2>>| param.val().autodiff().require_grad();
        let (a, b) = (leaf(&adapter.a), leaf(&adapter.b));
        map.lora = Some(Adapter::new(a.clone(), b.clone(), 0.5, 0.0));
        let mut gradients = map.forward(tensor(&[&[1., 3.]])).sum().backward();
        // y = … + s (xA) B summed: dA = s x ΣB = 0 · …, dB = s xA.
        assert_eq!(values(a.grad_remove(&mut gradients).unwrap()), [0., 0.]);
        assert_eq!(values(b.grad_remove(&mut gradients).unwrap()), [-1., -1., -1.]);
        assert!(!map.weight.val().is_tracked());
    }
}
