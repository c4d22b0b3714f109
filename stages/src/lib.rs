//! What a stage is and does: the kinds a recipe may name, the model they train, and how they train it.
//!
//! - [`kinds`]: one file per kind, and the table [`KINDS`]; `curation`: what kinds that turn rows into rows share;
//! - [`model`]: Qwen2.5-VL, from a `config.json` to logits, tokens and safetensors;
//! - [`train`]: supervised training, and what reinforcement learning shares with it;
//! - [`rl`]: rollout → reward → advantage → select → objective;
//! - [`health`]: numbers of steps → alerts, and what a stage does about them;
//! - [`tiny`]: parameters → those of a run that only shows that everything executes;
//! - [`prompt`]: the words that a stage adds to every prompt;
//! - [`estimate`]: parameters of a stage and what is known of its inputs → what it would cost;
//! - [`eval`]: completions on held-out rows → accuracy;
//! - `infer`: a model folder → completions of rows, for whoever wants to try it;
//! - [`verify`]: a checkpoint → how far our model is from what transformers made of it;
//! - `phases`: phases of a stage → the memory that each had, and pools emptied between them;
//! - `fused`: operators in one pass, where a tensor is float32 on the CPU;
//! - [`device`]: with `fused` the only place that names a back end.
//!
//! Whatever holds a tensor needs the feature `compute`, which a back end (`flex`, `cuda`) turns on; parameters, ports,
//! rules and schedules do without, so that recipes are checked and planned by a build that has no Burn in it. This crate
//! knows nothing of recipes, graphs, keys or stores.

mod curation;
#[cfg(feature = "rows")]
pub mod data;
pub mod device;
pub mod estimate;
pub mod eval;
mod fit;
#[cfg(feature = "compute")]
mod fused;
pub mod health;
#[cfg(feature = "rows")]
pub mod hub;
#[cfg(feature = "compute")]
pub mod infer;
#[cfg(feature = "rows")]
pub mod inputs;
pub mod kinds;
#[cfg(feature = "rows")]
pub mod leaks;
pub mod model;
#[cfg(feature = "compute")]
pub mod phases;
pub mod prompt;
pub mod rl;
#[cfg(test)]
#[cfg(feature = "compute")]
mod testing;
pub mod tiny;
pub mod train;
pub mod verify;

pub use kinds::KINDS;

/// What a stage of rows says in a build that can't read them.
#[cfg(not(feature = "rows"))]
pub(crate) fn no_rows() -> curricle_engine::stage::StageError {
    let why = "this build of curricle reads no rows; build with the default features, or `--features rows`";
    curricle_engine::stage::StageError::Failed(why.to_owned())
}
