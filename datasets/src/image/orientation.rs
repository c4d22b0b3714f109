//! How the camera was held (EXIF, else XMP) → upright pixels. Knows no file format.
//!
//! Source: Pillow's `Image.getexif` and `ImageOps.exif_transpose`.

use ::image::metadata::Orientation;
use ::image::{DynamicImage, RgbImage};

use crate::resize::Rgb;

/// The orientation that a file's EXIF bytes or else its XMP packet tells; upright where neither does.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    // Some writers keep the mark that JPEG files put before EXIF.
    let exif = exif.map(|bytes| bytes.strip_prefix(b"Exif\0\0").unwrap_or(bytes));
    let found = exif.and_then(Orientation::from_exif_chunk).or_else(|| of_xmp(xmp?));
    found.unwrap_or(Orientation::NoTransforms)
}

/// `tiff:Orientation="6"` or `<tiff:Orientation>6`.
fn of_xmp(bytes: &[u8]) -> Option<Orientation> {
    let text = String::from_utf8_lossy(bytes);
    text.split("tiff:Orientation").skip(1).find_map(|after| {
        let value = after.strip_prefix("=\"").or_else(|| after.strip_prefix('>'))?;
        Orientation::from_exif(value.chars().next()?.to_digit(10)? as u8)
    })
}

/// The picture as the camera's owner saw it.
pub(super) fn upright(image: Rgb, orientation: Orientation) -> Rgb {
    let (width, height) = (image.width as u32, image.height as u32);
    if orientation == Orientation::NoTransforms {
        return image;
    }
    let image = RgbImage::from_raw(width, height, image.pixels).expect("three values a pixel");
    let mut image = DynamicImage::from(image);
    image.apply_orientation(orientation);
    Rgb { width: image.width() as usize, height: image.height() as usize, pixels: image.into_rgb8().into_raw() }
}
