//! Gradients → gradients whose global norm is bounded. Refuses to know the optimizer.
//!
//! ```text
//! norm = sqrt( Σ_params Σ_elements g² )        g ← g · min(1, max / (norm + 1e-6))
//! ```
//!
//! PyTorch's `clip_grad_norm_`. Sums per parameter run on the device in f32; they come back together in one read, and
//! are added in f64.

use burn::tensor::Tensor;

use super::gradients::Gradients;
use super::lanes::Summand;
use super::told::Told;
use crate::fused;

/// The gradients scaled so that their global norm is at most `max`; the norm before that, and what the passes told, in one
/// read. `max` 0 only measures.
///
/// With a norm that is not finite the gradients come back as they are: the caller decides.
pub fn global_norm(gradients: Gradients, told: Told, max: f64) -> (Gradients, f64, Vec<Vec<f32>>) {
    let all: Vec<&Tensor<1>> = gradients.0.iter().flatten().collect();
    let (squares, told) = if all.iter().all(|grad| fused::here(grad)) {
        (all.iter().fold(0.0, |sum, &grad| sum + fused::squares(grad.clone())), told.read())
    } else {
        let mut read = told.plus(composed_squares(&all).into()).read();
        let squares: f64 = read.pop().into_iter().flatten().map(f64::from).sum();
        (squares, read)
    };
    let norm = squares.sqrt();
    let factor = max / (norm + 1e-6);
    let gradients = if max > 0.0 && factor < 1.0 { gradients.times(factor) } else { gradients };
    (gradients, norm, told)
}

/// `Σ_elements g²` of each parameter out of Burn's operators; there is at least one.
pub(crate) fn composed_squares(gradients: &[&Tensor<1>]) -> Tensor<1> {
    Tensor::cat(gradients.iter().map(|&grad| grad.clone().powi_scalar(2).sum()).collect(), 0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, TensorData};

    use super::*;

    fn gradients() -> Gradients {
        let device = crate::device::resolve("cpu").unwrap();
        let tensor = |values: &[f32]| Some(Tensor::from_data(TensorData::from(values), &device));
        Gradients(vec![tensor(&[3.0, 0.0]), None, tensor(&[4.0])])
    }

    fn values(gradients: &Gradients) -> Vec<f32> {
        gradients.0.iter().flatten().flat_map(|grad| grad.to_data().iter::<f32>().collect::<Vec<_>>()).collect()
    }

    #[test]
    fn norm_runs_over_all_parameters() {
        // sqrt(9 + 16) = 5; factor 1 / 5.000001.
        let (clipped, norm, _) = global_norm(gradients(), Told::default(), 1.0);
        assert!((norm - 5.0).abs() < 1e-6);
        for (got, want) in values(&clipped).iter().zip([0.6, 0.0, 0.8]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }

    #[test]
    fn a_small_norm_changes_nothing() {
        assert_eq!(values(&global_norm(gradients(), Told::default(), 5.1).0), [3.0, 0.0, 4.0]);
    }

    #[test]
    fn zero_only_measures() {
        let (same, norm, _) = global_norm(gradients(), Told::default(), 0.0);
        assert_eq!(values(&same), [3.0, 0.0, 4.0]);
        assert!((norm - 5.0).abs() < 1e-6);
    }

    /// In bfloat16 Burn's operators take the squares, as on a GPU, and the norm is read with what was told.
    #[test]
    fn what_was_told_comes_with_the_norm() {
        let told = || Told::from(Tensor::<1>::from_floats([7.0, 8.0], &crate::device::host()));
        let narrow = Gradients(gradients().0.into_iter().map(|grad| grad.map(|grad| grad.cast(DType::BF16))).collect());
        for gradients in [gradients(), narrow] {
            let (_, norm, read) = global_norm(gradients, told(), 1.0);
            assert!((norm - 5.0).abs() < 1e-6);
            assert_eq!(read, [[7.0, 8.0]]);
        }
        let (_, norm, read) = global_norm(Gradients::default(), told(), 1.0);
        assert_eq!((norm.to_bits(), read.len()), (0.0_f64.to_bits(), 1));
    }
}
