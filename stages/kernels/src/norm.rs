//! Root-mean-square normalisation of rows, forward and backward (Zhang & Sennrich 2019, arXiv 1910.07467; `Qwen2RMSNorm`).
//!
//! ```text
//! r = 1 / √(mean(x²) + ε)      y = x · r · w
//! g = ∂L/∂y · w                ∂L/∂x = r · g − x · r³ · mean(g · x)        ∂L/∂w = Σ_rows ∂L/∂y · x · r
//! ```

use crate::simd::{dot, wide, written};

/// `[N, D] → [N, D]`
///
/// # Panics
///
/// Where the rows do not fit `w_d`.
pub fn forward(x_nd: &[f32], w_d: &[f32], epsilon: f32) -> Vec<f32> {
    let d = w_d.len();
    assert!(d > 0 && x_nd.len().is_multiple_of(d), "{} values are no rows of {d}", x_nd.len());
    // SAFETY: the rows of `y` are as many and as long as those of `x`, and each is written to its end.
    unsafe {
        written(x_nd.len(), |y_nd| {
            wide(
                #[inline(always)]
                || {
                    for (x, y) in x_nd.chunks_exact(d).zip(y_nd.chunks_exact_mut(d)) {
                        let r = inverse(x, epsilon);
                        for ((y, x), w) in y.iter_mut().zip(x).zip(w_d) {
                            y.write(x * r * w);
                        }
                    }
                },
            );
        })
    }
}

/// `∂L/∂x` `[N, D]` and `∂L/∂w` `[D]` from `∂L/∂y` `[N, D]`.
///
/// # Panics
///
/// As [`forward`], and where `dy_nd` is not of the size of `x_nd`.
pub fn backward(dy_nd: &[f32], x_nd: &[f32], w_d: &[f32], epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let d = w_d.len();
    assert!(d > 0 && x_nd.len().is_multiple_of(d), "{} values are no rows of {d}", x_nd.len());
    assert_eq!(dy_nd.len(), x_nd.len(), "as many gradients as values");
    let mut dw_d = vec![0.0; d];
    let mut g_d = vec![0.0; d];
    // SAFETY: the rows of `dx` are as many and as long as those of `x` and `dy`, and each is written to its end.
    let dx_nd = unsafe {
        written(x_nd.len(), |dx_nd| {
            wide(
                #[inline(always)]
                || {
                    let rows = x_nd.chunks_exact(d).zip(dy_nd.chunks_exact(d)).zip(dx_nd.chunks_exact_mut(d));
                    for ((x, dy), dx) in rows {
                        let r = inverse(x, epsilon);
                        for ((((g, dw), dy), x), w) in g_d.iter_mut().zip(&mut dw_d).zip(dy).zip(x).zip(w_d) {
                            *g = dy * w;
                            *dw += dy * x * r;
                        }
                        let pull = r * r * r * dot(&g_d, x) / d as f32;
                        for ((dx, g), x) in dx.iter_mut().zip(&g_d).zip(x) {
                            dx.write(r * g - x * pull);
                        }
                    }
                },
            );
        })
    };
    (dx_nd, dw_d)
}

/// `Σ x²`; in double precision from a few thousand values to the next.
pub fn squares(x: &[f32]) -> f64 {
    let mut sum = 0.0;
    wide(
        #[inline(always)]
        || {
            for part in x.chunks(1 << 12) {
                sum += f64::from(dot(part, part));
            }
        },
    );
    sum
}

#[inline(always)]
fn inverse(x_d: &[f32], epsilon: f32) -> f32 {
    1.0 / (dot(x_d, x_d) / x_d.len() as f32 + epsilon).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_gradient, random};

    #[test]
    fn rows_of_three_and_four() {
        // mean(9, 16) = 12.5; 1/√12.5 = .282843.
        let y = forward(&[3.0, 4.0], &[1.0, 10.0], 0.0);
        assert!((y[0] - 0.848_528).abs() < 1e-6 && (y[1] - 11.313_708).abs() < 1e-5, "{y:?}");
    }

    #[test]
    fn squares_of_many() {
        let x = random(1, 100_000);
        let want: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
        assert!((squares(&x) / want - 1.0).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_differences() {
        for (n, d) in [(1, 1), (3, 7), (5, 64), (2, 130)] {
            let (x, w, dy) = (random(1, n * d), random(2, d), random(3, n * d));
            let (dx, dw) = backward(&dy, &x, &w, 1e-2);
            check_gradient(&dx, &x, &dy, |x| forward(x, &w, 1e-2));
            check_gradient(&dw, &w, &dy, |w| forward(&x, w, 1e-2));
        }
    }
}
