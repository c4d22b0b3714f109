//! curricle's data: rows, images, chat templates and tokens, all in host memory.
//!
//! ```text
//! file ──rows──▶ Row ──chat──▶ text ──tokenize──▶ Encoded { ids, targets, image patches } ──pack──▶ batches
//! seed ──synth─▶ Row + drawn images
//! rows ──curate▶ fewer rows, or others, and why
//! ```
//!
//! This crate knows no tensor, no device, no recipe and no stage.

pub mod bpe;
pub mod chat;
pub mod curate;
pub mod feed;
pub mod fs;
pub mod hub;
pub mod image;
pub mod jsonl;
pub mod leak;
pub mod manifest;
pub mod pack;
pub mod records;
pub mod resize;
pub mod rows;
pub mod shuffle;
pub mod split;
pub mod stats;
pub mod synth;
pub mod tokenize;

#[cfg(test)]
mod reference;

pub use crate::image::ImagePatches;
pub use crate::rows::{Row, RowsError, RowsView, Speaker, Turn};
pub use crate::tokenize::{EncodeError, Encoded, Processor, SpecialTokens};
