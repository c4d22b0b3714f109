//! A seed → the order in which rows are seen, epoch after epoch. Any epoch can be asked for, so a resumed run knows where it is.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The order of `len` rows in every epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    seed: u64,
    len: usize,
}

impl Order {
    /// An order of `len` rows.
    pub fn new(seed: u64, len: usize) -> Self {
        Self { seed, len }
    }

    /// Row indices of one epoch, each exactly once.
    pub fn epoch(self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len).collect();
        order.shuffle(&mut stream(&["shuffle", &self.seed.to_string(), &epoch.to_string()]));
        order
    }

    /// The row at a position counted over all epochs: `epoch * len + place`. `None` for an order of no rows.
    pub fn at(self, position: usize) -> Option<usize> {
        let epoch = position.checked_div(self.len)?;
        self.epoch(epoch).get(position % self.len).copied()
    }
}

/// A random stream named by its parts: equal names give equal streams, and no other two are related.
pub fn stream(parts: &[&str]) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_is_a_different_permutation_that_can_be_found_again() {
        let order = Order::new(7, 50);
        let (first, second) = (order.epoch(0), order.epoch(1));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        assert_ne!(first, second);
        assert_eq!(order.at(50 + 3), Some(second[3]));
        assert_eq!(Order::new(7, 50).epoch(1), second);
        assert_ne!(Order::new(8, 50).epoch(0), first);
        assert_eq!(Order::new(7, 0).at(3), None);
    }

    #[test]
    fn streams_are_named_by_parts_not_by_their_concatenation() {
        use rand::RngCore;
        assert_ne!(stream(&["ab", "c"]).next_u64(), stream(&["a", "bc"]).next_u64());
    }

    /// Written down so that a new version of a dependency can't change the order of every run unseen.
    #[test]
    fn the_order_is_the_recorded_one() {
        assert_eq!(Order::new(1, 8).epoch(0), [2, 0, 3, 6, 4, 1, 5, 7]);
    }
}
