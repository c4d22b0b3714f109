//! Every shipped recipe, the 7B's included, has a tiny sibling: it is sound and planned in every build, and runs in one
//! with a back end.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use curricle_engine::recipe::{Overrides, Recipe};
use serde_json::Value;

use crate::support::{Called, curricle};

/// Every shipped recipe at every scale, as the arguments that name it.
fn shipped() -> Vec<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort_unstable();
    assert!(files.len() >= 10, "{files:?}");
    let mut all = Vec::new();
    for file in files {
        let recipe =
            Recipe::load(&file, &Overrides::default()).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
        let name = || file.to_string_lossy().into_owned();
        match recipe.scales() {
            [] => all.push(vec![name()]),
            scales => all.extend(scales.iter().map(|scale| vec![name(), "--set".into(), format!("scale={scale}")])),
        }
    }
    all
}

fn call(verb: &[&str], recipe: &[String], store: &Path, more: &[&str]) -> Called {
    let verb = verb.iter().map(|word| (*word).to_owned());
    let store = ["--store".to_owned(), store.to_string_lossy().into_owned()];
    let args: Vec<String> =
        verb.chain(recipe.iter().cloned()).chain(store).chain(more.iter().map(|word| (*word).to_owned())).collect();
    curricle(Path::new(env!("CARGO_MANIFEST_DIR")), &args)
}

fn keys(plan: &Value) -> BTreeSet<String> {
    plan["steps"].as_array().unwrap().iter().map(|step| step["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_shipped_recipe_has_a_tiny_sibling_with_keys_of_its_own() {
    let store = tempfile::tempdir().unwrap();
    for recipe in shipped() {
        let plan = |more: &[&str]| -> Value {
            let called = call(&["plan", "--json"], &recipe, store.path(), more);
            assert_eq!(called.code, Some(0), "{recipe:?}: {}", called.stderr);
            serde_json::from_str(&called.stdout).unwrap()
        };
        let (small, large) = (plan(&["--tiny"]), plan(&[]));
        assert_eq!((&small["tiny"], &large["tiny"]), (&Value::Bool(true), &Value::Bool(false)));
        assert_eq!(small["arms"].as_array().unwrap().is_empty(), large["arms"].as_array().unwrap().is_empty());
        let names = |plan: &Value| -> BTreeSet<String> {
            let arms = plan["arms"].as_array().unwrap();
            arms.iter().map(|arm| arm["variant"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&small), names(&large), "{recipe:?}: every arm takes part");
        let absent = small["steps"].as_array().unwrap().iter().find(|step| step["missing"] != Value::Array(Vec::new()));
        assert_eq!(absent, None, "{recipe:?}: nothing from outside is needed");
        let common: Vec<String> = keys(&small).intersection(&keys(&large)).cloned().collect();
        assert_eq!(common, Vec::<String>::new(), "{recipe:?}");
        assert!(call(&["check", "--tiny"], &recipe, store.path(), &[]).stdout.is_empty());
    }
}

#[test]
fn a_tiny_plan_says_so() {
    let store = tempfile::tempdir().unwrap();
    let recipe = vec!["recipes/quickstart.toml".to_owned()];
    let called = call(&["plan", "--tiny"], &recipe, store.path(), &[]);
    assert!(called.stdout.starts_with("A tiny run: "), "{}", called.stdout);
    let called = call(&["plan", "--tiny", "--locked"], &recipe, store.path(), &[]);
    assert_eq!(called.code, Some(2), "a lock holds no keys of tiny runs");
}

/// All of them into one store, so that what recipes share is done once. With the development profile this should take less
/// than four minutes on two cores that have nothing else to do.
#[cfg(feature = "flex")]
#[test]
fn every_shipped_recipe_runs_tiny() {
    let store = tempfile::tempdir().unwrap();
    for recipe in shipped() {
        let more = ["--jobs", "2", "--progress", "none", "--json", "--set", "runtime.device=cpu"];
        let called = call(&["run", "--tiny"], &recipe, store.path(), &more);
        assert_eq!(called.code, Some(0), "{recipe:?}: {}\n{}", called.stderr, called.stdout);
        let receipt: Value = serde_json::from_str(&called.stdout).unwrap();
        assert_eq!((&receipt["outcome"], &receipt["tiny"]), (&Value::from("done"), &Value::Bool(true)));
        for stage in receipt["stages"].as_array().unwrap().iter().filter(|stage| stage["kind"] == "grpo") {
            let history = fs::read_to_string(stage["history"].as_str().unwrap()).unwrap();
            let steps = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let moved = steps.filter_map(|step| step["metrics"]["grad_norm"].as_f64()).any(|norm| norm > 0.0);
            assert!(moved, "{recipe:?}: `{}` never learnt anything", stage["stage"]);
        }
    }
    let runs = fs::read_dir(store.path().join("tiny/runs")).unwrap();
    for run in runs {
        let report = fs::read_to_string(run.unwrap().path().join("report.md")).unwrap();
        let title = report.lines().next().unwrap();
        assert!(title.ends_with("-tiny") && report.contains("no number here is a result"), "{title}");
    }
    assert!(!store.path().join("store").exists(), "results of tiny runs lie apart");
}
