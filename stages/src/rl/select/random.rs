//! A random share of all samples, informative or not:
//!
//! ```text
//! k = ⌈ρ N⌉, each set of k positions with the same probability
//! ```
//!
//! ReVisual-R1 (arXiv 2506.04207), Table 4, `Random-Sampling`: PAD without its filter. It trains on as many samples as PAD
//! may, so it shows what the smaller batch alone does.

use rand_chacha::ChaCha8Rng;

use super::{Picked, Pool, Select};

/// ⌈ρN⌉ positions.
pub(super) fn select(settings: &Select, pool: &Pool<'_>, rng: &mut ChaCha8Rng) -> Picked {
    let count = pool.advantages.len();
    let wanted = ((settings.ratio * count as f64).ceil() as usize).min(count);
    Picked { indices: rand::seq::index::sample(rng, count, wanted).into_vec(), law: vec![1.0; count] }
}
