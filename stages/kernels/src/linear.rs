//! `y = x W + b`, forward and backward (`torch.nn.Linear`, with `W` as `[in, out]`).
//!
//! ```text
//! ∂L/∂x = ∂L/∂y · Wᵀ        ∂L/∂W = xᵀ · ∂L/∂y        ∂L/∂b = Σ_rows ∂L/∂y
//! ```

use crate::matrix::{View, affine, product};
use crate::simd::wide;

/// `[N, in] → [N, out]`
///
/// # Panics
///
/// Where the shapes do not fit.
pub fn forward(x: View<'_>, w: View<'_>, b: Option<&[f32]>) -> Vec<f32> {
    match b {
        None => product(x, w),
        Some(b) => affine(x, w, b),
    }
}

/// `∂L/∂x`, `[N, out] → [N, in]`.
///
/// # Panics
///
/// Where the shapes do not fit.
pub fn input(dy: View<'_>, w: View<'_>) -> Vec<f32> {
    product(dy, w.transposed())
}

/// `∂L/∂W`, `[in, out]`.
///
/// # Panics
///
/// Where the shapes do not fit.
pub fn weight(x: View<'_>, dy: View<'_>) -> Vec<f32> {
    product(x.transposed(), dy)
}

/// `∂L/∂b`, `[out]`, from `∂L/∂y` row after row.
///
/// # Panics
///
/// Where `dy` is no rows of `out` values.
pub fn bias(dy: &[f32], out: usize) -> Vec<f32> {
    assert!(out > 0 && dy.len().is_multiple_of(out), "{} values are no rows of {out}", dy.len());
    let mut sums = vec![0.0; out];
    wide(
        #[inline(always)]
        || {
            for row in dy.chunks_exact(out) {
                for (sum, dy) in sums.iter_mut().zip(row) {
                    *sum += dy;
                }
            }
        },
    );
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_gradient, random};

    #[test]
    fn gradients_are_differences() {
        for [n, i, o] in [[1, 3, 2], [5, 17, 9], [20, 8, 33]] {
            let (x, w, b, dy) = (random(1, n * i), random(2, i * o), random(3, o), random(4, n * o));
            let forward = |x: &[f32], w: &[f32], b: &[f32]| forward(View::new(x, n, i), View::new(w, i, o), Some(b));
            check_gradient(&input(View::new(&dy, n, o), View::new(&w, i, o)), &x, &dy, |x| forward(x, &w, &b));
            check_gradient(&weight(View::new(&x, n, i), View::new(&dy, n, o)), &w, &dy, |w| forward(&x, w, &b));
            check_gradient(&bias(&dy, o), &b, &dy, |b| forward(&x, &w, b));
        }
    }
}
