//! One update of AdamW in one pass (Loshchilov & Hutter 2019, arXiv 1711.05101, as `torch.optim.AdamW` computes it).
//!
//! ```text
//! w ← w · decay
//! m ← β₁ m + (1 − β₁) g            v ← β₂ v + (1 − β₂) g²
//! w ← w − m / ( √v / root + ε ) · rate             root = √(1 − β₂ᵗ)       rate = lr / (1 − β₁ᵗ)
//! ```

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::simd::wide;

/// Values that a thread takes at a time.
const CHUNK: usize = 1 << 15;

/// What is the same for every value of a tensor.
#[derive(Debug, Clone, Copy)]
pub struct Factors {
    /// `1 − lr · λ`, or 1.
    pub decay: f32,
    /// `β₁` and `1 − β₁`.
    pub first: [f32; 2],
    /// `β₂` and `1 − β₂`.
    pub second: [f32; 2],
    /// `√(1 − β₂ᵗ)`.
    pub root: f32,
    /// `ε`.
    pub epsilon: f32,
    /// `lr / (1 − β₁ᵗ)`.
    pub rate: f32,
}

/// Moves weights and moments in place.
///
/// # Panics
///
/// Where there are not as many of each.
pub fn step(weight: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32], factors: Factors) {
    let n = weight.len();
    assert!(first.len() == n && second.len() == n && gradient.len() == n, "as many moments and gradients as weights");
    let chunks = weight.par_chunks_mut(CHUNK).zip(first.par_chunks_mut(CHUNK)).zip(second.par_chunks_mut(CHUNK));
    chunks.zip(gradient.par_chunks(CHUNK)).for_each(|(((w, m), v), g)| {
        wide(
            #[inline(always)]
            || {
                let Factors { decay, first: [b1, c1], second: [b2, c2], root, epsilon, rate } = factors;
                for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
                    *m = *m * b1 + g * c1;
                    *v = *v * b2 + g * g * c2;
                    *w = *w * decay - *m / (v.sqrt() / root + epsilon) * rate;
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First update of w = 1 with g = 0.5: m̂ = g, v̂ = g², so w moves by lr · 0.5 / (0.5 + ε), after decay.
    #[test]
    fn the_first_update_is_one_learning_rate() {
        let (mut w, mut m, mut v) = (vec![1.0; 40_000], vec![0.0; 40_000], vec![0.0; 40_000]);
        let factors = Factors {
            decay: 1.0 - 0.1 * 0.01,
            first: [0.9, 0.1],
            second: [0.999, 0.001],
            root: 0.001_f32.sqrt(),
            epsilon: 1e-8,
            rate: 0.1 / 0.1,
        };
        step(&mut w, &mut m, &mut v, &vec![0.5; 40_000], factors);
        for (w, m, v) in w.iter().zip(&m).zip(&v).map(|((w, m), v)| (w, m, v)) {
            assert!((w - (0.999 - 0.1)).abs() < 1e-5 && (m - 0.05).abs() < 1e-7 && (v - 0.000_25).abs() < 1e-8, "{w}");
        }
    }
}
