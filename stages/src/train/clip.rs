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
use crate::fused;

/// The global norm, and the gradients scaled so that it is at most `max`; `max` 0 only measures.
///
/// A norm that is not finite is handed back with the gradients as they are: the caller decides.
pub fn global_norm(gradients: Gradients, max: f64) -> (Gradients, f64) {
    let all: Vec<&Tensor<1>> = gradients.0.iter().flatten().collect();
    if all.is_empty() {
        return (gradients, 0.0);
    }
    let squares = if all.iter().all(|grad| fused::here(grad)) {
        all.iter().map(|&grad| fused::squares(grad.clone())).sum()
    } else {
        composed_squares(&all)
    };
    let norm = squares.sqrt();
    let factor = max / (norm + 1e-6);
    if max > 0.0 && factor < 1.0 { (gradients.times(factor), norm) } else { (gradients, norm) }
}

/// `Σ_params Σ_elements g²` out of Burn's operators.
pub(crate) fn composed_squares(gradients: &[&Tensor<1>]) -> f64 {
    let squares = gradients.iter().map(|&grad| grad.clone().powi_scalar(2).sum()).collect();
    Tensor::cat(squares, 0).into_data().iter::<f32>().map(f64::from).sum()
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

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
        let (clipped, norm) = global_norm(gradients(), 1.0);
        assert!((norm - 5.0).abs() < 1e-6);
        for (got, want) in values(&clipped).iter().zip([0.6, 0.0, 0.8]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }

    #[test]
    fn a_small_norm_changes_nothing() {
        assert_eq!(values(&global_norm(gradients(), 5.1).0), [3.0, 0.0, 4.0]);
    }

    #[test]
    fn zero_only_measures() {
        let (same, norm) = global_norm(gradients(), 0.0);
        assert_eq!(values(&same), [3.0, 0.0, 4.0]);
        assert!((norm - 5.0).abs() < 1e-6);
    }
}
