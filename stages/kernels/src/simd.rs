//! Loops → loops for this machine's vectors; sums, maxima and `exp` in a form that compilers turn into vectors.
//!
//! All of it is inlined into the function that [`wide`] compiles once per instruction set. Products and sums stay apart
//! (no fused multiply-add, which is a library call where the machine has none).

use std::mem::MaybeUninit;

use pulp::Arch;

/// Values that are added up side by side: two registers of AVX-512.
const LANES: usize = 32;

/// Runs loops compiled for the widest vectors of this machine.
pub(crate) fn wide<R>(loops: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(loops)
}

/// `len` values, without writing each of them twice.
///
/// # Safety
///
/// `write` writes every value.
pub(crate) unsafe fn written(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    write(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: the caller promises that all `len` values are written.
    unsafe { values.set_len(len) };
    values
}

/// `Σ f(aᵢ, bᵢ)` in a fixed order.
#[inline(always)]
fn sum_by(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += f(a[lane], b[lane]);
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += f(*a, *b);
    }
    fold(sums, |a, b| a + b)
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = f(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// `Σ aᵢ bᵢ`
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_by(a, b, |a, b| a * b)
}

/// `Σ xᵢ`
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f32 {
    sum_by(x, x, |x, _| x)
}

/// The largest value; −∞ of nothing. A value that is not a number may be passed over: whoever adds up what follows from
/// the values meets it there.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(chunk[lane], lanes[lane]);
        }
    }
    for (lane, x) in rest.iter().enumerate() {
        lanes[lane] = larger(*x, lanes[lane]);
    }
    fold(lanes, larger)
}

/// `eˣ` to within two units in the last place; what is below −87.3 gives at most 1.2e-38, and NaN stays NaN.
///
/// Range reduction by `ln 2` in two parts and the polynomial of Cephes' `expf`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOW: f32 = -87.3;
    const HIGH: f32 = 88.37;
    // Adding 1.5 · 2²³ rounds to a whole number, and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < LOW { LOW } else { x };
    let x = if x > HIGH { HIGH } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// `1 / (1 + e⁻ˣ)`
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_two_units() {
        let mut worst = 0_f64;
        for i in -870_000..=883_000 {
            let x = i as f32 * 1e-4;
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            worst = worst.max((got / want - 1.0).abs());
        }
        assert!(worst < 2.4e-7, "{worst}");
        assert_eq!(exp(0.0).to_bits(), 1.0_f32.to_bits());
        assert!(exp(-1e30) < 1.3e-38 && exp(f32::NEG_INFINITY) < 1.3e-38);
        assert!(exp(f32::NAN).is_nan() && exp(1e30) > 2e38);
    }

    #[test]
    fn sums_and_maxima_cover_what_no_vector_fills() {
        for len in [0, 1, 31, 32, 33, 100] {
            let x: Vec<f32> = (0..len).map(|i| i as f32 - 50.0).collect();
            let want: f32 = x.iter().sum();
            assert!((sum(&x) - want).abs() < 1e-3, "{len}");
            assert!((dot(&x, &x) - x.iter().map(|x| x * x).sum::<f32>()).abs() < 1e-1, "{len}");
            assert_eq!(max(&x).to_bits(), x.iter().copied().fold(f32::NEG_INFINITY, f32::max).to_bits());
        }
        assert!(sum(&[1.0, f32::NAN]).is_nan());
    }
}
