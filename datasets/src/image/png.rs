//! PNG bytes → RGB pixels, and back. Knows nothing of files or sizes that a model wants.
//!
//! Every kind of PNG becomes RGB as transformers' `load_image` and image processor make it with Pillow 12: levels of fewer than
//! 8 bits are spread, 16-bit colours keep their high byte, 16-bit greys are cut at 255 (not scaled), palettes are looked up,
//! alpha is dropped, and pixels of a colour that `tRNS` declares transparent become white.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Info, Limits, Transformations};

use super::orientation::{orientation, upright};
use super::{Header, ImageErrorKind};
use crate::resize::Rgb;

/// Memory for anything in a file but its pixels; keeps a damaged length from asking for all memory.
const MAX_CHUNK_BYTES: usize = 64 << 20;

const WHITE: [u8; 3] = [255; 3];

/// Decodes a PNG file; `accept` sees its size first.
pub(super) fn decode(
    bytes: &[u8],
    accept: impl Fn(Header) -> Result<(), ImageErrorKind>,
) -> Result<Rgb, ImageErrorKind> {
    let fail = |error: png::DecodingError| ImageErrorKind::Damaged { format: "PNG", message: error.to_string() };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MAX_CHUNK_BYTES });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_iccp_chunk(true);
    let size = decoder.read_header_info().map_err(fail)?.size();
    let (width, height) = (size.0 as usize, size.1 as usize);
    accept(Header { width, height })?;
    let mut reader = decoder.read_info().map_err(fail)?;
    let unknown = || ImageErrorKind::Damaged { format: "PNG", message: "its pixels would not fit into memory".into() };
    let mut raw = vec![0; reader.output_buffer_size().ok_or_else(unknown)?];
    reader.next_frame(&mut raw).map_err(fail)?;
    // What follows the pixels may say how the camera was held; pixels without it are whole all the same.
    let _ = reader.finish();
    let info = reader.info();
    let mut pixels = rgb(info, raw);
    if let Some(key) = transparent(info) {
        for pixel in pixels.chunks_exact_mut(3).filter(|pixel| **pixel == key) {
            pixel.copy_from_slice(&WHITE);
        }
    }
    let xmp = info.utf8_text.iter().find(|text| text.keyword == "XML:com.adobe.xmp");
    let xmp = xmp.and_then(|text| text.get_text().ok());
    let orientation = orientation(info.exif_metadata.as_deref(), xmp.as_ref().map(String::as_bytes));
    Ok(upright(Rgb { width, height, pixels }, orientation))
}

fn rgb(info: &Info, raw: Vec<u8>) -> Vec<u8> {
    let wide = info.bit_depth == BitDepth::Sixteen;
    let step = if wide { 2 } else { 1 };
    match info.color_type {
        ColorType::Rgb if !wide => raw,
        ColorType::Rgb => raw.chunks_exact(2).map(|value| value[0]).collect(),
        ColorType::Rgba => raw.chunks_exact(4 * step).flat_map(|p| [p[0], p[step], p[2 * step]]).collect(),
        ColorType::GrayscaleAlpha => raw.chunks_exact(2 * step).flat_map(|p| [p[0]; 3]).collect(),
        ColorType::Grayscale if wide => {
            let cut = |value: &[u8]| if value[0] == 0 { value[1] } else { 255 };
            raw.chunks_exact(2).flat_map(|value| [cut(value); 3]).collect()
        }
        ColorType::Grayscale => {
            let spread = 255 / ((1u16 << info.bit_depth as u8) - 1) as u8;
            levels(info, &raw).into_iter().flat_map(|level| [level * spread; 3]).collect()
        }
        ColorType::Indexed => {
            let palette = info.palette.as_deref().unwrap_or_default();
            levels(info, &raw).into_iter().flat_map(|index| colour(palette, index)).collect()
        }
    }
}

/// Entries that a palette lacks are black.
fn colour(palette: &[u8], index: u8) -> [u8; 3] {
    palette[palette.len().min(usize::from(index) * 3)..].first_chunk().copied().unwrap_or_default()
}

/// One value per pixel, out of rows whose pixels share bytes.
fn levels(info: &Info, raw: &[u8]) -> Vec<u8> {
    let bits = info.bit_depth as usize;
    let (width, mask) = (info.width as usize, 0xff >> (8 - bits));
    let row = (width * bits).div_ceil(8).max(1);
    let level = |row: &[u8], x: usize| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & mask;
    raw.chunks_exact(row).flat_map(|row| (0..width).map(move |x| level(row, x))).collect()
}

/// The colour that stands for "nothing here", where the file names a single one.
fn transparent(info: &Info) -> Option<[u8; 3]> {
    let declared = info.trns.as_deref()?;
    match (info.color_type, info.bit_depth) {
        (ColorType::Indexed, _) => {
            let clear = declared.iter().position(|&alpha| alpha == 0)?;
            let single = declared.iter().enumerate().all(|(i, &alpha)| alpha == 255 || i == clear);
            single.then(|| colour(info.palette.as_deref().unwrap_or_default(), clear as u8))
        }
        // Pillow compares a 16-bit grey with red alone, so that no grey but black is found.
        (ColorType::Grayscale, BitDepth::Sixteen) => (declared == [0; 2]).then_some([0; 3]),
        (ColorType::Grayscale, BitDepth::One) => (declared == [0]).then_some([0; 3]),
        (ColorType::Grayscale, _) => Some([*declared.first()?; 3]),
        // Pillow compares 16 bits with the 8 that are kept.
        (ColorType::Rgb, BitDepth::Sixteen) => match *declared {
            [0, red, 0, green, 0, blue] => Some([red, green, blue]),
            _ => None,
        },
        (ColorType::Rgb, _) => declared.first_chunk().copied(),
        _ => None,
    }
}

/// PNG bytes of an image; the same pixels give the same bytes.
pub fn encode_png(image: &Rgb) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = ::image::codecs::png::PngEncoder::new(&mut bytes);
    let (width, height) = (image.width as u32, image.height as u32);
    ::image::ImageEncoder::write_image(encoder, &image.pixels, width, height, ::image::ExtendedColorType::Rgb8)
        .expect("memory takes every byte and the sizes agree");
    bytes
}
