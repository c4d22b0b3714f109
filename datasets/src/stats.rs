//! Rows → how many there are, how long, with which images, of which tasks and levels. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::image;
use crate::rows::Row;
use crate::tokenize::{EncodeError, Processor};

/// What can be counted of rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Rows.
    pub rows: usize,
    /// Characters, of the rows that have the field, by field: `prompt`, `answer`, `reasoning`, `response`, `history`.
    pub chars: BTreeMap<&'static str, Spread>,
    /// Tokens of the prompt's and the target's text, without template and images; empty if no tokenizer was given.
    pub tokens: BTreeMap<&'static str, Spread>,
    /// Rows with images.
    pub with_images: usize,
    /// Images of a row, over all rows.
    pub images: Spread,
    /// Pixels from left to right, of each image that was looked at.
    pub width: Spread,
    /// Pixels from top to bottom.
    pub height: Spread,
    /// Images that can't be read, with the reason; the first of them.
    pub broken: Vec<String>,
    /// How many images can't be read.
    pub broken_count: usize,
    /// Rows by task; rows without one are not counted.
    pub tasks: BTreeMap<String, usize>,
    /// Rows by level; rows without one are not counted.
    pub levels: BTreeMap<u8, usize>,
    /// Different groups.
    pub groups: usize,
}

/// Numbers, from the smallest to the largest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many numbers.
    pub count: usize,
    /// The smallest.
    pub min: usize,
    /// The mean.
    pub mean: f64,
    /// The one in the middle; the lower of two.
    pub median: usize,
    /// The one that 95 of 100 don't exceed.
    pub p95: usize,
    /// The largest.
    pub max: usize,
    /// All together.
    pub sum: usize,
}

impl Spread {
    /// Of any numbers.
    pub fn of(mut numbers: Vec<usize>) -> Self {
        numbers.sort_unstable();
        let (count, sum) = (numbers.len(), numbers.iter().sum::<usize>());
        // The nearest rank: a number that is there.
        let rank = |percent: usize| numbers[(percent * count).div_ceil(100).max(1) - 1];
        if count == 0 {
            return Self::default();
        }
        let mean = sum as f64 / count as f64;
        Self { count, min: numbers[0], mean, median: rank(50), p95: rank(95), max: numbers[count - 1], sum }
    }
}

/// How long a field of a row is; none where the row has none.
type Measure<'a> = &'a dyn Fn(&Row) -> Option<usize>;

/// Examples of broken images that are kept.
const SHOWN: usize = 5;

/// Counts. At most `looks` images are opened.
///
/// # Errors
/// The tokenizer refuses a text.
pub fn stats(rows: &[Row], processor: Option<&Processor>, looks: usize) -> Result<Stats, EncodeError> {
    let chars = |text: &str| text.chars().count();
    let mut stats = Stats { rows: rows.len(), ..Stats::default() };
    let fields: [(&str, Measure<'_>); 5] = [
        ("prompt", &|row| Some(chars(&row.prompt))),
        ("answer", &|row| row.answer.as_deref().map(chars)),
        ("reasoning", &|row| row.reasoning.as_deref().map(chars)),
        ("response", &|row| row.response.as_deref().map(chars)),
        ("history", &|row| {
            let said = row.history.iter().map(|turn| chars(&turn.content));
            (!row.history.is_empty()).then(|| said.sum())
        }),
    ];
    for (name, length) in fields {
        let spread = Spread::of(rows.iter().filter_map(length).collect());
        if spread.count > 0 {
            stats.chars.insert(name, spread);
        }
    }
    if let Some(processor) = processor {
        let (mut prompts, mut targets) = (Vec::new(), Vec::new());
        for row in rows {
            prompts.push(processor.encode(&row.prompt)?.len());
            if let Some(target) = row.target() {
                targets.push(processor.encode(&target)?.len());
            }
        }
        stats.tokens.insert("prompt", Spread::of(prompts));
        stats.tokens.insert("target", Spread::of(targets));
    }
    stats.with_images = rows.iter().filter(|row| !row.images.is_empty()).count();
    stats.images = Spread::of(rows.iter().map(|row| row.images.len()).collect());
    let (mut widths, mut heights) = (Vec::new(), Vec::new());
    for picture in rows.iter().flat_map(|row| &row.images).take(looks) {
        match image::decode(picture) {
            Ok(picture) => {
                widths.push(picture.width);
                heights.push(picture.height);
            }
            Err(error) => {
                stats.broken_count += 1;
                if stats.broken.len() < SHOWN {
                    stats.broken.push(format!("{picture}: {error}"));
                }
            }
        }
    }
    (stats.width, stats.height) = (Spread::of(widths), Spread::of(heights));
    for row in rows {
        if let Some(task) = &row.task {
            *stats.tasks.entry(task.clone()).or_default() += 1;
        }
        if let Some(level) = row.level {
            *stats.levels.entry(level).or_default() += 1;
        }
    }
    stats.groups = rows.iter().filter_map(|row| row.group.as_deref()).collect::<BTreeSet<_>>().len();
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_take_numbers_that_are_there() {
        let spread = Spread::of((1..=100).rev().collect());
        assert_eq!((spread.min, spread.median, spread.p95, spread.max, spread.sum), (1, 50, 95, 100, 5050));
        assert!((spread.mean - 50.5).abs() < 1e-12);
        assert_eq!(Spread::of(vec![7]), Spread { count: 1, min: 7, mean: 7.0, median: 7, p95: 7, max: 7, sum: 7 });
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    #[test]
    fn rows_are_counted_by_what_they_have() {
        let row = |prompt: &str, answer: Option<&str>, level| Row {
            prompt: prompt.into(),
            answer: answer.map(str::to_owned),
            task: Some("sum".into()),
            level,
            ..Row::default()
        };
        let rows = [row("zwölf", Some("12"), Some(2)), row("ab", None, None)];
        let stats = stats(&rows, None, 0).unwrap();
        assert_eq!(stats.chars["prompt"].sum, 7, "characters, not bytes");
        assert_eq!((stats.chars["answer"].count, stats.chars["answer"].sum), (1, 2));
        assert!(!stats.chars.contains_key("response"));
        assert_eq!((stats.tasks["sum"], stats.levels.get(&2), stats.with_images), (2, Some(&1), 0));
    }
}
