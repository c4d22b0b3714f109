//! What transformers makes of small files, from `tests/golden/images/` (see `tests/golden/images.py`), and what this crate does.

use std::path::PathBuf;

use serde_json::Value;

use super::*;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/images")
}

fn expected() -> Value {
    serde_json::from_str(&fs::read_text(&dir().join("expected.json")).unwrap()).unwrap()
}

fn digest(bytes: impl IntoIterator<Item = u8>) -> String {
    let hash = bytes
        .into_iter()
        .fold(0u64, |hash, byte| hash.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(byte) + 1));
    format!("{hash:016x}")
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// The same picture as in the script.
fn picture(width: usize, height: usize) -> Rgb {
    let pixel = |i: usize| {
        let (x, y) = (i % width, i / width);
        [(x * 255 / width) as u8, (y * 7 % 256) as u8, ((x * 31 + y * 17) % 256) as u8]
    };
    Rgb { width, height, pixels: (0..width * height).flat_map(pixel).collect() }
}

#[test]
fn every_kind_of_file_decodes_to_the_same_pixels() {
    let expected = expected();
    let files = expected["files"].as_object().unwrap();
    assert!(files.len() > 40);
    let wrong = files.iter().filter_map(|(name, wanted)| {
        let found = decode(&dir().join(name).into()).map(|image| (image.width, image.height, digest(image.pixels)));
        let wanted = (number(&wanted[0]), number(&wanted[1]), wanted[2].as_str().unwrap().to_owned());
        found.as_ref().map_or(true, |found| *found != wanted).then(|| format!("{name}: {found:?}, not {wanted:?}"))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pixel_values_are_the_same_bits() {
    let expected = expected();
    let [min_pixels, max_pixels] = ["min_pixels", "max_pixels"].map(|key| number(&expected["bounds"][key]));
    let config = ImageConfig { min_pixels, max_pixels, ..ImageConfig::default() };
    for (name, wanted) in expected["patches"].as_object().unwrap() {
        let image = config.open(&dir().join(name).into()).unwrap();
        assert_eq!(serde_json::json!(image.grid), wanted["grid"], "{name}");
        assert_eq!(digest(image.patches.iter().flat_map(|value| value.to_le_bytes())), wanted["digest"], "{name}");
    }
}

#[test]
fn sizes_are_the_same() {
    let expected = expected();
    let sides: Vec<usize> = expected["sides"].as_array().unwrap().iter().map(number).collect();
    for bounds in expected["sizes"].as_array().unwrap() {
        let [min_pixels, max_pixels] = ["min_pixels", "max_pixels"].map(|key| number(&bounds[key]));
        let config = ImageConfig { min_pixels, max_pixels, ..ImageConfig::default() };
        let pairs = sides.iter().flat_map(|&height| sides.iter().map(move |&width| (width, height)));
        let found = bounds["found"].as_array().unwrap();
        assert_eq!(found.len(), sides.len() * sides.len());
        for ((width, height), wanted) in pairs.zip(found) {
            let size = config.size(width, height).map_or(Value::Null, |size| serde_json::json!([size.0, size.1]));
            assert_eq!(size, *wanted, "{width} × {height} within {min_pixels} to {max_pixels}");
        }
    }
}

#[test]
fn resized_pictures_are_the_same_bytes() {
    let expected = expected();
    for case in expected["resized"].as_array().unwrap() {
        let [width, height, to_width, to_height] = std::array::from_fn(|i| number(&case[i]));
        let resized = resize::bicubic(picture(width, height), to_width, to_height);
        assert_eq!(digest(resized.pixels), case[4], "{width} × {height} → {to_width} × {to_height}");
    }
}
