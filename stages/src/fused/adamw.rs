//! What an optimizer does with flat tensors; off the tape.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
pub use curricle_kernels::adamw::Factors;
use curricle_kernels::{adamw as kernel, norm};

use super::{dense, slice, values};

/// Weight and moments after an update, `[elements]` each; in place where nobody else holds them.
pub fn adamw(weight: Tensor<1>, moments: [Tensor<1>; 2], gradient: Tensor<1>, factors: Factors) -> [Tensor<1>; 3] {
    let [first, second] = moments;
    let mut all = [weight, first, second].map(|tensor| whole(values(tensor)));
    let gradient = dense(&values(gradient));
    let [weight, first, second] = all.each_mut().map(FlexTensor::storage_mut);
    kernel::step(weight, first, second, slice(&gradient), factors);
    all.map(Tensor::from_primitive::<Flex>)
}

/// `Σ x²`.
pub fn squares(x: Tensor<1>) -> f64 {
    norm::squares(slice(&dense(&values(x))))
}

/// A tensor that fills its memory.
fn whole(tensor: FlexTensor) -> FlexTensor {
    let fills = tensor.as_slice::<f32>().is_some_and(|values| values.len() == tensor.storage::<f32>().len());
    if fills { tensor } else { tensor.to_contiguous() }
}
