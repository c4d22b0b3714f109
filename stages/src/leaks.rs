//! A checked graph → rows that are kept for measuring and also learned from, as far as the files are there. Refuses to know
//! when two rows are the same ([`curricle_datasets::leak::search`]) and how it is told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use curricle_datasets::Row;
use curricle_datasets::leak::search::{Looks, search};
use curricle_engine::graph::{Graph, Leak};
use curricle_engine::stage::{ArtifactType, DataView, Role, StageError};

use crate::inputs;

/// Pairs that are shown of each leak.
const SHOWN: usize = 3;

/// What was found, and what could not be looked at.
#[derive(Debug, Default)]
pub struct Found {
    /// One for each two sets that share rows.
    pub leaks: Vec<Leak>,
    /// References whose rows are not there, or are only made by a run.
    pub unseen: Vec<String>,
}

/// Rows by the reference that names them.
type Sets = BTreeMap<String, (PathBuf, DataView)>;

/// Holds what is measured on, or kept for evaluation, against what any stage learns from.
///
/// # Errors
/// Where rows that are there can't be read.
pub fn find(graph: &Graph) -> Result<Found, StageError> {
    let (mut learned, mut kept) = (Sets::new(), Sets::new());
    let mut found = Found::default();
    for stage in graph.stages() {
        for port in stage.ports.inputs.iter().filter(|port| port.trains || port.measures) {
            let Some(input) = stage.inputs.get(&*port.name) else { continue };
            let eval = matches!(&input.ty, ArtifactType::Data(data) if data.role == Role::Eval);
            match input.origin.files() {
                Some((path, view)) if path.exists() => {
                    let side = if port.trains && !eval { &mut learned } else { &mut kept };
                    side.insert(input.reference.clone(), (path.to_owned(), view.clone()));
                }
                _ if found.unseen.contains(&input.reference) => {}
                _ => found.unseen.push(input.reference.clone()),
            }
        }
    }
    let read = |sets: &Sets| -> Result<BTreeMap<String, Vec<Row>>, StageError> {
        sets.iter().map(|(name, (path, view))| Ok((name.clone(), inputs::load(path, view)?))).collect()
    };
    let (learned_rows, kept_rows) = (read(&learned)?, read(&kept)?);
    let mut looks = Looks::default();
    for (kept_name, kept_rows) in &kept_rows {
        // Rows under one name are the same rows: `check` says so without looking at them.
        for (name, rows) in learned_rows.iter().filter(|(name, _)| *name != kept_name) {
            let groups = learned[name].1.group_by.is_some() && learned[name].1.group_by == kept[kept_name].1.group_by;
            let pairs = search(rows, kept_rows, groups, &mut looks);
            if pairs.is_empty() {
                continue;
            }
            let shown = pairs.iter().take(SHOWN).map(|pair| {
                format!("row `{}` is in it as `{}`: {} ({})", pair.kept, pair.learned, pair.same.name(), pair.shown)
            });
            found.leaks.push(Leak {
                learned: name.clone(),
                kept: kept_name.clone(),
                rows: kept_rows.len(),
                found: pairs.len(),
                evidence: shown.collect(),
            });
        }
    }
    Ok(found)
}
