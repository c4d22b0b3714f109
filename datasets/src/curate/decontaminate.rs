//! Sets that are kept for measuring → which of the rows to learn from are in them, and what shows it. Keeps the kept sets,
//! which are small; rows to learn from pass one by one.
//!
//! | reason | when |
//! | --- | --- |
//! | `text` | the same text but for case, blanks and the last sign, and no image on either side |
//! | `group` | the same group, where the recipe says that groups mean the same |
//! | `image` | the same file of an image, or one that looks the same after re-encoding or resizing: at first sight ([`Look::same`]), and in its detail |
//! | `words` | so large a share of a kept prompt's words stands in the row, in runs of so many words; a kept prompt that is shorter than a run stands in the row as a whole |
//! | `numbers` | the same numbers and operators, in any order, and so large a share of a kept prompt's other words: a paraphrase that kept the numbers |
//!
//! Runs of words and images that many of the kept rows share, such as instructions and blank pages, show nothing and are not
//! counted. Runs of 13 words as in the GPT-3 paper (arXiv 2005.14165, appendix C); of 8 as in open-r1's script. An image that
//! was cropped, mirrored or turned is another image here: only the words that go with it can tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::text;
use crate::image::ImageSource;
use crate::leak::detail::Detail;
use crate::leak::look::Look;
use crate::leak::words::{clipped, covered, words};
use crate::rows::Row;

/// A kept prompt of fewer words is too short to show anything but by being the same.
const LEAST_WORDS: usize = 5;
/// Numbers that a prompt has to have before they can show anything.
const LEAST_NUMBERS: usize = 2;
/// Bars of the histogram of shares.
pub const BARS: usize = 10;

/// When a row is in a set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Words of a run.
    pub run: usize,
    /// Share of a kept prompt's words that has to be there, in such runs; 0 where one run is enough.
    pub share: f64,
    /// Share of a kept prompt's words that has to be there beside the same numbers; none where numbers show nothing.
    pub numbers: Option<f64>,
    /// Compare images.
    pub images: bool,
    /// Compare groups.
    pub groups: bool,
}

/// How a row is in a set that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The same text.
    Text,
    /// The same group.
    Group,
    /// An image.
    Image,
    /// Long runs of its words.
    Words,
    /// Its numbers, and many of its words.
    Numbers,
}

impl Reason {
    /// Every reason, the surest first.
    pub const ALL: [Self; 5] = [Self::Text, Self::Group, Self::Image, Self::Words, Self::Numbers];

    /// One word for tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Group => "group",
            Self::Image => "image",
            Self::Words => "words",
            Self::Numbers => "numbers",
        }
    }
}

/// A row that is in a set that is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The kept set, by its place.
    pub set: usize,
    /// Id of the kept row.
    pub kept: String,
    /// How the row is in it.
    pub reason: Reason,
    /// Share of the kept prompt's words that are in the row; 1 for what is the same.
    pub score: f64,
    /// What shows it: the words, the group, the image's file.
    pub shown: String,
}

/// What is told of one row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Where it was found, by the surest sign.
    pub found: Option<Found>,
    /// The largest share of any kept prompt's words that it has in long runs, whether that is enough or not.
    pub share: f64,
}

/// A kept row.
struct Kept {
    set: usize,
    id: String,
    prompt: String,
    words: Vec<String>,
    images: bool,
    /// Words that stand in no common run.
    peculiar: Vec<bool>,
}

/// An image of a kept row.
struct Seen {
    look: Look,
    detail: Detail,
    at: u32,
    name: String,
}

/// Kept sets, by all that may show one of their rows.
pub struct Index {
    rules: Rules,
    kept: Vec<Kept>,
    texts: HashMap<String, u32>,
    groups: HashMap<String, u32>,
    files: HashMap<[u8; 32], (u32, String)>,
    looks: HashMap<(usize, u64), Vec<u32>>,
    seen: Vec<Seen>,
    /// Runs by their words: kept rows, and where in them the run begins; runs of whole short prompts by their length.
    runs: BTreeMap<usize, HashMap<u64, Vec<(u32, u32)>>>,
    numbers: HashMap<Vec<String>, Vec<u32>>,
}

impl Index {
    /// Reads sets that are kept.
    pub fn new(sets: &[Vec<Row>], rules: Rules) -> Self {
        let rows: Vec<(usize, &Row)> =
            sets.iter().enumerate().flat_map(|(set, rows)| rows.iter().map(move |row| (set, row))).collect();
        let mut index = Self {
            rules,
            kept: Vec::with_capacity(rows.len()),
            texts: HashMap::new(),
            groups: HashMap::new(),
            files: HashMap::new(),
            looks: HashMap::new(),
            seen: Vec::new(),
            runs: BTreeMap::new(),
            numbers: HashMap::new(),
        };
        // Some of each set would be common to it, and peculiar among all.
        let most = |set: usize| 2.max(sets[set].len() / 100);
        let mut common: HashMap<(usize, u64), usize> = HashMap::new();
        for (set, row) in &rows {
            let hashes: BTreeSet<u64> = runs(&words(&text::asked(row)), rules.run).map(|(hash, _)| hash).collect();
            for hash in hashes {
                *common.entry((*set, hash)).or_default() += 1;
            }
        }
        let mut images: HashMap<(usize, u64), usize> = HashMap::new();
        let shown = |row: &Row| row.images.iter().filter(|_| rules.images).cloned().collect::<Vec<_>>();
        let looks: Vec<Vec<(ImageSource, Look)>> = rows
            .iter()
            .map(|(_, row)| {
                shown(row).into_iter().filter_map(|image| Some((image.clone(), Look::of(&image)?))).collect()
            })
            .collect();
        for ((set, _), looks) in rows.iter().zip(&looks) {
            for key in looks.iter().map(|(_, look)| look.key()).collect::<BTreeSet<_>>() {
                *images.entry((*set, key)).or_default() += 1;
            }
        }
        for ((set, row), looks) in rows.into_iter().zip(looks) {
            let is_common = |hash: u64| common.get(&(set, hash)).is_some_and(|rows| *rows > most(set));
            index.add(set, row, &is_common);
            let at = index.kept.len() as u32 - 1;
            for (image, look) in looks.into_iter().filter(|(_, look)| images[&(set, look.key())] <= most(set)) {
                let (name, Some(detail)) = (image.name(), Detail::of(&image)) else { continue };
                index.files.entry(look.bytes).or_insert_with(|| (at, name.clone()));
                for (part, hash) in look.parts().into_iter().enumerate() {
                    index.looks.entry((part, hash)).or_default().push(index.seen.len() as u32);
                }
                index.seen.push(Seen { look, detail, at, name });
            }
        }
        index
    }

    fn add(&mut self, set: usize, row: &Row, is_common: &dyn Fn(u64) -> bool) {
        let at = self.kept.len() as u32;
        let asked = text::asked(row);
        let words = words(&asked);
        if row.images.is_empty() {
            self.texts.entry(text::plain(&asked)).or_insert(at);
        }
        if let Some(group) = row.group.as_ref().filter(|_| self.rules.groups) {
            self.groups.entry(group.clone()).or_insert(at);
        }
        let length = self.rules.run.min(words.len());
        let (own, shared): (Vec<_>, Vec<_>) = runs(&words, length).partition(|(hash, _)| !is_common(*hash));
        let peculiar = covered(words.len(), length, shared.into_iter().map(|(_, start)| start));
        // Few words that go with an image are asked of many images.
        if length == self.rules.run || (length >= LEAST_WORDS && row.images.is_empty()) {
            let runs = self.runs.entry(length).or_default();
            for (hash, start) in own {
                runs.entry(hash).or_default().push((at, start as u32));
            }
        }
        let numbers = sorted(text::numbers(&asked));
        let count = numbers.iter().filter(|token| token.chars().any(char::is_alphanumeric)).count();
        if self.rules.numbers.is_some() && count >= LEAST_NUMBERS && row.images.is_empty() {
            self.numbers.entry(numbers).or_default().push(at);
        }
        let (id, prompt, images) = (row.id.clone(), row.prompt.clone(), !row.images.is_empty());
        let peculiar = peculiar.into_iter().map(|common| !common).collect();
        self.kept.push(Kept { set, id, prompt, words, images, peculiar });
    }

    /// Looks for one row.
    pub fn judge(&self, row: &Row) -> Verdict {
        let asked = text::asked(row);
        let words = words(&asked);
        let by_words = self.by_words(&words);
        let share = by_words.map_or(0.0, |(_, share, _)| share);
        let found = |at: u32, reason, score, shown: String| {
            let kept = &self.kept[at as usize];
            Some(Found { set: kept.set, kept: kept.id.clone(), reason, score, shown })
        };
        let found = self
            .by_text(row, &asked)
            .and_then(|at| found(at, Reason::Text, 1.0, clipped(&row.prompt)))
            .or_else(|| {
                let group = row.group.as_ref()?;
                found(*self.groups.get(group)?, Reason::Group, 1.0, group.clone())
            })
            .or_else(|| {
                let (at, name) = self.by_image(row)?;
                found(at, Reason::Image, 1.0, name)
            })
            .or_else(|| {
                let (at, share, start) = by_words.filter(|(_, share, _)| *share >= self.rules.share)?;
                let kept = &self.kept[at as usize].words;
                let run = kept[start..(start + self.rules.run).min(kept.len())].join(" ");
                found(at, Reason::Words, share, run)
            })
            .or_else(|| {
                let (at, share) = self.by_numbers(&asked, &words)?;
                found(at, Reason::Numbers, share, clipped(&self.kept[at as usize].prompt))
            });
        Verdict { found, share }
    }

    /// A kept prompt, to be shown beside a row.
    pub fn prompt(&self, found: &Found) -> Option<&str> {
        let kept = self.kept.iter().find(|kept| kept.set == found.set && kept.id == found.kept)?;
        Some(&kept.prompt)
    }

    fn by_text(&self, row: &Row, asked: &str) -> Option<u32> {
        let plain = text::plain(asked);
        self.texts.get(&plain).copied().filter(|_| row.images.is_empty() && !plain.is_empty())
    }

    fn by_image(&self, row: &Row) -> Option<(u32, String)> {
        row.images.iter().filter(|_| self.rules.images).find_map(|image| {
            let look = Look::of(image)?;
            if let Some((at, name)) = self.files.get(&look.bytes) {
                return Some((*at, name.clone()));
            }
            let parts = look.parts().into_iter().enumerate();
            let near = parts.flat_map(|part| self.looks.get(&part).into_iter().flatten());
            let near: BTreeSet<u32> = near.filter(|at| self.seen[**at as usize].look.same(&look)).copied().collect();
            // Drawings of one kind look alike: what is written in them tells them apart.
            let detail = if near.is_empty() { None } else { Detail::of(image) }?;
            let mut near = near.into_iter().map(|at| &self.seen[at as usize]);
            near.find(|seen| seen.detail.same(&detail)).map(|seen| (seen.at, seen.name.clone()))
        })
    }

    /// The kept row with the largest share of its peculiar words in this row, that share, and where its first run begins.
    fn by_words(&self, words: &[String]) -> Option<(u32, f64, usize)> {
        let mut starts: BTreeMap<u32, (usize, Vec<usize>)> = BTreeMap::new();
        for (length, known) in &self.runs {
            for (hash, _) in runs(words, *length) {
                for (at, start) in known.get(&hash).into_iter().flatten() {
                    starts.entry(*at).or_insert((*length, Vec::new())).1.push(*start as usize);
                }
            }
        }
        let share = |at: u32, length: usize, starts: &[usize]| {
            let kept = &self.kept[at as usize];
            let here = covered(kept.words.len(), length, starts.iter().copied());
            let both = here.iter().zip(&kept.peculiar).filter(|(here, peculiar)| **here && **peculiar).count();
            let peculiar = kept.peculiar.iter().filter(|peculiar| **peculiar).count();
            both as f64 / peculiar.max(1) as f64
        };
        let shares = starts.iter().map(|(at, (length, starts))| {
            (*at, share(*at, *length, starts), starts.iter().copied().min().unwrap_or_default())
        });
        shares.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
    }

    /// The kept row with the same numbers and the largest share of its other words in this row, if that is enough.
    fn by_numbers(&self, asked: &str, words: &[String]) -> Option<(u32, f64)> {
        let least = self.rules.numbers?;
        let known = self.numbers.get(&sorted(text::numbers(asked)))?;
        let here: BTreeSet<&str> = words.iter().map(String::as_str).collect();
        let share = |at: &u32| {
            let kept = &self.kept[*at as usize].words;
            let said: BTreeSet<&str> = kept
                .iter()
                .map(String::as_str)
                .filter(|word| !word.bytes().any(|byte| byte.is_ascii_digit()))
                .collect();
            let both = said.iter().filter(|word| here.contains(**word)).count();
            (*at, both as f64 / said.len().max(1) as f64)
        };
        let best = known.iter().map(share).max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
        (best.1 >= least).then_some(best)
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let images = self.kept.iter().filter(|kept| kept.images).count();
        write!(f, "Index of {} rows, {images} with images", self.kept.len())
    }
}

fn sorted(mut numbers: Vec<String>) -> Vec<String> {
    numbers.sort();
    numbers
}

/// Runs of so many words by their hash, with the place of the first word.
fn runs(words: &[String], length: usize) -> impl Iterator<Item = (u64, usize)> {
    let hashes: Vec<u64> = words.iter().map(|word| text::hash(word)).collect();
    let count = if length == 0 { 0 } else { (hashes.len() + 1).saturating_sub(length) };
    (0..count).map(move |start| (text::run(&hashes[start..start + length]), start))
}

/// Counts shares in bars of equal width.
pub fn histogram(shares: impl Iterator<Item = f64>) -> [usize; BARS] {
    let mut bars = [0; BARS];
    for share in shares {
        bars[((share * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    bars
}

#[cfg(test)]
mod tests;
