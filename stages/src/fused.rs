//! Tensors → tensors by one pass of [`curricle_kernels`] each, forward and backward, where they are float32 on the CPU.
//!
//! The model's own code, out of Burn's operators, runs everywhere else and says what is meant; each operator here is
//! held equal to it, gradients included, on random shapes. An operator is one file: a type that is [`Operator`], and a
//! function that applies it. Refuses to know layers, losses and devices other than the CPU.

mod adamw;
mod attention;
mod linear;
mod logprob;
mod norm;
mod rotary;
mod swiglu;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{DType, Tensor, TensorData};
use curricle_kernels::matrix::View;

pub use adamw::{Factors, adamw, squares};
pub use attention::attention;
pub use linear::linear;
pub use logprob::scores;
pub use norm::rms_norm;
pub use rotary::rotate;
pub use swiglu::swiglu;

/// May operators of this module take the tensor?
pub fn here<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && crate::device::on_cpu(&tensor.device())
}

/// A tensor of the CPU with its place on a tape.
type Taped = FloatTensor<Autodiff<Flex>>;

/// `N` tensors in, one out.
trait Operator<const N: usize>: Clone + fmt::Debug + Send + 'static {
    /// What the backward pass needs of the forward pass.
    type Saved: Clone + fmt::Debug + Send + 'static;

    /// The output; `wanted` are the inputs whose gradient will be asked for, if any.
    fn forward(&self, inputs: [FlexTensor; N], wanted: [bool; N]) -> (FlexTensor, Self::Saved);

    /// The gradients of the inputs that are wanted, from that of the output.
    fn backward(&self, saved: Self::Saved, dy: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

/// A tensor's values, and its place on the tape if it is on one.
enum Operand {
    Plain(FlexTensor),
    Taped(Taped),
}

impl<const D: usize> From<Tensor<D>> for Operand {
    fn from(tensor: Tensor<D>) -> Self {
        // The two types know each other's tensors; anything else is not `here`.
        match tensor.clone().try_into_primitive::<Flex>() {
            Ok(plain) => Self::Plain(plain),
            Err(_) => Self::Taped(tensor.try_into_primitive::<Autodiff<Flex>>().expect("a float tensor on the CPU")),
        }
    }
}

/// A tensor's values, without a tape.
fn values<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    match Operand::from(tensor) {
        Operand::Plain(plain) => plain,
        Operand::Taped(taped) => taped.into_primitive(),
    }
}

/// Applies an operator, on the tape where one of its inputs is.
fn apply<O: Operator<N>, const N: usize, const D: usize>(operator: &O, inputs: [Operand; N]) -> Tensor<D> {
    if inputs.iter().all(|input| matches!(input, Operand::Plain(_))) {
        let inputs = inputs.map(|input| match input {
            Operand::Plain(plain) => plain,
            Operand::Taped(taped) => taped.into_primitive(),
        });
        return Tensor::from_primitive::<Flex>(operator.forward(inputs, [false; N]).0);
    }
    let inputs = inputs.map(|input| match input {
        Operand::Plain(plain) => Taped::new(plain),
        Operand::Taped(taped) => taped,
    });
    let wanted = inputs.each_ref().map(Taped::is_tracked);
    let nodes = inputs.each_ref().map(Taped::node);
    let inputs = inputs.map(Taped::into_primitive);
    let output = match Step(operator.clone()).prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(tape) => {
            let (output, saved) = operator.forward(inputs, wanted);
            tape.finish(saved, output)
        }
        OpsKind::UnTracked(tape) => tape.finish(operator.forward(inputs, [false; N]).0),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

/// An operator on its way back.
#[derive(Debug)]
struct Step<O>(O);

impl<O: Operator<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = O::Saved;

    fn backward(self, ops: Ops<O::Saved, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let inputs = self.0.backward(ops.state, dy, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(inputs) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// A tensor of `values`.
fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The tensor with its values in order from the first on.
fn dense(tensor: &FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor.clone() } else { tensor.to_contiguous() }
}

/// The values of a [`dense`] tensor.
fn slice(dense: &FlexTensor) -> &[f32] {
    dense.as_slice().expect("made dense before")
}

/// A matrix as it lies in memory; `None` where it lies backwards.
fn matrix(tensor: &FlexTensor) -> View<'_> {
    let layout = tensor.layout();
    let (shape, strides) = (layout.shape(), layout.strides());
    let strides = [strides[0], strides[1]].map(|stride| usize::try_from(stride).expect("nothing here flips tensors"));
    View::strided(&tensor.storage()[layout.start_offset()..], [shape[0], shape[1]], strides)
}
