//! The program of a reward is an input like any other: its bytes decide, its place does not.

use std::fs;
use std::path::Path;

use crate::support::curricle;

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
