//! `curricle check`: every mistake of every recipe given, before anything runs.

use std::path::Path;

use curricle_engine::diagnostic::{Diagnostics, Severity};
use curricle_engine::graph::{self, Checked, Graph};
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
    for (recipe, scale) in args.recipes.iter().flat_map(|recipe| scales(recipe, args)) {
        let mut layers = args.layers.clone();
        layers.set.extend(scale.iter().map(|scale| format!("scale={scale}")));
        let result = load(recipe, &layers, args.strict);
        match &result {
            Err(_) => exit = Exit::Invalid,
            Ok((_, checked)) if args.locked => {
                let plan = plan::make(&checked.graph, &Store::open(&args.store.store), &SelectArgs::default())?;
                stale = stale.or(lock::enforce(recipe, &checked.graph, &plan).err());
            }
            Ok(_) => {}
        }
        if args.json {
            documents.push(document(recipe, scale.as_deref(), &result));
        } else {
            let scale = scale.map_or_else(String::new, |scale| format!(" at scale {scale}"));
            describe(&format!("{}{scale}", recipe.display()), result, paint);
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

/// The scales to check a recipe at; none stands for the one it chooses.
fn scales<'a>(recipe: &'a Path, args: &CheckArgs) -> Vec<(&'a Path, Option<String>)> {
    let known = args.every_scale.then(|| Recipe::load(recipe, &args.layers.overrides()).ok()).flatten();
    match known.as_ref().map(Recipe::scales) {
        None | Some([]) => vec![(recipe, None)],
        Some(names) => names.iter().map(|name| (recipe, Some(name.clone()))).collect(),
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

fn describe(name: &str, result: Result<(Recipe, Checked), Diagnostics>, paint: Paint) {
    match result {
        Ok((_, checked)) => {
            if !checked.warnings.list().is_empty() {
                paint.diagnostics(&checked.warnings);
                paint.say("");
            }
            let counted = summary(&checked.warnings);
            let size = checked.graph.size();
            let rest = if counted.is_empty() { String::new() } else { format!(", {counted}") };
            paint.say(&format!("{} {}: {size}{rest}", paint.err_tint(Tint::Green, "ok"), name));
        }
        Err(diagnostics) => {
            paint.diagnostics(&diagnostics);
            paint.complain(&format!("\n{name}: {}", summary(&diagnostics)));
        }
    }
}

fn document(path: &Path, scale: Option<&str>, result: &Result<(Recipe, Checked), Diagnostics>) -> serde_json::Value {
    let (graph, diagnostics) = match result {
        Ok((_, checked)) => (Some(&checked.graph), &checked.warnings),
        Err(diagnostics) => (None, diagnostics),
    };
    json!({
        "recipe": path.display().to_string(),
        "scale": scale,
        "ok": graph.is_some(),
        "stages": graph.map(|graph| graph.stages().len()),
        "by_hand": graph.map(Graph::by_hand),
        "arms": graph.map(|graph| graph.arms().len()),
        "diagnostics": diagnostics.to_json(),
    })
}
