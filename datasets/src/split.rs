//! Which split a group belongs to, by the hash of its name alone. Knows nothing of rows.

use crate::rows::{RowsErrorKind, RowsView};

/// Rounding that shares such as 0.7 + 0.2 + 0.1 may add.
const SHARE_SLACK: f64 = 1e-9;

/// The part of the unit interval that one split covers; splits stand in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    from: f64,
    to: f64,
}

impl Split {
    /// The split that a view takes; all of the interval when it names none.
    pub fn of(view: &RowsView) -> Result<Self, RowsErrorKind> {
        let total: f64 = view.splits.values().sum();
        let is_share = |share: &f64| (0.0..=1.0).contains(share);
        if !view.splits.values().all(is_share) || total > 1.0 + SHARE_SLACK {
            return Err(RowsErrorKind::BadShares(total));
        }
        let Some(split) = &view.split else { return Ok(Self { from: 0.0, to: f64::INFINITY }) };
        let mut from = 0.0;
        for (name, share) in &view.splits {
            if name == split {
                // The last split ends at 1 exactly, whatever its shares rounded to.
                let ends = from + share;
                let to = if ends >= 1.0 - SHARE_SLACK { f64::INFINITY } else { ends };
                return Ok(Self { from, to });
            }
            from += share;
        }
        Err(RowsErrorKind::UnknownSplit { split: split.clone(), declared: view.splits.keys().cloned().collect() })
    }

    /// Does a group belong to this split?
    pub fn takes(self, group: &str) -> bool {
        (self.from..self.to).contains(&place(group))
    }
}

/// A group's place in the unit interval: the first eight bytes of its blake3 hash.
pub fn place(group: &str) -> f64 {
    let hash = blake3::hash(group.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    // 53 bits fill a double exactly, so the result stays below 1.
    (u64::from_le_bytes(first) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(splits: &[(&str, f64)], split: Option<&str>) -> RowsView {
        let splits = splits.iter().map(|&(name, share)| (name.to_owned(), share)).collect();
        RowsView { splits, split: split.map(str::to_owned), ..RowsView::default() }
    }

    #[test]
    fn every_group_is_in_exactly_one_split_and_shares_hold() {
        let shares = [("test", 0.1), ("train", 0.7), ("val", 0.2)];
        let splits: Vec<_> = shares.iter().map(|&(name, _)| Split::of(&view(&shares, Some(name))).unwrap()).collect();
        let mut counts = [0usize; 3];
        for group in 0..10_000 {
            let takers: Vec<_> = (0..3).filter(|&i| splits[i].takes(&group.to_string())).collect();
            assert_eq!(takers.len(), 1, "group {group}");
            counts[takers[0]] += 1;
        }
        for (count, (_, share)) in counts.iter().zip(shares) {
            assert!((*count as f64 / 10_000.0 - share).abs() < 0.02, "{counts:?}");
        }
    }

    #[test]
    fn wrong_shares_and_unknown_splits_are_refused() {
        assert!(matches!(Split::of(&view(&[("a", 0.7), ("b", 0.4)], None)), Err(RowsErrorKind::BadShares(_))));
        let error = Split::of(&view(&[("train", 1.0)], Some("trian"))).unwrap_err();
        assert_eq!(error.to_string(), "no split `trian`; `splits` declares train");
    }
}
