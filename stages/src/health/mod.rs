//! Numbers of steps → alerts, and what a stage does about them. Refuses to know how a step is computed.
//!
//! ```text
//! numbers of a step ──window──▶ means ──rules──▶ findings ──episodes──▶ alerts ──▶ go on | end | end with the best model
//! answers to watched questions ──paired test──────────┘
//! ```
//!
//! | detector | finds something where | in |
//! | --- | --- | --- |
//! | `stagnation` | few groups have answers that differ | `grpo` |
//! | `reward_collapse` | the mean reward is far below its best window | `grpo` |
//! | `entropy_collapse`, `entropy_blow_up` | the entropy per token is very low, or many times its start | `grpo` |
//! | `length_blow_up` | completions are many times as long as at the start, or cut | `grpo` |
//! | `clip_ratio` | the objective's bounds act on many tokens | `grpo` |
//! | `solved` | the answers are right before training | `grpo`, `sft` |
//! | `image_accuracy` | questions with images are answered worse than at the start | `grpo`, `sft` |
//!
//! A detector speaks once per episode: after it has spoken, its number has to get clearly better before it speaks again.

#[cfg(feature = "compute")]
mod ask;
#[cfg(feature = "compute")]
mod guard;
mod monitor;
mod paired;
mod params;
mod series;

#[cfg(feature = "compute")]
pub use ask::{Asker, Questioned};
#[cfg(feature = "compute")]
pub use guard::{Guard, Held};
pub use monitor::{Finding, Monitor, Reading};
pub use paired::Change;
pub use params::{
    Action, ClipRatio, EntropyBlowUp, EntropyCollapse, Health, ImageAccuracy, LengthBlowUp, RewardCollapse, SftHealth,
    Solved, SolvedRows, Stagnation,
};
