//! Rows → rows, by a matrix and a bias.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use curricle_kernels::linear;

use super::{Operator, apply, dense, matrix, slice, tensor};

/// `x W + b`, `[N, in] → [N, out]`; `W` `[in, out]` as it lies in memory, transposed or not.
pub fn linear(x_nd: Tensor<2>, w: Tensor<2>, b: Option<Tensor<1>>) -> Tensor<2> {
    match b {
        None => apply(&Linear, [x_nd.into(), w.into()]),
        Some(b) => apply(&Linear, [x_nd.into(), w.into(), b.into()]),
    }
}

#[derive(Debug, Clone)]
struct Linear;

/// What learns is a product with what does not: each is kept for the other's gradient alone.
#[derive(Debug, Clone)]
struct Kept {
    x: Option<FlexTensor>,
    w: Option<FlexTensor>,
}

impl Linear {
    fn forward(
        x: FlexTensor,
        w: FlexTensor,
        b: Option<&FlexTensor>,
        [x_wanted, w_wanted]: [bool; 2],
    ) -> (FlexTensor, Kept) {
        let shape = [x.layout().shape()[0], w.layout().shape()[1]];
        let b = b.map(dense);
        let y = tensor(linear::forward(matrix(&x), matrix(&w), b.as_ref().map(slice)), shape);
        (y, Kept { x: w_wanted.then_some(x), w: x_wanted.then_some(w) })
    }

    fn backward(Kept { x, w }: &Kept, dy: &FlexTensor) -> [Option<FlexTensor>; 2] {
        let [rows, out] = [0, 1].map(|at| dy.layout().shape()[at]);
        let dx = w.as_ref().map(|w| tensor(linear::input(matrix(dy), matrix(w)), [rows, w.layout().shape()[0]]));
        let dw = x.as_ref().map(|x| tensor(linear::weight(matrix(x), matrix(dy)), [x.layout().shape()[1], out]));
        [dx, dw]
    }
}

impl Operator<2> for Linear {
    type Saved = Kept;

    fn forward(&self, [x, w]: [FlexTensor; 2], wanted: [bool; 2]) -> (FlexTensor, Kept) {
        Self::forward(x, w, None, wanted)
    }

    fn backward(&self, kept: Kept, dy: FlexTensor, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
        Self::backward(&kept, &dy)
    }
}

impl Operator<3> for Linear {
    type Saved = Kept;

    fn forward(&self, [x, w, b]: [FlexTensor; 3], [x_wanted, w_wanted, _]: [bool; 3]) -> (FlexTensor, Kept) {
        Self::forward(x, w, Some(&b), [x_wanted, w_wanted])
    }

    fn backward(&self, kept: Kept, dy: FlexTensor, [.., b]: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [dx, dw] = Self::backward(&kept, &dy);
        let out = dy.layout().shape()[1];
        [dx, dw, b.then(|| tensor(linear::bias(slice(&dense(&dy)), out), [out]))]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;
    use burn::tensor::module::linear;

    use crate::fused::testing::{Random, equal};

    #[test]
    fn equals_burns_linear() {
        for [n, input, output] in [[1, 1, 1], [3, 7, 5], [64, 48, 33]] {
            let inputs = Random(11);
            let all = [inputs.shaped([n, input]), inputs.shaped([input, output]), inputs.shaped([1, output])];
            let b = |b: Tensor<2>| Some(b.flatten(0, 1));
            equal(&all, |[x, w, c]| super::linear(x, w, b(c)), |[x, w, c]| linear(x, w, b(c)));
            let [x, w, _] = all;
            equal(&[x, w], |[x, w]| super::linear(x, w, None), |[x, w]| linear(x, w, None));
        }
    }

    #[test]
    fn a_transposed_weight_is_read_in_place() {
        let inputs = Random(13);
        equal(
            &[inputs.shaped([6, 20]), inputs.shaped([9, 20])],
            |[h, table]| super::linear(h, table.transpose(), None),
            |[h, table]| h.matmul(table.transpose()),
        );
    }
}
