//! Entries of a recipe → their rows and what can be counted of them, for the verbs that only look. Trains nothing.

use std::path::Path;

use curricle_datasets::image::ImageSource;
pub use curricle_datasets::manifest::{Manifest, manifests};
pub use curricle_datasets::stats::{Spread, Stats};
use curricle_datasets::{Processor, Row, RowsError};
use curricle_engine::stage::{DataView, StageError};
use serde_json::Value;

use crate::inputs;

/// The first rows of a set as stages get them; `n` of them.
///
/// # Errors
/// Rows that can't be read.
pub fn sample(path: &Path, view: &DataView, n: usize) -> Result<Vec<Value>, StageError> {
    let rows = inputs::stream(path, view)?;
    let failed = |error: &dyn std::fmt::Display| StageError::Failed(error.to_string());
    let value = |row: Result<Row, RowsError>| {
        let mut row = row.map_err(|error| failed(&error))?;
        // A name says more of an image than its bytes do.
        row.images.iter_mut().for_each(|image| *image = ImageSource::Path(image.to_string().into()));
        serde_json::to_value(row).map_err(|error| failed(&error))
    };
    rows.take(n).map(value).collect()
}

/// Counts the rows of a set, with the tokenizer of a model's folder where one is given. Opens at most `looks` images.
///
/// # Errors
/// Rows or a tokenizer that can't be read.
pub fn stats(path: &Path, view: &DataView, model: Option<&Path>, looks: usize) -> Result<Stats, StageError> {
    let rows = inputs::load(path, view)?;
    let failed = |error: &dyn std::fmt::Display| StageError::Failed(error.to_string());
    let processor = model.map(Processor::open).transpose().map_err(|error| failed(&error))?;
    curricle_datasets::stats::stats(&rows, processor.as_ref(), looks).map_err(|error| failed(&error))
}
