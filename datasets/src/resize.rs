//! Bicubic resizing equal to Pillow 12's, byte for byte. Knows nothing of files or models.
//!
//! Source: `precompute_coeffs`, `normalize_coeffs_8bpc` and `ImagingResample` of Pillow's `Resample.c`: a separable filter with
//! a = −0.5 whose support widens when shrinking, the horizontal pass first, each pass in 22-bit fixed point and rounded
//! to 8 bits. Released checkpoints were made with this order.

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
pub fn bicubic(image: &Rgb, width: usize, height: usize) -> Rgb {
    let wide = if width == image.width { image.clone() } else { horizontal(image, width) };
    if height == wide.height { wide } else { vertical(&wide, height) }
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

fn weighted(taps: &Taps, pixel: impl Fn(usize) -> u8) -> u8 {
    let half = 1i32 << (PRECISION_BITS - 1);
    let sum =
        taps.weights.iter().enumerate().fold(half, |sum, (i, weight)| sum + i32::from(pixel(taps.first + i)) * weight);
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

fn horizontal(image: &Rgb, width: usize) -> Rgb {
    let columns = taps(image.width, width);
    let mut pixels = Vec::with_capacity(width * image.height * 3);
    for row in image.pixels.chunks_exact(image.width * 3) {
        for taps in &columns {
            pixels.extend((0..3).map(|channel| weighted(taps, |x| row[x * 3 + channel])));
        }
    }
    Rgb { width, height: image.height, pixels }
}

fn vertical(image: &Rgb, height: usize) -> Rgb {
    let stride = image.width * 3;
    let mut pixels = Vec::with_capacity(stride * height);
    for taps in &taps(image.height, height) {
        pixels.extend((0..stride).map(|at| weighted(taps, |y| image.pixels[y * stride + at])));
    }
    Rgb { width: image.width, height, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with smooth and jagged parts, from a formula.
    fn picture(width: usize, height: usize) -> Rgb {
        let pixel = |i: usize| {
            let (x, y) = (i % width, i / width);
            [(x * 255 / width) as u8, (y * 7 % 256) as u8, ((x * 31 + y * 17) % 256) as u8]
        };
        Rgb { width, height, pixels: (0..width * height).flat_map(pixel).collect() }
    }

    #[test]
    fn weights_of_every_position_add_up_to_one() {
        for (from, to) in [(7, 28), (200, 56), (57, 56), (300, 308)] {
            for taps in taps(from, to) {
                let sum: i32 = taps.weights.iter().sum();
                assert!((sum - (1 << PRECISION_BITS)).abs() <= taps.weights.len() as i32, "{from} → {to}: {sum}");
            }
        }
    }

    #[test]
    fn flat_stays_flat_and_same_size_stays_the_same() {
        let flat = Rgb { width: 30, height: 40, pixels: vec![200; 30 * 40 * 3] };
        assert!(bicubic(&flat, 84, 28).pixels.iter().all(|&value| value == 200));
        assert_eq!(bicubic(&picture(28, 56), 28, 56), picture(28, 56));
    }

    /// Digests of results that were equal to Pillow 12.3.0's on the reference images when these were taken.
    #[test]
    fn results_are_the_recorded_ones() {
        let digest = |width, height, to_width, to_height| {
            blake3::hash(&bicubic(&picture(width, height), to_width, to_height).pixels).to_hex()[..16].to_owned()
        };
        let found = [digest(100, 60, 84, 56), digest(30, 45, 112, 140)];
        assert_eq!(found, ["c2908c54fbe6e63b", "be380d5531be2f1c"]);
    }
}
