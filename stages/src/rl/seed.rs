//! Named numbers → a random stream: every draw of a step is a function of the stage's seed and where it is drawn.
//!
//! Nothing here has state, so a resumed run draws what an uninterrupted one draws. Knows nothing of what is drawn.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What a draw is for; two purposes never share a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The order of the prompts.
    Order,
    /// Tokens of one completion; parts: step, prompt (counted over the rounds of the step), sample.
    Sample,
    /// Which rows a step asks after its own; parts: step, round.
    Refill,
    /// Whether a prompt is passed over; parts: its place in the order.
    Skip,
    /// Which samples are trained on; parts: step.
    Select,
    /// Which earlier samples come back; parts: step.
    Replay,
    /// The order of the mini-batches; parts: step, epoch.
    Shuffle,
    /// Tokens of one evaluated completion; parts: item, sample.
    Evaluate,
    /// Which rows a detector asks, without parts; tokens of an answer to it; parts: row, sample.
    Watch,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Sample => "sample",
            Self::Refill => "refill",
            Self::Skip => "skip",
            Self::Select => "select",
            Self::Replay => "replay",
            Self::Shuffle => "shuffle",
            Self::Evaluate => "evaluate",
            Self::Watch => "watch",
        }
    }
}

/// A seed for `purpose` at `parts`, below the stage's seed `root`.
pub fn derive(root: u64, purpose: Purpose, parts: &[u64]) -> u64 {
    let hash = digest(root, purpose, parts);
    let bytes: [u8; 8] = std::array::from_fn(|i| hash[i]);
    u64::from_le_bytes(bytes)
}

/// A stream for `purpose` at `parts`, below the stage's seed `root`.
pub fn stream(root: u64, purpose: Purpose, parts: &[u64]) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(digest(root, purpose, parts))
}

fn digest(root: u64, purpose: Purpose, parts: &[u64]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"curricle/rl/").update(purpose.name().as_bytes()).update(&[0]).update(&root.to_le_bytes());
    for part in parts {
        hasher.update(&part.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_changes_the_seed() {
        let base = derive(7, Purpose::Sample, &[1, 2, 3]);
        assert_eq!(base, derive(7, Purpose::Sample, &[1, 2, 3]));
        for other in [
            derive(8, Purpose::Sample, &[1, 2, 3]),
            derive(7, Purpose::Select, &[1, 2, 3]),
            derive(7, Purpose::Sample, &[1, 3, 2]),
            derive(7, Purpose::Sample, &[1, 2]),
        ] {
            assert_ne!(base, other);
        }
    }
}
