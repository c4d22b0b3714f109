//! Rows in order → which of them were there before: with the same text, with nearly the same text, with images that look the
//! same. The first of several stays. Keeps of each row some 60 bytes, four more for each permutation, and 3 KB for each image.
//!
//! | reason | when |
//! | --- | --- |
//! | `exact` | the same text but for case, blanks and the last sign; and the same images |
//! | `near` | as large a share of its runs of words as `threshold` is in a row before it, by estimate; and the same numbers in the same order, if asked for; and the same images |
//! | `image` | the same images as a row before it, whatever is asked (only with [`Images::Alone`]) |
//!
//! A row is compared with rows that are kept, so that a chain of small changes does not make strangers one. Of those that
//! share a bucket of hashes it is compared with the 256 before it.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::near::{Signatures, Sketch};
use super::text;
use crate::image::ImageSource;
use crate::leak::detail::Picture;
use crate::leak::look::PARTS;
use crate::rows::Row;

/// What images have to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// The same text with other images is another row.
    WithText,
    /// As `WithText`; and the same images with another text are no other row.
    Alone,
    /// They are not looked at.
    Ignore,
}

/// When texts are nearly the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Share of common runs of words, from 0 to 1.
    pub threshold: f64,
    /// Words of a run.
    pub words: usize,
    /// Hashes of a signature: the share is told to about `√(s (1 − s) / permutations)`.
    pub permutations: usize,
    /// Have numbers and operators to be the same, in the same order?
    pub same_numbers: bool,
}

/// When rows are the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Compare texts as they are.
    pub exact: bool,
    /// Compare runs of words.
    pub near: Option<Near>,
    /// Compare images.
    pub images: Images,
}

/// How a row is the same as one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its text.
    Exact,
    /// Most of its text.
    Near,
    /// Its images.
    Image,
}

impl Reason {
    /// One word for tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Near => "near",
            Self::Image => "image",
        }
    }
}

/// A row that was there before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repeat {
    /// The row that stays, by its place.
    pub of: u32,
    /// How it is the same.
    pub reason: Reason,
    /// Share of runs that both have; 1 where it is the same.
    pub alike: f64,
}

/// What is kept of a row.
struct Seen {
    text: u128,
    numbers: u64,
    /// Its images; none where one can't be read: then it is like no other.
    looks: Option<Vec<Picture>>,
    signature: Option<Vec<u32>>,
}

/// Compares rows.
pub struct Dedupe {
    rules: Rules,
    sketch: Option<Sketch>,
    texts: Vec<u128>,
    numbers: Vec<u64>,
    /// Looks of the images of rows that have some.
    looks: HashMap<u32, Option<Vec<Picture>>>,
    signatures: Signatures,
}

impl Dedupe {
    /// Nothing seen yet.
    pub fn new(rules: Rules) -> Self {
        let sketch = rules.near.map(|near| Sketch::new(near.words, near.permutations));
        let signatures = Signatures::new(sketch.as_ref().map_or(0, Sketch::width));
        Self { rules, sketch, texts: Vec::new(), numbers: Vec::new(), looks: HashMap::new(), signatures }
    }

    /// Looks at the next rows, on all cores.
    pub fn see(&mut self, rows: &[Row]) {
        let looks = self.look(rows);
        let seen: Vec<Seen> = rows.par_iter().map(|row| self.seen(row, &looks)).collect();
        for (row, seen) in rows.iter().zip(seen) {
            if !row.images.is_empty() && self.rules.images != Images::Ignore {
                self.looks.insert(self.texts.len() as u32, seen.looks);
            }
            self.texts.push(seen.text);
            self.numbers.push(seen.numbers);
            if self.sketch.is_some() {
                self.signatures.push(seen.signature.as_deref());
            }
        }
    }

    /// Rows seen.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Were there none?
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    fn look(&self, rows: &[Row]) -> BTreeMap<ImageSource, Option<Picture>> {
        if self.rules.images == Images::Ignore {
            return BTreeMap::new();
        }
        let images: Vec<_> = rows.iter().flat_map(|row| &row.images).collect();
        images.into_par_iter().map(|image| (image.clone(), Picture::of(image))).collect()
    }

    fn seen(&self, row: &Row, looks: &BTreeMap<ImageSource, Option<Picture>>) -> Seen {
        let asked = text::asked(row);
        let digest = blake3::hash(text::plain(&asked).as_bytes());
        let text = u128::from_le_bytes(digest.as_bytes()[..16].try_into().expect("sixteen bytes"));
        let looks = row.images.iter().map(|image| looks.get(image).cloned().flatten()).collect();
        let Some(sketch) = &self.sketch else { return Seen { text, numbers: 0, looks, signature: None } };
        let (words, numbers) = text::hashes(&asked);
        Seen { text, numbers, looks, signature: sketch.of(&words) }
    }

    /// For each row, the row before it that makes it one too many.
    pub fn repeats(&self) -> Vec<Option<Repeat>> {
        let mut found = vec![None; self.len()];
        let mut kept = vec![true; self.len()];
        let mut of_text: HashMap<u128, u32> = HashMap::new();
        let (mut with_text, mut alone) = (Lookalikes::default(), Lookalikes::default());
        for row in 0..self.len() {
            let images = self.looks.get(&(row as u32));
            let images = match images {
                None => &[][..],
                Some(Some(images)) => images,
                Some(None) => continue,
            };
            let text = self.texts[row];
            if self.rules.exact {
                let before = if images.is_empty() {
                    of_text.get(&text).copied()
                } else {
                    with_text.find(text as u64, images, &self.looks)
                };
                found[row] = before.map(|of| Repeat { of, reason: Reason::Exact, alike: 1.0 });
            }
            if found[row].is_none() && self.rules.images == Images::Alone && !images.is_empty() {
                let before = alone.find(0, images, &self.looks);
                found[row] = before.map(|of| Repeat { of, reason: Reason::Image, alike: 1.0 });
            }
            kept[row] = found[row].is_none();
            if kept[row] && images.is_empty() {
                of_text.insert(text, row as u32);
            } else if kept[row] {
                with_text.add(text as u64, images, row as u32);
                if self.rules.images == Images::Alone {
                    alone.add(0, images, row as u32);
                }
            }
        }
        if let Some(near) = self.rules.near {
            self.near(near, &mut kept, &mut found);
        }
        found
    }

    fn near(&self, near: Near, kept: &mut [bool], found: &mut [Option<Repeat>]) {
        // Rows that can't be the same for their numbers, or their number of images, share no bucket.
        let salt = |row: usize| {
            let images = self.looks.get(&(row as u32)).map_or(0, |looks| looks.as_ref().map_or(1, Vec::len) as u64);
            text::chain(images, if near.same_numbers { self.numbers[row] } else { 0 })
        };
        let salts: Vec<u64> = (0..self.len()).map(salt).collect();
        let may = |one: usize, other: usize| match (self.looks.get(&(one as u32)), self.looks.get(&(other as u32))) {
            (None, None) => true,
            (Some(Some(one)), Some(Some(other))) => same(one, other),
            _ => false,
        };
        let repeats = self.signatures.repeats(near.threshold, kept, &salts, may);
        for (found, repeat) in found.iter_mut().zip(repeats) {
            if let Some((of, alike)) = repeat {
                *found = Some(Repeat { of, reason: Reason::Near, alike });
            }
        }
    }
}

fn same(one: &[Picture], other: &[Picture]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.same(b))
}

/// Rows by parts of the look of their first image: what looks the same shares one part at least.
#[derive(Default)]
struct Lookalikes(HashMap<u64, Vec<u32>>);

impl Lookalikes {
    /// One for each part, and one for the file.
    fn keys(salt: u64, images: &[Picture]) -> [u64; PARTS + 1] {
        let parts = images[0].look.parts();
        let part = |at: usize| parts.get(at).copied().unwrap_or_else(|| images[0].look.key());
        std::array::from_fn(|at| text::chain(text::chain(salt, at as u64), part(at)))
    }

    fn add(&mut self, salt: u64, images: &[Picture], row: u32) {
        for key in Self::keys(salt, images) {
            self.0.entry(key).or_default().push(row);
        }
    }

    /// The first row with the same images.
    fn find(&self, salt: u64, images: &[Picture], looks: &HashMap<u32, Option<Vec<Picture>>>) -> Option<u32> {
        let rows = Self::keys(salt, images).into_iter().flat_map(|key| self.0.get(&key).into_iter().flatten());
        let same = |row: &&u32| matches!(looks.get(row), Some(Some(other)) if same(images, other));
        rows.filter(same).min().copied()
    }
}

#[cfg(test)]
mod tests;
