//! Stages that start from another state than the last of the one before, as somebody meets them who runs a recipe.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{TINY, curricle};

const RECIPE: &str = r#"schema = 1
[recipe]
name = "kept"
[stages.cold]
kind = "sft"
inputs = { model = "base.model", data = "rows.train", val = "rows.train" }
[stages.cold.params]
steps = 12
batch = 4
lr = 5e-2
look_every = 3
stop = { tokens = 1_000_000, plateau = { metric = "val_loss", patience = 9 } }
keep = { best = "val_loss", steps = [5] }
[stages.more]
kind = "sft"
inputs = { model = "cold.model@best", data = "rows.train" }
params = { steps = 2, batch = 4 }
[stages.other]
kind = "sft"
inputs = { model = "cold.model@step=5", data = "rows.train" }
params = { steps = 2, batch = 4 }
[stages.score]
kind = "evaluate"
inputs = { model = "cold.model@best", data = "rows.train" }
params = { max_new_tokens = 4 }
[runtime]
device = "cpu"
"#;

fn artifact(dir: &Path, stage: &str) -> PathBuf {
    let store = fs::read_dir(dir.join(".curricle/store/v1")).unwrap();
    let mut found = store
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{stage}-")));
    found.next().unwrap().path().join("artifact")
}

#[test]
fn a_stage_starts_from_the_best_state_of_another() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("recipe.toml"), RECIPE.to_owned() + TINY).unwrap();
    let drawn = curricle(dir.path(), &["graph", "recipe.toml", "--format", "mermaid"]);
    assert!(drawn.stdout.contains(r#"cold -->|"model@step=5 as model"| other"#), "{}{}", drawn.stdout, drawn.stderr);

    let called = curricle(dir.path(), &["run", "recipe.toml"]);
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    let cold = artifact(dir.path(), "cold");
    let note = |port: &str| fs::read(cold.join(port).join("kept.json")).unwrap();
    let step = |port: &str| serde_json::from_slice::<Value>(&note(port)).unwrap()["after_step"].clone();
    assert_eq!(step("model@step=5"), 5);
    assert_eq!(step("model@best").as_u64().unwrap() % 3, 0);
    for file in ["model.safetensors", "config.json", "tokenizer.json"] {
        assert!(cold.join("model@best").join(file).is_file(), "{file}");
    }
    // Each stage that follows has learnt something else: they start from different states, with the same parameters.
    let weights = |stage: &str| fs::read(artifact(dir.path(), stage).join("model/model.safetensors")).unwrap();
    assert!(weights("more") != weights("other"));

    let plan = curricle(dir.path(), &["plan", "recipe.toml", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "everything is done: {}{}", plan.stdout, plan.stderr);
    let report = curricle(dir.path(), &["report"]);
    assert!(report.stdout.contains("cold@best"), "{}{}", report.stdout, report.stderr);
    let verified = curricle(dir.path(), &["cache", "verify"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
}
