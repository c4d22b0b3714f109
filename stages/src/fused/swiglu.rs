//! Gates and values → `silu(gate) · value`.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use curricle_kernels::swiglu;

use super::{Operator, apply, dense, slice, tensor};

/// `silu(gate) · up`, `[N, F]` each.
pub fn swiglu(gate_nf: Tensor<2>, up_nf: Tensor<2>) -> Tensor<2> {
    apply(&SwiGlu, [gate_nf.into(), up_nf.into()])
}

#[derive(Debug, Clone)]
struct SwiGlu;

impl Operator<2> for SwiGlu {
    type Saved = [FlexTensor; 2];

    fn forward(&self, inputs: [FlexTensor; 2], _: [bool; 2]) -> (FlexTensor, Self::Saved) {
        let [gate, up] = inputs.each_ref().map(dense);
        let shape = [0, 1].map(|at| gate.layout().shape()[at]);
        (tensor(swiglu::forward(slice(&gate), slice(&up)), shape), [gate, up])
    }

    fn backward(&self, [gate, up]: Self::Saved, dy: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let shape = [0, 1].map(|at| gate.layout().shape()[at]);
        let (dgate, dup) = swiglu::backward(slice(&dense(&dy)), slice(&gate), slice(&up));
        [wanted[0].then(|| tensor(dgate, shape)), wanted[1].then(|| tensor(dup, shape))]
    }
}

#[cfg(test)]
mod tests {
    use crate::fused::testing::{Random, equal};
    use crate::model::mlp::composed;

    #[test]
    fn equals_the_composed_gate() {
        for shape in [[1, 1], [3, 7], [64, 96]] {
            let inputs = Random(5);
            equal(
                &[inputs.shaped(shape), inputs.shaped(shape)],
                |[gate, up]| super::swiglu(gate, up),
                |[gate, up]| composed(gate, up),
            );
        }
    }
}
