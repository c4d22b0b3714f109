//! `curricle diff`: every field in which two recipes, plans, runs or keys differ.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use curricle_engine::diff::{self, Change, Metrics, Part, Parts};
use curricle_engine::exec::{Receipt, StageReceipt};
use curricle_engine::fs;
use curricle_engine::graph::check;
use curricle_engine::plan::{Options, Plan, plan};
use curricle_engine::recipe::{Config, Overrides, Recipe};
use curricle_engine::report::find_run;
use curricle_engine::stage::ArtifactKind;
use curricle_engine::store::{KeyPreimage, Store};
use curricle_stages::KINDS;
use serde_json::{Value, json};

use crate::args::DiffArgs;
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};

/// Longest value that is shown whole.
const LONGEST: usize = 72;

/// One side.
enum Side {
    Recipe(PathBuf),
    Plan(Value),
    Run(Receipt),
    Key(KeyPreimage),
}

/// Compares and prints.
pub fn run(args: &DiffArgs, paint: Paint) -> Result<Exit, Failure> {
    let old = side(&args.old, &args.store.store)?;
    let new = side(args.new.as_ref().unwrap_or(&args.old), &args.store.store)?;
    let (what, parts) = match (&old, &new) {
        (Side::Recipe(old), Side::Recipe(new)) => ("recipes", recipes(args, old, new)?),
        (Side::Plan(old), Side::Plan(new)) => ("plans", diff::plans(old, new)),
        (Side::Key(old), Side::Key(new)) => ("keys", diff::preimages(old, new)),
        (Side::Run(old), Side::Run(new)) => {
            ("runs", diff::runs((old, &metrics(old)), (new, &metrics(new)), &preimage_of))
        }
        (old, new) => {
            let message = format!("a {} and a {} have nothing to compare", old.word(), new.word());
            return Err(Failure::new(Exit::Usage, format!("{message}\n  help: give two of one sort")));
        }
    };
    if args.json {
        let new = args.new.as_ref().unwrap_or(&args.old);
        paint.json(&json!({ "schema_version": 1, "what": what, "a": args.old, "b": new, "parts": parts }))?;
    } else {
        paint.data(&text(&parts, paint))?;
        let count: usize = parts.iter().map(|part| part.changes.len()).sum();
        paint.say(&match count {
            0 => format!("no difference between these {what}"),
            1 => "1 field differs".to_owned(),
            count => format!("{count} fields differ"),
        });
    }
    Ok(if args.exit_code && !parts.is_empty() { Exit::Pending } else { Exit::Done })
}

impl Side {
    fn word(&self) -> &'static str {
        match self {
            Self::Recipe(_) => "recipe",
            Self::Plan(_) => "plan",
            Self::Run(_) => "run",
            Self::Key(_) => "key",
        }
    }
}

/// Finds out what a name on the command line is.
fn side(name: &str, store: &Path) -> Result<Side, Failure> {
    let path = Path::new(name);
    let in_runs = store.join("runs").join(name);
    let read = |path: &Path| {
        let text = fs::read_to_string(path).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        serde_json::from_str::<Value>(&text)
            .map_err(|error| Failure::new(Exit::Usage, format!("cannot understand `{}`: {error}", path.display())))
    };
    if path.extension().is_some_and(|extension| extension == "toml") {
        return Ok(Side::Recipe(path.to_owned()));
    }
    for run in [path, in_runs.as_path()] {
        if fs::exists(&run.join("receipt.json")) {
            let receipt = find_run(run).map_err(|error| Failure::new(Exit::Store, error.to_string()))?;
            return Ok(Side::Run(receipt));
        }
    }
    if fs::exists(&path.join("preimage.json")) {
        return key(read(&path.join("preimage.json"))?, name);
    }
    if fs::exists(path) && !fs::is_dir(path) {
        let document = read(path)?;
        return if document["steps"].is_array() { Ok(Side::Plan(document)) } else { key(document, name) };
    }
    let store = Store::open(store);
    let found = store.entries_of(name).map_err(|error| Failure::new(Exit::Store, error.to_string()))?;
    match found.as_slice() {
        [one] => Ok(Side::Key(one.preimage().map_err(|error| Failure::new(Exit::Store, error.to_string()))?)),
        [] => {
            let help = "a recipe's file, what `plan --json` wrote, a run, or the first digits of a key";
            Err(Failure::new(Exit::Usage, format!("`{name}` is nothing to compare\n  help: {help}")))
        }
        several => {
            let names = several.iter().map(|one| one.manifest().key.to_string()).collect::<Vec<_>>().join(", ");
            Err(Failure::new(Exit::Usage, format!("`{name}` could be any of {names}")))
        }
    }
}

fn key(document: Value, name: &str) -> Result<Side, Failure> {
    serde_json::from_value(document)
        .map(Side::Key)
        .map_err(|_| Failure::new(Exit::Usage, format!("`{name}` is neither a plan nor the preimage of a key")))
}

fn recipes(args: &DiffArgs, old: &Path, new: &Path) -> Result<Parts, Failure> {
    let of_old = Overrides { overlays: args.old_file.clone(), set: args.old_set.clone(), ..Overrides::default() };
    let of_new = args.layers.overrides();
    let values = |file: &Path, overrides: &Overrides| {
        Config::load(file, overrides).and_then(|config| config.resolved(KINDS)).map(|config| config.values())
    };
    let store = Store::open(&args.store.store);
    let (old, new) = (
        (values(old, &of_old)?, planned(old, &of_old, &store)),
        (values(new, &of_new)?, planned(new, &of_new, &store)),
    );
    // A recipe with mistakes has fields, but no keys.
    let plans = old.1.as_ref().zip(new.1.as_ref());
    Ok(diff::recipes(&old.0, &new.0, plans))
}

fn planned(file: &Path, overrides: &Overrides, store: &Store) -> Option<Plan> {
    let recipe = Recipe::load(file, overrides).ok()?;
    let checked = check(&recipe, KINDS).ok()?;
    plan(&checked.graph, store, &Options::default()).ok()
}

/// What the stages of a run measured, as far as it is still there.
fn metrics(receipt: &Receipt) -> Metrics {
    let read = |stage: &StageReceipt| {
        let mut ports = stage.outputs.iter().filter(|(_, kind)| **kind == ArtifactKind::Metrics);
        let (port, _) = ports.next()?;
        let path = stage.artifact.as_ref()?.join("artifact").join(port).join("metrics.json");
        let document: Value = serde_json::from_str(&fs::read_to_string(&path).ok()?).ok()?;
        let fields = document["metrics"].as_object()?.iter();
        let numbers: BTreeMap<_, _> =
            fields.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
        Some((stage.stage.clone(), numbers))
    };
    receipt.stages.iter().filter_map(read).collect()
}

fn preimage_of(stage: &StageReceipt) -> Option<KeyPreimage> {
    let path = stage.artifact.as_ref()?.join("preimage.json");
    serde_json::from_str(&fs::read_to_string(&path).ok()?).ok()
}

fn text(parts: &[Part], paint: Paint) -> String {
    let mut text = String::new();
    for part in parts {
        text += &format!("{}\n", paint.out_tint(Tint::Bold, &part.name));
        let width = part.changes.iter().map(|change| change.field.chars().count()).max().unwrap_or_default();
        part.changes.iter().for_each(|change| text += &line(change, width, paint));
    }
    text
}

fn line(change: &Change, width: usize, paint: Paint) -> String {
    let (sign, tint, values) = match (&change.old, &change.new) {
        (None, Some(new)) => ("+", Tint::Green, shown(new)),
        (Some(old), None) => ("-", Tint::Red, shown(old)),
        (old, new) => {
            let side = |value: &Option<Value>| value.as_ref().map(shown).unwrap_or_default();
            ("~", Tint::Yellow, format!("{} → {}", side(old), side(new)))
        }
    };
    let pad = " ".repeat(width - change.field.chars().count());
    format!("  {} {}{pad}  {values}\n", paint.out_tint(tint, sign), change.field)
}

/// A value in one line; the middle of a long one is left out.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    let length = text.chars().count();
    if length <= LONGEST {
        return text;
    }
    let (head, tail): (String, String) =
        (text.chars().take(LONGEST / 2).collect(), text.chars().skip(length - LONGEST / 2).collect());
    format!("{head}…{tail}")
}
