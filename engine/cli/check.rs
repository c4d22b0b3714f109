//! `curricle check`: every mistake of every recipe given, before anything runs.

use std::path::Path;

use curricle_engine::diagnostic::findings::{self, Finding};
use curricle_engine::diagnostic::{Diagnostic, Diagnostics, Severity};
use curricle_engine::graph::{self, Checked, Graph};
use curricle_engine::lock::{Lock, path_beside};
use curricle_engine::recipe::Recipe;
use curricle_engine::store::Store;
use curricle_stages::KINDS;
use serde_json::json;

use crate::args::{CheckArgs, CheckFormat, LayerArgs, RecipeArgs, SelectArgs, TinyArgs};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint, summary};
use crate::{lock, plan};

/// Checks every recipe.
pub fn run(args: &CheckArgs, paint: Paint) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let format = if args.json { CheckFormat::Json } else { args.format };
    let mut results = Vec::new();
    let mut stale = None;
    for (recipe, scale) in args.recipes.iter().flat_map(|recipe| scales(recipe, args)) {
        let mut layers = args.layers.clone();
        layers.set.extend(scale.iter().map(|scale| format!("scale={scale}")));
        let mut result = load(recipe, &layers, args.strict, &args.tiny);
        if args.leaks {
            result = match result {
                Ok((recipe, checked)) => leaks(recipe, checked, paint)?,
                wrong @ Err(_) => wrong,
            };
        }
        match &result {
            Err(_) => exit = Exit::Invalid,
            Ok((_, checked)) if args.locked => {
                let plan = plan::make(&checked.graph, &Store::open(&args.store.store), &SelectArgs::default())?;
                stale = stale.or(lock::enforce(recipe, &checked.graph, &plan).err());
            }
            Ok(_) => {}
        }
        if format == CheckFormat::Human {
            let scale = scale.map_or_else(String::new, |scale| format!(" at scale {scale}"));
            describe(&format!("{}{scale}", recipe.display()), result, paint);
        } else {
            results.push(Found { recipe: recipe.display().to_string(), scale, result });
        }
    }
    match format {
        CheckFormat::Human => {}
        CheckFormat::Json => {
            let documents: Vec<_> = results.iter().map(document).collect();
            paint.json(&json!({ "schema": 1, "recipes": documents }))?;
        }
        CheckFormat::Github => paint.data(&findings::github(&all(&results)))?,
        CheckFormat::Sarif => paint.json(&findings::sarif(&all(&results)))?,
        CheckFormat::Junit => paint.data(&findings::junit(&all(&results)))?,
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

/// What came of a check.
pub type Loaded = Result<(Recipe, Checked), Diagnostics>;

/// A recipe that was checked, at one of its scales.
struct Found {
    recipe: String,
    scale: Option<String>,
    result: Loaded,
}

impl Found {
    /// What was found, whether it is an error or not.
    fn diagnostics(&self) -> &Diagnostics {
        match &self.result {
            Ok((_, checked)) => &checked.warnings,
            Err(diagnostics) => diagnostics,
        }
    }
}

fn all(results: &[Found]) -> Vec<Finding<'_>> {
    results.iter().map(|found| Finding { recipe: &found.recipe, diagnostics: found.diagnostics() }).collect()
}

/// Loads and checks one recipe, for every verb that needs a graph; says warnings and notes.
pub fn graph(args: &RecipeArgs, paint: Paint) -> Result<(Recipe, Checked), Failure> {
    let (recipe, checked) = load(&args.recipe, &args.layers, args.strict, &args.tiny)?;
    if checked.warnings.count(Severity::Warning) > 0 || (paint.verbose > 0 && !checked.warnings.list().is_empty()) {
        paint.diagnostics(&checked.warnings);
        paint.say("");
    }
    Ok((recipe, checked))
}

/// Reads a recipe, held to the commits of the lock beside it.
pub fn recipe(file: &Path, layers: &LayerArgs) -> Result<Recipe, Diagnostics> {
    let mut recipe = Recipe::load(file, &layers.overrides())?;
    match Lock::read(&path_beside(file)) {
        Ok(lock) => recipe.pin(lock.map(|lock| lock.pins()).unwrap_or_default()),
        Err(error) => {
            let wrong = Diagnostic::error("lock", error.to_string()).help(error.help());
            return Err(Diagnostics::new(recipe.sources(), vec![wrong]));
        }
    }
    Ok(recipe)
}

/// Loads and checks a recipe; says nothing.
pub fn load(recipe: &Path, layers: &LayerArgs, strict: bool, tiny: &TinyArgs) -> Loaded {
    let recipe = self::recipe(recipe, layers)?;
    let checked = graph::check(&recipe, KINDS)?;
    if strict && checked.warnings.count(Severity::Note) > 0 {
        return Err(checked.warnings.strict());
    }
    let checked = if tiny.tiny { graph::tiny(&recipe, KINDS, checked)? } else { checked };
    Ok((recipe, checked))
}

/// Looks into the rows of a sound recipe.
#[cfg(feature = "rows")]
fn leaks(recipe: Recipe, checked: Checked, paint: Paint) -> Result<Loaded, Failure> {
    let found =
        curricle_stages::leaks::find(&checked.graph).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    for reference in &found.unseen {
        paint.complain(&format!("not looked into for leaks, since its rows are not there: `{reference}`"));
    }
    let warnings = checked.warnings.with(graph::leaks(&recipe, &found.leaks));
    if warnings.count(Severity::Error) > 0 {
        return Ok(Err(warnings));
    }
    Ok(Ok((recipe, Checked { graph: checked.graph, warnings })))
}

#[cfg(not(feature = "rows"))]
fn leaks(_: Recipe, _: Checked, _: Paint) -> Result<Loaded, Failure> {
    let why = "this build of curricle reads no rows; build with the default features, or `--features rows`";
    Err(Failure::new(Exit::Failed, why))
}

fn describe(name: &str, result: Loaded, paint: Paint) {
    match result {
        Ok((_, checked)) => {
            if !checked.warnings.list().is_empty() {
                paint.diagnostics(&checked.warnings);
                paint.say("");
            }
            let counted = summary(&checked.warnings);
            let size = checked.graph.size();
            let rest = if counted.is_empty() { String::new() } else { format!(", {counted}") };
            let name = if checked.graph.is_tiny() { format!("{name}, tiny") } else { name.to_owned() };
            paint.say(&format!("{} {}: {size}{rest}", paint.err_tint(Tint::Green, "ok"), name));
        }
        Err(diagnostics) => {
            paint.diagnostics(&diagnostics);
            paint.complain(&format!("\n{name}: {}", summary(&diagnostics)));
        }
    }
}

fn document(found: &Found) -> serde_json::Value {
    let graph = found.result.as_ref().ok().map(|(_, checked)| &checked.graph);
    json!({
        "recipe": found.recipe,
        "scale": found.scale,
        "ok": graph.is_some(),
        "tiny": graph.is_some_and(Graph::is_tiny),
        "stages": graph.map(|graph| graph.stages().len()),
        "by_hand": graph.map(Graph::by_hand),
        "arms": graph.map(|graph| graph.arms().len()),
        "diagnostics": found.diagnostics().to_json(),
    })
}
