//! Right answers among several tries → how hard a question is, as soon as that is certain. Keeps nothing. Refuses to know who
//! tries and who judges.

use serde::{Deserialize, Serialize};

/// Which share of right answers means which level, and which rows are of no use.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    /// Level `k + 2` begins below the `k`-th share: from the highest to the lowest.
    bounds: Vec<f64>,
    /// Rows that are right less often are too hard.
    least: f64,
    /// Rows that are right more often are too easy.
    most: f64,
}

/// What a row's tries come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Its level: 1 is the easiest.
    Level(u8),
    /// Nearly always right.
    TooEasy,
    /// Hardly ever right.
    TooHard,
}

impl Levels {
    /// Levels between these shares of right answers, from the highest share to the lowest; of rows that are right with a share
    /// of `least` to `most`.
    pub fn new(bounds: Vec<f64>, least: f64, most: f64) -> Self {
        Self { bounds, least, most }
    }

    /// `count` levels of equal width: with ten, level 1 is right in 90 % of the tries or more, level 10 in less than 10 %.
    pub fn equal(count: usize) -> Vec<f64> {
        (1..count).rev().map(|part| part as f64 / count as f64).collect()
    }

    /// Number of levels.
    pub fn count(&self) -> usize {
        self.bounds.len() + 1
    }

    /// The lowest and the highest share of right answers of a level, as a table says it: `0.10 to 0.20`.
    pub fn range(&self, level: usize) -> String {
        let below = level.checked_sub(2).map_or(1.0, |index| self.bounds[index]);
        let from = self.bounds.get(level.wrapping_sub(1)).copied().unwrap_or(0.0);
        let sign = if level == 1 { "to" } else { "to below" };
        format!("{from:.2} {sign} {below:.2}")
    }

    /// What `right` answers of `tries` come to.
    pub fn verdict(&self, right: usize, tries: usize) -> Verdict {
        let share = right as f64 / tries as f64;
        match share {
            share if share > self.most => Verdict::TooEasy,
            share if share < self.least => Verdict::TooHard,
            share => Verdict::Level(1 + self.bounds.iter().filter(|bound| share < **bound).count() as u8),
        }
    }

    /// What `tries` will come to, if the first `asked` of them, of which `right` were right, leave no doubt of it.
    pub fn certain(&self, right: usize, asked: usize, tries: usize) -> Option<Verdict> {
        // More right answers never make a row harder: the worst and the best that can come enclose the rest.
        let worst = self.verdict(right, tries);
        let best = self.verdict(right + tries.saturating_sub(asked), tries);
        (worst == best).then_some(worst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten() -> Levels {
        Levels::new(Levels::equal(10), 0.0, 1.0)
    }

    #[test]
    fn ten_equal_levels() {
        let levels = ten();
        assert_eq!(levels.count(), 10);
        let of = |right| levels.verdict(right, 10);
        let expected = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1].map(Verdict::Level);
        assert_eq!((0..=10).map(of).collect::<Vec<_>>(), expected);
        assert_eq!(levels.range(1), "0.90 to 1.00");
        assert_eq!(levels.range(10), "0.00 to below 0.10");
        assert_eq!(levels.range(4), "0.60 to below 0.70");
    }

    #[test]
    fn rows_outside_the_bounds_are_of_no_use() {
        let levels = Levels::new(vec![0.5], 0.125, 0.875);
        let of = |right| levels.verdict(right, 8);
        assert_eq!(of(0), Verdict::TooHard);
        assert_eq!(of(1), Verdict::Level(2), "a bound belongs to the rows that stay");
        assert_eq!(of(4), Verdict::Level(1), "a bound belongs to the easier level");
        assert_eq!(of(7), Verdict::Level(1));
        assert_eq!(of(8), Verdict::TooEasy);
    }

    #[test]
    fn a_verdict_is_certain_when_no_further_try_can_change_it() {
        let levels = Levels::new(vec![0.5], 0.0, 1.0);
        assert_eq!(levels.certain(0, 4, 8), None, "four more right answers make half");
        assert_eq!(levels.certain(0, 5, 8), Some(Verdict::Level(2)));
        assert_eq!(levels.certain(4, 4, 8), Some(Verdict::Level(1)));
    }

    /// Whatever comes after: the verdict that was certain is the verdict of all tries.
    #[test]
    fn stopping_early_changes_no_verdict() {
        for levels in [ten(), Levels::new(vec![0.7, 0.3], 0.2, 0.9)] {
            for tries in 1..=9_usize {
                for answers in 0..1_u32 << tries {
                    let right = |asked: usize| (answers & ((1 << asked) - 1)).count_ones() as usize;
                    let last = levels.verdict(right(tries), tries);
                    let first = (0..=tries).find_map(|asked| levels.certain(right(asked), asked, tries));
                    assert_eq!(first, Some(last), "{answers:b} of {tries}");
                }
            }
        }
    }
}
