//! Receipt → [`Report`].

use std::collections::{BTreeMap, BTreeSet};

use super::arms::{self, over_seeds, paired, shown};
use super::evaluated::{Column, Pool, Scored, Variant, variants};
use super::{Comparison, Evaluation, Report, ReportError, StageRow, StagesOf, curation, curves};
use crate::exec::{Receipt, StageReceipt, Status};
use crate::plan::Reason;

/// Reads what the run's stages went through and its evaluations measured, and compares it.
///
/// # Errors
///
/// A metrics artifact that is gone or is not what it should be.
pub fn build(receipt: &Receipt) -> Result<Report, ReportError> {
    let variants = variants(receipt);
    let pool = Pool::read(receipt)?;
    let base = &variants[..1];
    let of_base = pool.columns(base);
    let arms = (variants.len() > 1).then(|| {
        let mut columns = pool.columns(&variants);
        columns.extend(pool.last_columns(&variants, &columns));
        arms::compare(&pool, &variants, &columns)
    });
    let (curves, alerts) = curves::read(receipt, &variants)?;
    Ok(Report {
        schema_version: 1,
        recipe: receipt.recipe.clone(),
        tiny: receipt.tiny,
        version: receipt.version.clone(),
        started: receipt.started.clone(),
        wall_s: receipt.wall_s,
        outcome: receipt.outcome,
        stages: receipt.stages.iter().map(stage_row).collect(),
        by_variant: variants.iter().map(stages_of).collect(),
        evaluations: of_base.iter().map(|column| evaluation(&pool, &base[0], column)).collect(),
        comparisons: comparisons(&pool, &base[0], &of_base),
        arms,
        curves,
        alerts,
        gates: receipt.gates.clone(),
        curation: curation::read(receipt)?,
    })
}

fn stage_row(stage: &StageReceipt) -> StageRow {
    let reasons = stage.reasons.iter().map(Reason::to_string);
    StageRow {
        stage: stage.stage.clone(),
        kind: stage.kind.clone(),
        key: stage.key.short(),
        status: stage.status,
        wall_s: stage.wall_s,
        memory: stage.memory.clone(),
        why: reasons.chain(stage.adopted.as_ref().map(ToString::to_string)).chain(stage.message.clone()).collect(),
    }
}

fn stages_of(variant: &Variant<'_>) -> StagesOf {
    let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
    let mut wall_s = 0.0;
    for (_, stage) in variant.arms.iter().flat_map(|arm| &arm.stages) {
        *counts.entry(stage.status).or_default() += 1;
        wall_s += stage.wall_s.unwrap_or_default();
    }
    StagesOf { variant: shown(variant.name).to_owned(), seeds: variant.arms.len(), counts, wall_s }
}

/// What the recipe as written showed in one column, over its seeds.
fn evaluation(pool: &Pool<'_>, base: &Variant<'_>, column: &Column) -> Evaluation {
    let seeds = pool.cell(base, column);
    let names: BTreeSet<&String> = seeds.iter().flat_map(|(_, scored)| scored.metrics.metrics.keys()).collect();
    Evaluation {
        stage: column.stage.clone(),
        subject: column.subject.clone(),
        data: column.data.clone(),
        items: seeds.iter().map(|(_, scored)| scored.metrics.items).sum(),
        seeds: seeds.len(),
        metrics: names.into_iter().filter_map(|name| Some((name.clone(), over_seeds(&seeds, name)?))).collect(),
    }
}

/// Each evaluation against the one before it on the same data: over all items, then by group; over all seeds.
fn comparisons(pool: &Pool<'_>, base: &Variant<'_>, columns: &[Column]) -> Vec<Comparison> {
    let mut found = Vec::new();
    let of = |column: &Column| pool.cell(base, column);
    for (index, after) in columns.iter().enumerate() {
        let rows = |column: &Column| {
            of(column).first().map(|(_, scored)| scored.rows().into_iter().map(str::to_owned).collect::<BTreeSet<_>>())
        };
        let Some(before) = columns[..index].iter().rev().find(|before| rows(before) == rows(after)) else { continue };
        let pairs: Vec<(&Scored<'_>, &Scored<'_>)> =
            base.arms.iter().filter_map(|arm| Some((pool.find(arm, before)?.1, pool.find(arm, after)?.1))).collect();
        let items = || pairs.iter().flat_map(|(_, after)| &after.items);
        let groups: BTreeSet<Option<&str>> = items().map(|item| item.group.as_deref()).collect();
        let named = groups.iter().copied().flatten();
        // One group is the same comparison again.
        let parts = std::iter::once(None).chain(named.filter(|_| groups.len() > 1).map(Some));
        for part in parts {
            let inside = |item: &super::measure::Item| part.is_none() || item.group.as_deref() == part;
            let Some((estimate, _)) = paired(&pairs, &inside) else { continue };
            found.push(Comparison {
                before: before.subject.clone(),
                after: after.subject.clone(),
                data: after.data.clone(),
                group: part.unwrap_or("all").to_owned(),
                items: estimate.items,
                seeds: estimate.seeds,
                difference: estimate.mean,
                interval: estimate.interval,
            });
        }
    }
    found
}
