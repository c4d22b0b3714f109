//! An operator against the model's own code: values and gradients.

use std::cell::Cell;

use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::model::fixture;

/// Random tensors, each another one.
pub struct Random(pub u64);

thread_local! {
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

impl Random {
    /// Values in −1..1.
    pub fn shaped(&self, [rows, cols]: [usize; 2]) -> Tensor<2> {
        let drawn = DRAWN.replace(DRAWN.get() + 1);
        let mut rng = ChaCha8Rng::seed_from_u64(self.0 * 1000 + drawn);
        let values: Vec<f32> = (0..rows * cols).map(|_| rng.next_u32() as f32 / 2_f32.powi(31) - 1.0).collect();
        Tensor::from_data(TensorData::new(values, [rows, cols]), &fixture::device())
    }
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn close(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(0.1, |largest: f32, value| largest.max(value.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= 1e-5 * largest, "{what}, value {i}: {got} instead of {want}");
    }
}

/// Both give the same values and the same gradients of every input; where only one input is on the tape, too.
pub fn equal<const N: usize>(
    inputs: &[Tensor<2>; N],
    fused: impl Fn([Tensor<2>; N]) -> Tensor<2>,
    composed: impl Fn([Tensor<2>; N]) -> Tensor<2>,
) {
    close("plain", &numbers(fused(inputs.clone())), &numbers(composed(inputs.clone())));
    for on_tape in (0..N).map(|at| at..at + 1).chain(std::iter::once(0..N)) {
        let run = |operator: &dyn Fn([Tensor<2>; N]) -> Tensor<2>| {
            let mut at = 0..N;
            let leaves = inputs.clone().map(|input| {
                if on_tape.contains(&at.next().unwrap()) { input.autodiff().require_grad() } else { input }
            });
            let y = operator(leaves.clone());
            let weights = Random(23);
            DRAWN.set(0);
            let mut gradients = (y.clone() * weights.shaped(y.dims())).sum().backward();
            let gradients =
                leaves.map(|leaf| leaf.is_require_grad().then(|| leaf.grad_remove(&mut gradients)).flatten());
            (numbers(y.inner()), gradients.map(|gradient| gradient.map(numbers)))
        };
        let ((got, got_by), (want, want_by)) = (run(&fused), run(&composed));
        close("on the tape", &got, &want);
        for (at, (got, want)) in got_by.iter().zip(&want_by).enumerate() {
            match (got, want) {
                (Some(got), Some(want)) => close(&format!("gradient {at} of {on_tape:?}"), got, want),
                (got, want) => assert_eq!(got.is_some(), want.is_some(), "gradient {at} of {on_tape:?}"),
            }
        }
    }
}
