//! Every sample is trained on: GRPO as it is (arXiv 2402.03300).

use rand_chacha::ChaCha8Rng;

use super::{Picked, Pool, Select};

/// All positions.
pub(super) fn select(_: &Select, pool: &Pool<'_>, _: &mut ChaCha8Rng) -> Picked {
    let count = pool.advantages.len();
    Picked { indices: (0..count).collect(), law: vec![1.0; count] }
}
