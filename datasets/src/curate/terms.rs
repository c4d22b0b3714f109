//! Texts in groups → the words that set each group apart, by class-based TF-IDF (Grootendorst 2022, arXiv 2203.05794, eq. 2):
//! `tf(word, group) · ln(1 + words per group / tf(word))`. Keeps the counts of every word of every group. Refuses to know
//! where groups come from.

use std::collections::BTreeMap;

/// Words of fewer letters say little: articles, variables, units.
const SHORTEST: usize = 3;

/// Counts of words by group.
#[derive(Debug, Default)]
pub struct Terms {
    groups: Vec<BTreeMap<String, usize>>,
}

impl Terms {
    /// Adds a text to a group.
    pub fn add(&mut self, group: usize, text: &str) {
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, BTreeMap::new);
        }
        let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| word.chars().count() >= SHORTEST);
        for word in words {
            *self.groups[group].entry(word.to_lowercase()).or_default() += 1;
        }
    }

    /// The `count` words of each group that set it apart most, the most telling first; of equal ones the first by alphabet.
    ///
    /// Words of more than half of three groups or more are passed over: what everybody says sets nobody apart, however often
    /// it is said. A group that has no others keeps them.
    pub fn best(&self, count: usize) -> Vec<Vec<String>> {
        let mut totals: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (word, times) in self.groups.iter().flatten() {
            let (total, groups) = totals.entry(word).or_default();
            *total += times;
            *groups += 1;
        }
        let all: usize = totals.values().map(|(total, _)| total).sum();
        let mean = all as f64 / self.groups.len().max(1) as f64;
        let common = |word: &str| self.groups.len() > 2 && totals[word].1 * 2 > self.groups.len();
        let of = |group: &BTreeMap<String, usize>| {
            let weight = |word: &str, times: usize| times as f64 * (1.0 + mean / totals[word].0 as f64).ln();
            let mut words: Vec<_> =
                group.iter().map(|(word, times)| (common(word), weight(word, *times), word)).collect();
            words.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(b.2)));
            let rare = words.iter().filter(|(common, ..)| !common).count();
            let keep = if rare > 0 { rare.min(count) } else { count };
            words.into_iter().take(keep).map(|(_, _, word)| word.clone()).collect()
        };
        self.groups.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_set_a_group_apart() {
        let mut terms = Terms::default();
        terms.add(0, "Find the area of the triangle. The triangle is right-angled.");
        terms.add(0, "What is the angle of the triangle at A?");
        terms.add(1, "How many apples has the farmer? The apples are red.");
        terms.add(2, "Solve the equation 2x + 3 = 7 of the first degree.");
        let best = terms.best(2);
        assert_eq!(best[0][0], "triangle");
        assert_eq!(best[1][0], "apples");
        assert!(best.iter().flatten().all(|word| word != "the"), "{best:?}");
        assert!(best.iter().all(|words| words.len() == 2));
    }

    /// Two groups of 6 words each: `b` 2 times in the first, 1 time in the second: 2·ln(1 + 6/3) = 2.197; `aaa` 4·ln(1 + 6/4)
    /// = 3.665; in the second `ccc` 5·ln(1 + 6/5) = 3.942 and `bbb` ln 3.
    #[test]
    fn weights_by_hand() {
        let mut terms = Terms::default();
        terms.add(0, "aaa aaa aaa aaa bbb bbb");
        terms.add(1, "ccc ccc ccc ccc ccc bbb");
        assert_eq!(terms.best(3), [["aaa", "bbb"], ["ccc", "bbb"]]);
    }

    #[test]
    fn a_group_of_nothing_but_common_words_keeps_them() {
        let mut terms = Terms::default();
        for group in 0..3 {
            terms.add(group, "same words everywhere");
        }
        terms.add(2, "different");
        let best = terms.best(2);
        assert_eq!(best[0], ["everywhere", "same"]);
        assert_eq!(best[2], ["different"]);
        assert_eq!(Terms::default().best(3), Vec::<Vec<String>>::new());
    }
}
