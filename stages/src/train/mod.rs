//! Supervised training, and the parts of it that reinforcement learning shares.
//!
//! ```text
//! rows ──batch──▶ micro-batches ──ahead: encoded──▶ ──lanes: loss──▶ gradients ──clip, optimizer, schedule──▶ weights ──checkpoint──▶ disk
//!                                                    └──────────── meter ──▶ numbers
//! ```

pub mod carry;
pub mod freeze;
pub mod precision;
pub mod schedule;
pub mod stop;

#[cfg(feature = "compute")]
pub mod ahead;
#[cfg(feature = "compute")]
pub mod batch;
#[cfg(feature = "compute")]
pub mod checkpoint;
#[cfg(feature = "compute")]
pub mod clip;
#[cfg(feature = "compute")]
pub mod course;
#[cfg(feature = "compute")]
pub mod gradients;
#[cfg(feature = "compute")]
pub mod kept;
#[cfg(feature = "compute")]
pub mod lanes;
#[cfg(feature = "compute")]
pub mod learn;
#[cfg(feature = "compute")]
pub mod logprob;
#[cfg(feature = "compute")]
pub mod loss;
#[cfg(feature = "compute")]
pub mod meter;
#[cfg(feature = "compute")]
pub mod optimizer;
#[cfg(feature = "compute")]
mod relay;
#[cfg(feature = "compute")]
pub mod start;
#[cfg(feature = "compute")]
pub mod supervised;
#[cfg(feature = "compute")]
pub mod told;
