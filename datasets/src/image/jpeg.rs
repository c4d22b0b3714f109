//! JPEG bytes → RGB pixels. Knows nothing of files or sizes that a model wants.
//!
//! Pillow decodes with libjpeg-turbo, and decoders differ: with the `image` crate's (zune-jpeg 0.5), 20 % of the values of 4:2:0
//! files differ from Pillow 12.3's, by up to 108 levels. `libjpeg-turbo-rs` computes what libjpeg-turbo computes.
//! BENCHMARKS.md has the measurement. Where Pillow skips damage between segments or makes up pixels, it may refuse the file.

use libjpeg_turbo_rs::{ComponentInfo, DecodeLimits, Decoder, FrameHeader, JpegError, PixelFormat};

use super::orientation::{orientation, upright};
use super::{Header, ImageErrorKind, MAX_PIXELS};
use crate::resize::Rgb;

/// Passes over the whole picture that a progressive file may ask for; encoders write about ten.
const MAX_SCANS: usize = 500;

/// Decodes a JPEG file; `accept` sees its size first.
pub(super) fn decode(
    bytes: &[u8],
    accept: impl Fn(Header) -> Result<(), ImageErrorKind>,
) -> Result<Rgb, ImageErrorKind> {
    let damaged = |message: String| ImageErrorKind::Damaged { format: "JPEG", message };
    let fail = |error: JpegError| damaged(error.to_string());
    let limits = DecodeLimits { max_pixels: MAX_PIXELS as u64, max_scans: MAX_SCANS, ..DecodeLimits::default() };
    let decoder = Decoder::new_with_limits(bytes, limits).map_err(fail)?;
    let header = decoder.header();
    accept(Header { width: usize::from(header.width), height: usize::from(header.height) })?;
    usual(header).map_err(damaged)?;
    if !ends(bytes) {
        return Err(damaged("its end is missing".into()));
    }
    let inks = header.components.len() == 4;
    let format = if inks { PixelFormat::Cmyk } else { PixelFormat::Rgb };
    let image = decoder.with_output_format(format).decode_image().map_err(fail)?;
    let orientation = orientation(image.exif_data.as_deref(), image.xmp_data.as_deref());
    let pixels = if inks { without_inks(&image.data) } else { image.data };
    Ok(upright(Rgb { width: image.width, height: image.height, pixels }, orientation))
}

/// Is there an end-of-image mark? Pillow refuses files without it, while the decoder makes up what is missing.
fn ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[mark, kind]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        at += match (mark, kind) {
            (0xff, 0xd9) => return true,
            // Marks without a length: a stuffed zero, restarts, a second start.
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => 2,
            (0xff, 0xff) | (0..0xff, _) => 1,
            (0xff, _) => match bytes.get(at + 2..).and_then(|rest| rest.first_chunk()) {
                Some(&length) => 2 + usize::from(u16::from_be_bytes(length)),
                None => return false,
            },
        };
    }
    false
}

/// Refuses what no encoder writes and damaged headers say: the decoder computes sizes from it before it looks at pixels.
fn usual(header: &FrameHeader) -> Result<(), String> {
    if header.precision != 8 {
        return Err(format!("it has {} bits a colour, and only 8 can be read", header.precision));
    }
    let sampling = |part: &ComponentInfo| (part.horizontal_sampling, part.vertical_sampling);
    let [first, others @ ..] = &header.components[..] else { return Err("it has no colours".into()) };
    let coarser = |part: &ComponentInfo| {
        let (whole, part) = (sampling(first), sampling(part));
        part.0 > 0 && part.1 > 0 && whole.0.is_multiple_of(part.0) && whole.1.is_multiple_of(part.1)
    };
    let fits = match others {
        [] => true,
        [blue, red] => coarser(blue) && coarser(red),
        [second, third, key] => {
            coarser(second) && sampling(second) == sampling(third) && sampling(key) == sampling(first)
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err("its colours are sampled in no usual way".into()) }
}

/// CMYK → RGB as Pillow's `cmyk2rgb` does it, of files whose inks are stored inverted, as Adobe's are and Pillow assumes all are.
fn without_inks(cmyk: &[u8]) -> Vec<u8> {
    let ink = |white: u8, key: u8| {
        let product = u32::from(255 - white) * u32::from(key) + 128;
        key.saturating_sub((((product >> 8) + product) >> 8) as u8)
    };
    cmyk.chunks_exact(4).flat_map(|p| [ink(p[0], p[3]), ink(p[1], p[3]), ink(p[2], p[3])]).collect()
}
