//! A checkpoint, and what transformers made of it → how far our model is from that, quantity by quantity.
//!
//! ```text
//! golden.safetensors, golden.json, pictures ──fixtures──┐
//!                                                       ▼
//! checkpoint ──inputs: pixels, text, tokens, positions──▶ sheet ──▶ Report
//!            ──forward: states, logits ─────────────────▶
//!            ──learn: loss, gradients, one update ──────▶
//!            ──complete: greedy tokens ─────────────────▶
//! ```
//!
//! Everything runs in 32-bit floats on the CPU, through the code that training and generation use. What the fixtures do not
//! hold is listed as such; `tests/golden/README.md` describes their layout. Prints nothing, and knows no fixture by name.

mod report;

#[cfg(feature = "compute")]
mod complete;
#[cfg(feature = "compute")]
mod fixtures;
#[cfg(feature = "compute")]
mod forward;
#[cfg(feature = "compute")]
mod inputs;
#[cfg(feature = "compute")]
mod learn;
#[cfg(feature = "compute")]
mod sheet;

use std::path::{Path, PathBuf};

pub use report::{Entry, Measure, Outcome, Quantity, Report};

/// Why nothing was compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A file or folder is missing.
    #[error("`{}` is not there; {expected}", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// A file can't be read or understood.
    #[error("`{}`: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A tensor of the fixtures does not fit the checkpoint or the other tensors.
    #[error("`{}`: `{name}` {why}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The fixtures hold none of the known tensors.
    #[error("`{}` holds nothing that can be compared; `batch.input_ids` and `out.logits` are the least", .0.display())]
    Nothing(PathBuf),
    /// The checkpoint can't be loaded.
    #[error("{0}")]
    Checkpoint(String),
    /// Nothing can be computed here.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
}

/// Compares the checkpoint in `folder` with the fixtures in the folder `against`.
///
/// # Errors
///
/// Where a file is missing or broken, where fixtures and checkpoint do not belong together, and in a build without a
/// compute back end. A quantity over its bound is no error: see [`Report::holds`].
pub fn verify(folder: &Path, against: &Path) -> Result<Report, VerifyError> {
    #[cfg(feature = "compute")]
    return sheet::fill(folder, against);
    #[cfg(not(feature = "compute"))]
    return {
        let _ = (folder, against);
        Err(crate::device::DeviceError::NoCompute.into())
    };
}

#[cfg(test)]
#[cfg(feature = "compute")]
mod narrow;
#[cfg(test)]
#[cfg(feature = "compute")]
mod tests;
