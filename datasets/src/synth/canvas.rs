//! Shapes and labels → pixels. A small rasteriser: it fills areas given by a test, smoothing edges by 4 × 4 samples a pixel,
//! and writes digits and letters from hand-made bitmaps. Knows nothing of what is drawn.

use crate::resize::Rgb;

/// Red, green, blue.
pub type Colour = [u8; 3];

/// The paper.
pub const WHITE: Colour = [255, 255, 255];
/// Outlines and labels.
pub const BLACK: Colour = [20, 20, 20];
/// Lines that help the eye.
pub const GREY: Colour = [205, 205, 205];

/// Samples per pixel and axis.
const SAMPLES: usize = 4;
/// Columns and rows of a glyph, without the gap between glyphs.
const GLYPH: (usize, usize) = (5, 7);

/// A square drawing; coordinates are shares of its side, from the upper left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    size: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// White paper of `size` pixels a side.
    pub fn new(size: usize) -> Self {
        Self { size, pixels: WHITE.repeat(size * size) }
    }

    /// Pixels a side.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The drawing as an image.
    pub fn into_image(self) -> Rgb {
        Rgb { width: self.size, height: self.size, pixels: self.pixels }
    }

    /// Fills the points of a box `[left, top, right, bottom]` for which `inside` holds.
    pub fn fill(&mut self, bounds: [f64; 4], colour: Colour, inside: impl Fn(f64, f64) -> bool) {
        let side = self.size as f64;
        let [left, top, right, bottom] = bounds.map(|edge| (edge * side).clamp(0.0, side));
        let sample = |pixel: usize, index: usize| (pixel as f64 + (index as f64 + 0.5) / SAMPLES as f64) / side;
        for y in top.floor() as usize..bottom.ceil() as usize {
            for x in left.floor() as usize..right.ceil() as usize {
                let hits = (0..SAMPLES * SAMPLES)
                    .filter(|index| {
                        let (at_x, at_y) = (sample(x, index % SAMPLES), sample(y, index / SAMPLES));
                        (bounds[0]..bounds[2]).contains(&at_x)
                            && (bounds[1]..bounds[3]).contains(&at_y)
                            && inside(at_x, at_y)
                    })
                    .count();
                self.blend(x, y, colour, hits);
            }
        }
    }

    fn blend(&mut self, x: usize, y: usize, colour: Colour, hits: usize) {
        let all = SAMPLES * SAMPLES;
        let at = (y * self.size + x) * 3;
        for (pixel, value) in self.pixels[at..at + 3].iter_mut().zip(colour) {
            let mixed = usize::from(*pixel) * (all - hits) + usize::from(value) * hits;
            *pixel = ((mixed + all / 2) / all) as u8;
        }
    }

    /// Fills a box.
    pub fn rectangle(&mut self, bounds: [f64; 4], colour: Colour) {
        self.fill(bounds, colour, |_, _| true);
    }

    /// Fills a disc.
    pub fn disc(&mut self, [x, y]: [f64; 2], radius: f64, colour: Colour) {
        let bounds = [x - radius, y - radius, x + radius, y + radius];
        self.fill(bounds, colour, |px, py| (px - x).powi(2) + (py - y).powi(2) < radius * radius);
    }

    /// Fills the area between corners that go round without turning back; they may go either way.
    pub fn convex(&mut self, corners: &[[f64; 2]], colour: Colour) {
        let over = |axis: usize, pick: fn(f64, f64) -> f64| corners.iter().map(|c| c[axis]).reduce(pick).unwrap_or(0.0);
        let bounds = [over(0, f64::min), over(1, f64::min), over(0, f64::max), over(1, f64::max)];
        self.fill(bounds, colour, |x, y| {
            let is_left = |index: usize| {
                let (a, b) = (corners[index], corners[(index + 1) % corners.len()]);
                (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) >= 0.0
            };
            (1..corners.len()).all(|index| is_left(index) == is_left(0))
        });
    }

    /// Draws a line of a width.
    pub fn line(&mut self, from: [f64; 2], to: [f64; 2], width: f64, colour: Colour) {
        let half = width / 2.0;
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        let length = (dx * dx + dy * dy).max(f64::MIN_POSITIVE);
        let bounds = [
            from[0].min(to[0]) - half,
            from[1].min(to[1]) - half,
            from[0].max(to[0]) + half,
            from[1].max(to[1]) + half,
        ];
        self.fill(bounds, colour, |x, y| {
            let along = (((x - from[0]) * dx + (y - from[1]) * dy) / length).clamp(0.0, 1.0);
            (x - from[0] - along * dx).powi(2) + (y - from[1] - along * dy).powi(2) <= half * half
        });
    }

    /// Width and height of a label at a scale (whole pixels per dot), as shares of the side.
    pub fn label_size(&self, text: &str, scale: usize) -> [f64; 2] {
        let columns = (GLYPH.0 + 1) * text.len() - 1;
        [(columns * scale) as f64, (GLYPH.1 * scale) as f64].map(|pixels| pixels / self.size as f64)
    }

    /// Writes a label around a centre; characters without a bitmap leave a gap.
    pub fn label(&mut self, text: &str, [x, y]: [f64; 2], scale: usize, colour: Colour) {
        let [width, height] = self.label_size(text, scale);
        let pixel = |share: f64| (share * self.size as f64).round().max(0.0) as usize;
        let (left, top) = (pixel(x - width / 2.0), pixel(y - height / 2.0));
        for (index, character) in text.chars().enumerate() {
            let Some(rows) = glyph(character) else { continue };
            for (dot_y, row) in rows.iter().enumerate() {
                for dot_x in (0..GLYPH.0).filter(|dot| row >> (GLYPH.0 - 1 - dot) & 1 == 1) {
                    let (from_x, from_y) = (left + (index * (GLYPH.0 + 1) + dot_x) * scale, top + dot_y * scale);
                    for y in from_y..(from_y + scale).min(self.size) {
                        for x in from_x..(from_x + scale).min(self.size) {
                            self.blend(x, y, colour, SAMPLES * SAMPLES);
                        }
                    }
                }
            }
        }
    }
}

/// Seven rows of five dots, the leftmost dot in the highest bit.
fn glyph(character: char) -> Option<[u8; 7]> {
    Some(match character {
        '0' => [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
        '1' => [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
        '2' => [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111],
        '3' => [0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110],
        '4' => [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
        '5' => [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
        '6' => [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
        '7' => [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
        '8' => [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
        '9' => [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
        'A' => [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        'B' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10001, 0b10001, 0b11110],
        'C' => [0b01110, 0b10001, 0b10000, 0b10000, 0b10000, 0b10001, 0b01110],
        'D' => [0b11100, 0b10010, 0b10001, 0b10001, 0b10001, 0b10010, 0b11100],
        'E' => [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(canvas: &Canvas, x: usize, y: usize) -> [u8; 3] {
        let at = (y * canvas.size + x) * 3;
        [canvas.pixels[at], canvas.pixels[at + 1], canvas.pixels[at + 2]]
    }

    #[test]
    fn areas_are_filled_inside_and_only_there() {
        let mut canvas = Canvas::new(20);
        canvas.disc([0.5, 0.5], 0.25, BLACK);
        assert_eq!((pixel(&canvas, 10, 10), pixel(&canvas, 2, 2)), (BLACK, WHITE));
        let edge = pixel(&canvas, 13, 13)[0];
        assert!(edge > BLACK[0] && edge < 255, "edges are smooth: {edge}");
        let mut canvas = Canvas::new(20);
        canvas.convex(&[[0.1, 0.9], [0.5, 0.1], [0.9, 0.9]], BLACK);
        canvas.rectangle([0.0, 0.0, 0.2, 0.1], GREY);
        assert_eq!((pixel(&canvas, 10, 14), pixel(&canvas, 4, 4), pixel(&canvas, 3, 1)), (BLACK, WHITE, GREY));
    }

    #[test]
    fn labels_are_readable_dots() {
        let mut canvas = Canvas::new(16);
        canvas.label("1", [0.5, 0.5], 1, BLACK);
        let dots = (0..16 * 16).filter(|i| pixel(&canvas, i % 16, i / 16) == BLACK).count();
        assert_eq!(dots, 10);
        assert_eq!(Canvas::new(100).label_size("12", 2).map(|share| (share * 100.0).round() as usize), [22, 14]);
    }
}
