//! WebP bytes → RGB pixels, alpha dropped; of an animation the first frame. Knows nothing of files or sizes that a model wants.

use std::io::Cursor;

use ::image::codecs::webp::WebPDecoder;
use ::image::{ColorType, ImageDecoder, ImageError};

use super::orientation::{orientation, upright};
use super::{Header, ImageErrorKind};
use crate::resize::Rgb;

/// Decodes a WebP file; `accept` sees its size first.
pub(super) fn decode(
    bytes: &[u8],
    accept: impl Fn(Header) -> Result<(), ImageErrorKind>,
) -> Result<Rgb, ImageErrorKind> {
    let damaged = |message: String| ImageErrorKind::Damaged { format: "WebP", message };
    let fail = |error: ImageError| damaged(error.to_string());
    // The file's own length, which the decoder does not compare.
    let length = bytes.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |&length| u32::from_le_bytes(length));
    if (bytes.len() as u64) < u64::from(length) + 8 {
        return Err(damaged("its end is missing".into()));
    }
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(fail)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    accept(Header { width, height })?;
    let (exif, xmp) = (decoder.exif_metadata().map_err(fail)?, decoder.xmp_metadata().map_err(fail)?);
    let clear = decoder.color_type() == ColorType::Rgba8;
    let mut pixels = vec![0; width * height * if clear { 4 } else { 3 }];
    decoder.read_image(&mut pixels).map_err(fail)?;
    if clear {
        pixels = pixels.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    }
    Ok(upright(Rgb { width, height, pixels }, orientation(exif.as_deref(), xmp.as_deref())))
}
