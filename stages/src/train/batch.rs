//! Lengths of rows and a step number → the micro-batches of that step. Host memory only; refuses to know tensors.
//!
//! Which rows a step holds follows from the seed and the step alone, so a resumed run sees what it would have seen. Within
//! a step rows are ordered by length before they are cut into micro-batches: less padding, the same sum.

use curricle_datasets::shuffle::Order;

/// How the steps of a run walk over the rows.
#[derive(Debug, Clone)]
pub struct Walk {
    order: Order,
    rows: usize,
    batch: usize,
    micro_batch: usize,
    /// The epoch that was walked last, and its order.
    epoch: (usize, Vec<usize>),
}

impl Walk {
    /// A walk over `rows` rows, `batch` per step, in pieces of `micro_batch`.
    pub fn new(seed: u64, rows: usize, batch: usize, micro_batch: usize) -> Self {
        let order = Order::new(seed, rows);
        Self { order, rows, batch, micro_batch, epoch: (0, order.epoch(0)) }
    }

    /// Steps in a pass over the rows; the last may hold fewer.
    pub fn steps_per_epoch(&self) -> usize {
        self.rows.div_ceil(self.batch)
    }

    /// Rows of a piece, at most.
    pub fn micro_batch(&self) -> usize {
        self.micro_batch
    }

    /// Row numbers of a step (from 0), cut into micro-batches; `lengths` has the tokens of every row.
    pub fn step(&mut self, step: usize, lengths: &[usize]) -> Vec<Vec<usize>> {
        let (epoch, within) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        if self.epoch.0 != epoch {
            self.epoch = (epoch, self.order.epoch(epoch));
        }
        let start = within * self.batch;
        let mut chosen = self.epoch.1[start..self.rows.min(start + self.batch)].to_vec();
        chosen.sort_by_key(|row| lengths[*row]);
        chosen.chunks(self.micro_batch).map(<[usize]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_sees_every_row_once_and_short_ones_together() {
        let mut walk = Walk::new(3, 7, 4, 2);
        let lengths = [5, 1, 9, 2, 7, 3, 4];
        assert_eq!(walk.steps_per_epoch(), 2);
        let mut seen = Vec::new();
        for step in 0..2 {
            let pieces = walk.step(step, &lengths);
            let rows: Vec<usize> = pieces.concat();
            assert!(rows.is_sorted_by_key(|row| lengths[*row]), "{rows:?}");
            assert!(pieces.iter().all(|piece| piece.len() <= 2));
            seen.extend(rows);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..7).collect::<Vec<_>>());
    }

    #[test]
    fn a_step_is_the_same_whenever_it_is_asked_for() {
        let (mut walk, lengths) = (Walk::new(3, 5, 2, 1), [1; 5]);
        assert_eq!(walk.step(4, &lengths), Walk::new(3, 5, 2, 1).step(4, &lengths));
        assert_ne!(
            (0..3).map(|step| walk.step(step, &lengths)).collect::<Vec<_>>(),
            (3..6).map(|step| walk.step(step, &lengths)).collect::<Vec<_>>()
        );
    }
}
