//! Lengths of rows → batches of rows of about the same length, so that little is padded. Rows never share a sequence.
//! Knows nothing of what the rows hold.

use crate::shuffle::{Order, stream};
use rand::seq::SliceRandom;

/// Most batches per window: rows are sorted by length only within windows of this many, so that order stays random.
const WINDOW: usize = 16;
/// Fewest windows, where there are as many batches: the batches of a small set differ between epochs, too.
const MIN_WINDOWS: usize = 4;

/// Batches of one epoch, the same for the same seed and epoch; each row stands in exactly one.
///
/// Rows are shuffled, sorted by length within windows, cut into batches of `batch` rows (the last one of the epoch may be
/// smaller), and the batches are shuffled, so that long rows don't come last.
pub fn epoch(lengths: &[usize], batch: usize, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
    let batch = batch.max(1);
    let mut order = Order::new(seed, lengths.len()).epoch(epoch);
    let window = (lengths.len() / batch / MIN_WINDOWS).clamp(1, WINDOW);
    for window in order.chunks_mut(batch * window) {
        window.sort_by_key(|&row| lengths[row]);
    }
    let mut batches: Vec<Vec<usize>> = order.chunks(batch).map(<[usize]>::to_vec).collect();
    batches.shuffle(&mut stream(&["pack", &seed.to_string(), &epoch.to_string()]));
    batches
}

/// Share of the positions of padded batches that hold no token.
pub fn padding(lengths: &[usize], batches: &[Vec<usize>]) -> f64 {
    let (mut used, mut room) = (0, 0);
    for batch in batches {
        let longest = batch.iter().map(|&row| lengths[row]).max().unwrap_or(0);
        used += batch.iter().map(|&row| lengths[row]).sum::<usize>();
        room += longest * batch.len();
    }
    if room == 0 { 0.0 } else { 1.0 - used as f64 / room as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_in_one_batch_and_little_is_padded() {
        let lengths: Vec<usize> = (0..1000).map(|i| 20 + i * 37 % 80).collect();
        let batches = epoch(&lengths, 8, 3, 0);
        let mut rows: Vec<usize> = batches.concat();
        rows.sort_unstable();
        assert_eq!(rows, (0..1000).collect::<Vec<_>>());
        assert!(batches.iter().all(|batch| batch.len() == 8));
        let unsorted: Vec<Vec<usize>> = Order::new(3, 1000).epoch(0).chunks(8).map(<[usize]>::to_vec).collect();
        assert!(padding(&lengths, &batches) < 0.05, "{}", padding(&lengths, &batches));
        assert!(padding(&lengths, &unsorted) > 0.25);
    }

    #[test]
    fn batches_depend_on_seed_and_epoch_only() {
        let lengths = [3, 1, 4, 1, 5, 9, 2, 6];
        assert_eq!(epoch(&lengths, 3, 1, 2), epoch(&lengths, 3, 1, 2));
        assert_ne!(epoch(&lengths, 3, 1, 2), epoch(&lengths, 3, 1, 3));
        assert_eq!(epoch(&lengths, 3, 1, 0).iter().map(Vec::len).sum::<usize>(), 8);
        assert!(epoch(&[], 3, 1, 0).is_empty());
    }
}
