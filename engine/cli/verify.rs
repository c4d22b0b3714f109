//! `curricle verify`: is a stage's result still what was committed, and would the same work make it again?

use std::path::{Path, PathBuf};

use curricle_engine::exec::{RebuildError, Subprocess, rebuild};
use curricle_engine::fs;
use curricle_engine::graph::{Graph, check};
use curricle_engine::plan::{Plan, Step};
use curricle_engine::recipe::Recipe;
use curricle_engine::store::{Class, Damage, Store, StoreError, Unlike, determinism};
use curricle_stages::KINDS;
use serde_json::{Value, json};

use crate::args::{SelectArgs, VerifyArgs};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};
use crate::plan;

/// Verifies one stage, or every one that has a result.
pub fn run(args: &VerifyArgs, paint: Paint) -> Result<Exit, Failure> {
    let recipe = Recipe::load(&args.recipe, &args.layers.overrides())?;
    let graph = check(&recipe, KINDS)?.graph;
    let names = args.stage.iter().cloned().collect::<Vec<_>>();
    let select = SelectArgs { until: names.clone(), ..SelectArgs::default() };
    let plan = plan::make(&graph, &Store::open(&args.store.store), &select)?;
    let is_named =
        |step: &&Step| names.iter().all(|name| step.name == *name || step.name.starts_with(&format!("{name}[")));
    let mut documents = Vec::new();
    let mut exit = Exit::Done;
    for step in plan.steps.iter().filter(is_named) {
        let Some(verdict) = verdict(args, &graph, &plan, step)? else {
            if args.stage.is_some() {
                exit = Exit::Incomplete;
                paint.complain(&format!("stage `{}` has no result to verify", step.name));
            }
            continue;
        };
        exit = verdict.exit(exit);
        if args.json {
            documents.push(verdict.document(step));
        } else {
            paint.data(&verdict.text(step, paint))?;
        }
    }
    if args.json {
        paint.json(&json!({ "schema_version": 1, "recipe": plan.recipe, "stages": documents }))?;
    }
    Ok(exit)
}

/// What was found out about one result.
struct Verdict {
    damage: Vec<Damage>,
    /// None if it was not rebuilt.
    again: Option<(Class, Vec<Unlike>)>,
    adopted: bool,
}

fn verdict(args: &VerifyArgs, graph: &Graph, plan: &Plan, step: &Step) -> Result<Option<Verdict>, Failure> {
    let Some(artifact) = &step.artifact else { return Ok(None) };
    let damage = artifact.damage().map_err(|error| store_failure(&error))?;
    let adopted = artifact.manifest().adopted.is_some();
    let again = if args.rebuild {
        let scratch = Scratch::new(&args.store.store, &step.name)?;
        let program = std::env::current_exe()?;
        let executor = Subprocess { program, args: vec!["worker".into()] };
        let outputs = rebuild(graph, plan, step.stage, &executor, &scratch.0, &mut |_| {})
            .map_err(|error| rebuild_failure(&error))?;
        Some(determinism(artifact, &outputs).map_err(|error| store_failure(&error))?)
    } else {
        None
    };
    Ok(Some(Verdict { damage, again, adopted }))
}

impl Verdict {
    fn exit(&self, so_far: Exit) -> Exit {
        let different = matches!(self.again, Some((Class::Different, _)));
        match so_far {
            _ if !self.damage.is_empty() => Exit::Store,
            Exit::Done | Exit::Incomplete if different => Exit::Failed,
            other => other,
        }
    }

    fn document(&self, step: &Step) -> Value {
        let again = self.again.as_ref().map(|(class, unlike)| json!({ "class": class, "files": unlike }));
        json!({
            "stage": step.name, "key": step.key, "adopted": self.adopted, "damage": self.damage, "rebuilt": again,
        })
    }

    fn text(&self, step: &Step, paint: Paint) -> String {
        let (word, tint) = match (self.damage.is_empty(), &self.again) {
            (false, _) => ("damaged", Tint::Red),
            (true, None) => ("as committed", Tint::Green),
            (true, Some((class, _))) => {
                (class.word(), if *class == Class::Different { Tint::Red } else { Tint::Green })
            }
        };
        let adopted = if self.adopted { ", adopted" } else { "" };
        let key = paint.out_tint(Tint::Dim, &step.key.short());
        let mut text = format!("{}  {key}  {}{adopted}\n", step.name, paint.out_tint(tint, word));
        for damage in &self.damage {
            text += &format!("  {damage}\n");
        }
        for file in self.again.iter().flat_map(|(_, unlike)| unlike) {
            let largest = file.largest.map_or_else(String::new, |largest| format!(", by {largest:e} at most"));
            text += &format!("  `{}`: {}{largest}\n", file.file, file.class.word());
        }
        text
    }
}

/// A folder that goes when nobody looks at it any more.
struct Scratch(PathBuf);

impl Scratch {
    fn new(store: &Path, stage: &str) -> Result<Self, Failure> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
        let name: String = stage.chars().map(plain).take(80).collect();
        let dir = fs::absolute(store).join("scratch").join(format!("{name}-{}", std::process::id()));
        fs::remove_dir_all(&dir)
            .and_then(|()| fs::create_dir_all(&dir))
            .map_err(|error| Failure::new(Exit::Store, error.to_string()))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn store_failure(error: &StoreError) -> Failure {
    Failure::new(Exit::Store, format!("{error}\n  help: {}", error.help()))
}

fn rebuild_failure(error: &RebuildError) -> Failure {
    let (exit, help) = match error {
        RebuildError::NotBuilt { .. } => (Exit::Incomplete, "\n  help: run the recipe first"),
        RebuildError::Missing { .. } => (Exit::Incomplete, "\n  help: put the files there"),
        RebuildError::Stage(_) => (Exit::Failed, ""),
        RebuildError::Disk(_) => (Exit::Store, ""),
    };
    Failure::new(exit, format!("{error}{help}"))
}
