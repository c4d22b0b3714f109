//! Scores of items under several seeds → a mean, how sure it is, and how likely it is that there is nothing: what
//! [`super::statistics`] does for one seed, for several. Pure functions of their arguments; refuses to know where scores
//! come from.
//!
//! Two things vary: a training (its seed) and the questions (items). Both are resampled.
//! - Where every seed has items of its own, seeds are drawn with replacement, then items within each drawn seed (the
//!   two-stage bootstrap of Davison and Hinkley 1997, §3.8, both stages with replacement). The first stage is stretched so
//!   that few seeds do not look too much alike ([`rescaling`]).
//! - Where all seeds answered the same items, seeds and items are drawn independently of each other, so that an item that
//!   is hard for one seed is hard for all of them in a resample too (Owen 2007, Annals of Applied Statistics 1:386).
//! - With one seed only items are drawn, and nothing is said about another training.
//!
//! Both err on the long side where items dominate. Where seeds dominate and are few they err on the short side, as every
//! bootstrap of few values does; the tests of this file measure by how much.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Interval;
use super::statistics::{Draws, RESAMPLES, percentiles, without_tails};

/// What is resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Design {
    /// Items of the one seed there is.
    Items,
    /// Seeds, then items within each.
    ItemsWithinSeeds,
    /// Seeds and, independently, the items that they share.
    SeedsTimesItems,
}

/// A mean over seeds and items, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean over seeds of the mean over items.
    pub mean: f64,
    /// 95 % interval, percentiles of the bootstrap.
    pub interval: Interval,
    /// Two-sided: twice the smaller share of resampled means on one side of zero, with the estimate itself counted in
    /// (Davison and Hinkley 1997, §4.2.3), so never below 2 / 10,001.
    pub p: f64,
    /// Seeds.
    pub seeds: usize,
    /// Items over all seeds.
    pub items: usize,
    /// What was resampled.
    pub design: Design,
}

/// Estimates a mean from the values of each seed's items. With `shared`, the `i`-th value of every seed belongs to the same
/// item. Seeds without items do not count; `None` where nothing is left.
pub fn estimate(seeds: &[Vec<f64>], shared: bool) -> Option<Estimate> {
    resampled(seeds, shared, RESAMPLES)
}

/// Ends of the two one-sided intervals of a mean over the items of one seed, each with this confidence: percentiles of the
/// bootstrap of [`estimate`], so that at 0.975 they are its two-sided interval. `None` without items.
pub fn bounds(values: &[f64], confidence: f64) -> Option<Interval> {
    (!values.is_empty()).then(|| without_tails(&mut nested(&[values], RESAMPLES), 1.0 - confidence))
}

/// Holm's step-down adjustment (1979, Scandinavian Journal of Statistics 6:65) of a family of p-values, in their order.
pub fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut adjusted = vec![0.0; values.len()];
    let mut largest = 0.0_f64;
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max((values[at] * (values.len() - rank) as f64).min(1.0));
        adjusted[at] = largest;
    }
    adjusted
}

fn resampled(seeds: &[Vec<f64>], shared: bool, resamples: usize) -> Option<Estimate> {
    let seeds: Vec<&[f64]> = seeds.iter().map(Vec::as_slice).filter(|values| !values.is_empty()).collect();
    let first = seeds.first()?;
    let design = match seeds.len() {
        1 => Design::Items,
        _ if shared && seeds.iter().all(|values| values.len() == first.len()) => Design::SeedsTimesItems,
        _ => Design::ItemsWithinSeeds,
    };
    let mean = seeds.iter().map(|values| mean(values)).sum::<f64>() / seeds.len() as f64;
    let mut means = match design {
        Design::SeedsTimesItems => crossed(&seeds, resamples),
        Design::Items | Design::ItemsWithinSeeds => nested(&seeds, resamples),
    };
    let share = |side: &dyn Fn(f64) -> bool| {
        (1 + means.iter().filter(|value| side(**value)).count()) as f64 / (resamples + 1) as f64
    };
    let p = (2.0 * share(&|value| value <= 0.0).min(share(&|value| value >= 0.0))).min(1.0);
    let items = seeds.iter().map(|values| values.len()).sum();
    Some(Estimate { mean, interval: percentiles(&mut means), p, seeds: seeds.len(), items, design })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Seeds with replacement, then items within each.
fn nested(seeds: &[&[f64]], resamples: usize) -> Vec<f64> {
    let mut draws = Draws::new();
    let mut pools: Vec<Pool<'_>> = seeds.iter().map(|values| Pool::new(values)).collect();
    let of_seeds: Vec<f64> = seeds.iter().map(|values| mean(values)).collect();
    let (centre, scale) = (mean(&of_seeds), rescaling(seeds.len()));
    let pick = |draws: &mut Draws| if seeds.len() == 1 { 0 } else { draws.below(seeds.len()) };
    let resample = |_| {
        let drawn = (0..seeds.len()).map(|_| {
            let seed = pick(&mut draws);
            pools[seed].mean(&mut draws) - of_seeds[seed] + scale * (of_seeds[seed] - centre)
        });
        centre + drawn.sum::<f64>() / seeds.len() as f64
    };
    (0..resamples).map(resample).collect()
}

/// Drawing `n` of `n` values gives their mean a variance that is too small by (n − 1) / n; deviations are stretched by the
/// root of its inverse (Rao and Wu 1988, JASA 83:231).
fn rescaling(n: usize) -> f64 {
    if n < 2 { 1.0 } else { (n as f64 / (n - 1) as f64).sqrt() }
}

/// Seeds with replacement, and the items that all of them share with replacement.
fn crossed(seeds: &[&[f64]], resamples: usize) -> Vec<f64> {
    let (count, items) = (seeds.len(), seeds[0].len());
    let by_item: Vec<f64> = (0..items).flat_map(|item| seeds.iter().map(move |values| values[item])).collect();
    let (mut draws, scale) = (Draws::new(), rescaling(count));
    let mut sums = vec![0.0; count];
    let resample = |_| {
        sums.fill(0.0);
        for _ in 0..items {
            let item = draws.below(items) * count;
            for (sum, value) in sums.iter_mut().zip(&by_item[item..item + count]) {
                *sum += value;
            }
        }
        let all: f64 = sums.iter().sum();
        let drawn: f64 = (0..count).map(|_| sums[draws.below(count)]).sum();
        (all + scale * (drawn - all)) / (count * items) as f64
    };
    (0..resamples).map(resample).collect()
}

/// Most distinct values for which counts are drawn instead of items.
const FEW: usize = 4;

/// A seed's items, to draw as many as there are.
struct Pool<'a> {
    values: &'a [f64],
    /// Each distinct value and how many items have it; empty where there are more than [`FEW`].
    counts: Vec<(f64, usize)>,
    tables: BTreeMap<(usize, usize), Vec<f64>>,
}

impl<'a> Pool<'a> {
    fn new(values: &'a [f64]) -> Self {
        let mut counts: Vec<(f64, usize)> = Vec::new();
        for &value in values {
            match counts.iter().position(|(known, _)| known.total_cmp(&value).is_eq()) {
                Some(at) => counts[at].1 += 1,
                None if counts.len() == FEW => return Self { values, counts: Vec::new(), tables: BTreeMap::new() },
                None => counts.push((value, 1)),
            }
        }
        Self { values, counts, tables: BTreeMap::new() }
    }

    /// Mean of as many items as there are, drawn with replacement. Of few distinct values (right and wrong; better, worse
    /// and the same) how often each comes is multinomial: drawn as one binomial per value, it costs no draw per item.
    fn mean(&mut self, draws: &mut Draws) -> f64 {
        let n = self.values.len();
        if self.counts.is_empty() {
            return (0..n).map(|_| self.values[draws.below(n)]).sum::<f64>() / n as f64;
        }
        let (mut left, mut of) = (n, n);
        let mut sum = 0.0;
        for (index, &(value, count)) in self.counts.iter().enumerate() {
            let drawn = if count == of {
                left
            } else {
                let share = count as f64 / of as f64;
                let table = self.tables.entry((index, left)).or_insert_with(|| binomial(left, share));
                let place = draws.unit();
                table.partition_point(|&below| below <= place).min(left)
            };
            sum += value * drawn as f64;
            left -= drawn;
            of -= count;
        }
        sum / n as f64
    }
}

/// Distribution function of the binomial law of `n` draws that each hit with probability `p`, 0 < p < 1: at place `k` the
/// probability of at most `k` hits. Weights go by the ratio of neighbours, from the likeliest count outward, where nothing
/// that counts can underflow.
fn binomial(n: usize, p: f64) -> Vec<f64> {
    let odds = p / (1.0 - p);
    let mode = (((n + 1) as f64 * p) as usize).min(n);
    let mut weights = vec![0.0; n + 1];
    weights[mode] = 1.0;
    for k in mode + 1..=n {
        weights[k] = weights[k - 1] * odds * (n - k + 1) as f64 / k as f64;
    }
    for k in (0..mode).rev() {
        weights[k] = weights[k + 1] / odds * (k + 1) as f64 / (n - k) as f64;
    }
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    for weight in &mut weights {
        sum += *weight / total;
        *weight = sum;
    }
    weights
}

#[cfg(test)]
mod tests;
