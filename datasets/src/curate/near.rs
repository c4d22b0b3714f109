//! Runs of words → signatures → which rows are nearly the same: `MinHash` with banding (Broder 1997; Leskovec, Rajaraman and
//! Ullman, *Mining of Massive Datasets*, §3.3–3.4). Keeps four bytes for each permutation of each row, and four for each
//! band while it compares. Knows hashes of words, no text.

use std::collections::HashMap;

use rand::Rng;

use super::text;
use crate::shuffle::stream;

/// Chance to find a pair that is exactly as alike as asked for; pairs that are more alike are found more surely.
const RECALL: f64 = 0.995;
/// Rows of one bucket that a row is compared with, the nearest before it.
const MOST_COMPARED: usize = 256;
/// No row.
const NONE: u32 = u32::MAX;

/// Makes signatures.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    words: usize,
    permutations: Vec<(u64, u64)>,
}

impl Sketch {
    pub fn new(words: usize, permutations: usize) -> Self {
        let mut rng = stream(&["minhash"]);
        let permutations = (0..permutations).map(|_| (rng.random::<u64>() | 1, rng.random())).collect();
        Self { words, permutations }
    }

    pub fn width(&self) -> usize {
        self.permutations.len()
    }

    /// The signature of a text's words; of a text shorter than a run, all of it is one. A text without words is like no other.
    pub fn of(&self, words: &[u64]) -> Option<Vec<u32>> {
        let runs: Vec<u64> = words.windows(self.words.min(words.len()).max(1)).map(text::run).collect();
        if runs.is_empty() {
            return None;
        }
        let least = |&(times, plus): &(u64, u64)| {
            let hashes = runs.iter().map(|run| (run.wrapping_mul(times).wrapping_add(plus) >> 32) as u32);
            hashes.min().unwrap_or(u32::MAX)
        };
        Some(self.permutations.iter().map(least).collect())
    }
}

/// Bands and rows of each: the longest bands that still find pairs of this similarity.
fn bands(threshold: f64, permutations: usize) -> (usize, usize) {
    let found = |rows: usize| 1.0 - (1.0 - threshold.powi(rows as i32)).powi((permutations / rows) as i32);
    let rows = (1..=permutations).rev().find(|rows| found(*rows) >= RECALL).unwrap_or(1);
    (permutations / rows, rows)
}

/// Signatures of all rows, side by side.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    width: usize,
    values: Vec<u32>,
    /// Has the row one?
    signed: Vec<bool>,
}

impl Signatures {
    pub fn new(width: usize) -> Self {
        Self { width, values: Vec::new(), signed: Vec::new() }
    }

    pub fn push(&mut self, signature: Option<&[u32]>) {
        self.signed.push(signature.is_some());
        match signature {
            Some(signature) => self.values.extend_from_slice(signature),
            None => self.values.extend(std::iter::repeat_n(0, self.width)),
        }
    }

    fn of(&self, row: usize) -> &[u32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// Hashes that are equal in the signatures of two rows.
    fn equal(&self, one: usize, other: usize) -> usize {
        self.of(one).iter().zip(self.of(other)).filter(|(a, b)| a == b).count()
    }

    /// Share of runs that two rows have in common, by how many of their hashes are equal.
    fn alike(&self, equal: usize) -> f64 {
        equal as f64 / self.width as f64
    }

    /// For each row, in order, the row before it that is kept and as alike as `threshold`, if there is one: the most alike
    /// of those it is compared with. `kept` says which rows are left when this begins, and in the end which are left then.
    /// Only rows with the same `salt` and for which `may` says so are compared.
    pub fn repeats(
        &self,
        threshold: f64,
        kept: &mut [bool],
        salts: &[u64],
        may: impl Fn(usize, usize) -> bool,
    ) -> Vec<Option<(u32, f64)>> {
        let (bands, rows) = bands(threshold, self.width);
        let before: Vec<Vec<u32>> = (0..bands).map(|band| self.chain(band, rows, kept, salts)).collect();
        let mut found = vec![None; kept.len()];
        for row in 0..kept.len() {
            if !kept[row] || !self.signed[row] {
                continue;
            }
            let mut best: Option<(u32, usize)> = None;
            for chain in &before {
                let (mut at, mut compared) = (chain[row], 0);
                while at != NONE && compared < MOST_COMPARED {
                    let other = at as usize;
                    if kept[other] {
                        compared += 1;
                        let equal = self.equal(row, other);
                        let better = best.is_none_or(|(of, most)| equal > most || (equal == most && at < of));
                        if self.alike(equal) >= threshold && better && may(row, other) {
                            best = Some((at, equal));
                        }
                    }
                    at = chain[other];
                }
            }
            kept[row] = best.is_none();
            found[row] = best.map(|(of, equal)| (of, self.alike(equal)));
        }
        found
    }

    /// The last row before each that has the same hashes in a band.
    fn chain(&self, band: usize, rows: usize, kept: &[bool], salts: &[u64]) -> Vec<u32> {
        let mut last: HashMap<u64, u32> = HashMap::new();
        let before = (0..kept.len()).map(|row| {
            if !kept[row] || !self.signed[row] {
                return NONE;
            }
            let part = &self.of(row)[band * rows..(band + 1) * rows];
            let bucket = part.iter().fold(salts[row], |hash, value| text::chain(hash, u64::from(*value)));
            last.insert(bucket, row as u32).unwrap_or(NONE)
        });
        before.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<u64> {
        text::hashes(text).0
    }

    #[test]
    fn bands_are_as_long_as_they_may_be() {
        for (threshold, permutations) in [(0.5, 128), (0.8, 128), (0.9, 64), (1.0, 16), (0.1, 16)] {
            let (bands, rows) = bands(threshold, permutations);
            assert!(bands * rows <= permutations && bands >= 1);
            let found =
                |rows: usize| 1.0 - (1.0 - f64::powi(threshold, rows as i32)).powi((permutations / rows) as i32);
            assert!(found(rows) >= RECALL || rows == 1, "{threshold}");
            assert!(rows == permutations || found(rows + 1) < RECALL, "{threshold}: {rows} rows");
        }
        assert_eq!(bands(0.8, 128), (21, 6));
    }

    #[test]
    fn signatures_tell_the_share_of_common_runs() {
        let sketch = Sketch::new(1, 2048);
        let mut signatures = Signatures::new(2048);
        // 60 words of which 45 are common: 45 / 75 of all.
        let text = |from: usize| (from..from + 60).map(|at| format!("w{at} ")).collect::<Vec<_>>().concat();
        for text in [text(0), text(15), text(500)] {
            signatures.push(sketch.of(&words(&text)).as_deref());
        }
        assert!(
            (signatures.alike(signatures.equal(0, 1)) - 0.6).abs() < 0.05,
            "{}",
            signatures.alike(signatures.equal(0, 1))
        );
        assert!(signatures.alike(signatures.equal(0, 2)) < 0.01);
        assert!((signatures.alike(signatures.equal(2, 2)) - 1.0).abs() < 1e-12);
        assert_eq!(sketch.of(&[]), None);
    }

    #[test]
    fn the_order_of_words_counts_in_runs() {
        let signature = |length: usize, text: &str| Sketch::new(length, 64).of(&words(text)).unwrap();
        assert_eq!(signature(1, "a b c d"), signature(1, "d c b a"));
        assert_ne!(signature(2, "a b c d"), signature(2, "d c b a"));
        assert_eq!(signature(9, "a b"), signature(9, "A b!"), "shorter than a run");
    }
}
