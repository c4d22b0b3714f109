//! REINFORCE (Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning"):
//!
//! ```text
//! s_n = −A log π
//! ```
//!
//! No ratio and no bound: right only for the model that sampled, so with one update per rollout. With
//! `advantage.kind = "leave-one-out"` it is RLOO.

#[cfg(feature = "compute")]
use super::tokens::{Seen, Surrogate, Terms};

#[cfg(feature = "compute")]
pub(super) fn surrogate(seen: &Seen, _: &Terms) -> Surrogate {
    let clipped_n = seen.advantage_n.zeros_like();
    Surrogate { loss_n: (seen.advantage_n.clone() * seen.logp_n.clone()).neg(), clipped_n }
}
