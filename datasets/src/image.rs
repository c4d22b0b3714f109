//! An image → the flat patches that the vision tower reads. Knows nothing of text or tensors.
//!
//! Source: `load_image`, `smart_resize` and `_preprocess` of transformers' `image_utils.py` and `image_processing_pil_qwen2_vl.py`
//! with Pillow 12's decoders and bicubic resizing. Of Pillow's many formats PNG, JPEG and WebP are read.

mod jpeg;
mod orientation;
mod png;
mod source;
mod webp;

use std::path::Path;

use ::image::ImageFormat;
use serde_json::Value;

use crate::fs;
use crate::resize::{self, Rgb};

pub use self::png::encode_png;
pub use self::source::{Embedded, ImageSource};
pub(crate) use self::source::{Keeper, data_uri, decoded};

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

/// Most pixels that are decoded; Pillow refuses larger ones as "decompression bombs", too.
const MAX_PIXELS: usize = 178_956_970;
/// Longest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 30;
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
#[error("cannot read image `{image}`: {kind}")]
pub struct ImageError {
    /// The image.
    pub image: ImageSource,
    /// What is wrong.
    pub kind: ImageErrorKind,
}

/// What is wrong with an image; every message ends with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageErrorKind {
    /// Nothing lies there.
    #[error("there is no such file; correct the row or put the file there")]
    Absent,
    /// A folder.
    #[error("it is a folder; name the image file in it")]
    Folder,
    /// A file that can't be read.
    #[error("{0}; check that the file may be read")]
    Io(std::io::Error),
    /// More bytes than an image of any use has.
    #[error("the file is longer than {} MiB; save it smaller", MAX_FILE_BYTES >> 20)]
    TooHeavy,
    /// No bytes at all.
    #[error("the file is empty; copy or download it again")]
    Empty,
    /// A format that is known but not read.
    #[error("it is a {0} file, and only PNG, JPEG and WebP can be read; convert it")]
    Format(String),
    /// No image at all.
    #[error("it begins like no image; only PNG, JPEG and WebP can be read")]
    NoImage,
    /// A PNG, JPEG or WebP file that can't be decoded.
    #[error("it is no whole {format} file ({message}); copy or download it again, or save it anew")]
    Damaged {
        /// What it should be.
        format: &'static str,
        /// What the decoder says.
        message: String,
    },
    /// More pixels than are decoded.
    #[error("it is {width} × {height} pixels, and at most {MAX_PIXELS} pixels are decoded; scale it down")]
    TooLarge {
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
    },
    /// Smaller than one merged block.
    #[error("it is {width} × {height} pixels, and both sides must have at least {BLOCK}; scale it up or leave it out")]
    TooSmall {
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
    },
    /// Too elongated.
    #[error(
        "it is {width} × {height} pixels, and one side may be at most {MAX_ASPECT} times the other; crop it or leave it out"
    )]
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

    /// Reads, decodes, resizes, normalises and cuts an image into patches.
    pub fn open(&self, image: &ImageSource) -> Result<ImagePatches, ImageError> {
        let bytes = read(image).map_err(|kind| ImageError { image: image.clone(), kind })?;
        self.prepare(image, &bytes)
    }

    /// Patches of an image whose bytes are there already.
    pub(crate) fn prepare(&self, image: &ImageSource, bytes: &[u8]) -> Result<ImagePatches, ImageError> {
        // The sides are judged before anything is decoded.
        let fits = |Header { width, height }| self.size(width, height).map(drop);
        let patches = decode_bytes(bytes, fits).and_then(|image| self.patches(image));
        patches.map_err(|kind| ImageError { image: image.clone(), kind })
    }

    /// Resizes, normalises and cuts decoded pixels into patches.
    pub fn patches(&self, image: Rgb) -> Result<ImagePatches, ImageErrorKind> {
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
        let table: [[f32; 256]; 3] = std::array::from_fn(|channel| std::array::from_fn(|value| level(channel, value)));
        let mut patches = Vec::with_capacity(rows * columns * PATCH_VALUES);
        for block in 0..rows * columns / (MERGE * MERGE) {
            let (block_row, block_column) = (block / (columns / MERGE), block % (columns / MERGE));
            for inner in 0..MERGE * MERGE {
                let top = (block_row * MERGE + inner / MERGE) * PATCH;
                let left = (block_column * MERGE + inner % MERGE) * PATCH;
                for (channel, levels) in table.iter().enumerate() {
                    let first = patches.len();
                    for y in top..top + PATCH {
                        let row = &image.pixels[(y * image.width + left) * 3..(y * image.width + left + PATCH) * 3];
                        patches.extend(row.chunks_exact(3).map(|pixel| levels[usize::from(pixel[channel])]));
                    }
                    for _frame in 1..FRAMES {
                        patches.extend_from_within(first..first + PATCH * PATCH);
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

/// What a file says of its pixels before any is decoded.
#[derive(Debug, Clone, Copy)]
struct Header {
    width: usize,
    height: usize,
}

/// Decodes a PNG, JPEG or WebP image to upright RGB.
pub fn decode(image: &ImageSource) -> Result<Rgb, ImageErrorKind> {
    decode_bytes(&read(image)?, |_| Ok(()))
}

/// The bytes of an image as they are stored.
///
/// # Errors
/// Where its file can't be read, or is longer than any image of use.
pub fn read(image: &ImageSource) -> Result<Vec<u8>, ImageErrorKind> {
    match image {
        ImageSource::Path(path) => read_file(path),
        ImageSource::Embedded(embedded) => {
            let bytes = embedded.bytes().map_err(|error| ImageErrorKind::Io(error.into_source()))?;
            if bytes.len() as u64 > MAX_FILE_BYTES { Err(ImageErrorKind::TooHeavy) } else { Ok(bytes.to_vec()) }
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, ImageErrorKind> {
    if path.is_dir() {
        return Err(ImageErrorKind::Folder);
    }
    let bytes = fs::read_up_to(path, MAX_FILE_BYTES).map_err(|error| match error.into_source() {
        source if source.kind() == std::io::ErrorKind::NotFound => ImageErrorKind::Absent,
        source => ImageErrorKind::Io(source),
    })?;
    bytes.ok_or(ImageErrorKind::TooHeavy)
}

/// `fits` judges the size before anything is decoded.
fn decode_bytes(bytes: &[u8], fits: impl Fn(Header) -> Result<(), ImageErrorKind>) -> Result<Rgb, ImageErrorKind> {
    let accept = |header: Header| {
        let Header { width, height } = header;
        if width.saturating_mul(height) > MAX_PIXELS {
            return Err(ImageErrorKind::TooLarge { width, height });
        }
        if width == 0 || height == 0 {
            return Err(ImageErrorKind::TooSmall { width, height });
        }
        fits(header)
    };
    match ::image::guess_format(bytes) {
        Ok(ImageFormat::Png) => png::decode(bytes, accept),
        Ok(ImageFormat::Jpeg) => jpeg::decode(bytes, accept),
        Ok(ImageFormat::WebP) => webp::decode(bytes, accept),
        Ok(other) => Err(ImageErrorKind::Format(other.extensions_str()[0].to_uppercase())),
        Err(_) if bytes.is_empty() => Err(ImageErrorKind::Empty),
        Err(_) if bytes.get(4..8) == Some(b"ftyp") => Err(ImageErrorKind::Format("HEIF".into())),
        Err(_) => Err(ImageErrorKind::NoImage),
    }
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
