//! How the camera was held (EXIF, else XMP) → upright pixels. Knows no file format.
//!
//! Source: Pillow's `Image.getexif` and `ImageOps.exif_transpose`.

use crate::resize::Rgb;

/// EXIF's tag of the orientation.
const TAG: u16 = 0x0112;

/// The order of rows and columns in a file: 1 is upright, 2 to 8 are mirrored or turned, anything else counts as upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orientation(u32);

impl Default for Orientation {
    fn default() -> Self {
        Self(1)
    }
}

impl Orientation {
    /// From EXIF's bytes, with or without the mark that JPEG files put before them.
    pub(super) fn of_exif(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"Exif\0\0").unwrap_or(bytes);
        let little = match bytes.get(..2)? {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let short = |at: usize| -> Option<u16> {
            let value = *bytes.get(at..)?.first_chunk()?;
            Some(if little { u16::from_le_bytes(value) } else { u16::from_be_bytes(value) })
        };
        let long = |at: usize| -> Option<u32> {
            let value = *bytes.get(at..)?.first_chunk()?;
            Some(if little { u32::from_le_bytes(value) } else { u32::from_be_bytes(value) })
        };
        let directory = long(4)? as usize;
        let entries = usize::from(short(directory)?);
        let entry = (0..entries).map(|i| directory + 2 + 12 * i).find(|&at| short(at) == Some(TAG))?;
        match short(entry + 2)? {
            3 => Some(Self(u32::from(short(entry + 8)?))),
            4 => Some(Self(long(entry + 8)?)),
            _ => None,
        }
    }

    /// From an XMP packet: `tiff:Orientation="6"` or `<tiff:Orientation>6`.
    pub(super) fn of_xmp(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        text.split("tiff:Orientation").skip(1).find_map(|after| {
            let value = after.strip_prefix("=\"").or_else(|| after.strip_prefix('>'))?;
            value.chars().next()?.to_digit(10).map(Self)
        })
    }

    /// The picture as the camera's owner saw it.
    pub(super) fn apply(self, image: Rgb) -> Rgb {
        let (w, h) = (image.width, image.height);
        // Where the pixel at (x, y) of the upright picture comes from.
        let from: fn(usize, usize, usize, usize) -> (usize, usize) = match self.0 {
            2 => |x, y, w, _| (w - 1 - x, y),
            3 => |x, y, w, h| (w - 1 - x, h - 1 - y),
            4 => |x, y, _, h| (x, h - 1 - y),
            5 => |x, y, _, _| (y, x),
            6 => |x, y, _, h| (y, h - 1 - x),
            7 => |x, y, w, h| (w - 1 - y, h - 1 - x),
            8 => |x, y, w, _| (w - 1 - y, x),
            _ => return image,
        };
        let (width, height) = if self.0 >= 5 { (h, w) } else { (w, h) };
        let mut pixels = Vec::with_capacity(image.pixels.len());
        for y in 0..height {
            for x in 0..width {
                let (x, y) = from(x, y, w, h);
                pixels.extend_from_slice(&image.pixels[(y * w + x) * 3..(y * w + x) * 3 + 3]);
            }
        }
        Rgb { width, height, pixels }
    }
}
