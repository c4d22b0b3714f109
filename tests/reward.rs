//! The program of a reward is an input like any other: its bytes decide, its place does not.

use std::fs;
use std::path::Path;

use crate::support::{TINY, curricle};

const RECIPE: &str = r#"schema = 1
[recipe]
name = "judged"
[models.base]
source = "file:model"
assume = { images = false, max_length = 256 }
[data.rows]
source = "file:rows.jsonl"
[data.judge]
source = "file:judge.py"
[stages.rl]
kind = "grpo"
inputs = { model = "models.base", data = "data.rows", program = "data.judge" }
params = { max_new_tokens = 8, reward = { command = { weight = 0.5, interpreter = ["python3"] } } }
"#;

/// Two steps of a model with random weights, which only the program rewards.
const RUN: &str = r#"schema = 1
[recipe]
name = "judged"
[data.judge]
source = "file:judge.sh"
[stages.rl]
kind = "grpo"
inputs = { model = "base.model", data = "rows.train", program = "data.judge" }
[stages.rl.params]
steps = 2
prompts = 2
group = 2
max_new_tokens = 4
reward = { accuracy = 1.0, command = { weight = 0.5, interpreter = ["sh"], arguments = ["0.25"] } }
[runtime]
device = "cpu"
"#;

/// Key of the stage, as `explain` has it.
fn key(dir: &Path, args: &[&str]) -> String {
    let called = curricle(dir, &[&["explain", "recipe.toml", "rl", "--json"], args].concat());
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    let document: serde_json::Value = serde_json::from_str(&called.stdout).unwrap();
    let preimage = document["stages"][0]["preimage"].to_string();
    assert!(preimage.contains("program") && !preimage.contains("judge"), "{preimage}");
    document["stages"][0]["key"].as_str().unwrap().to_owned()
}

#[test]
fn the_bytes_of_a_reward_program_are_identity_and_its_place_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    write("recipe.toml", RECIPE);
    write("rows.jsonl", "{\"prompt\":\"2 + 2?\",\"answer\":\"4\"}\n");
    write("judge.py", "print(1)\n");
    let first = key(dir, &[]);
    assert_eq!(first, key(dir, &[]));
    write("judge.py", "print(2)\n");
    assert_ne!(first, key(dir, &[]));
    fs::create_dir(dir.join("elsewhere")).unwrap();
    write("elsewhere/other.py", "print(1)\n");
    assert_eq!(first, key(dir, &["--set", "data.judge.source=\"file:elsewhere/other.py\""]));
}

#[test]
fn a_reward_without_its_program_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("recipe.toml"), RECIPE.replace(", program = \"data.judge\"", "")).unwrap();
    let called = curricle(dir.path(), &["check", "recipe.toml"]);
    assert_eq!(called.code, Some(3));
    assert!(called.stderr.contains("`program`"), "{}", called.stderr);
    // And a program without its reward.
    fs::write(
        dir.path().join("recipe.toml"),
        RECIPE.replace("command = {", "repetition = {").replace(", interpreter = [\"python3\"]", ""),
    )
    .unwrap();
    let called = curricle(dir.path(), &["check", "recipe.toml"]);
    assert_eq!(called.code, Some(3));
    assert!(called.stderr.contains("`program`"), "{}", called.stderr);
}

#[test]
fn a_program_rewards_a_run_and_is_heard_when_it_fails() {
    let dir = tempfile::tempdir().unwrap();
    let run = |script: &str| {
        fs::write(dir.path().join("recipe.toml"), RUN.to_owned() + TINY).unwrap();
        fs::write(dir.path().join("judge.sh"), script).unwrap();
        curricle(dir.path(), &["run", "recipe.toml", "--events", "ndjson:events.ndjson"])
    };
    let called = run("while read -r row; do echo \"$1\"; done");
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    let events = fs::read_to_string(dir.path().join("events.ndjson")).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let said: Vec<f64> = events.filter_map(|event| event["metrics"]["command"].as_f64()).collect();
    assert_eq!(said, [0.25, 0.25]);
    let called = run("echo no judge today >&2; exit 7");
    assert_eq!(called.code, Some(1));
    for part in ["stage `rl` failed", "judge.sh` ended with exit status: 7", "no judge today"] {
        assert!(called.stderr.contains(part), "no `{part}` in:\n{}", called.stderr);
    }
}
