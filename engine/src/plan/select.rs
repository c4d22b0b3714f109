//! `--arm`, `--only`, `--from`, `--until`, `--downstream`, `--force` → sets of stages.

use std::collections::BTreeSet;

use super::{Force, Options, PlanError, gates};
use crate::diagnostic::suggest;
use crate::graph::{Arm, Graph, Label, StageId};

/// The stages asked for: the intersection of every option given.
pub(super) fn selected(graph: &Graph, options: &Options) -> Result<BTreeSet<StageId>, PlanError> {
    let mut chosen: BTreeSet<StageId> = graph.stages().iter().map(|node| node.id).collect();
    if !options.arms.is_empty() {
        let arms = of_arms(graph, &options.arms)?;
        chosen.retain(|id| arms.contains(id));
    }
    if !options.only.is_empty() {
        let only = named(graph, &options.only)?;
        let only = if options.downstream { downstream(graph, only) } else { only };
        chosen.retain(|id| only.contains(id));
    }
    if !options.from.is_empty() {
        let from = downstream(graph, named(graph, &options.from)?);
        chosen.retain(|id| from.contains(id));
    }
    if !options.until.is_empty() {
        let until = until(graph, named(graph, &options.until)?, options.ignore_gates);
        chosen.retain(|id| until.contains(id));
    }
    Ok(chosen)
}

/// The stages that run although they are done, before what follows from them.
pub(super) fn forced(graph: &Graph, options: &Options) -> Result<BTreeSet<StageId>, PlanError> {
    match &options.force {
        Force::Nothing => Ok(BTreeSet::new()),
        Force::All => Ok(graph.stages().iter().map(|node| node.id).collect()),
        Force::Stages(names) => named(graph, names),
    }
}

/// What the recipe as written is called on the command line.
const AS_WRITTEN: &str = "base";

/// The arms that take part, by their places in [`Graph::arms`].
pub(super) fn arms(graph: &Graph, options: &Options) -> Result<Vec<usize>, PlanError> {
    if options.arms.is_empty() { Ok((0..graph.arms().len()).collect()) } else { arms_of(graph, &options.arms) }
}

/// The stages of arms given by name, by variant or by ablation.
fn of_arms(graph: &Graph, names: &[String]) -> Result<BTreeSet<StageId>, PlanError> {
    let arms = arms_of(graph, names)?.into_iter();
    Ok(arms.flat_map(|arm| graph.arms()[arm].stages.values().copied()).collect())
}

fn arms_of(graph: &Graph, names: &[String]) -> Result<Vec<usize>, PlanError> {
    let mut places = Vec::new();
    for name in names {
        let plain =
            name.strip_prefix(AS_WRITTEN).filter(|rest| rest.is_empty() || rest.starts_with('#')).unwrap_or(name);
        let fits = |(_, arm): &(usize, &Arm)| {
            let Label { name, ablation, variant, .. } = &arm.label;
            name == plain
                || variant == plain
                || !plain.is_empty() && (ablation == plain || arm.also.iter().any(|also| also == plain))
        };
        let mut found = graph.arms().iter().enumerate().filter(fits).peekable();
        if found.peek().is_none() {
            let variants = graph.variants();
            let known = variants.iter().map(|name| if name.is_empty() { AS_WRITTEN } else { name });
            let help = if variants.is_empty() {
                "it has no `[seeds]`, `[matrix]` or `[ablations]`".to_owned()
            } else {
                suggest(name, "its arms", known)
            };
            return Err(PlanError::UnknownArm { name: name.clone(), help });
        }
        places.extend(found.map(|(place, _)| place));
    }
    Ok(places)
}

fn named(graph: &Graph, names: &[String]) -> Result<BTreeSet<StageId>, PlanError> {
    let mut ids = BTreeSet::new();
    for name in names {
        // Instances of an `each` stage, and those of arms.
        let fits = |stage: &str| {
            stage.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '@', '#']))
        };
        let before = ids.len();
        ids.extend(graph.stages().iter().filter(|node| fits(&node.name)).map(|node| node.id));
        if ids.len() == before && !graph.stages().iter().any(|node| fits(&node.name)) {
            return Err(PlanError::UnknownStage { name: name.clone(), suggestion: nearest(graph, name) });
        }
    }
    Ok(ids)
}

fn nearest(graph: &Graph, name: &str) -> Option<String> {
    let near = graph.stages().iter().map(|node| (strsim::damerau_levenshtein(name, &node.name), &node.name));
    near.filter(|(distance, _)| *distance <= 1 + name.len() / 3).min().map(|(_, name)| name.clone())
}

fn downstream(graph: &Graph, mut ids: BTreeSet<StageId>) -> BTreeSet<StageId> {
    for node in graph.stages() {
        if graph.upstream(node.id).iter().any(|id| ids.contains(id)) {
            ids.insert(node.id);
        }
    }
    ids
}

/// Stages, what they need, and what the gates before them need.
fn until(graph: &Graph, ids: BTreeSet<StageId>, ignore_gates: bool) -> BTreeSet<StageId> {
    let mut found = upstream(graph, ids);
    let mut measuring = BTreeSet::from_iter(gates::measuring(graph, &found));
    while !ignore_gates && !measuring.is_subset(&found) {
        found.extend(&measuring);
        found = upstream(graph, found);
        measuring.extend(gates::measuring(graph, &found));
    }
    found
}

fn upstream(graph: &Graph, mut ids: BTreeSet<StageId>) -> BTreeSet<StageId> {
    for node in graph.stages().iter().rev() {
        if ids.contains(&node.id) {
            ids.extend(graph.upstream(node.id));
        }
    }
    ids
}
