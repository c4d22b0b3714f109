//! Reinforcement learning from verifiable rewards: the map of one GRPO step, with the equations of ReVisual-R1
//! (arXiv 2506.04207).
//!
//! ```text
//! rollout ──▶ reward ──▶ advantage ──▶ select ──▶ objective ──▶ optimizer (crate::train)
//!    ▲        eq. 1      eq. 3         eq. 4       eq. 2 (+ KL, − entropy)
//!    └── gather: asks again until enough groups differ, where the rule wants that
//! ```
//!
//! - `questions`: rows → encoded prompts, and verdicts on answers;
//! - `rollout`: prompts × group → completions, each from a seed of its own; `gather`: the rollouts of a step;
//! - [`reward`]: completions → rewards, their weighted sum (eq. 1 is the accuracy reward), and what selection sees of it;
//! - [`advantage`]: rewards of a group → advantages (eq. 3);
//! - [`select`]: accuracy advantages → the samples trained on (eq. 4 is PAD's softmax);
//! - [`objective`]: log-probabilities and advantages → loss (eq. 2, clipped; KL to a reference; entropy bonus);
//! - `update`: chosen samples → optimizer steps; `step`: all of it in a row; `run`: the steps of a stage;
//! - `memory`: what a step leaves for the next ones besides the model;
//! - [`seed`]: where every draw of a step comes from.
//!
//! Eq. 2 as printed has `π_ref` in the ratio and one ratio per sequence. As in the released code, and GRPO itself, it is
//! `π_old` here, one ratio per token, and `π_old` comes from a forward pass of training, never from sampling.
//!
//! Reward, advantage and select are host code over slices. This room refuses to know whether a prompt has images, and
//! which stage of a curriculum it serves.

pub mod advantage;
#[cfg(feature = "compute")]
pub mod gather;
#[cfg(feature = "compute")]
pub mod memory;
pub mod objective;
#[cfg(feature = "compute")]
pub mod questions;
pub mod reward;
#[cfg(feature = "compute")]
pub mod rollout;
#[cfg(feature = "compute")]
pub mod run;
pub mod seed;
pub mod select;
#[cfg(feature = "compute")]
pub mod step;
#[cfg(feature = "compute")]
pub mod update;
