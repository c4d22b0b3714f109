//! curricle's data: rows, images, chat templates and tokens, all in host memory.
//!
//! ```text
//! file ──rows──▶ Row ──chat──▶ text ──tokenize──▶ Encoded { ids, targets, image patches } ──pack──▶ batches
//! seed ──synth─▶ Row + drawn images
//! ```
//!
//! This crate knows no tensor, no device, no recipe and no stage.

pub mod image;
pub mod rows;
pub mod tokenize;

pub use crate::image::ImagePatches;
pub use crate::rows::{Row, RowsView};
pub use crate::tokenize::{Encoded, SpecialTokens};
