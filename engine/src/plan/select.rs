//! `--only`, `--from`, `--until`, `--downstream`, `--force` → sets of stages.

use std::collections::BTreeSet;

use super::{Force, Options, PlanError};
use crate::graph::{Graph, StageId};

/// The stages asked for: the intersection of every option given.
pub(super) fn selected(graph: &Graph, options: &Options) -> Result<BTreeSet<StageId>, PlanError> {
    let mut chosen: BTreeSet<StageId> = graph.stages().iter().map(|node| node.id).collect();
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
        let until = upstream(graph, named(graph, &options.until)?);
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

fn named(graph: &Graph, names: &[String]) -> Result<BTreeSet<StageId>, PlanError> {
    let mut ids = BTreeSet::new();
    for name in names {
        let family = format!("{name}[");
        let fits = |stage: &str| stage == name || stage.starts_with(&family);
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

fn upstream(graph: &Graph, mut ids: BTreeSet<StageId>) -> BTreeSet<StageId> {
    for node in graph.stages().iter().rev() {
        if ids.contains(&node.id) {
            ids.extend(graph.upstream(node.id));
        }
    }
    ids
}
