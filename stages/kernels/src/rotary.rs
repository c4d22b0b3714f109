//! Rotary position embedding of rows of heads, forward and backward (Su et al. 2021, arXiv 2104.09864, in the "rotate half"
//! form of `apply_multimodal_rotary_pos_emb`).
//!
//! ```text
//! y[i]       = x[i] · cos[i]         − x[i + d/2] · sin[i]                    i < d/2
//! y[i + d/2] = x[i + d/2] · cos[i + d/2] + x[i] · sin[i + d/2]
//! ```
//!
//! The backward pass is the turn back: the transposed matrix. Tables are `[N, d]`, one row for all heads of a token; they
//! may carry a factor (the scale of the scores).

use std::mem::MaybeUninit;

use crate::simd::{wide, written};

/// Turns the heads of every row, `[N, H·d] → [N, H·d]`; `cos_nd` and `sin_nd` are `[N, d]`.
///
/// # Panics
///
/// Where the sizes do not fit each other.
pub fn forward(x: &[f32], cos_nd: &[f32], sin_nd: &[f32], d: usize) -> Vec<f32> {
    turned(x, cos_nd, sin_nd, d, |a, b, [cos_a, cos_b], [sin_a, sin_b]| (a * cos_a - b * sin_a, b * cos_b + a * sin_b))
}

/// `∂L/∂x` from `∂L/∂y`, both `[N, H·d]`.
///
/// # Panics
///
/// As [`forward`].
pub fn backward(dy: &[f32], cos_nd: &[f32], sin_nd: &[f32], d: usize) -> Vec<f32> {
    turned(dy, cos_nd, sin_nd, d, |a, b, [cos_a, cos_b], [sin_a, sin_b]| (a * cos_a + b * sin_b, b * cos_b - a * sin_a))
}

#[inline(always)]
fn turned(
    x: &[f32],
    cos_nd: &[f32],
    sin_nd: &[f32],
    d: usize,
    turn: impl Fn(f32, f32, [f32; 2], [f32; 2]) -> (f32, f32),
) -> Vec<f32> {
    let rows = cos_nd.len() / d.max(1);
    assert!(d > 0 && d.is_multiple_of(2) && cos_nd.len() == rows * d, "tables of width {d}");
    assert!(cos_nd.len() == sin_nd.len() && rows > 0, "as many sines as cosines");
    assert!(x.len().is_multiple_of(rows * d), "{} values are no heads of {rows} rows", x.len());
    let width = x.len() / rows;
    // SAFETY: every row has whole heads of `d` values, and both halves of each head are written.
    unsafe {
        written(x.len(), |y| {
            wide(
                #[inline(always)]
                || {
                    let tables = cos_nd.chunks_exact(d).zip(sin_nd.chunks_exact(d));
                    for ((x, y), (cos, sin)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(tables) {
                        for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
                            head(x, y, cos, sin, &turn);
                        }
                    }
                },
            );
        })
    }
}

#[inline(always)]
fn head(
    x: &[f32],
    y: &mut [MaybeUninit<f32>],
    cos: &[f32],
    sin: &[f32],
    turn: &impl Fn(f32, f32, [f32; 2], [f32; 2]) -> (f32, f32),
) {
    let half = x.len() / 2;
    let ((x_a, x_b), (y_a, y_b)) = (x.split_at(half), y.split_at_mut(half));
    let ((cos_a, cos_b), (sin_a, sin_b)) = (cos.split_at(half), sin.split_at(half));
    // One length for all lets the compiler drop every check in the loop.
    let (x_b, y_b, cos_b, sin_b) = (&x_b[..half], &mut y_b[..half], &cos_b[..half], &sin_b[..half]);
    for i in 0..half {
        let (a, b) = turn(x_a[i], x_b[i], [cos_a[i], cos_b[i]], [sin_a[i], sin_b[i]]);
        y_a[i].write(a);
        y_b[i].write(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_gradient, random};

    #[test]
    fn a_quarter_turn() {
        // Pairs (1, 3) and (2, 4), each turned by 90° and 0°.
        let y = forward(&[1.0, 2.0, 3.0, 4.0], &[0.0, 1.0, 0.0, 1.0], &[1.0, 0.0, 1.0, 0.0], 4);
        assert_eq!(y, [-3.0, 2.0, 1.0, 4.0]);
    }

    #[test]
    fn gradients_are_differences() {
        for (n, heads, d) in [(1, 1, 2), (3, 2, 6), (4, 3, 32)] {
            let (x, dy) = (random(1, n * heads * d), random(2, n * heads * d));
            let (cos, sin) = (random(3, n * d), random(4, n * d));
            check_gradient(&backward(&dy, &cos, &sin, d), &x, &dy, |x| forward(x, &cos, &sin, d));
        }
    }
}
