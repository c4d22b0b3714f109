//! Rows and what ties them together → groups, and a group's place among the splits. Rows that share any of their ties are one
//! group, and so are those that are tied through others. Keeps one number for each row, and one for each tie.

use std::collections::HashMap;

use super::text;
use crate::leak::look::Look;
use crate::rows::Row;

/// What ties rows together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// The row's `group`.
    Group,
    /// The same file of an image.
    Images,
    /// The same text of the prompt, but for case, blanks and the last sign.
    Prompt,
}

/// Ties rows together.
#[derive(Debug, Default)]
pub struct Groups {
    ties: Vec<Tie>,
    /// The row that stands for a row's group, or leads to it.
    leads: Vec<u32>,
    /// The least name of a group's rows, at the row that stands for it.
    names: Vec<u64>,
    first: HashMap<u64, u32>,
}

impl Groups {
    /// No rows yet.
    pub fn new(ties: Vec<Tie>) -> Self {
        Self { ties, ..Self::default() }
    }

    /// Adds a row.
    pub fn add(&mut self, row: &Row) {
        let at = self.leads.len() as u32;
        let ties = self.of(row);
        self.leads.push(at);
        // A name must not depend on the order of rows: it is that of a tie, or of the row where nothing ties it.
        let name = |hash: &[u8]| u64::from_le_bytes(hash[..8].try_into().expect("eight bytes"));
        let own = ties.iter().copied().min().unwrap_or_else(|| name(blake3::hash(row.id.as_bytes()).as_bytes()));
        self.names.push(own);
        for tie in ties {
            match self.first.get(&tie) {
                Some(&other) => self.join(at, other),
                None => {
                    self.first.insert(tie, at);
                }
            }
        }
    }

    /// A number for each row's group, equal for rows of one group, whatever the order of rows.
    pub fn names(mut self) -> Vec<u64> {
        let leads: Vec<u32> = (0..self.leads.len() as u32).map(|at| self.lead(at)).collect();
        leads.into_iter().map(|lead| self.names[lead as usize]).collect()
    }

    fn of(&self, row: &Row) -> Vec<u64> {
        let named = |kind: &str, name: &str| super::rank(0, &[kind, name]);
        let mut ties = Vec::new();
        for tie in &self.ties {
            match tie {
                Tie::Group => ties.extend(row.group.as_deref().map(|group| named("group", group))),
                Tie::Prompt => ties.push(named("prompt", &text::plain(&text::asked(row)))),
                Tie::Images => {
                    let looks = row.images.iter().filter_map(Look::of);
                    ties.extend(looks.map(|look| named("image", &blake3::Hash::from(look.bytes).to_hex())));
                }
            }
        }
        ties
    }

    fn lead(&mut self, mut at: u32) -> u32 {
        while self.leads[at as usize] != at {
            let next = self.leads[at as usize];
            self.leads[at as usize] = self.leads[next as usize];
            at = next;
        }
        at
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.lead(one), self.lead(other));
        let (low, high) = (one.min(other), one.max(other));
        self.leads[high as usize] = low;
        self.names[low as usize] = self.names[low as usize].min(self.names[high as usize]);
    }
}

/// Which of the splits, in the order of their names, a group belongs to; none where shares leave some over.
pub fn split(name: u64, salt: u64, shares: &[f64]) -> Option<usize> {
    let place = crate::split::place(&format!("{salt} {name:016x}"));
    let mut end = 0.0;
    for (at, share) in shares.iter().enumerate() {
        end += share;
        // The last ends at 1 exactly, whatever its shares rounded to.
        if place < end || (end >= 1.0 - 1e-9 && at + 1 == shares.len()) {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, group: Option<&str>, prompt: &str) -> Row {
        Row { id: id.into(), group: group.map(str::to_owned), prompt: prompt.into(), ..Row::default() }
    }

    fn names(ties: &[Tie], rows: &[Row]) -> Vec<u64> {
        let mut groups = Groups::new(ties.to_vec());
        for row in rows {
            groups.add(row);
        }
        groups.names()
    }

    #[test]
    fn rows_are_tied_through_others() {
        let rows = [row("a", Some("g"), "x"), row("b", Some("h"), "y"), row("c", Some("g"), "Y?"), row("d", None, "z")];
        let of = names(&[Tie::Group], &rows);
        assert!(of[0] == of[2] && of[0] != of[1] && of[1] != of[3]);
        let of = names(&[Tie::Group, Tie::Prompt], &rows);
        assert!(of[0] == of[1] && of[1] == of[2] && of[0] != of[3], "c ties a and b together");
    }

    #[test]
    fn names_do_not_depend_on_the_order() {
        let rows: Vec<Row> =
            (0..60).map(|at| row(&at.to_string(), Some(&(at % 7).to_string()), &(at % 11).to_string())).collect();
        let ties = [Tie::Group, Tie::Prompt];
        let forward = names(&ties, &rows[..40]);
        let backward = names(&ties, &rows[..40].iter().rev().cloned().collect::<Vec<_>>());
        assert_eq!(forward, backward.into_iter().rev().collect::<Vec<_>>());
        let alone = names(&[], &rows);
        assert_eq!(alone.iter().collect::<std::collections::BTreeSet<_>>().len(), rows.len(), "nothing ties them");
    }

    #[test]
    fn rows_that_show_one_file_stay_together() {
        let dir = tempfile::tempdir().unwrap();
        let shown = |id: &str, value: u8| {
            let path = dir.path().join(format!("{id}.png"));
            let picture = crate::resize::Rgb { width: 2, height: 2, pixels: vec![value; 12] };
            crate::fs::write(&path, &crate::image::encode_png(&picture)).unwrap();
            Row { images: vec![path.into()], ..row(id, None, id) }
        };
        let of = names(&[Tie::Images], &[shown("a", 1), shown("b", 2), shown("c", 1)]);
        assert!(of[0] == of[2] && of[0] != of[1]);
    }

    #[test]
    fn shares_hold_and_leave_over_what_they_leave_over() {
        let mut counts = [0_usize; 3];
        for name in 0..20_000_u64 {
            counts[split(name, 0, &[0.2, 0.5]).unwrap_or(2)] += 1;
        }
        for (count, share) in counts.iter().zip([0.2, 0.5, 0.3]) {
            assert!((*count as f64 / 20_000.0 - share).abs() < 0.02, "{counts:?}");
        }
        assert!((0..5000_u64).all(|name| split(name, 7, &[0.7, 0.2, 0.1]).is_some()));
        assert!((0..100).any(|name| split(name, 0, &[0.5, 0.5]) != split(name, 1, &[0.5, 0.5])), "a salt moves groups");
    }
}
