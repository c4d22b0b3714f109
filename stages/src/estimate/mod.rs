//! Parameters of a stage and what is known of its inputs → what it would cost. Pure: reads no file, needs no back end.
//!
//! ```text
//! config.json ──sizes──▶ parameters ─┐
//! freeze, lora ──learning────────────┼──▶ activations (bytes), operations ──▶ sft, grpo, evaluate
//! rows, lengths, images ──questions──┘                      embed, rows (curation), init, synthesize, folder (merge, export)
//! ```
//!
//! Formulas count what `crate::model` and `crate::train` do, tensor by tensor. Lengths and times that depend on what a model
//! will say are taken at their bound, and a note says so. Memory is that of the largest rows and of a whole run, not of its first
//! step; allocators keep some more. BENCHMARKS.md compares with what was measured.

mod activations;
pub mod embed;
pub mod evaluate;
pub mod folder;
pub mod grpo;
pub mod init;
mod learning;
mod operations;
mod questions;
pub mod rows;
pub mod sft;
mod sizes;
pub mod synthesize;
#[cfg(test)]
mod tests;
mod training;

use curricle_engine::stage::{Extent, Facts};

use crate::train::precision::Precision;
use sizes::Sizes;

/// Bytes of a worker process before it holds a model: what one that makes a model of a megabyte had at its peak.
const PROCESS: u64 = 45 << 20;
/// Bytes of a float32 number.
const WIDE: u64 = 4;

/// The model behind a port: its sizes, or why they are unknown.
fn model<'a>(facts: &'a Facts<'_>, port: &str) -> Result<(Sizes, &'a Extent), String> {
    let known = facts.input(port).ok_or_else(|| format!("nothing is known: input `{port}` is not connected"))?;
    let config = known.config.as_deref().ok_or_else(|| {
        format!("nothing is known of the model on `{port}`: put it there, or say its sizes with `assume = {{ config = {{ … }} }}`")
    })?;
    let sizes = Sizes::of(config).map_err(|field| format!("the model on `{port}` does not say its `{field}`"))?;
    Ok((sizes, known))
}

/// Bytes of a number in a format.
fn bytes_of(precision: Precision) -> u64 {
    match precision {
        Precision::F32 => WIDE,
        Precision::Bf16 => 2,
    }
}

/// What is counted in floats, in whole bytes.
fn whole(bytes: f64) -> u64 {
    bytes.max(0.0).round() as u64
}
