//! `curricle data ls`: what a recipe takes from outside, and whether it is here.

use curricle_engine::fs;
use curricle_engine::recipe::{OutsideEntry, Recipe};
use serde_json::{Value, json};

use crate::args::data::DataLsArgs;
use crate::check;
use crate::exit::{Exit, Failure};
use crate::paint::Paint;
use crate::table::table;

/// Lists models and data of a recipe.
pub fn run(args: &DataLsArgs, as_json: bool, paint: Paint) -> Result<Exit, Failure> {
    let recipe = check::recipe(&args.recipe, &args.layers)?;
    if as_json {
        paint.json(&json!({ "schema_version": 1, "recipe": document(&recipe) }))?;
        return Ok(Exit::Done);
    }
    let mut lines = vec![["NAME", "SOURCE", "COMMIT", "HERE"].map(str::to_owned).to_vec()];
    for entry in recipe.entries() {
        let commit = entry.hub.as_ref().and_then(|order| order.commit.as_deref()).unwrap_or("-");
        let here = if is_here(&entry) { "yes" } else { "no" };
        lines.push(vec![entry.name, entry.source, commit[..commit.len().min(8)].to_owned(), here.to_owned()]);
    }
    paint.data(&table(&lines, &[], paint))?;
    Ok(Exit::Done)
}

/// Are its files on this machine?
fn is_here(entry: &OutsideEntry) -> bool {
    entry.files.as_ref().is_some_and(|files| entry.hub.is_some() || fs::exists(files))
}

fn document(recipe: &Recipe) -> Value {
    let entry = |entry: OutsideEntry| {
        json!({
            "name": entry.name,
            "source": entry.source,
            "path": entry.files.as_ref().map(|path| path.display().to_string()),
            "commit": entry.hub.as_ref().and_then(|order| order.commit.clone()),
            "here": is_here(&entry),
            "role": entry.role,
        })
    };
    recipe.entries().into_iter().map(entry).collect()
}
