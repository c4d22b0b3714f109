//! Gates with the real binary: the plan that knows, the run that ends with 5.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Called, curricle};

/// `more` does not start before `score` is good enough.
const RECIPE: &str = r#"
schema = 1
[recipe]
name = "gated"
[models.base]
source = "file:model"
[stages.rows]
kind = "synthesize"
params = { train = 4, test = 8, tasks = { arithmetic = {} } }
[stages.score]
kind = "evaluate"
inputs = { model = "models.base", data = "rows.test" }
params = { max_new_tokens = 16 }
[stages.more]
kind = "synthesize"
after = ["rows"]
params = { train = 4, test = 8, salt = 1, tasks = { arithmetic = {} } }
[gates.enough]
after = "rows"
require = "score.accuracy >= 0.5"
description = "no more rows for a model that can't use them"
"#;

/// A folder with the recipe and results that were made elsewhere, so that every build can run it: of `score` 40 items of which
/// this many are right.
fn bench(right: usize, stages: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate::support::edit::copy(&root.join("tests/errors/files/model"), &dir.path().join("model"));
    fs::write(dir.path().join("recipe.toml"), RECIPE).unwrap();
    let mut items = String::new();
    for item in 0..40 {
        writeln!(items, r#"{{"id":"{item}","group":"text","score":{}}}"#, u8::from(item < right)).unwrap();
    }
    let metrics = format!(r#"{{"schema":1,"metrics":{{"accuracy":{}}},"items":40}}"#, right as f64 / 40.0);
    let rows = "{\"prompt\":\"1 + 1?\",\"answer\":\"2\"}\n".to_owned();
    for (path, text) in [
        ("made/score/metrics.json", metrics),
        ("made/score/items.jsonl", items),
        ("made/rows/train/rows.jsonl", rows.clone()),
        ("made/rows/test/rows.jsonl", rows),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for stage in stages {
        let made = if *stage == "score" { "made/score" } else { "made/rows" };
        let adopted = called(dir.path(), &["adopt", made, "recipe.toml", "--as", stage]);
        assert_eq!(adopted.code, Some(0), "{}", adopted.stderr);
    }
    dir
}

fn called(dir: &Path, args: &[&str]) -> Called {
    curricle(dir, args)
}

#[test]
fn a_gate_that_is_not_met_is_planned_told_and_ends_with_5() {
    let dir = bench(8, &["rows", "score"]);
    let plan = called(dir.path(), &["plan", "recipe.toml"]);
    for part in [
        "more   held   ",
        "gate `enough` is not met",
        "gate enough  not met: `score.accuracy` 0.200 [0.",
        "required: >= 0.5; more waits",
        "nothing to run, 2 reused, 1 held back by a gate",
    ] {
        assert!(plan.stdout.contains(part), "no `{part}` in\n{}", plan.stdout);
    }
    let run = called(dir.path(), &["run", "recipe.toml"]);
    assert_eq!(run.code, Some(5), "{}", run.stderr);
    assert!(run.stderr.contains("[gate enough] not met: `score.accuracy` 0.200 ["), "{}", run.stderr);
    assert!(run.stderr.contains("[more] skipped: gate `enough` is not met: "), "{}", run.stderr);
    assert!(run.stdout.contains("gate enough: not met; `score.accuracy` 0.200 ["), "{}", run.stdout);
    let pending = called(dir.path(), &["plan", "recipe.toml", "--exit-code"]);
    assert_eq!(pending.code, Some(5), "there is nothing to do but what the gate holds back:\n{}", pending.stdout);

    let explained = called(dir.path(), &["explain", "recipe.toml", "more"]).stdout;
    assert!(
        explained.contains("held\n") && explained.contains("waits for enough: not met; `score.accuracy` 0.200"),
        "{explained}"
    );
    let report = called(dir.path(), &["report", "recipe.toml", "--format", "md"]).stdout;
    assert!(report.starts_with("# gated\n\nStopped by a gate in "), "{report}");
    assert!(report.contains("| enough | not met | `score.accuracy >= 0.5` |"), "{report}");
    assert!(called(dir.path(), &["report", "recipe.toml", "--format", "html"]).stdout.contains("<h2>Gates</h2>"));
}

#[test]
fn a_gate_can_be_ignored_and_the_receipt_says_so() {
    let dir = bench(8, &["rows", "score", "more"]);
    let run = called(dir.path(), &["run", "recipe.toml", "--ignore-gates", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let receipt: Value = serde_json::from_str(&run.stdout).unwrap();
    let gate = &receipt["gates"][0];
    assert_eq!((&gate["ignored"], &gate["judgement"]["verdict"]), (&true.into(), &"not-met".into()));
    assert_eq!(gate["description"], "no more rows for a model that can't use them");
    assert_eq!(receipt["stages"][2]["status"], "reused");
    assert_eq!(
        called(dir.path(), &["run", "recipe.toml"]).code,
        Some(5),
        "what is in the store is used, and the gate told"
    );
}

#[test]
fn a_gate_that_is_met_says_so_and_no_more() {
    let dir = bench(36, &["rows", "score", "more"]);
    let keys = |text: &str| -> Vec<String> {
        fs::write(dir.path().join("recipe.toml"), text).unwrap();
        let plan: Value = serde_json::from_str(&called(dir.path(), &["plan", "recipe.toml", "--json"]).stdout).unwrap();
        plan["steps"].as_array().unwrap().iter().map(|step| step["key"].to_string()).collect()
    };
    let bare = &RECIPE[..RECIPE.find("[gates").unwrap()];
    assert_eq!(keys(bare), keys(RECIPE), "a gate is no part of a stage's key");
    let run = called(dir.path(), &["run", "recipe.toml"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("[gate enough] met: "), "{}", run.stderr);
    assert_eq!(called(dir.path(), &["plan", "recipe.toml", "--exit-code"]).code, Some(0));
    let document: Value = serde_json::from_str(&called(dir.path(), &["plan", "recipe.toml", "--json"]).stdout).unwrap();
    assert_eq!(document["gates"][0]["judgement"]["verdict"], "met");
    assert_eq!(document["steps"][2]["gates"], serde_json::json!(["enough"]));
}
