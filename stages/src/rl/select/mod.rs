//! Advantages → which samples are trained on. One rule per file; [`SelectKind::rule`] is the table.
//!
//! ```text
//! none           every sample                                              GRPO
//! filter         E = { i : T_low ≤ |A_i| ≤ T_high }                        the paper's arm without sub-sampling
//! random         ⌈ρN⌉ of all, uniform                                      the paper's arm without filtering
//! pad            min(⌈ρN⌉, |E|) of E by softmax(|A|/τ), not replaced       ReVisual-R1 as printed
//! pad-released   ⌊1.5 N⌋ by |A|^1.5 over .03 < |A| < .97, replaced         ReVisual-R1 as released
//! dapo           groups that differ; asks again until there are enough     DAPO
//! ssr            samples with A ≠ 0, and earlier ones from a buffer        VL-Rethinker
//! greso          as dapo, and passes over prompts that never differ        GRESO
//! ```
//!
//! Every rule looks at the advantages of the *accuracy* reward alone: style rewards give all-wrong groups advantages of
//! 0.5 and more, and no group would ever count as uninformative. Host code; knows neither tokens nor tensors.

mod dapo;
mod draw;
mod filter;
pub mod greso;
mod none;
mod pad;
mod pad_released;
mod params;
mod random;
pub mod ssr;

use rand_chacha::ChaCha8Rng;

pub use params::{Linear, Refill, Released, Replay, Select, SelectKind, Skip, Temperature};

/// What a rule picks from.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// Accuracy advantages, whole groups one after the other.
    pub advantages: &'a [f32],
    /// Samples per group.
    pub group: usize,
    /// Groups that an update is meant to have, at most.
    pub prompts: usize,
    /// τ of the step.
    pub temperature: f64,
}

/// What a rule picked.
#[derive(Debug, Default)]
struct Picked {
    /// Positions, in any order; more than once where the rule repeats.
    indices: Vec<usize>,
    /// Weight of every sample that could be picked, in any unit.
    law: Vec<f64>,
}

type Rule = fn(&Select, &Pool<'_>, &mut ChaCha8Rng) -> Picked;

impl SelectKind {
    fn rule(self) -> Rule {
        match self {
            Self::None => none::select,
            Self::Filter => filter::select,
            Self::Random => random::select,
            Self::Pad => pad::select,
            Self::PadReleased => pad_released::select,
            Self::Dapo | Self::Greso => dapo::select,
            Self::Ssr => ssr::select,
        }
    }
}

/// What a rule picked, and what it picked from.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Positions of the chosen samples, ascending; empty means: no update.
    pub indices: Vec<usize>,
    /// Share of samples whose accuracy advantage is not 0.
    pub effective_share: f64,
    /// Share of groups without any difference in accuracy.
    pub zero_variance: f64,
    /// Number of samples by |advantage|: `[0]`, then bins of width 0.5, the last open.
    pub histogram: [usize; 7],
    /// Chosen samples that were chosen before.
    pub duplicates: usize,
    /// Effective sample size of the law of the first draw: 1 / Σ p².
    pub ess: f64,
}

impl Select {
    /// Picks the samples of a step by their accuracy advantages.
    pub fn pick(&self, pool: &Pool<'_>, rng: &mut ChaCha8Rng) -> Selection {
        let Picked { mut indices, law } = (self.kind.rule())(self, pool, rng);
        indices.sort_unstable();
        let duplicates = indices.windows(2).filter(|pair| pair[0] == pair[1]).count();
        let advantages = pool.advantages;
        let effective = advantages.iter().filter(|&&a| a != 0.0).count();
        let (sum, squares) = (law.iter().sum::<f64>(), law.iter().map(|p| p * p).sum::<f64>());
        Selection {
            indices,
            effective_share: if advantages.is_empty() { 0.0 } else { effective as f64 / advantages.len() as f64 },
            zero_variance: 1.0 - super::advantage::effective_groups(advantages, pool.group),
            histogram: histogram(advantages),
            duplicates,
            ess: if squares > 0.0 { sum * sum / squares } else { 0.0 },
        }
    }
}

fn histogram(advantages: &[f32]) -> [usize; 7] {
    let mut bins = [0; 7];
    for &a in advantages {
        let bin = if a == 0.0 { 0 } else { 1 + ((a.abs() / 0.5) as usize).min(5) };
        bins[bin] += 1;
    }
    bins
}

#[cfg(test)]
mod tests;
