//! `RECIPE data.NAME.SPLIT` → the files and the view of its rows.

use std::path::PathBuf;

use curricle_engine::diagnostic::suggest;
use curricle_engine::fs;
use curricle_engine::recipe::OutsideEntry;
use curricle_engine::stage::{DataView, StageError};

use crate::args::data::RowsArgs;
use crate::check;
use crate::exit::{Exit, Failure};

/// Are its files on this machine?
pub fn is_here(entry: &OutsideEntry) -> bool {
    entry.files.as_ref().is_some_and(|files| entry.hub.is_some() || fs::exists(files))
}

/// Finds the rows that were asked for.
pub fn find(args: &RowsArgs) -> Result<(PathBuf, DataView), Failure> {
    let recipe = check::recipe(&args.recipe, &args.layers)?;
    let entries: Vec<_> = recipe.entries().into_iter().filter(|entry| entry.role.is_some()).collect();
    let wanted = args.data.strip_prefix("data.").unwrap_or(&args.data);
    let (name, split) = wanted.split_once('.').map_or((wanted, None), |(name, split)| (name, Some(split)));
    let Some(entry) = entries.iter().find(|entry| entry.name.strip_prefix("data.") == Some(name)) else {
        let help = suggest(name, "`[data]` has", entries.iter().filter_map(|entry| entry.name.strip_prefix("data.")));
        return Err(Failure::new(Exit::Usage, format!("there is no data set `{name}`\n  help: {help}")));
    };
    let mut view = entry.view.clone();
    if let Some(split) = split.filter(|split| !view.splits.contains_key(*split)) {
        let help = suggest(split, "it has", view.splits.keys().map(String::as_str));
        return Err(Failure::new(Exit::Usage, format!("`data.{name}` has no split `{split}`\n  help: {help}")));
    }
    view.split = split.map(str::to_owned);
    match &entry.files {
        Some(path) if is_here(entry) => Ok((path.clone(), view)),
        _ => {
            let help = format!("`curricle data pull {}` fetches what is on the hub", args.recipe.display());
            let message = format!("`data.{name}` is not on this machine: `{}`\n  help: {help}", entry.source);
            Err(Failure::new(Exit::Invalid, message))
        }
    }
}

/// Rows that can't be read.
pub fn failed(error: &StageError) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}
