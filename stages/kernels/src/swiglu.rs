//! `silu(gate) · up`, forward and backward (Shazeer 2020, arXiv 2002.05202; `Qwen2MLP`).
//!
//! ```text
//! y = g · σ(g) · u
//! ∂L/∂g = ∂L/∂y · u · σ(g) · (1 + g · (1 − σ(g)))        ∂L/∂u = ∂L/∂y · g · σ(g)
//! ```

use crate::simd::{sigmoid, wide, written};

/// Of equally many values each.
///
/// # Panics
///
/// Where there are not as many of each.
pub fn forward(gate: &[f32], up: &[f32]) -> Vec<f32> {
    assert_eq!(gate.len(), up.len(), "as many gates as values");
    // SAFETY: `gate` and `up` have a value for every one of `y`.
    unsafe {
        written(gate.len(), |y| {
            wide(
                #[inline(always)]
                || {
                    for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
                        y.write(g * sigmoid(*g) * u);
                    }
                },
            );
        })
    }
}

/// `∂L/∂gate` and `∂L/∂up`.
///
/// # Panics
///
/// As [`forward`].
pub fn backward(dy: &[f32], gate: &[f32], up: &[f32]) -> (Vec<f32>, Vec<f32>) {
    assert!(gate.len() == up.len() && dy.len() == up.len(), "as many gates as values and gradients");
    let mut dup = Vec::new();
    // SAFETY: `dy`, `gate` and `up` have a value for every one of both gradients.
    let dgate = unsafe {
        written(gate.len(), |dgate| {
            dup = written(up.len(), |dup| {
                wide(
                    #[inline(always)]
                    || {
                        for ((((dg, du), dy), g), u) in dgate.iter_mut().zip(dup).zip(dy).zip(gate).zip(up) {
                            let s = sigmoid(*g);
                            dg.write(dy * u * s * (1.0 + g * (1.0 - s)));
                            du.write(dy * g * s);
                        }
                    },
                );
            });
        })
    };
    (dgate, dup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_gradient, random};

    #[test]
    fn by_hand() {
        // silu(1) = .731059; silu(0) = 0; silu(−90) vanishes.
        let y = forward(&[1.0, 0.0, -90.0], &[2.0, 5.0, 1.0]);
        assert!((y[0] - 1.462_117).abs() < 1e-6 && y[1].abs() < 1e-9 && y[2].abs() < 1e-30, "{y:?}");
    }

    #[test]
    fn gradients_are_differences() {
        for n in [1, 15, 100] {
            let (g, u, dy) = (random(1, n), random(2, n), random(3, n));
            let (dg, du) = backward(&dy, &g, &u);
            check_gradient(&dg, &g, &dy, |g| forward(g, &u));
            check_gradient(&du, &u, &dy, |u| forward(&g, u));
        }
    }
}
