//! Evaluations of every variant and seed → tables: a mean per variant, and its difference to the base, same seeds and same
//! items. Also what one variant shows over its seeds, which is all there is where a recipe has no variations.

use std::collections::BTreeMap;
use std::convert::Infallible;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::evaluated::{Column, Pool, Scored, Variant};
use super::hierarchy::{Design, Estimate, estimate, holm};
use super::measure::{Item, Part};
use super::{Interval, Measured, bootstrap_mean, wilson};
use crate::parallel;

/// How the variants of a recipe compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arms {
    /// Every variant; the first is the base that the others are compared with.
    pub variants: Vec<ArmVariant>,
    /// One table per metric.
    pub tables: Vec<ArmTable>,
}

/// A variation of the recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmVariant {
    /// Its name; `base` for the recipe as written.
    pub name: String,
    /// The ablation that it belongs to; empty for the recipe as written.
    pub ablation: String,
    /// Its seeds.
    pub seeds: Vec<u64>,
    /// What it sets.
    pub settings: BTreeMap<String, Value>,
}

/// One metric, variants × what was evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmTable {
    /// `accuracy`, `accuracy/image`, …
    pub metric: String,
    /// What was evaluated; `(last)` is the last model of each variant.
    pub columns: Vec<String>,
    /// One per variant.
    pub rows: Vec<ArmRow>,
}

/// One variant of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmRow {
    /// The variant.
    pub variant: String,
    /// One per column; none where the variant has nothing there.
    pub cells: Vec<Option<ArmCell>>,
}

/// One variant's value of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmCell {
    /// Mean over seeds.
    pub value: f64,
    /// 95 % interval; absent where the metric is no mean over items.
    pub interval: Option<Interval>,
    /// Lowest and highest seed.
    pub range: Interval,
    /// Seeds.
    pub seeds: usize,
    /// Items over all seeds.
    pub items: usize,
    /// Is it the very evaluation that the base has?
    pub same_as_base: bool,
    /// Difference to the base; absent for the base, for a metric that is no mean over items, and where no seed has both.
    pub difference: Option<ArmDifference>,
}

/// A variant minus the base, over the seeds and items that both have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ArmDifference {
    /// Mean, interval and p-value.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The p-value after Holm's adjustment over the variants of its column.
    pub p_holm: f64,
    /// Seeds in which the variant is better.
    pub better: usize,
    /// Seeds in which it is worse.
    pub worse: usize,
}

impl ArmDifference {
    /// Does the interval leave out zero?
    pub fn excludes_zero(&self) -> bool {
        self.estimate.interval.low > 0.0 || self.estimate.interval.high < 0.0
    }
}

/// What a variant is called where people read it.
pub(super) fn shown(name: &str) -> &str {
    if name.is_empty() { "base" } else { name }
}

/// What a reader sees above a column.
pub(super) fn title(column: &Column, columns: &[Column]) -> String {
    let one_data = columns.iter().all(|other| other.data == column.data);
    if one_data { column.subject.clone() } else { format!("{} on {}", column.subject, column.data) }
}

/// Compares every variant with the first.
pub(super) fn compare(pool: &Pool<'_>, variants: &[Variant<'_>], columns: &[Column]) -> Arms {
    let mut metrics: Vec<String> = Vec::new();
    for (variant, column) in variants.iter().flat_map(|variant| columns.iter().map(move |column| (variant, column))) {
        for (_, scored) in pool.cell(variant, column) {
            metrics.extend(scored.metrics.metrics.keys().cloned());
        }
    }
    metrics.sort_unstable();
    metrics.dedup();
    let describe = |variant: &Variant<'_>| ArmVariant {
        name: shown(variant.name).to_owned(),
        ablation: variant.ablation.to_owned(),
        seeds: variant.arms.iter().map(|arm| arm.seed).collect(),
        settings: variant.settings.clone(),
    };
    // Resampling is most of the work of a report.
    let table = |metric: &String| Ok::<_, Infallible>(table(pool, variants, columns, metric));
    let Ok(tables) = parallel::each(&metrics, table);
    Arms { variants: variants.iter().map(describe).collect(), tables }
}

fn table(pool: &Pool<'_>, variants: &[Variant<'_>], columns: &[Column], metric: &str) -> ArmTable {
    let mut rows: Vec<ArmRow> = variants
        .iter()
        .map(|variant| ArmRow { variant: shown(variant.name).to_owned(), cells: Vec::with_capacity(columns.len()) })
        .collect();
    // Variants share evaluations: what is known of one is known of all.
    let mut known: BTreeMap<Vec<&str>, Measured> = BTreeMap::new();
    for column in columns {
        let base = pool.cell(&variants[0], column);
        for (variant, row) in variants.iter().zip(&mut rows) {
            let seeds = pool.cell(variant, column);
            let names = seeds.iter().map(|(_, scored)| scored.stage.stage.as_str()).collect();
            let mean = known.get(&names).copied().or_else(|| over_seeds(&seeds, metric));
            let cell = mean.map(|mean| {
                known.insert(names, mean);
                let values = seeds.iter().filter_map(|(_, scored)| scored.metrics.metrics.get(metric).copied());
                let same_as_base = row.variant != shown(variants[0].name)
                    && seeds.len() == base.len()
                    && seeds.iter().zip(&base).all(|((_, a), (_, b))| a.stage.key == b.stage.key);
                ArmCell {
                    value: mean.value,
                    interval: mean.interval,
                    range: Interval {
                        low: values.clone().fold(f64::INFINITY, f64::min),
                        high: values.fold(f64::NEG_INFINITY, f64::max),
                    },
                    seeds: seeds.len(),
                    items: seeds.iter().map(|(_, scored)| scored.items_of(metric)).sum(),
                    same_as_base,
                    difference: None,
                }
            });
            row.cells.push(cell);
        }
        adjust(pool, variants, column, metric, &mut rows);
    }
    ArmTable { metric: metric.to_owned(), columns: columns.iter().map(|one| title(one, columns)).collect(), rows }
}

/// Differences of the column that was filled last, as one family.
fn adjust(pool: &Pool<'_>, variants: &[Variant<'_>], column: &Column, metric: &str, rows: &mut [ArmRow]) {
    let mut found: Vec<(usize, ArmDifference)> = Vec::new();
    for (at, variant) in variants.iter().enumerate().skip(1) {
        let cell = rows[at].cells.last().and_then(Option::as_ref);
        if cell.is_some_and(|cell| !cell.same_as_base)
            && let Some(difference) = against_base(pool, &variants[0], variant, column, metric)
        {
            found.push((at, difference));
        }
    }
    let adjusted = holm(&found.iter().map(|(_, difference)| difference.estimate.p).collect::<Vec<_>>());
    for ((at, difference), p_holm) in found.into_iter().zip(adjusted) {
        if let Some(Some(cell)) = rows[at].cells.last_mut() {
            cell.difference = Some(ArmDifference { p_holm, ..difference });
        }
    }
}

fn against_base(
    pool: &Pool<'_>,
    base: &Variant<'_>,
    variant: &Variant<'_>,
    column: &Column,
    metric: &str,
) -> Option<ArmDifference> {
    let pairs = variant.arms.iter().filter_map(|arm| {
        let twin = base.arms.iter().find(|twin| twin.seed == arm.seed)?;
        Some((pool.find(twin, column)?.1, pool.find(arm, column)?.1))
    });
    let of_items = |scored: &Scored<'_>| scored.is_mean_of_items(metric);
    let pairs: Vec<_> = pairs.filter(|(before, after)| of_items(before) && of_items(after)).collect();
    let part = Part::of(metric);
    let (estimate, by_seed) = paired(&pairs, &|item| part.holds(item))?;
    Some(ArmDifference {
        estimate,
        p_holm: estimate.p,
        better: by_seed.iter().filter(|mean| **mean > 0.0).count(),
        worse: by_seed.iter().filter(|mean| **mean < 0.0).count(),
    })
}

/// After − before over pairs of evaluations, one per seed: over chosen items that both of a pair scored. Also the mean of
/// each seed. Pairs of different rows do not count, nor does a pair that another seed has too.
pub(super) fn paired(
    pairs: &[(&Scored<'_>, &Scored<'_>)],
    chosen: &dyn Fn(&Item) -> bool,
) -> Option<(Estimate, Vec<f64>)> {
    let mut kept: Vec<&(&Scored<'_>, &Scored<'_>)> = Vec::new();
    for pair in pairs {
        let keys = |(a, b): &(&Scored<'_>, &Scored<'_>)| (a.stage.key, b.stage.key);
        if pair.0.rows() == pair.1.rows() && kept.iter().all(|known| keys(known) != keys(pair)) {
            kept.push(pair);
        }
    }
    let differences = kept.iter().map(|(before, after)| {
        let old = before.scores(chosen);
        let new = after.scores(chosen).into_iter();
        new.filter_map(|(id, score)| Some((id, score - old.get(id)?))).collect::<BTreeMap<_, _>>()
    });
    let shared = kept.windows(2).all(|two| two[0].0.rows() == two[1].0.rows());
    let values = aligned(&differences.collect::<Vec<_>>(), shared);
    let means = values.iter().filter(|values| !values.is_empty());
    let means = means.map(|values| values.iter().sum::<f64>() / values.len() as f64).collect();
    Some((estimate(&values, shared)?, means))
}

/// Values of each seed's items; where seeds share their items, of those that all have, in one order.
fn aligned(seeds: &[BTreeMap<&str, f64>], shared: bool) -> Vec<Vec<f64>> {
    let everywhere = |id: &str| !shared || seeds.iter().all(|other| other.contains_key(id));
    let values = |seed: &BTreeMap<&str, f64>| seed.iter().filter(|(id, _)| everywhere(id)).map(|(_, v)| *v).collect();
    seeds.iter().map(values).collect()
}

/// A metric's mean over the seeds of a cell.
pub(super) fn over_seeds(seeds: &[(u64, &Scored<'_>)], metric: &str) -> Option<Measured> {
    let values: Vec<f64> = seeds.iter().filter_map(|(_, scored)| scored.metrics.metrics.get(metric).copied()).collect();
    if values.is_empty() {
        return None;
    }
    let value = values.iter().sum::<f64>() / values.len() as f64;
    if !seeds.iter().all(|(_, scored)| scored.is_mean_of_items(metric)) {
        return Some(Measured { value, interval: None });
    }
    let part = Part::of(metric);
    let scores: Vec<BTreeMap<&str, f64>> =
        seeds.iter().map(|(_, scored)| scored.scores(|item| part.holds(item))).collect();
    let interval = if let [one] = scores.as_slice() {
        of_items(&one.values().copied().collect::<Vec<_>>())
    } else {
        let shared = seeds.windows(2).all(|two| two[0].1.rows() == two[1].1.rows());
        estimate(&aligned(&scores, shared), shared)?.interval
    };
    Some(Measured { value, interval: Some(interval) })
}

/// Right-or-wrong scores are a proportion; anything else is resampled.
fn of_items(scores: &[f64]) -> Interval {
    let is = |score: &f64, value: f64| score.total_cmp(&value).is_eq();
    let right = scores.iter().filter(|score| is(score, 1.0)).count();
    let wrong = scores.iter().filter(|score| is(score, 0.0)).count();
    if right + wrong == scores.len() { wilson(right, scores.len()) } else { bootstrap_mean(scores) }
}

/// Seeds, and the lowest and highest share in per cent of 95 % intervals that held the truth, over 2,000 simulated sets of
/// 40 items each (the simulation is that of the tests of [`super::hierarchy`]): lowest where trainings differ far more than
/// items, highest where they do not differ.
const COVERAGE_WITHIN: [(usize, u32, u32); 4] = [(2, 64, 97), (3, 82, 98), (5, 87, 98), (10, 91, 99)];
/// The same where seeds share their items.
const COVERAGE_SHARED: [(usize, u32, u32); 4] = [(2, 67, 94), (3, 81, 94), (5, 87, 94), (10, 91, 94)];

impl Arms {
    /// How intervals, p-values and marks came about, with the numbers of seeds and items.
    pub fn method(&self) -> String {
        let differences = || {
            let cells = self.tables.iter().flat_map(|table| &table.rows).flat_map(|row| row.cells.iter().flatten());
            cells.filter_map(|cell| cell.difference)
        };
        let designs: Vec<Design> = differences().map(|difference| difference.estimate.design).collect();
        let most = differences().map(|difference| difference.estimate.seeds).max().unwrap_or(1);
        let how = if designs.contains(&Design::SeedsTimesItems) {
            "seeds and, independently of them, the items that all seeds share are resampled"
        } else if designs.contains(&Design::ItemsWithinSeeds) {
            "seeds are resampled, and items within each drawn seed"
        } else {
            "items are resampled; with one seed nothing is said about another training of the same recipe"
        };
        let table = if designs.contains(&Design::SeedsTimesItems) { COVERAGE_SHARED } else { COVERAGE_WITHIN };
        let coverage = table.iter().rev().find(|(seeds, ..)| *seeds <= most);
        let few = coverage.map_or_else(String::new, |(seeds, least, greatest)| {
            format!(
                " In simulations with {seeds} seeds, {least} % (trainings differ far more than items) to {greatest} % (items \
                 alone differ) of such intervals held the truth."
            )
        });
        format!(
            "Brackets: 95 % interval. Differences pair the same items under the same seed; paired bootstrap, 10,000 \
             resamples: {how}.{few} `p`: two-sided bootstrap p-value, adjusted by Holm over the variants of its column; \
             columns and metrics are not adjusted for each other. `*`: the interval excludes zero. `**`: and p < 0.05."
        )
    }
}
