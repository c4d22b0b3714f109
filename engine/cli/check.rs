//! `curricle check`: every mistake of every recipe given, before anything runs.

use std::path::Path;

use curricle_engine::diagnostic::{Diagnostics, Severity};
use curricle_engine::graph::{self, Checked};
use curricle_engine::recipe::Recipe;
use curricle_engine::store::Store;
use curricle_stages::KINDS;
use serde_json::json;

use crate::args::{CheckArgs, LayerArgs, RecipeArgs, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint, summary};
use crate::{lock, plan};

/// Checks every recipe.
pub fn run(args: &CheckArgs, paint: Paint) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let mut documents = Vec::new();
    let mut stale = None;
    for recipe in &args.recipes {
        let result = load(recipe, &args.layers, args.strict);
        match &result {
            Err(_) => exit = Exit::Invalid,
            Ok((_, checked)) if args.locked => {
                let plan = plan::make(&checked.graph, &Store::open(&args.store.store), &SelectArgs::default())?;
                stale = stale.or(lock::enforce(recipe, &checked.graph, &plan).err());
            }
            Ok(_) => {}
        }
        if args.json {
            documents.push(document(recipe, &result));
        } else {
            describe(recipe, result, paint);
        }
    }
    if args.json {
        paint.json(&json!({ "schema": 1, "recipes": documents }))?;
    }
    // A recipe that is invalid is worse than one that is not as it was.
    match stale.filter(|_| exit == Exit::Done) {
        Some(stale) => Err(stale),
        None => Ok(exit),
    }
}

/// Loads and checks one recipe, for every verb that needs a graph; says warnings and notes.
pub fn graph(args: &RecipeArgs, paint: Paint) -> Result<(Recipe, Checked), Failure> {
    let (recipe, checked) = load(&args.recipe, &args.layers, args.strict)?;
    if checked.warnings.count(Severity::Warning) > 0 || (paint.verbose > 0 && !checked.warnings.list().is_empty()) {
        paint.diagnostics(&checked.warnings);
        paint.say("");
    }
    Ok((recipe, checked))
}

fn load(recipe: &Path, layers: &LayerArgs, strict: bool) -> Result<(Recipe, Checked), Diagnostics> {
    let recipe = Recipe::load(recipe, &layers.overrides())?;
    let checked = graph::check(&recipe, KINDS)?;
    if strict && checked.warnings.count(Severity::Note) > 0 {
        return Err(checked.warnings.strict());
    }
    Ok((recipe, checked))
}

fn describe(path: &Path, result: Result<(Recipe, Checked), Diagnostics>, paint: Paint) {
    match result {
        Ok((_, checked)) => {
            if !checked.warnings.list().is_empty() {
                paint.diagnostics(&checked.warnings);
                paint.say("");
            }
            let counted = summary(&checked.warnings);
            let size = checked.graph.size();
            let rest = if counted.is_empty() { String::new() } else { format!(", {counted}") };
            paint.say(&format!("{} {}: {size}{rest}", paint.err_tint(Tint::Green, "ok"), path.display()));
        }
        Err(diagnostics) => {
            paint.diagnostics(&diagnostics);
            paint.complain(&format!("\n{}: {}", path.display(), summary(&diagnostics)));
        }
    }
}

fn document(path: &Path, result: &Result<(Recipe, Checked), Diagnostics>) -> serde_json::Value {
    let (ok, stages, diagnostics) = match result {
        Ok((_, checked)) => (true, Some(checked.graph.stages().len()), &checked.warnings),
        Err(diagnostics) => (false, None, diagnostics),
    };
    json!({ "recipe": path.display().to_string(), "ok": ok, "stages": stages, "diagnostics": diagnostics.to_json() })
}
