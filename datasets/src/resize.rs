//! Bicubic resizing equal to Pillow 12's, byte for byte. Knows nothing of files or models.
//!
//! Source: `precompute_coeffs`, `normalize_coeffs_8bpc` and `ImagingResample` of Pillow's `Resample.c`: a separable filter with
//! a = −0.5 whose support widens when shrinking, the horizontal pass first, each pass in 22-bit fixed point and rounded
//! to 8 bits. Released checkpoints were made with this order. The exception is `Image.resize`'s own: an image over 100 times
//! as high as wide that gets lower is passed through vertically first.
//!
//! Both passes are plain loops over arrays of a fixed length, which compilers turn into vector instructions. They are
//! compiled twice on x86-64: for every processor, and for those with AVX2, chosen when the program runs.

#[expect(clippy::inline_always, reason = "the loops must be compiled anew inside each function that names a processor")]
mod loops;

/// Bits behind the point of a fixed-point weight: 32 less 8 for a pixel and 2 for overshoot.
const PRECISION_BITS: u32 = 22;
/// Half-width of the bicubic filter in pixels of the coarser grid.
const SUPPORT: f64 = 2.0;

/// 8-bit RGB pixels, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width, 3]`.
    pub pixels: Vec<u8>,
}

/// Resizes to `width` × `height`; a pass whose size stays is skipped.
pub fn bicubic(image: Rgb, width: usize, height: usize) -> Rgb {
    resize(image, width, height, Passes::fastest())
}

fn resize(image: Rgb, width: usize, height: usize, passes: Passes) -> Rgb {
    let across = |image: Rgb| {
        if width == image.width { image } else { (passes.horizontal)(&image, &taps(image.width, width)) }
    };
    let down = |image: Rgb| {
        if height == image.height { image } else { (passes.vertical)(&image, &taps(image.height, height)) }
    };
    let lowered_first = image.height > 100 * image.width && height < image.height;
    if lowered_first { across(down(image)) } else { down(across(image)) }
}

/// The two passes, compiled for one kind of processor.
#[derive(Clone, Copy)]
struct Passes {
    horizontal: fn(&Rgb, &[Taps]) -> Rgb,
    vertical: fn(&Rgb, &[Taps]) -> Rgb,
}

impl Passes {
    const PORTABLE: Self = Self { horizontal: loops::horizontal, vertical: loops::vertical };

    fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Self {
                // SAFETY: the processor has AVX2, which is all that these functions ask for.
                horizontal: |image, taps| unsafe { avx2::horizontal(image, taps) },
                // SAFETY: as above.
                vertical: |image, taps| unsafe { avx2::vertical(image, taps) },
            };
        }
        Self::PORTABLE
    }
}

/// The same loops, compiled for processors with AVX2.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Rgb, Taps, loops};

    #[target_feature(enable = "avx2")]
    pub fn horizontal(image: &Rgb, taps: &[Taps]) -> Rgb {
        loops::horizontal(image, taps)
    }

    #[target_feature(enable = "avx2")]
    pub fn vertical(image: &Rgb, taps: &[Taps]) -> Rgb {
        loops::vertical(image, taps)
    }
}

/// What one output position takes from the input: a first position and fixed-point weights from there on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn filter(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let filter_scale = scale.max(1.0);
    let support = SUPPORT * filter_scale;
    let inverse = 1.0 / filter_scale;
    let position = |out: usize| {
        let center = (out as f64 + 0.5) * scale;
        // Truncation towards zero, as C's cast does.
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..end).map(|x| filter((x as f64 - center + 0.5) * inverse)).collect();
        let sum = weights.iter().fold(0.0, |sum, weight| sum + weight);
        let fixed = |weight: &f64| {
            let share = if sum == 0.0 { *weight } else { weight / sum };
            (share * f64::from(1u32 << PRECISION_BITS) + 0.5f64.copysign(share)) as i32
        };
        Taps { first, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(position).collect()
}

#[cfg(test)]
mod tests;
