//! An image file → the flat patches that the vision tower reads. Knows nothing of text or tensors.
//!
//! Source: `smart_resize` and `_preprocess` of transformers' `image_processing_qwen2_vl.py` with Pillow's bicubic resizing.

use std::path::{Path, PathBuf};

use ::image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use serde_json::Value;

use crate::resize::{self, Rgb};

/// Side of a patch in pixels.
pub const PATCH: usize = 14;
/// Patches per side of a merged block.
pub const MERGE: usize = 2;
/// Frames per patch; a still image is shown twice.
pub const FRAMES: usize = 2;
/// Side of a merged block in pixels: sides of a resized image are multiples of it.
pub const BLOCK: usize = PATCH * MERGE;
/// Values of one patch: 3 colours × 2 frames × 14 × 14.
pub const PATCH_VALUES: usize = 3 * FRAMES * PATCH * PATCH;

/// Longest side that is decoded; keeps a damaged header from asking for all memory.
const MAX_SIDE: u32 = 16_384;
/// Memory that decoding one image may take.
const MAX_DECODE_BYTES: u64 = 1 << 30;
/// An image more elongated than this is refused, as the reference does.
const MAX_ASPECT: usize = 200;

/// One image as the vision tower reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImagePatches {
    /// Frames, rows and columns, in patches of 14 pixels.
    pub grid: [usize; 3],
    /// `[t * h * w, 3 * 2 * 14 * 14]` row-major, patches in merge-block order (2 × 2 neighbours stand together).
    pub patches: Vec<f32>,
}

impl ImagePatches {
    /// Tokens that the image takes in the text: one per merged 2 × 2 block of patches.
    pub fn tokens(&self) -> usize {
        self.grid.iter().product::<usize>() / (MERGE * MERGE)
    }
}

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read image `{}`: {kind}", path.display())]
pub struct ImageError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: ImageErrorKind,
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageErrorKind {
    /// Not a PNG or JPEG file, or a damaged or huge one.
    #[error("{0}; PNG and JPEG files up to {MAX_SIDE} pixels a side can be read")]
    Decode(String),
    /// Smaller than one merged block.
    #[error("it is {width} × {height} pixels, and both sides must have at least {BLOCK}")]
    TooSmall {
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
    },
    /// Too elongated.
    #[error("it is {width} × {height} pixels, and one side may be at most {MAX_ASPECT} times the other")]
    TooLong {
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
    },
}

/// How a model wants its images: the values of its `preprocessor_config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageConfig {
    /// Fewest pixels after resizing.
    pub min_pixels: usize,
    /// Most pixels after resizing.
    pub max_pixels: usize,
    /// Mean of each colour, on a scale of 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each colour.
    pub std: [f32; 3],
}

impl Default for ImageConfig {
    /// The values of Qwen2.5-VL.
    fn default() -> Self {
        Self {
            min_pixels: 56 * 56,
            max_pixels: 12_845_056,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
        }
    }
}

impl ImageConfig {
    /// Reads `preprocessor_config.json` (either spelling of the pixel bounds), or `image_processor` inside
    /// `processor_config.json`. An error is a fragment that names the key.
    pub fn from_json(json: &Value) -> Result<Self, String> {
        let values = json.get("image_processor").unwrap_or(json);
        for (key, wanted) in [("patch_size", PATCH), ("merge_size", MERGE), ("temporal_patch_size", FRAMES)] {
            if let Some(found) = values.get(key).filter(|found| found.as_u64() != Some(wanted as u64)) {
                return Err(format!("`{key}` is {found}, and only {wanted} is known"));
            }
        }
        let pixels = |key: &str, edge: &str, default| {
            let found = values.get(key).or_else(|| values.get("size").and_then(|size| size.get(edge)));
            found.filter(|found| !found.is_null()).map_or(Ok(default), |found| {
                found
                    .as_u64()
                    .map(|value| value as usize)
                    .ok_or_else(|| format!("`{key}` is {found}, not a number of pixels"))
            })
        };
        let colours = |key: &str, default| match values.get(key) {
            None => Ok(default),
            Some(found) => {
                serde_json::from_value(found.clone()).map_err(|_| format!("`{key}` is {found}, not three numbers"))
            }
        };
        let default = Self::default();
        Ok(Self {
            min_pixels: pixels("min_pixels", "shortest_edge", default.min_pixels)?,
            max_pixels: pixels("max_pixels", "longest_edge", default.max_pixels)?,
            mean: colours("image_mean", default.mean)?,
            std: colours("image_std", default.std)?,
        })
    }

    /// The file `preprocessor_config.json`, as transformers reads it.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "min_pixels": self.min_pixels,
            "max_pixels": self.max_pixels,
            "patch_size": PATCH,
            "temporal_patch_size": FRAMES,
            "merge_size": MERGE,
            "image_mean": self.mean.map(shortest),
            "image_std": self.std.map(shortest),
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2_5_VLProcessor",
        })
    }

    /// Decodes, resizes, normalises and cuts an image file into patches.
    pub fn open(&self, path: &Path) -> Result<ImagePatches, ImageError> {
        let fail = |kind| ImageError { path: path.to_owned(), kind };
        self.patches(&decode(path).map_err(fail)?).map_err(fail)
    }

    /// Resizes, normalises and cuts decoded pixels into patches.
    pub fn patches(&self, image: &Rgb) -> Result<ImagePatches, ImageErrorKind> {
        let (width, height) = self.size(image.width, image.height)?;
        Ok(self.patchify(&resize::bicubic(image, width, height)))
    }

    /// Width and height after resizing: both multiples of 28, the aspect nearly kept, the area within bounds
    /// (`smart_resize`; Python's `round` goes to the even neighbour).
    pub fn size(&self, width: usize, height: usize) -> Result<(usize, usize), ImageErrorKind> {
        if width.min(height) < BLOCK {
            return Err(ImageErrorKind::TooSmall { width, height });
        }
        if width.max(height) > MAX_ASPECT * width.min(height) {
            return Err(ImageErrorKind::TooLong { width, height });
        }
        let (w, h, block) = (width as f64, height as f64, BLOCK as f64);
        let nearest = |side: f64| (side / block).round_ties_even() as usize * BLOCK;
        let area = nearest(w) * nearest(h);
        if area > self.max_pixels {
            let beta = (h * w / self.max_pixels as f64).sqrt();
            let floor = |side: f64| ((side / beta / block).floor() as usize).max(1) * BLOCK;
            return Ok((floor(w), floor(h)));
        }
        if area < self.min_pixels {
            let beta = (self.min_pixels as f64 / (h * w)).sqrt();
            let ceil = |side: f64| (side * beta / block).ceil() as usize * BLOCK;
            return Ok((ceil(w), ceil(h)));
        }
        Ok((nearest(w), nearest(h)))
    }

    /// Pixels whose sides are multiples of 28 → normalised patches: blocks row by row, the four patches of a block row by
    /// row, and in a patch colour, frame, row, column.
    fn patchify(&self, image: &Rgb) -> ImagePatches {
        let (rows, columns) = (image.height / PATCH, image.width / PATCH);
        let level = |channel: usize, value: usize| {
            let scaled = (value as f64 / 255.0) as f32;
            (scaled - self.mean[channel]) / self.std[channel]
        };
        let table: Vec<[f32; 3]> = (0..256).map(|value| [0, 1, 2].map(|channel| level(channel, value))).collect();
        let mut patches = Vec::with_capacity(rows * columns * PATCH_VALUES);
        for block in 0..rows * columns / (MERGE * MERGE) {
            let (block_row, block_column) = (block / (columns / MERGE), block % (columns / MERGE));
            for inner in 0..MERGE * MERGE {
                let top = (block_row * MERGE + inner / MERGE) * PATCH;
                let left = (block_column * MERGE + inner % MERGE) * PATCH;
                for channel in 0..3 {
                    for _frame in 0..FRAMES {
                        for y in top..top + PATCH {
                            let row = &image.pixels[(y * image.width + left) * 3..(y * image.width + left + PATCH) * 3];
                            patches.extend(row.chunks_exact(3).map(|pixel| table[pixel[channel] as usize][channel]));
                        }
                    }
                }
            }
        }
        ImagePatches { grid: [1, rows, columns], patches }
    }
}

/// The double that prints as briefly as the float does: 0.48145466, not 0.4814546585083008.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Decodes a PNG or JPEG file to RGB: palettes looked up, grey spread, alpha dropped (as Pillow's `convert("RGB")` does),
/// and the camera's orientation applied.
pub fn decode(path: &Path) -> Result<Rgb, ImageErrorKind> {
    let fail = |error: &dyn std::fmt::Display| ImageErrorKind::Decode(error.to_string());
    let mut reader =
        ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|error| fail(&error))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODE_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| fail(&error))?;
    let orientation = decoder.orientation().map_err(|error| fail(&error))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| fail(&error))?;
    image.apply_orientation(orientation);
    let image = image.into_rgb8();
    Ok(Rgb { width: image.width() as usize, height: image.height() as usize, pixels: image.into_raw() })
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

#[cfg(test)]
mod tests;
