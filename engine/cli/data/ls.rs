//! `curricle data ls`: the public data sets that are known here; or what a recipe takes from outside, and whether it is here.

use std::path::Path;

use curricle_engine::recipe::{OutsideEntry, Recipe};
use curricle_stages::data::{Manifest, manifests};
use serde_json::{Value, json};

use super::rows::is_here;
use crate::args::data::DataLsArgs;
use crate::check;
use crate::exit::{Exit, Failure};
use crate::paint::Paint;
use crate::table::table;

/// Lists public data sets, or models and data of a recipe.
pub fn run(args: &DataLsArgs, as_json: bool, paint: Paint) -> Result<Exit, Failure> {
    match &args.recipe {
        None => public(as_json, paint),
        Some(file) => of(file, &check::recipe(file, &args.layers)?, as_json, paint),
    }
}

fn public(as_json: bool, paint: Paint) -> Result<Exit, Failure> {
    let all = manifests();
    if as_json {
        paint.json(&json!({ "schema_version": 1, "manifests": all }))?;
        return Ok(Exit::Done);
    }
    let mut lines = vec![["NAME", "USE", "ROWS HOLD", "SAMPLES", "LICENCE", "SOURCE"].map(str::to_owned).to_vec()];
    lines.extend(all.iter().map(line));
    paint.data(&table(&lines, &[3], paint))?;
    paint.say(
        "SAMPLES as Table 1 of arXiv 2506.04207 counts them; `curricle data show NAME` says what is known, and how",
    );
    Ok(Exit::Done)
}

fn line(manifest: &Manifest) -> Vec<String> {
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    let (samples, source) = (or(&manifest.paper.samples, "-"), or(&manifest.source, "unknown"));
    vec![
        manifest.name.clone(),
        manifest.r#use.word().to_owned(),
        manifest.modality.word().to_owned(),
        samples,
        manifest.licence.clone(),
        source,
    ]
}

fn of(file: &Path, recipe: &Recipe, as_json: bool, paint: Paint) -> Result<Exit, Failure> {
    if as_json {
        let entries: Value = recipe.entries().iter().map(document).collect();
        paint.json(&json!({ "schema_version": 1, "recipe": file.display().to_string(), "entries": entries }))?;
        return Ok(Exit::Done);
    }
    let mut lines = vec![["NAME", "SOURCE", "COMMIT", "HERE"].map(str::to_owned).to_vec()];
    for entry in recipe.entries() {
        let commit = entry.hub.as_ref().and_then(|order| order.commit.as_deref()).unwrap_or("-");
        let here = if is_here(&entry) { "yes" } else { "no" };
        let commit = commit[..commit.len().min(8)].to_owned();
        lines.push(vec![entry.name, entry.source, commit, here.to_owned()]);
    }
    paint.data(&table(&lines, &[], paint))?;
    Ok(Exit::Done)
}

/// An entry as JSON.
pub fn document(entry: &OutsideEntry) -> Value {
    json!({
        "name": entry.name,
        "source": entry.source,
        "path": entry.files.as_ref().map(|path| path.display().to_string()),
        "commit": entry.hub.as_ref().and_then(|order| order.commit.clone()),
        "here": is_here(entry),
        "role": entry.role,
        "view": entry.view,
    })
}
