//! Skipping prompts before they are asked (GRESO, Zheng et al. 2025, arXiv 2506.02177, §4):
//!
//! ```text
//! z_x       times in a row that the group of prompt x did not differ
//! Pr(x is asked) = max(p^z_x, floor)         p = p_easy if its last answers were all right, p_hard if all wrong
//! per step  p_easy ∓ Δ where the share of all-right groups is at least / below target · 1/3;  p_hard: all wrong, 2/3
//! round r   asks min(B, ⌈β · missing / (1 − share without difference)⌉) prompts
//! ```
//!
//! What is asked goes through dynamic sampling ([`super::SelectKind::Dapo`]). Prompts come in the order of the data, each
//! considered once per pass; whether one is asked follows from its place alone, so a resumed run asks what it would have.
//! Deviation: after two passes of refusals in a row the next prompt is asked whatever its history.

use std::collections::BTreeMap;

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Select, Skip};
use crate::rl::seed::{Purpose, stream};

/// What is remembered of a prompt whose last group did not differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Streak {
    /// Times in a row.
    times: u32,
    /// All right, rather than all wrong, the last time?
    easy: bool,
}

/// What GRESO carries from step to step; part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Place of the next prompt in the endless order of the data.
    cursor: usize,
    streaks: BTreeMap<usize, Streak>,
    easy: f64,
    hard: f64,
    /// Prompts passed over so far.
    pub skipped: usize,
}

/// How the group of a prompt came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Some right, some wrong.
    Differs,
    /// All right, or right in the same part.
    Easy,
    /// All wrong.
    Hard,
}

impl Outcome {
    /// The outcome of a group whose answers are right so far; 0 is wrong.
    pub fn of(accuracies: &[f32]) -> Self {
        let first = accuracies.first().copied().unwrap_or_default();
        match accuracies.iter().all(|accuracy| accuracy.to_bits() == first.to_bits()) {
            false => Self::Differs,
            true if first > 0.0 => Self::Easy,
            true => Self::Hard,
        }
    }
}

impl History {
    /// At the start of a stage.
    pub fn new(settings: &Skip) -> Self {
        Self { cursor: 0, streaks: BTreeMap::new(), easy: settings.start, hard: settings.start, skipped: 0 }
    }

    /// The next `count` of `len` rows to ask. `order(pass)` has the rows of a pass over the data; `seed` is the stage's.
    pub fn rows(
        &mut self,
        settings: &Skip,
        seed: u64,
        count: usize,
        len: usize,
        order: impl Fn(usize) -> Vec<usize>,
    ) -> Vec<usize> {
        let mut rows = Vec::with_capacity(count);
        let (mut pass, mut refused) = ((usize::MAX, Vec::new()), 0);
        while rows.len() < count {
            if pass.0 != self.cursor / len {
                pass = (self.cursor / len, order(self.cursor / len));
            }
            let row = pass.1[self.cursor % len];
            let draw: f64 = stream(seed, Purpose::Skip, &[self.cursor as u64]).random();
            self.cursor += 1;
            if draw < self.chance(settings, row) || refused >= 2 * len {
                rows.push(row);
                refused = 0;
            } else {
                refused += 1;
                self.skipped += 1;
            }
        }
        rows
    }

    /// Probability with which a row is asked.
    pub fn chance(&self, settings: &Skip, row: usize) -> f64 {
        match self.streaks.get(&row) {
            None => 1.0,
            Some(Streak { times, easy }) => {
                let base: f64 = if *easy { self.easy } else { self.hard };
                base.powi((*times).min(1000) as i32).max(settings.floor)
            }
        }
    }

    /// Learns how the groups of a step came out.
    pub fn learn(&mut self, settings: &Skip, outcomes: &[(usize, Outcome)]) {
        for &(row, outcome) in outcomes {
            if outcome == Outcome::Differs {
                self.streaks.remove(&row);
            } else {
                let streak = self.streaks.entry(row).or_insert(Streak { times: 0, easy: false });
                *streak = Streak { times: streak.times.saturating_add(1), easy: outcome == Outcome::Easy };
            }
        }
        let share = |wanted| {
            let found = outcomes.iter().filter(|(_, outcome)| *outcome == wanted).count();
            found as f64 / outcomes.len().max(1) as f64
        };
        let moved = |chance: f64, share: f64, target: f64| {
            let by = if share >= target { -settings.step } else { settings.step };
            (chance + by).clamp(settings.least, settings.most)
        };
        self.easy = moved(self.easy, share(Outcome::Easy), settings.target / 3.0);
        self.hard = moved(self.hard, share(Outcome::Hard), settings.target * 2.0 / 3.0);
    }
}

/// Prompts that the next round of a step asks, given how many groups are missing and the share without a difference.
pub fn next_round(settings: &Select, prompts: usize, missing: usize, zero_variance: f64) -> usize {
    let expected = settings.skip.reserve * missing as f64 / (1.0 - zero_variance);
    if expected.is_finite() { (expected.ceil() as usize).clamp(1, prompts) } else { prompts }
}
