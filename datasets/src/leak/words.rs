//! Texts → words, runs of words and numbers, by which two texts are compared. Knows no rows.

use std::collections::BTreeSet;

/// Letters and digits, in lower case.
pub fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Every run of so many words by its hash, with its first word's place; each once.
pub(super) fn runs(words: &[String], length: usize) -> Vec<(u64, usize)> {
    let mut seen = BTreeSet::new();
    let runs = words.windows(length).enumerate().filter_map(|(start, run)| {
        let hash = blake3::hash(run.join(" ").as_bytes());
        let hash = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes"));
        seen.insert(hash).then_some((hash, start))
    });
    runs.collect()
}

/// Which of so many words stand in the runs of a length that start here.
pub(crate) fn covered(words: usize, length: usize, starts: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut covered = vec![false; words];
    for start in starts {
        covered[start..start + length].fill(true);
    }
    covered
}

/// The beginning of a text, on one line.
pub fn clipped(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    let short = short.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() > 80 { format!("{short}…") } else { short }
}
