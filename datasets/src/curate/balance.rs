//! How many rows there are of each kind → how many to keep, and which. Keeps twelve bytes of each row.

use std::collections::BTreeMap;

use super::{apportion, fill};

/// How many rows of each kind are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strategy {
    /// As many of each; kinds with fewer give all they have, and the others make up for it. Without a number of rows in all, as
    /// many as the smallest kind has.
    Uniform,
    /// At most so many of each.
    Cap(usize),
    /// As large a share of each.
    Proportional,
}

/// Rows to keep of each kind, of `rows` in all; without `rows`, of what the strategy gives by itself.
pub fn quotas(counts: &[usize], strategy: Strategy, rows: Option<usize>) -> Vec<usize> {
    match strategy {
        Strategy::Uniform => {
            let least = counts.iter().copied().filter(|count| *count > 0).min().unwrap_or_default();
            let even: Vec<f64> = counts.iter().map(|count| f64::from(u8::from(*count > 0))).collect();
            match rows {
                Some(rows) => fill(rows, &even, counts),
                None => counts.iter().map(|count| least.min(*count)).collect(),
            }
        }
        Strategy::Cap(most) => {
            let capped: Vec<usize> = counts.iter().map(|count| most.min(*count)).collect();
            match rows {
                Some(rows) => proportional(&capped, rows),
                None => capped,
            }
        }
        Strategy::Proportional => rows.map_or_else(|| counts.to_vec(), |rows| proportional(counts, rows)),
    }
}

fn proportional(counts: &[usize], rows: usize) -> Vec<usize> {
    let weights: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
    apportion(rows.min(counts.iter().sum()), &weights)
}

/// Rows and the kind of each, by a place in an order that is as good as random.
#[derive(Debug, Default)]
pub struct Cells {
    kinds: BTreeMap<Vec<String>, u32>,
    rows: Vec<(u32, u64)>,
}

impl Cells {
    /// Adds a row of a kind, with its [`rank`](super::rank).
    pub fn add(&mut self, kind: Vec<String>, rank: u64) {
        let next = self.kinds.len() as u32;
        let cell = *self.kinds.entry(kind).or_insert(next);
        self.rows.push((cell, rank));
    }

    /// Kinds in order, each with its number and its rows.
    pub fn counts(&self) -> Vec<(&[String], u32, usize)> {
        let mut counts = vec![0; self.kinds.len()];
        for (cell, _) in &self.rows {
            counts[*cell as usize] += 1;
        }
        self.kinds.iter().map(|(kind, cell)| (kind.as_slice(), *cell, counts[*cell as usize])).collect()
    }

    /// Which rows to keep: of each kind, by its number, so many of the lowest rank.
    pub fn keep(&self, quotas: &BTreeMap<u32, usize>) -> Vec<bool> {
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        order.sort_unstable_by_key(|at| (self.rows[*at as usize], *at));
        let mut kept = vec![false; self.rows.len()];
        let mut taken: BTreeMap<u32, usize> = BTreeMap::new();
        for at in order {
            let cell = self.rows[at as usize].0;
            let taken = taken.entry(cell).or_default();
            if *taken < quotas.get(&cell).copied().unwrap_or_default() {
                *taken += 1;
                kept[at as usize] = true;
            }
        }
        kept
    }

    /// Are there no rows?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of a row's kind.
    pub fn of(&self, row: usize) -> u32 {
        self.rows[row].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_by_hand() {
        let counts = [100, 10, 0, 40];
        assert_eq!(quotas(&counts, Strategy::Uniform, None), [10, 10, 0, 10]);
        assert_eq!(quotas(&counts, Strategy::Uniform, Some(60)), [25, 10, 0, 25]);
        assert_eq!(quotas(&counts, Strategy::Uniform, Some(1000)), [100, 10, 0, 40], "there are no more");
        assert_eq!(quotas(&counts, Strategy::Cap(30), None), [30, 10, 0, 30]);
        assert_eq!(quotas(&counts, Strategy::Cap(30), Some(35)), [15, 5, 0, 15]);
        assert_eq!(quotas(&counts, Strategy::Proportional, Some(15)), [10, 1, 0, 4]);
        assert_eq!(quotas(&counts, Strategy::Proportional, None), counts);
        assert_eq!(quotas(&[], Strategy::Uniform, Some(5)), Vec::<usize>::new());
    }

    #[test]
    fn the_same_rows_are_kept_in_any_order() {
        let rows: Vec<(String, u64)> = (0..200).map(|at| (format!("r{at}"), at % 3)).collect();
        let kept = |rows: &[(String, u64)]| {
            let mut cells = Cells::default();
            for (id, kind) in rows {
                cells.add(vec![kind.to_string()], super::super::rank(5, &[id]));
            }
            let quotas = cells.counts().into_iter().map(|(_, cell, _)| (cell, 10)).collect();
            let kept = cells.keep(&quotas);
            rows.iter().zip(kept).filter(|(_, kept)| *kept).map(|((id, _), _)| id.clone()).collect::<Vec<_>>()
        };
        let mut forward = kept(&rows);
        let mut backward = kept(&rows.iter().rev().cloned().collect::<Vec<_>>());
        assert_eq!(forward.len(), 30);
        forward.sort();
        backward.sort();
        assert_eq!(forward, backward);
    }
}
