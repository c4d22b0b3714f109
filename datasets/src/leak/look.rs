//! An image → what it shows of itself, so that two can be compared without their pixels: a difference hash of 16 × 16 steps
//! and the tones of 4 × 4 fields. Re-encoding and resizing keep both; cropping, mirroring and turning do not.

use crate::image::{self, ImageSource};
use crate::resize::{self, Rgb};

/// Steps of a difference hash that may differ.
const STEPS: u32 = 10;
/// Side of the picture that a difference hash is taken of.
const SIDE: usize = 16;
/// Steps that are smaller are noise of the compression.
const NOISE: i32 = 4;
/// Fields a side whose tones are compared.
const FIELDS: usize = 4;
/// How far the tones of two fields may be apart, of 255, in any colour.
const TONES: u8 = 40;
/// Parts that a hash is cut into: one more than steps may differ, so that two that look the same agree in one at least.
pub(crate) const PARTS: usize = STEPS as usize + 1;

/// What an image shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Digest of the file.
    pub bytes: [u8; 32],
    /// Is the left of two neighbours the lighter one?
    steps: [u64; SIDE * SIDE / 64],
    /// Mean red, green and blue of each field.
    tones: [u8; 3 * FIELDS * FIELDS],
}

impl Look {
    /// None for a file that can't be read: reading rows for training says so.
    pub fn of(source: &ImageSource) -> Option<Self> {
        let bytes = *blake3::hash(&image::read(source).ok()?).as_bytes();
        Some(Self::shown(bytes, image::decode(source).ok()?))
    }

    /// Of the digest of a file and what it shows.
    pub(crate) fn shown(bytes: [u8; 32], image: Rgb) -> Self {
        let small = resize::bicubic(image, SIDE + 1, SIDE);
        let grey = |at: usize| small.pixels[3 * at..3 * at + 3].iter().map(|value| i32::from(*value)).sum::<i32>();
        let mut steps = [0; SIDE * SIDE / 64];
        let mut sums = [0_u32; 3 * FIELDS * FIELDS];
        for row in 0..SIDE {
            for column in 0..SIDE {
                let (at, bit) = (row * (SIDE + 1) + column, row * SIDE + column);
                steps[bit / 64] |= u64::from(grey(at) > grey(at + 1) + NOISE) << (bit % 64);
                let field = row * FIELDS / SIDE * FIELDS + column * FIELDS / SIDE;
                for colour in 0..3 {
                    sums[3 * field + colour] += u32::from(small.pixels[3 * at + colour]);
                }
            }
        }
        let each = (SIDE / FIELDS * (SIDE / FIELDS)) as u32;
        Self { bytes, steps, tones: sums.map(|sum| (sum / each) as u8) }
    }

    /// Names the file; for tables.
    pub(crate) fn key(&self) -> u64 {
        u64::from_le_bytes(self.bytes[..8].try_into().expect("eight bytes"))
    }

    /// Is it the same file, or does it look the same?
    ///
    /// At most ten steps may differ, and of a picture with few steps (lines on white) at most a quarter of them. A picture
    /// without steps, such as a blank page, looks like no other.
    pub fn same(&self, other: &Self) -> bool {
        if self.bytes == other.bytes {
            return true;
        }
        let (apart, here, there) = (self.apart(other), self.lighter(), other.lighter());
        let tones = self.tones.iter().zip(&other.tones).all(|(a, b)| a.abs_diff(*b) <= TONES);
        tones && here.min(there) > STEPS && apart <= STEPS && 8 * apart <= here + there
    }

    /// Hashes of parts of it, spread over the picture: two that look the same share one of them at least.
    pub(crate) fn parts(&self) -> [u64; PARTS] {
        let mut parts = [0_u64; PARTS];
        for bit in 0..SIDE * SIDE {
            let lighter = self.steps[bit / 64] >> (bit % 64) & 1;
            parts[bit % PARTS] |= lighter << (bit / PARTS);
        }
        parts
    }

    fn lighter(&self) -> u32 {
        self.steps.iter().map(|steps| steps.count_ones()).sum()
    }

    fn apart(&self, other: &Self) -> u32 {
        self.steps.iter().zip(&other.steps).map(|(a, b)| (a ^ b).count_ones()).sum()
    }
}
