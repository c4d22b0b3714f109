//! `curricle lock`: what a recipe is made of, written down beside it; and `--locked`, which holds other verbs to it.

use std::path::Path;

use curricle_engine::fs;
use curricle_engine::graph::{Graph, check};
use curricle_engine::lock::{Drift, Lock, LockError, path_beside};
use curricle_engine::plan::Plan;
use curricle_engine::recipe::Recipe;
use curricle_engine::store::Store;
use curricle_stages::KINDS;
use serde_json::json;

use crate::args::{LockArgs, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};
use crate::plan;

/// Writes a lock, or says how it differs.
pub fn run(args: &LockArgs, paint: Paint) -> Result<Exit, Failure> {
    let mut recipe = Recipe::load(&args.recipe, &args.layers.overrides())?;
    let path = path_beside(&args.recipe);
    let old = Lock::read(&path).map_err(|error| failure(&error))?;
    // What is to be updated is no longer held to the commit that was locked.
    let mut pins = old.as_ref().map(Lock::pins).unwrap_or_default();
    match &args.update {
        None => {}
        Some(names) if names.is_empty() => pins.clear(),
        Some(names) => pins.retain(|pin, _| {
            !names.iter().any(|name| name == pin || pin.split_once('.').is_some_and(|(_, entry)| entry == name))
        }),
    }
    recipe.pin(pins);
    let graph = check(&recipe, KINDS)?.graph;
    let plan = plan::make(&graph, &Store::open(&args.store.store), &SelectArgs::default())?;
    let now = of(&args.recipe, &graph, &plan);
    let drift = old.as_ref().map(|old| old.drift(&now)).unwrap_or_default();
    let new = match (old.clone(), &args.update) {
        (None, _) => now.clone(),
        (Some(old), None) => old,
        (Some(old), Some(names)) if names.is_empty() => now.clone().keeping(&old),
        (Some(old), Some(names)) => {
            let now = now.clone().keeping(&old);
            old.updated(&now, &graph, names).map_err(|error| failure(&error))?
        }
    };
    let left = new.drift(&now);
    let written = old.as_ref() != Some(&new);
    if written {
        fs::write_atomic(&path, new.to_toml(&args.recipe))
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    }
    if args.json {
        let (lock, stale) = (path.display().to_string(), !left.is_empty());
        paint
            .json(&json!({ "schema_version": 1, "lock": lock, "written": written, "stale": stale, "drift": drift }))?;
    } else {
        for one in &drift {
            paint.data(&format!("{one}\n"))?;
        }
        tell(args, &path, &new, written, &left, paint);
    }
    Ok(if left.is_empty() { Exit::Done } else { Exit::Pending })
}

fn tell(args: &LockArgs, path: &Path, lock: &Lock, written: bool, left: &[Drift], paint: Paint) {
    for (name, input) in lock.inputs.iter().filter(|(_, input)| input.moves()) {
        let rest = if input.source.starts_with("hf:") {
            format!("its content is not pinned until `curricle data pull {}` has asked the hub", args.recipe.display())
        } else {
            "its content is not pinned".to_owned()
        };
        paint.say(&format!("{} `{name}` is not on this machine: {rest}", paint.err_tint(Tint::Cyan, "note:")));
    }
    let (inputs, stages) = (lock.inputs.len(), lock.stages.len());
    match (left.is_empty(), written) {
        (true, true) => paint.say(&format!("wrote {}: {inputs} inputs, {stages} stages", path.display())),
        (true, false) => paint.say(&format!("{} is current: {inputs} inputs, {stages} stages", path.display())),
        (false, _) => paint.complain(&format!(
            "{} is stale; accept this with `curricle lock {} --update`",
            path.display(),
            args.recipe.display()
        )),
    }
}

/// Refuses to go on where something is no longer as locked.
pub fn enforce(recipe: &Path, graph: &Graph, plan: &Plan) -> Result<(), Failure> {
    let path = path_beside(recipe);
    let Some(lock) = Lock::read(&path).map_err(|error| failure(&error))? else {
        let help = format!("write it with `curricle lock {}`", recipe.display());
        let message = format!("`--locked`, but there is no `{}`\n  help: {help}", path.display());
        return Err(Failure::new(Exit::Pending, message));
    };
    let drift = lock.drift(&of(recipe, graph, plan));
    if drift.is_empty() {
        return Ok(());
    }
    let lines = drift.iter().map(|one| format!("\n  {one}")).collect::<Vec<_>>().concat();
    let first = &drift[0].entry;
    let help = format!("restore what changed, or accept it: `curricle lock {} --update {first}`", recipe.display());
    let message = format!("`{}` is stale{lines}\n  help: {help}", path.display());
    Err(Failure::new(Exit::Pending, message))
}

fn of(recipe: &Path, graph: &Graph, plan: &Plan) -> Lock {
    let dir = fs::absolute(recipe).parent().unwrap_or(Path::new("/")).to_owned();
    Lock::of(graph, plan, &dir)
}

fn failure(error: &LockError) -> Failure {
    let exit = match error {
        LockError::Unknown { .. } => Exit::Usage,
        LockError::Disk(_) | LockError::Damaged { .. } => Exit::Failed,
    };
    Failure::new(exit, format!("{error}\n  help: {}", error.help()))
}
