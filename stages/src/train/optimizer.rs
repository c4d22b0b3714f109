//! Gradients → new weights, with AdamW. Refuses to know losses and schedules.
//!
//! Loshchilov & Hutter 2019 (arXiv 1711.05101), as `torch.optim.AdamW` computes it, in f32:
//!
//! ```text
//! w ← w · (1 − lr · λ)
//! m ← β₁ m + (1 − β₁) g            v ← β₂ v + (1 − β₂) g²
//! w ← w − lr / (1 − β₁ᵗ) · m / ( √v / √(1 − β₂ᵗ) + ε )
//! ```
//!
//! `t` counts the updates of one parameter: a parameter without a gradient is left alone, decay included. What learns
//! is held in f32 ([`super::precision`]). Burn's own AdamW keeps its moments in the gradient's type, and finds its state by
//! random ids; ours is found by the order of the module's fields, so that a checkpoint of it is the same bytes every time.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::checkpoint::Named;
use super::freeze::Learns;
use super::gradients::Gradients;
use crate::fused::{self, Factors};

/// Numbers of AdamW that do not change during a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay rates of the two moments.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay λ.
    pub weight_decay: f64,
    /// Leave tensors of one dimension (norms, biases) out of weight decay.
    pub decay_matrices_only: bool,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, decay_matrices_only: true }
    }
}

/// AdamW and its state.
#[derive(Debug, Clone)]
pub struct AdamW {
    config: AdamWConfig,
    /// By the order in which the module visits its parameters; `None` before the first update.
    slots: Vec<Option<Slot>>,
}

/// State of one parameter; tensors are `[elements]`, f32.
#[derive(Debug, Clone)]
struct Slot {
    updates: i32,
    first: Tensor<1>,
    second: Tensor<1>,
}

impl AdamW {
    /// No state yet.
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, slots: Vec::new() }
    }

    /// One update of a plain (not tracked) model, in f32 where it has gradients.
    pub fn step<M: Module>(&mut self, model: M, gradients: Gradients, lr: f64) -> M {
        self.slots.resize(gradients.0.len(), None);
        let mut update = Update {
            config: self.config,
            lr,
            pairs: gradients.0.into_iter().zip(&mut self.slots).collect::<Vec<_>>().into_iter(),
        };
        model.map(&mut update)
    }

    /// The state under the names of `model`'s fields, for a checkpoint.
    pub fn save<M: Module>(&self, model: &M) -> Vec<Named> {
        let mut named = Vec::new();
        for (name, slot) in super::checkpoint::names(model).into_iter().zip(&self.slots) {
            let Some(slot) = slot else { continue };
            named.push((format!("adamw.updates.{name}"), TensorData::from([slot.updates])));
            named.push((format!("adamw.first.{name}"), slot.first.to_data()));
            named.push((format!("adamw.second.{name}"), slot.second.to_data()));
        }
        named
    }

    /// The state that [`Self::save`] wrote for a module with the same fields.
    pub fn restore<M: Module>(
        config: AdamWConfig,
        model: &M,
        mut find: impl FnMut(&str) -> Option<TensorData>,
    ) -> Self {
        let Some(device) = model.devices().into_iter().next() else { return Self::new(config) };
        let device = device.inner();
        let names = super::checkpoint::names(model).into_iter();
        Self { config, slots: names.map(|name| slot(&name, &device, &mut find)).collect() }
    }

    /// As [`Self::restore`], of what another stage saved: only what learns now and has the size that it had. Also how many
    /// tensors have their state, and how many of those that learn have none.
    pub fn carry<M: Module>(
        config: AdamWConfig,
        model: &M,
        learns: &Learns,
        mut find: impl FnMut(&str) -> Option<TensorData>,
    ) -> (Self, usize, usize) {
        let mut sizes = Sizes::default();
        model.visit(&mut sizes);
        let mut optimizer = Self::new(config);
        let Some(device) = model.devices().into_iter().next() else { return (optimizer, 0, 0) };
        let device = device.inner();
        let (mut kept, mut new) = (0, 0);
        for (name, size) in super::checkpoint::names(model).into_iter().zip(sizes.0) {
            let found = learns.at(&name).then(|| slot(&name, &device, &mut find)).flatten();
            let found = found.filter(|slot| slot.first.dims() == [size] && slot.second.dims() == [size]);
            kept += usize::from(found.is_some());
            new += usize::from(found.is_none() && learns.at(&name));
            optimizer.slots.push(found);
        }
        (optimizer, kept, new)
    }
}

/// The state of a parameter by its name.
fn slot(name: &str, device: &Device, find: &mut impl FnMut(&str) -> Option<TensorData>) -> Option<Slot> {
    let mut tensor =
        |what: &str| find(&format!("adamw.{what}.{name}")).map(|data| Tensor::<1>::from_data(data, device));
    let (first, second) = (tensor("first")?, tensor("second")?);
    let updates = find(&format!("adamw.updates.{name}"))?.iter::<i32>().next()?;
    Some(Slot { updates, first, second })
}

/// Elements of each parameter, in the order in which the module visits them.
#[derive(Default)]
struct Sizes(Vec<usize>);

impl ModuleVisitor for Sizes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().shape().num_elements());
    }
}

struct Update<'a> {
    config: AdamWConfig,
    lr: f64,
    pairs: std::vec::IntoIter<(Option<Tensor<1>>, &'a mut Option<Slot>)>,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((Some(grad), slot)) = self.pairs.next() else { return param };
        let AdamWConfig { betas: [beta1, beta2], eps, weight_decay, decay_matrices_only } = self.config;
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        let state =
            slot.take().unwrap_or_else(|| Slot { updates: 0, first: grad.zeros_like(), second: grad.zeros_like() });
        let updates = state.updates + 1;
        let decays = weight_decay > 0.0 && (D > 1 || !decay_matrices_only);
        let factors = Factors {
            decay: if decays { (1.0 - self.lr * weight_decay) as f32 } else { 1.0 },
            first: [beta1 as f32, (1.0 - beta1) as f32],
            second: [beta2 as f32, (1.0 - beta2) as f32],
            root: (1.0 - beta2.powi(updates)).sqrt() as f32,
            epsilon: eps as f32,
            rate: (self.lr / (1.0 - beta1.powi(updates))) as f32,
        };
        let (weight, moments) = (tensor.reshape([-1]), [state.first, state.second]);
        let update = if fused::here(&weight) { fused::adamw } else { composed };
        let [weight, first, second] = update(weight, moments, grad, factors);
        *slot = Some(Slot { updates, first, second });
        Param::from_mapped_value(id, weight.reshape(shape), mapper)
    }
}

/// Weight and moments after an update, `[elements]` each, out of Burn's operators.
pub(crate) fn composed(
    weight: Tensor<1>,
    [first, second]: [Tensor<1>; 2],
    gradient: Tensor<1>,
    factors: Factors,
) -> [Tensor<1>; 3] {
    let Factors { decay, first: [beta1, rest1], second: [beta2, rest2], root, epsilon, rate } = factors;
    let first = first * beta1 + gradient.clone() * rest1;
    let second = second * beta2 + gradient.powi_scalar(2) * rest2;
    let step = first.clone() / (second.clone().sqrt() / root + epsilon) * rate;
    [weight * decay - step, first, second]
}

#[cfg(test)]
mod tests;
