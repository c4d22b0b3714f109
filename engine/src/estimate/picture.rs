//! The first bytes of a PNG or JPEG file → its width and height in pixels. Decodes nothing.

/// Bytes that hold the size of all but a few JPEG files with much in front.
pub(super) const ENOUGH: u64 = 64 << 10;

/// Width and height; none for other formats, and where the beginning is too short.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    png(bytes).or_else(|| jpeg(bytes))
}

/// Signature, then the chunk `IHDR`: length, name, width, height.
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(4..)?.strip_prefix(b"IHDR")?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    Some((number(0)?, number(4)?))
}

/// Segments `FF marker length …` up to a start of frame, which holds precision, height and width.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.strip_prefix(b"\xff\xd8")?;
    loop {
        let &[0xff, marker, high, low, ref body @ ..] = rest else { return None };
        if marker == 0xff {
            // Fill bytes may stand before a marker.
            rest = &rest[1..];
            continue;
        }
        // C4, C8 and CC are tables and extensions, not frames.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let &[_, top, bottom, left, right, ..] = body else { return None };
            let number = |high, low| u32::from(u16::from_be_bytes([high, low]));
            return Some((number(left, right), number(top, bottom)));
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        rest = body.get(length.checked_sub(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fs;

    #[test]
    fn sizes_of_files_of_every_kind() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/images");
        let of = |name: &str| size(&fs::head(&folder.join(name), ENOUGH).unwrap().0);
        for name in ["420.jpg", "420_progressive.jpg", "grey.jpg", "cmyk.jpg"] {
            assert_eq!(of(name), Some((61, 47)), "{name}");
        }
        assert_eq!(of("grey16.png"), Some((33, 30)));
        assert_eq!(of("exif6.webp"), None);
    }

    #[test]
    fn a_png_says_width_then_height() {
        let bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\0\x20\x08";
        assert_eq!(size(bytes), Some((256, 32)));
        assert_eq!(size(&bytes[..20]), None);
    }

    #[test]
    fn a_jpeg_says_it_in_its_frame() {
        let bytes = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc4, 0, 2, 0xff, 0xc2, 0, 8, 8, 0, 7, 1, 0];
        assert_eq!(size(&bytes), Some((256, 7)));
        assert_eq!(size(&bytes[..15]), None);
        assert_eq!(size(&[0xff, 0xd8, 0xff, 0xe0, 0, 0]), None, "a length too short for itself");
    }
}
