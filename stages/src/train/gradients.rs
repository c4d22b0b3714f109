//! A backward pass → plain, flat gradients in the order in which the module visits its parameters, so that they add up
//! in one order whatever thread made them. Refuses to know what was differentiated.

use std::fmt;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use super::lanes::Summand;

/// Fields from the root of a module to where a visitor stands.
#[derive(Debug, Default)]
pub(super) struct Path(Vec<String>);

impl Path {
    pub(super) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(super) fn exit(&mut self) {
        self.0.pop();
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// One gradient per parameter, `[elements]` each; `None` where the pass did not reach the parameter.
#[derive(Debug, Clone, Default)]
pub struct Gradients(pub(super) Vec<Option<Tensor<1>>>);

impl From<Vec<Option<Tensor<1>>>> for Gradients {
    /// One flat gradient per parameter, in the order of the module's fields.
    fn from(gradients: Vec<Option<Tensor<1>>>) -> Self {
        Self(gradients)
    }
}

impl Gradients {
    /// Lines up the gradients of a backward pass with `model`'s parameters.
    pub fn take<M: Module>(model: &M, raw: GradientsParams) -> Self {
        let mut take = Take { raw, out: Vec::new() };
        model.visit(&mut take);
        Self(take.out)
    }

    /// Multiplies every gradient.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self(self.0.into_iter().map(|grad| grad.map(|grad| grad * factor)).collect())
    }
}

impl Summand for Gradients {
    /// Parameter by parameter. Empty gradients are zero.
    fn plus(mut self, other: Self) -> Self {
        if self.0.is_empty() {
            return other;
        }
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = match (sum.take(), more) {
                (Some(sum), Some(more)) => Some(sum + more),
                (sum, more) => sum.or(more),
            };
        }
        self
    }

    fn to_device(self, device: &Device) -> Self {
        Self(self.0.into_iter().map(|grad| grad.map(|grad| grad.to_device(device))).collect())
    }
}

struct Take {
    raw: GradientsParams,
    out: Vec<Option<Tensor<1>>>,
}

impl ModuleVisitor for Take {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let grad = self.raw.remove::<D>(param.id);
        self.out.push(grad.map(|grad| grad.reshape([-1])));
    }
}
