//! Decoded pixels → resized ones, or patches of the vision tower; a PNG file → patches. One image at a time, on one thread.

use curricle_datasets::image::{ImageConfig, ImageSource, encode_png};
use curricle_datasets::resize::{Rgb, bicubic};

use crate::case::{Answer, Case, Figure};

/// From, and the pixels that are allowed.
const SIZES: [((usize, usize), (usize, usize)); 5] = [
    ((1920, 1080), (1092, 616)),
    ((640, 480), (252, 168)),
    ((640, 480), (644, 476)),
    ((333, 97), (672, 196)),
    ((4000, 3000), (1148, 840)),
];

pub fn cases() -> Vec<Case> {
    vec![Case { threads: 1, warm: 2, repeats: 31, ..Case::default() }]
}

/// `picture` in peers/images.py.
fn picture(width: usize, height: usize) -> Rgb {
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        pixels
            .extend((0..width).flat_map(|x| [x * 255 / width, y * 7 % 256, (x * 31 + y * 17) % 256].map(|v| v as u8)));
    }
    Rgb { width, height, pixels }
}

pub fn measure(case: &Case) -> Answer {
    let mut figures = Vec::new();
    for ((width, height), (to_width, to_height)) in SIZES {
        let (image, config) = (picture(width, height), config(to_width * to_height));
        let copies = case.median(|| drop(image.clone()));
        let resize = case.median(|| drop(bicubic(image.clone(), to_width, to_height))) - copies;
        let patches = case.median(|| drop(config.patches(image.clone()).unwrap())) - copies;
        let name = format!("{width} × {height} → {to_width} × {to_height}");
        figures.push(Figure::new(format!("{name}, resizing alone"), resize * 1e3, "ms"));
        figures.push(Figure::new(name, patches * 1e3, "ms"));
    }
    let (width, height) = SIZES[0].0;
    let file = case.folder.join("picture.png");
    let image = picture(width, height);
    std::fs::write(&file, encode_png(&image)).unwrap();
    let (config, file) = (config(SIZES[0].1.0 * SIZES[0].1.1), ImageSource::Path(file));
    let seconds = case.median(|| drop(config.open(&file).unwrap()));
    figures.push(Figure::new(format!("a PNG file of {width} × {height} → 1092 × 616"), seconds * 1e3, "ms"));
    case.answer(figures)
}

fn config(max_pixels: usize) -> ImageConfig {
    ImageConfig { max_pixels, ..ImageConfig::default() }
}
