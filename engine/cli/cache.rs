//! `curricle cache`: what lies in the store, how much it is, what of it may go, and whether it is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use curricle_engine::fs;
use curricle_engine::graph::check;
use curricle_engine::plan::{Options, plan};
use curricle_engine::recipe::{Overrides, Recipe};
use curricle_engine::report::find_run;
use curricle_engine::store::{Damage, Entry, Key, State, Store, StoreError};
use curricle_stages::KINDS;
use serde_json::{Value, json};

use crate::args::{CacheArgs, CacheVerb, GcArgs};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};
use crate::table::{age, bytes, table};

/// Looks at the store, or tidies it.
pub fn run(args: &CacheArgs, paint: Paint) -> Result<Exit, Failure> {
    let store = Store::open(&args.store.store);
    match &args.what {
        CacheVerb::Ls { recipes } => ls(args, recipes, &store, paint),
        CacheVerb::Du => du(args, &store, paint),
        CacheVerb::Gc(gc_args) => gc(args, gc_args, &store, paint),
        CacheVerb::Verify { names } => verify(args, names, &store, paint),
    }
}

fn ls(args: &CacheArgs, recipes: &[PathBuf], store: &Store, paint: Paint) -> Result<Exit, Failure> {
    let entries = store.entries().map_err(|error| failure(&error))?;
    let mut uses: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for recipe in recipes {
        for key in keys_of(recipe, &Overrides::default(), store)? {
            uses.entry(key).or_default().push(recipe.display().to_string());
        }
    }
    for (run, keys) in runs(&args.store.store)? {
        for key in keys {
            uses.entry(key).or_default().push(run.clone());
        }
    }
    let users = |entry: &Entry| entry.key().and_then(|key| uses.get(&key)).cloned().unwrap_or_default();
    if args.json {
        let one = |entry: &Entry| {
            let mut document = document(entry);
            document["used_by"] = json!(users(entry));
            document
        };
        let entries: Vec<Value> = entries.iter().map(one).collect();
        paint.json(&json!({ "schema_version": 1, "entries": entries }))?;
        return Ok(Exit::Done);
    }
    let now = now_ns();
    let row = |entry: &Entry| {
        let used = match users(entry).as_slice() {
            [] => "nothing".to_owned(),
            [one] => one.clone(),
            [.., last] => format!("{last} and {} more", users(entry).len() - 1),
        };
        let key = entry.key().map(|key| key.short()).unwrap_or_default();
        let said = what(entry);
        vec![entry.stage().to_owned(), said, key, bytes(entry.size), age(now - entry.changed_ns), used]
    };
    let head = ["stage", "kind", "key", "size", "age", "used by"].map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(head).chain(entries.iter().map(row)).collect();
    paint.data(&table(&rows, &[3, 4], paint))?;
    let total = entries.iter().map(|entry| entry.size).sum();
    paint.say(&format!("{} entries, {} in {}", entries.len(), bytes(total), store.root().display()));
    Ok(Exit::Done)
}

fn du(args: &CacheArgs, store: &Store, paint: Paint) -> Result<Exit, Failure> {
    let mut by_kind: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for entry in store.entries().map_err(|error| failure(&error))? {
        let sum = by_kind.entry(what(&entry)).or_default();
        *sum = (sum.0 + 1, sum.1 + entry.size);
    }
    let total = by_kind.values().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    if args.json {
        let one =
            |(kind, (count, size)): (&String, &(usize, u64))| json!({ "kind": kind, "entries": count, "bytes": size });
        let kinds: Vec<Value> = by_kind.iter().map(one).collect();
        paint.json(&json!({ "schema_version": 1, "kinds": kinds, "entries": total.0, "bytes": total.1 }))?;
        return Ok(Exit::Done);
    }
    let mut sorted: Vec<_> = by_kind.into_iter().collect();
    sorted.sort_by_key(|(_, (_, size))| std::cmp::Reverse(*size));
    let line = |name: &str, (count, size): (usize, u64)| vec![name.to_owned(), count.to_string(), bytes(size)];
    let mut rows = vec![["kind", "entries", "size"].map(str::to_owned).to_vec()];
    rows.extend(sorted.iter().map(|(kind, sum)| line(kind, *sum)));
    rows.push(line("all", total));
    paint.data(&table(&rows, &[1, 2], paint))?;
    Ok(Exit::Done)
}

fn gc(args: &CacheArgs, gc: &GcArgs, store: &Store, paint: Paint) -> Result<Exit, Failure> {
    if gc.recipes.is_empty() && gc.runs.is_empty() && !gc.all_runs && gc.keep.is_empty() {
        let help = "name recipes, or runs with `--run NAME` or `--all-runs`, or results with `--keep STAGE`";
        return Err(Failure::new(Exit::Usage, format!("nothing says what stays\n  help: {help}")));
    }
    let mut roots = BTreeSet::new();
    for recipe in &gc.recipes {
        roots.extend(keys_of(recipe, &gc.layers.overrides(), store)?);
    }
    for run in &gc.runs {
        let below = args.store.store.join("runs").join(run);
        let dir = if fs::exists(&below) { below } else { PathBuf::from(run) };
        let receipt = find_run(&dir).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        roots.extend(receipt.stages.iter().map(|stage| stage.key));
    }
    if gc.all_runs {
        roots.extend(runs(&args.store.store)?.into_iter().flat_map(|(_, keys)| keys));
    }
    roots.extend(going_on(&args.store.store, store)?);
    let sweep = store.sweep(&roots, &gc.keep).map_err(|error| failure(&error))?;
    let mut gone = Vec::new();
    for entry in &sweep.go {
        if !gc.delete || store.remove(entry).map_err(|error| failure(&error))? {
            gone.push(entry);
        }
    }
    let freed = gone.iter().map(|entry| entry.size).sum::<u64>();
    if args.json {
        let go: Vec<Value> = gone.iter().map(|entry| document(entry)).collect();
        let stay: Vec<Value> =
            sweep.stay.iter().map(|(entry, why)| json!({ "name": entry.name, "why": why })).collect();
        let document = json!({ "schema_version": 1, "deleted": gc.delete, "go": go, "stay": stay, "bytes": freed });
        paint.json(&document)?;
        return Ok(Exit::Done);
    }
    for entry in &gone {
        let size = bytes(entry.size);
        paint.data(&format!("{:>10}  {}  {}\n", size, entry.name, paint.out_tint(Tint::Dim, &what(entry))))?;
    }
    let (count, stay) = (gone.len(), sweep.stay.len());
    paint.say(&match (count, gc.delete) {
        (0, _) => format!("nothing to remove; {stay} entries stay"),
        (_, true) => format!("removed {count} entries, {}; {stay} stay", bytes(freed)),
        (_, false) => format!("{count} entries, {}, would go; {stay} stay; `--delete` removes them", bytes(freed)),
    });
    Ok(Exit::Done)
}

fn verify(args: &CacheArgs, names: &[String], store: &Store, paint: Paint) -> Result<Exit, Failure> {
    let entries = store.entries().map_err(|error| failure(&error))?;
    let wanted = |entry: &&Entry| names.is_empty() || names.iter().any(|name| entry.is_meant_by(name));
    let mut documents = Vec::new();
    let (mut whole, mut damaged) = (0, 0);
    for entry in entries.iter().filter(wanted) {
        let said = match &entry.state {
            State::Done(artifact) => {
                let damage = artifact.damage().map_err(|error| failure(&error))?;
                damage.iter().map(Damage::to_string).collect::<Vec<_>>()
            }
            State::Damaged(what) => vec![what.clone()],
            State::Begun { .. } | State::Leftover => continue,
        };
        if said.is_empty() {
            whole += 1;
        } else {
            damaged += 1;
            if !args.json {
                paint.data(&format!("{}: {}\n", paint.out_tint(Tint::Red, &entry.name), said.join("; ")))?;
            }
        }
        documents.push(json!({ "name": entry.name, "damage": said }));
    }
    if whole + damaged == 0 && !names.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("there is no result called {}", names.join(", "))));
    }
    if args.json {
        paint.json(&json!({ "schema_version": 1, "whole": whole, "damaged": damaged, "entries": documents }))?;
    } else if damaged == 0 {
        paint.say(&format!("{whole} results, every byte as committed"));
    } else {
        paint.complain(&format!(
            "{damaged} damaged, {whole} whole; remove a damaged folder, and the stage is built again"
        ));
    }
    Ok(if damaged > 0 { Exit::Store } else { Exit::Done })
}

/// Keys of every stage of a recipe.
fn keys_of(recipe: &Path, overrides: &Overrides, store: &Store) -> Result<Vec<Key>, Failure> {
    let graph = check(&Recipe::load(recipe, overrides)?, KINDS)?.graph;
    let plan =
        plan(&graph, store, &Options::default()).map_err(|error| Failure::new(Exit::Store, error.to_string()))?;
    Ok(plan.steps.iter().map(|step| step.key).collect())
}

/// Every finished run, oldest first, and the keys of its stages.
fn runs(curricle_dir: &Path) -> Result<Vec<(String, Vec<Key>)>, Failure> {
    let dir = curricle_dir.join("runs");
    let trouble = |text: String| Failure::new(Exit::Store, text);
    let mut found = Vec::new();
    for name in fs::list(&dir).map_err(|error| trouble(error.to_string()))? {
        if fs::exists(&dir.join(&name).join("receipt.json")) {
            let receipt = find_run(&dir.join(&name)).map_err(|error| trouble(error.to_string()))?;
            found.push((name, receipt.stages.iter().map(|stage| stage.key).collect()));
        }
    }
    Ok(found)
}

/// Keys that runs without a receipt have come to so far, while anybody works at all: what a run has made or taken may be what its
/// next stage reads.
fn going_on(curricle_dir: &Path, store: &Store) -> Result<Vec<Key>, Failure> {
    let held = |entry: &Entry| matches!(entry.state, State::Begun { holder: Some(_), .. });
    if !store.entries().map_err(|error| failure(&error))?.iter().any(held) {
        return Ok(Vec::new());
    }
    let dir = curricle_dir.join("runs");
    let names = fs::list(&dir).map_err(|error| Failure::new(Exit::Store, error.to_string()))?;
    let unfinished = names.iter().map(|name| dir.join(name)).filter(|run| !fs::exists(&run.join("receipt.json")));
    let mut keys = Vec::new();
    for run in unfinished {
        let events = fs::read_to_string(&run.join("events.ndjson")).unwrap_or_default();
        let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        keys.extend(events.filter_map(|event| serde_json::from_value::<Key>(event["key"].clone()).ok()));
    }
    Ok(keys)
}

fn document(entry: &Entry) -> Value {
    let state = match &entry.state {
        State::Done(_) => "done",
        State::Begun { holder: Some(_), .. } => "in work",
        State::Begun { holder: None, .. } => "unfinished",
        State::Leftover => "leftover",
        State::Damaged(_) => "damaged",
    };
    let (kind, created, adopted) = match &entry.state {
        State::Done(artifact) => {
            let manifest = artifact.manifest();
            (Some(&manifest.kind), Some(&manifest.created), manifest.adopted.as_ref())
        }
        _ => (None, None, None),
    };
    json!({
        "name": entry.name, "stage": entry.stage(), "kind": kind, "key": entry.key(), "bytes": entry.size,
        "created": created, "state": state, "adopted": adopted,
    })
}

/// The kind of a result, or what else it is.
fn what(entry: &Entry) -> String {
    match &entry.state {
        State::Done(artifact) => artifact.manifest().kind.clone(),
        State::Begun { holder: Some(_), .. } => "(in work)".into(),
        State::Begun { holder: None, .. } => "(unfinished)".into(),
        State::Leftover => "(leftover)".into(),
        State::Damaged(_) => "(damaged)".into(),
    }
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

fn failure(error: &StoreError) -> Failure {
    Failure::new(Exit::Store, format!("{error}\n  help: {}", error.help()))
}
