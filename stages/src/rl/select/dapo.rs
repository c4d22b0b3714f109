//! Dynamic sampling (DAPO, Yu et al. 2025, arXiv 2503.14476, §3.2, eq. 11):
//!
//! ```text
//! keep a group if 0 < number of right answers < G; ask more prompts until there are as many groups as wanted
//! ```
//!
//! Whole groups count, in the order in which they were asked; what is more than wanted is dropped, as in verl
//! (`recipe/dapo`, `filter_groups`). Asking again is the step's work and bounded by `refill.rounds`; where that is not
//! enough, the update is smaller (verl gives up there). A right answer here is a difference in the accuracy reward.

use rand_chacha::ChaCha8Rng;

use super::{Picked, Pool, Select};

/// Every sample of the first groups that differ.
pub(super) fn select(_: &Select, pool: &Pool<'_>, _: &mut ChaCha8Rng) -> Picked {
    let groups = pool.advantages.chunks_exact(pool.group).enumerate();
    let differ = groups.filter(|(_, group)| group.iter().any(|&a| a != 0.0)).map(|(at, _)| at);
    let kept: Vec<usize> = differ.take(pool.prompts).flat_map(|at| at * pool.group..(at + 1) * pool.group).collect();
    Picked { law: vec![1.0; kept.len()], indices: kept }
}
