//! Rows → rows of root mean square 1, times a weight.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use curricle_kernels::norm;

use super::{Operator, apply, dense, slice, tensor};

/// `x / √(mean(x²) + ε) · w`, `[N, D] → [N, D]`.
pub fn rms_norm(x_nd: Tensor<2>, w_d: Tensor<1>, epsilon: f64) -> Tensor<2> {
    apply(&RmsNorm { epsilon: epsilon as f32 }, [x_nd.into(), w_d.into()])
}

#[derive(Debug, Clone)]
struct RmsNorm {
    epsilon: f32,
}

impl Operator<2> for RmsNorm {
    type Saved = [FlexTensor; 2];

    fn forward(&self, inputs: [FlexTensor; 2], _: [bool; 2]) -> (FlexTensor, Self::Saved) {
        let [x_nd, w_d] = inputs.each_ref().map(dense);
        let [n, d] = [0, 1].map(|at| x_nd.layout().shape()[at]);
        (tensor(norm::forward(slice(&x_nd), slice(&w_d), self.epsilon), [n, d]), [x_nd, w_d])
    }

    fn backward(&self, [x_nd, w_d]: Self::Saved, dy: FlexTensor, [x, w]: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let [n, d] = [0, 1].map(|at| x_nd.layout().shape()[at]);
        let (dx_nd, dw_d) = norm::backward(slice(&dense(&dy)), slice(&x_nd), slice(&w_d), self.epsilon);
        [x.then(|| tensor(dx_nd, [n, d])), w.then(|| tensor(dw_d, [d]))]
    }
}

#[cfg(test)]
mod tests {
    use crate::fused::testing::{Random, equal};
    use crate::model::norm::RmsNorm;

    #[test]
    fn equals_the_composed_norm() {
        for [n, d] in [[1, 1], [3, 7], [64, 128]] {
            let inputs = Random(7);
            equal(
                &[inputs.shaped([n, d]), inputs.shaped([1, d])],
                |[x, w]| super::rms_norm(x, w.flatten(0, 1), 1e-6),
                |[x, w]| RmsNorm::composed(x, w.flatten(0, 1), 1e-6),
            );
        }
    }
}
