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

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::fused::testing::Random;
    use crate::train::clip::composed_squares;
    use crate::train::optimizer::composed;

    fn flat(rows: usize, cols: usize) -> Tensor<1> {
        Random(29).shaped([rows, cols]).flatten(0, 1)
    }

    fn numbers(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn equals_the_composed_update() {
        let factors =
            Factors { decay: 0.99, first: [0.9, 0.1], second: [0.99, 0.01], root: 0.3, epsilon: 1e-3, rate: 0.05 };
        for [rows, cols] in [[1, 1], [7, 13], [300, 200]] {
            let [weight, first, second, gradient] = [(); 4].map(|()| flat(rows, cols));
            let moments = [first, second.abs()];
            let kept = numbers(weight.clone());
            let got = adamw(weight.clone(), moments.clone(), gradient.clone(), factors);
            let want = composed(weight.clone(), moments, gradient, factors);
            for (got, want) in got.into_iter().map(numbers).zip(want.into_iter().map(numbers)) {
                assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-6), "{got:?} {want:?}");
            }
            assert_eq!(numbers(weight), kept, "what somebody else holds must not move");
        }
    }

    #[test]
    fn equals_the_composed_sum_of_squares() {
        let all = [flat(3, 5), flat(100, 90)];
        let got: f64 = all.iter().map(|x| squares(x.clone())).sum();
        let want: f64 = numbers(composed_squares(&all.each_ref())).into_iter().map(f64::from).sum();
        assert!((got / want - 1.0).abs() < 1e-6);
    }
}
