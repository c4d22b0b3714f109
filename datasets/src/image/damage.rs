//! Files that are no images, or no longer: each is refused in words, and nothing panics.

use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/images").join(name)).unwrap()
}

fn message(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, bytes).unwrap();
    let error = ImageConfig::default().open(&path.as_path().into()).map(drop).unwrap_err().to_string();
    error.strip_prefix(&format!("cannot read image `{}`: ", path.display())).unwrap().to_owned()
}

/// A PNG that says it has these sides, and ends after its header.
fn header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = fixture("rgb8.png");
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes.truncate(33);
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[test]
fn what_is_no_image_is_named() {
    let open = |path: &Path| ImageConfig::default().open(&path.into()).map(drop).unwrap_err().to_string();
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    assert_eq!(
        open(&dir.path().join("no.png")),
        format!("cannot read image `{at}/no.png`: there is no such file; correct the row or put the file there")
    );
    assert_eq!(open(dir.path()), format!("cannot read image `{at}`: it is a folder; name the image file in it"));
    let sparse = dir.path().join("sparse.png");
    std::fs::File::create(&sparse).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    assert!(open(&sparse).ends_with("the file is longer than 1024 MiB; save it smaller"));
    assert_eq!(message(b""), "the file is empty; copy or download it again");
    assert_eq!(message(b"hello"), "it begins like no image; only PNG, JPEG and WebP can be read");
    let formats: [(&[u8], &str); 5] = [
        (b"GIF89a", "GIF"),
        (b"BM\x3a\0\0\0", "BMP"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x1cftypheic", "HEIF"),
    ];
    for (bytes, name) in formats {
        assert_eq!(message(bytes), format!("it is a {name} file, and only PNG, JPEG and WebP can be read; convert it"));
    }
}

#[test]
fn sizes_are_judged_before_pixels_are_decoded() {
    let fix = "scale it up or leave it out";
    assert_eq!(
        message(&header(27, 500)),
        format!("it is 27 × 500 pixels, and both sides must have at least 28; {fix}")
    );
    let fix = "crop it or leave it out";
    let long = format!("it is 28 × 5601 pixels, and one side may be at most 200 times the other; {fix}");
    assert_eq!(message(&header(28, 5601)), long);
    let bomb = "it is 60000 × 60000 pixels, and at most 178956970 pixels are decoded; scale it down";
    assert_eq!(message(&header(60_000, 60_000)), bomb);
    assert!(message(&header(u32::MAX, 2)).contains("PNG") || message(&header(u32::MAX, 2)).contains("pixels"));
}

#[test]
fn a_file_cut_short_is_refused() {
    for name in [
        "rgb8.png",
        "palette8.png",
        "rgb16.png",
        "420.jpg",
        "444_progressive.jpg",
        "grey.jpg",
        "cmyk.jpg",
        "lossy.webp",
    ] {
        let whole = fixture(name);
        let format = match name.rsplit_once('.').unwrap().1 {
            "png" => "PNG",
            "jpg" => "JPEG",
            _ => "WebP",
        };
        // A PNG's last twelve bytes say nothing of its pixels.
        let last = if format == "PNG" { whole.len() - 12 } else { whole.len() };
        for length in (16..last).step_by(37).chain([last - 1, last - 2]) {
            let text = message(&whole[..length]);
            assert!(text.starts_with(&format!("it is no whole {format} file (")), "{name}, {length} bytes: {text}");
        }
    }
}

/// Changed bytes give an error or some picture, in bounded time, and never a panic.
#[test]
fn damaged_bytes_never_panic() {
    let names = ["palette4.png", "grey16_clear7.png", "rgb8_interlaced.png", "exif8_after.png", "xmp6.png"];
    let names = names.into_iter().chain(["420.jpg", "444_progressive.jpg", "cmyk.jpg", "exif6.jpg", "restarts.jpg"]);
    let names = names.chain(["lossy_clear.webp", "lossless.webp", "moving.webp", "exif6.webp"]);
    let files: Vec<_> = names.map(fixture).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (start, mut read, mut refused) = (Instant::now(), 0, 0);
    for _ in 0..20_000 {
        let mut bytes = files[rng.random_range(0..files.len())].clone();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..5) {
                0 => bytes[at] ^= 1 << rng.random_range(0..8),
                1 => bytes[at] = rng.random(),
                2 => bytes.truncate(at.max(8)),
                3 => bytes[at] = 0xff,
                _ => {
                    let early = rng.random_range(0..bytes.len().min(600));
                    bytes[early] = rng.random();
                }
            }
        }
        // Small bounds, so that a damaged size can't make the test slow.
        let small = |Header { width, height }| {
            if width * height > 1 << 20 { Err(ImageErrorKind::TooLarge { width, height }) } else { Ok(()) }
        };
        match decode_bytes(&bytes, small) {
            Ok(image) => {
                assert_eq!(image.pixels.len(), image.width * image.height * 3);
                read += 1;
            }
            Err(_) => refused += 1,
        }
        assert!(start.elapsed() < Duration::from_mins(2), "a damaged file takes too long");
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused: the test tests nothing");
}
