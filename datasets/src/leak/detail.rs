//! An image → its brightness at 48 × 48 places and its colour at 16 × 16, which tell drawings apart that a [`super::look::Look`]
//! takes for the same: the same figure with other numbers beside it. Costs a second decoding, so it comes second.

use std::sync::Arc;

use super::look::Look;
use crate::image::{self, ImageSource};
use crate::resize::{self, Rgb};

/// Side of the picture that is compared.
const SIDE: usize = 48;
/// Places a side that share one colour: JPEG keeps colours at half the resolution.
const SHARED: usize = 3;
/// How far windows of 2 × 2 places may be apart, of 255. Measured on 420 drawings and puzzles, as JPEG of quality 95 to 30, at
/// half to one and a half times their size: brightness at most 16 apart, colour at most 8. The same figures with other numbers
/// in them: brightness at least 31.
const BRIGHTNESS: i32 = 24;
const COLOUR: i32 = 12;

/// What an image shows of itself at second sight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detail {
    brightness: Vec<u8>,
    /// Blue and red, without the brightness.
    colours: [Vec<u8>; 2],
}

impl Detail {
    /// None for a file that can't be read.
    pub fn of(source: &ImageSource) -> Option<Self> {
        Some(Self::shown(image::decode(source).ok()?))
    }

    fn shown(image: Rgb) -> Self {
        let small = resize::bicubic(image, SIDE, SIDE);
        let pixel = |at: usize| [0, 1, 2].map(|colour| i32::from(small.pixels[3 * at + colour]));
        // ITU-R BT.601, as JPEG has it, in thousandths.
        let of = |at: usize, [red, green, blue]: [i32; 3]| {
            let [r, g, b] = pixel(at);
            (red * r + green * g + blue * b) / 1000
        };
        let brightness = (0..SIDE * SIDE).map(|at| of(at, [299, 587, 114]) as u8).collect();
        let side = SIDE / SHARED;
        let colour = |weights: [i32; 3]| {
            let shared = |place: usize| {
                let corner = place / side * SHARED * SIDE + place % side * SHARED;
                let places = (0..SHARED * SHARED).map(|step| corner + step / SHARED * SIDE + step % SHARED);
                (128 + places.map(|at| of(at, weights)).sum::<i32>() / (SHARED * SHARED) as i32).clamp(0, 255) as u8
            };
            (0..side * side).map(shared).collect()
        };
        Self { brightness, colours: [colour([-169, -331, 500]), colour([500, -419, -81])] }
    }

    /// Is it the same picture, however it was encoded?
    pub fn same(&self, other: &Self) -> bool {
        let colours = self.colours.iter().zip(&other.colours);
        apart(&self.brightness, &other.brightness, SIDE) <= BRIGHTNESS
            && colours.into_iter().all(|(one, other)| apart(one, other, SIDE / SHARED) <= COLOUR)
    }
}

/// An image at first and at second sight, in some 3 KB.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    /// At first sight.
    pub look: Look,
    detail: Arc<Detail>,
}

impl Picture {
    /// None for a file that can't be read.
    pub fn of(source: &ImageSource) -> Option<Self> {
        let bytes = *blake3::hash(&image::read(source).ok()?).as_bytes();
        let image = image::decode(source).ok()?;
        Some(Self { look: Look::shown(bytes, image.clone()), detail: Arc::new(Detail::shown(image)) })
    }

    /// Is it the same file, or the same picture?
    pub fn same(&self, other: &Self) -> bool {
        let file = self.look.bytes == other.look.bytes;
        file || (self.look.same(&other.look) && self.detail.same(&other.detail))
    }
}

/// The largest difference of two windows of 2 × 2 places, beside the difference of the whole.
fn apart(one: &[u8], other: &[u8], side: usize) -> i32 {
    let difference = |at: usize| i32::from(one[at]) - i32::from(other[at]);
    let whole = (0..side * side).map(difference).sum::<i32>() / (side * side) as i32;
    let window = |at: usize| {
        let corner = at / (side - 1) * side + at % (side - 1);
        let sum: i32 = [corner, corner + 1, corner + side, corner + side + 1].map(difference).iter().sum();
        (sum / 4 - whole).abs()
    };
    (0..(side - 1) * (side - 1)).map(window).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

    use super::*;

    /// A square of a side, with a mark of a colour that is drawn at a place.
    fn drawn(side: usize, mark: usize, colour: [u8; 3]) -> Rgb {
        let frame = side / 6;
        let pixel = |at: usize| {
            let (x, y) = (at % side, at / side);
            let edge = |v: usize| v == frame || v == side - frame;
            let inside = |v: usize| (frame..=side - frame).contains(&v);
            let marked = (mark..mark + side / 16).contains(&x) && (4..4 + side / 12).contains(&y);
            match () {
                () if marked => colour,
                () if (edge(x) && inside(y)) || (edge(y) && inside(x)) => [0, 0, 0],
                () => [255, 255, 255],
            }
        };
        Rgb { width: side, height: side, pixels: (0..side * side).flat_map(pixel).collect() }
    }

    fn detail(bytes: Vec<u8>) -> Detail {
        Detail::of(&ImageSource::embedded(bytes, "test")).unwrap()
    }

    #[test]
    fn encoding_changes_nothing_and_a_small_mark_does() {
        let image = drawn(168, 60, [0, 0, 0]);
        let original = detail(image::encode_png(&image));
        for (side, quality) in [(168, 95), (134, 75), (84, 60), (252, 40)] {
            let other = resize::bicubic(image.clone(), side, side);
            let bytes = compress(&other.pixels, side, side, PixelFormat::Rgb, quality, Subsampling::S420).unwrap();
            assert!(original.same(&detail(bytes)), "{side} pixels, quality {quality}");
        }
        assert!(!original.same(&detail(image::encode_png(&drawn(168, 80, [0, 0, 0])))), "the mark is elsewhere");
        assert!(!original.same(&detail(image::encode_png(&drawn(168, 60, [255, 255, 255])))), "there is none");
        // As bright as each other.
        let (red, green) = (drawn(168, 60, [255, 0, 0]), drawn(168, 60, [0, 130, 0]));
        let (red, green) = (detail(image::encode_png(&red)), detail(image::encode_png(&green)));
        assert!(apart(&red.brightness, &green.brightness, SIDE) <= BRIGHTNESS);
        assert!(!red.same(&green), "another colour");
    }

    #[test]
    fn an_image_that_is_brighter_as_a_whole_is_the_same() {
        let of = |more: u8| {
            let image = drawn(168, 60, [0, 0, 0]);
            let pixels = image.pixels.iter().map(|value| value / 2 + more).collect();
            detail(image::encode_png(&Rgb { pixels, ..image }))
        };
        assert!(of(40).same(&of(90)));
    }
}
