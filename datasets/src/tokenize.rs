//! A row → token ids, targets and image patches, by the tokenizer, chat template and image values of a model folder.

use std::sync::Arc;

use crate::image::ImagePatches;

/// One row as a model reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoded {
    /// Token ids; each image stands as `t * h * w / 4` image-pad tokens.
    pub ids: Vec<u32>,
    /// Whether token `i` is to be learnt (as the successor of the tokens before it); as long as `ids`.
    pub target: Vec<bool>,
    /// The images, in the order of their pad tokens.
    pub images: Vec<Arc<ImagePatches>>,
}

/// Ids of the tokens with a meaning of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Stands for one merged image patch.
    pub image_pad: u32,
    /// Stands for one merged video patch.
    pub video_pad: u32,
    /// Opens an image.
    pub vision_start: u32,
    /// Closes an image.
    pub vision_end: u32,
    /// Ends the assistant's turn: the stop token.
    pub eos: u32,
    /// Fills up short rows of a batch.
    pub pad: u32,
    /// Opens written reasoning, where it is one token.
    pub think_start: Option<u32>,
    /// Closes written reasoning, where it is one token.
    pub think_end: Option<u32>,
}
