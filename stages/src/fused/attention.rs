//! Queries, keys and values → context, without a table of scores.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use curricle_kernels::attention::{self, Heads, Sight};

use super::{Operator, apply, tensor};

/// `softmax(q kᵀ) v` over what `sight` shows; the queries are scaled already.
///
/// # Shapes
/// - `q` `[B, H, T, d]`, `k`, `v` `[B, G, S, d]` → `[B, H, T, d]`, lying in memory as `[B, T, H, d]`
pub fn attention(q_bhtd: Tensor<4>, k_bgsd: Tensor<4>, v_bgsd: Tensor<4>, sight: Sight) -> Tensor<4> {
    apply(&Attention { sight }, [q_bhtd.into(), k_bgsd.into(), v_bgsd.into()])
}

#[derive(Debug, Clone)]
struct Attention {
    sight: Sight,
}

/// Inputs and output of a forward pass.
#[derive(Debug, Clone)]
struct Kept {
    inputs: [FlexTensor; 3],
    /// `[B, T, H, d]`
    o: FlexTensor,
    /// `[B, T, H]`
    lse: FlexTensor,
}

impl Operator<3> for Attention {
    type Saved = Option<Kept>;

    fn forward(&self, inputs: [FlexTensor; 3], wanted: [bool; 3]) -> (FlexTensor, Self::Saved) {
        let [q, k, v] = inputs;
        let inputs = [by_heads(q), k, by_heads(v)];
        let [q, k, v] = inputs.each_ref().map(heads);
        let [b, h, t, d] = shape(&inputs[0]);
        let (o, lse) = attention::forward(q, k, v, &self.sight);
        let o = tensor(o, [b, t, h, d]);
        let context = o.transpose(1, 2);
        (context, wanted.contains(&true).then(|| Kept { inputs, o, lse: tensor(lse, [b, t, h]) }))
    }

    fn backward(&self, kept: Self::Saved, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Some(Kept { inputs, o, lse }) = kept else { return [None, None, None] };
        let dy = by_heads(dy);
        let all = inputs.each_ref().map(heads);
        let gradients = attention::backward(heads(&dy), all, (super::slice(&o), super::slice(&lse)), &self.sight);
        let mut at = inputs.iter().zip(wanted);
        gradients.map(|gradient| {
            let (input, wanted) = at.next()?;
            let [b, h, t, d] = shape(input);
            wanted.then(|| tensor(gradient, [b, t, h, d]).transpose(1, 2))
        })
    }
}

fn shape(tensor: &FlexTensor) -> [usize; 4] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

/// The tensor with the values of each head standing together.
fn by_heads(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().strides()[3] == 1 { tensor } else { tensor.to_contiguous() }
}

fn heads(tensor: &FlexTensor) -> Heads<'_> {
    let layout = tensor.layout();
    let strides = layout.strides();
    Heads::new(&tensor.storage()[layout.start_offset()..], shape(tensor), [0, 1, 2, 3].map(|at| strides[at] as usize))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::fused::testing::{Random, equal};
    use crate::model::attention::composed;
    use crate::model::fixture;
    use crate::model::seen::Seen;

    #[test]
    fn equals_the_composed_attention() {
        let causal = |from: &[usize]| Sight { causal: true, from: from.to_vec(), upto: vec![] };
        let part = |upto: &[usize]| Sight { causal: false, from: vec![], upto: upto.to_vec() };
        for ([b, h, t, d], [g, s], sight) in [
            ([1, 1, 1, 2], [1, 1], causal(&[])),
            ([2, 4, 7, 6], [2, 7], causal(&[])),
            ([3, 2, 9, 8], [2, 9], causal(&[0, 4, 8])),
            ([1, 2, 80, 4], [1, 80], causal(&[])),
            ([2, 6, 1, 8], [2, 30], causal(&[3, 0])),
            ([3, 2, 5, 4], [2, 5], part(&[5, 1, 3])),
            // A new token's place in a cache with room behind it.
            ([2, 6, 1, 8], [2, 32], Sight { from: vec![3, 0], ..part(&[21, 21]) }),
            ([2, 2, 66, 4], [2, 66], Sight::default()),
        ] {
            let inputs = Random(17);
            let seen = Seen::from(sight.clone());
            let bias = seen.table([b, t, s], &fixture::device());
            let split = |[q, k, v]: [Tensor<2>; 3]| {
                let heads = |x: Tensor<2>, n, h| x.reshape([b, n, h, d]).swap_dims(1, 2);
                [heads(q, t, h), heads(k, s, g), heads(v, s, g)]
            };
            let flat = |o: Tensor<4>| o.swap_dims(1, 2).reshape([b * t, h * d]);
            equal(
                &[inputs.shaped([b * t, h * d]), inputs.shaped([b * s, g * d]), inputs.shaped([b * s, g * d])],
                |all| {
                    let [q, k, v] = split(all);
                    flat(attention(q, k, v, sight.clone()))
                },
                |all| {
                    let [q, k, v] = split(all);
                    flat(composed(q, k, v, bias, true))
                },
            );
        }
    }
}
