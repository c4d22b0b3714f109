//! `lock` and `--locked`: what a recipe is made of is written down, and what has changed since is told and refused.

use std::fs;
use std::path::Path;

use crate::support::curricle;

const RECIPE: &str = r#"
schema = 1
[models.base]
source = "hf:Qwen/Qwen2.5-VL-3B-Instruct"
assume = { images = true }
[data.held]
source = "file:held.jsonl"
role = "eval"
[stages.rows]
kind = "synthesize"
inputs = { exclude = "data.held" }
params = { train = 4, tasks = { arithmetic = {} } }
[stages.more]
kind = "synthesize"
inputs = { exclude = "rows.train" }
params = { train = 4, salt = 2, tasks = { arithmetic = {} } }
[stages.score]
kind = "evaluate"
each = ["base"]
inputs = { model = "models.${each}", data = "data.held" }
"#;

fn bench() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("main.toml"), RECIPE).unwrap();
    rows(dir.path(), "1");
    dir
}

fn rows(dir: &Path, answer: &str) {
    fs::write(dir.join("held.jsonl"), format!("{{\"prompt\":\"1+1\",\"answer\":\"{answer}\"}}\n")).unwrap();
}

fn lock(dir: &Path) -> String {
    fs::read_to_string(dir.join("main.lock")).unwrap()
}

#[test]
fn a_lock_holds_a_plan_to_what_it_was() {
    let dir = bench();
    let dir = dir.path();
    let none = curricle(dir, &["plan", "main.toml", "--locked"]);
    assert_eq!(none.code, Some(4));
    assert!(
        none.stderr.contains("there is no `main.lock`\n  help: write it with `curricle lock main.toml`"),
        "{}",
        none.stderr
    );

    let made = curricle(dir, &["lock", "main.toml"]);
    assert_eq!((made.code, made.stdout.as_str()), (Some(0), ""), "{}", made.stderr);
    assert!(made.stderr.contains("`models.base` is not on this machine: its content is not pinned"), "{}", made.stderr);
    assert!(made.stderr.ends_with("wrote main.lock: 2 inputs, 3 stages\n"), "{}", made.stderr);
    let first = lock(dir);
    for part in
        ["[data.held]\nsource = \"file:held.jsonl\"\nblake3 = ", "[stages.\"score[base]\"]\nkind = \"evaluate\"\n"]
    {
        assert!(first.contains(part), "no `{part}` in\n{first}");
    }
    for verb in ["plan", "check"] {
        let called = curricle(dir, &[verb, "main.toml", "--locked"]);
        assert_eq!(called.code, Some(0), "{}", called.stderr);
    }
    let again = curricle(dir, &["lock", "main.toml"]);
    assert_eq!((again.code, lock(dir)), (Some(0), first.clone()));

    rows(dir, "2");
    for args in
        [&["plan", "main.toml", "--locked"][..], &["check", "main.toml", "--locked"], &["run", "main.toml", "--locked"]]
    {
        let refused = curricle(dir, args);
        assert_eq!(refused.code, Some(4), "{args:?}: {}", refused.stderr);
        for part in [
            "`main.lock` is stale\n  data.held: content ",
            "\n  stages.rows: key ",
            "help: restore what changed, or accept it: `curricle lock main.toml --update data.held`",
        ] {
            assert!(refused.stderr.contains(part), "no `{part}` in\n{}", refused.stderr);
        }
        assert!(!refused.stderr.contains("score[base]"), "its model is not here: {}", refused.stderr);
    }
    let told = curricle(dir, &["lock", "main.toml"]);
    assert_eq!((told.code, told.stdout.lines().count(), lock(dir)), (Some(4), 3, first.clone()));
    let updated = curricle(dir, &["lock", "main.toml", "--update", "held"]);
    assert_eq!(updated.code, Some(0), "{}", updated.stderr);
    assert_ne!(lock(dir), first);
    assert_eq!(curricle(dir, &["plan", "main.toml", "--locked"]).code, Some(0));
}

#[test]
fn an_edit_of_a_stage_is_drift_and_can_be_accepted_alone() {
    let dir = bench();
    let dir = dir.path();
    assert_eq!(curricle(dir, &["lock", "main.toml"]).code, Some(0));
    let layers = ["--set", "stages.more.params.salt=3", "--set", "stages.rows.params.train=5"];
    let refused = curricle(dir, &[&["check", "main.toml", "--locked"], &layers[..]].concat());
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    let partly = curricle(dir, &[&["lock", "main.toml", "--update", "stages.more"], &layers[..]].concat());
    assert_eq!(partly.code, Some(4), "`rows` is still another: {}", partly.stderr);
    assert_eq!(curricle(dir, &["lock", "main.toml", "--update"]).code, Some(0));
    assert_eq!(curricle(dir, &["plan", "main.toml", "--locked"]).code, Some(0));
    let unknown = curricle(dir, &["lock", "main.toml", "--update", "data.hold"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("did you mean `data.held`?"), "{}", unknown.stderr);
    let invalid = curricle(dir, &["check", "main.toml", "--locked", "--set", "stages.more.kind=nothing"]);
    assert_eq!(invalid.code, Some(3), "an invalid recipe is worse than a stale lock");
}
