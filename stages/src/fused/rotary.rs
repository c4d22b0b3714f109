//! Rows of heads → the same, turned by their positions.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use curricle_kernels::rotary;

use super::{Operator, apply, dense, slice, tensor, values};

/// Turns the heads of `x` `[N, H·d]` by tables `[N, 1, d]`; `[N, H, d]`. Tables are constants.
pub fn rotate(x_nd: Tensor<2>, cos_n1d: Tensor<3>, sin_n1d: Tensor<3>) -> Tensor<3> {
    let ([n, all], [_, _, d]) = (x_nd.dims(), cos_n1d.dims());
    let [cos, sin] = [cos_n1d, sin_n1d].map(|table| dense(&values(table)));
    let turned: Tensor<2> = apply(&Rotate { cos, sin, d }, [x_nd.into()]);
    turned.reshape([n, all / d, d])
}

/// One direction of the kernel: rows of heads, cosines, sines, width of a head.
type Turn = fn(&[f32], &[f32], &[f32], usize) -> Vec<f32>;

#[derive(Debug, Clone)]
struct Rotate {
    cos: FlexTensor,
    sin: FlexTensor,
    /// Width of a head.
    d: usize,
}

impl Rotate {
    fn turned(&self, x: &FlexTensor, turn: Turn) -> FlexTensor {
        let x = dense(x);
        let shape = [0, 1].map(|at| x.layout().shape()[at]);
        tensor(turn(slice(&x), slice(&self.cos), slice(&self.sin), self.d), shape)
    }
}

impl Operator<1> for Rotate {
    type Saved = ();

    fn forward(&self, [x]: [FlexTensor; 1], _: [bool; 1]) -> (FlexTensor, ()) {
        (self.turned(&x, rotary::forward), ())
    }

    fn backward(&self, (): (), dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(self.turned(&dy, rotary::backward))]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use crate::fused::testing::{Random, equal};
    use crate::model::fixture;
    use crate::model::rope::Rotary;

    #[test]
    fn equals_the_composed_turn() {
        for [n, heads, half] in [[1, 1, 1], [5, 3, 4], [40, 4, 16]] {
            let angles: Vec<f32> = (0..n * half).map(|i| i as f32 * 0.37).collect();
            let rotary = Rotary::new(&angles, half, &fixture::device());
            let all = heads * half * 2;
            let flat = |x: Tensor<3>| x.reshape([n, all]);
            equal(&[Random(3).shaped([n, all])], |[x]| flat(rotary.queries(x)), |[x]| flat(rotary.composed_queries(x)));
        }
    }
}
