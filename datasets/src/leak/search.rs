//! Rows that are learned from, held against rows that are kept apart: which are the same, and what shows it? Knows neither
//! recipes nor what the rows are for.
//!
//! | the same | when |
//! | --- | --- |
//! | item | equal words of prompt, and no image on either side; ids of two sources may be equal by chance |
//! | group | equal groups, where the caller says that they mean the same |
//! | image | equal bytes; or the same difference hash and tones, nearly ([`Look::same`]) |
//! | text | half of the prompt's words, in runs of 13, stand in the other row |
//!
//! Runs of words and images that many of the kept rows share, such as instructions and blank pages, show nothing and are
//! not counted. 13 words as in the GPT-3 paper (arXiv 2005.14165, appendix C).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::look::Look;
use super::words::{clipped, covered, runs, words};
use crate::image::ImageSource;
use crate::rows::Row;

/// Words of a run.
const RUN: usize = 13;
/// Share of a prompt's words that have to be in the other row.
const SHARE: f64 = 0.5;

/// How two rows are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Same {
    /// The same item.
    Item,
    /// Items of one group.
    Group,
    /// The same file of an image.
    Image,
    /// Images that look the same.
    Look,
    /// Long runs of the same words.
    Text,
}

impl Same {
    /// In words: `the same image`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Item => "the same item",
            Self::Group => "the same group",
            Self::Image => "the same image",
            Self::Look => "an image that looks the same",
            Self::Text => "the same words",
        }
    }
}

/// Two rows that are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Id of the row that is learned from.
    pub learned: String,
    /// Id of the row that is kept apart.
    pub kept: String,
    /// How they are the same.
    pub same: Same,
    /// What shows it: the group, the image's file, the words.
    pub shown: String,
}

/// Looks of images, each taken once.
#[derive(Debug, Default)]
pub struct Looks(BTreeMap<ImageSource, Option<Look>>);

impl Looks {
    fn see(&mut self, rows: &[Row]) {
        let images: BTreeSet<_> =
            rows.iter().flat_map(|row| &row.images).filter(|image| !self.0.contains_key(*image)).collect();
        let seen: Vec<_> = images.into_par_iter().map(|image| (image.clone(), Look::of(image))).collect();
        self.0.extend(seen);
    }

    fn of<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'a ImageSource, Look)> {
        row.images.iter().filter_map(|image| Some((image, (*self.0.get(image)?)?)))
    }
}

/// Finds the rows of `kept` that are in `learned`, each with a row that shows it, in the order of `kept`. `groups` says whether
/// equal groups of both are one group.
pub fn search(learned: &[Row], kept: &[Row], groups: bool, looks: &mut Looks) -> Vec<Pair> {
    looks.see(learned);
    looks.see(kept);
    let index = Index::new(learned, kept, groups, looks);
    kept.iter().filter_map(|row| index.same(row)).collect()
}

/// Rows that are learned from, by all that may show one of them again.
struct Index<'a> {
    learned: &'a [Row],
    looks: &'a Looks,
    groups: HashMap<&'a str, usize>,
    prompts: HashMap<String, usize>,
    bytes: HashMap<[u8; 32], usize>,
    /// Looks that few of the kept rows share.
    seen: Vec<(Look, usize)>,
    /// Rows that hold a run of words that few of the kept rows share.
    runs: HashMap<u64, Vec<usize>>,
    /// How many of the kept rows hold a run, or an image.
    common: HashMap<u64, usize>,
    most: usize,
}

impl<'a> Index<'a> {
    fn new(learned: &'a [Row], kept: &[Row], groups: bool, looks: &'a Looks) -> Self {
        let mut common: HashMap<u64, usize> = HashMap::new();
        for row in kept {
            let runs = runs(&words(&row.prompt), RUN).into_iter().map(|(hash, _)| hash);
            let images = looks.of(row).map(|(_, look)| look.key());
            for key in runs.chain(images).collect::<BTreeSet<_>>() {
                *common.entry(key).or_default() += 1;
            }
        }
        let most = 2.max(kept.len() / 100);
        let mut index = Self {
            learned,
            looks,
            groups: HashMap::new(),
            prompts: HashMap::new(),
            bytes: HashMap::new(),
            seen: Vec::new(),
            runs: HashMap::new(),
            common,
            most,
        };
        for (at, row) in learned.iter().enumerate() {
            if let Some(group) = row.group.as_deref().filter(|_| groups) {
                index.groups.entry(group).or_insert(at);
            }
            let words = words(&row.prompt);
            for (hash, _) in runs(&words, RUN).into_iter().filter(|(hash, _)| index.common.contains_key(hash)) {
                index.runs.entry(hash).or_default().push(at);
            }
            if row.images.is_empty() {
                index.prompts.entry(words.join(" ")).or_insert(at);
            }
            for (_, look) in looks.of(row) {
                index.bytes.entry(look.bytes).or_insert(at);
                index.seen.push((look, at));
            }
        }
        index
    }

    fn peculiar(&self, key: u64) -> bool {
        self.common.get(&key).is_none_or(|rows| *rows <= self.most)
    }

    /// The strongest sign that a row is learned from.
    fn same(&self, row: &Row) -> Option<Pair> {
        let pair = |at: usize, same, shown: String| {
            Some(Pair { learned: self.learned[at].id.clone(), kept: row.id.clone(), same, shown })
        };
        let words = words(&row.prompt);
        if let Some(at) = self.prompts.get(&words.join(" ")).filter(|_| row.images.is_empty() && !words.is_empty()) {
            return pair(*at, Same::Item, clipped(&row.prompt));
        }
        if let Some((group, at)) = row.group.as_deref().and_then(|group| Some((group, self.groups.get(group)?))) {
            return pair(*at, Same::Group, group.to_owned());
        }
        for (image, look) in self.looks.of(row).filter(|(_, look)| self.peculiar(look.key())) {
            let name = image.name();
            if let Some(at) = self.bytes.get(&look.bytes) {
                return pair(*at, Same::Image, name);
            }
            if let Some((_, at)) = self.seen.iter().find(|(other, _)| look.same(other)) {
                return pair(*at, Same::Look, name);
            }
        }
        let (at, start) = self.shared_words(&words)?;
        pair(at, Same::Text, words[start..start + RUN].join(" "))
    }

    /// The row that shares enough of what is peculiar to these words, and where the first shared run begins.
    fn shared_words(&self, words: &[String]) -> Option<(usize, usize)> {
        let (own, common): (Vec<_>, Vec<_>) = runs(words, RUN).into_iter().partition(|(hash, _)| self.peculiar(*hash));
        let common = covered(words.len(), RUN, common.into_iter().map(|(_, start)| start));
        let mut starts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (hash, start) in &own {
            for at in self.runs.get(hash).into_iter().flatten() {
                starts.entry(*at).or_default().push(*start);
            }
        }
        let shared = |starts: &[usize]| {
            let words = covered(words.len(), RUN, starts.iter().copied());
            words.iter().zip(&common).filter(|(shared, common)| **shared && !**common).count()
        };
        let counted = starts.iter().map(|(at, starts)| (shared(starts), usize::MAX - at, starts[0]));
        let (count, at, start) = counted.max()?;
        let peculiar = common.iter().filter(|common| !**common).count();
        (count as f64 >= SHARE * peculiar as f64).then_some((usize::MAX - at, start))
    }
}

#[cfg(test)]
mod tests;
