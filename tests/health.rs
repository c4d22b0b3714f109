//! Detectors, as somebody meets them who runs a recipe.

use std::fs;

use serde_json::Value;

use crate::support::{TINY, curricle};

/// Random weights on sums: every group is all wrong.
const RECIPE: &str = r#"schema = 1
[recipe]
name = "hopeless"
[stages.rl]
kind = "grpo"
inputs = { model = "base.model", data = "rows.train" }
[stages.rl.params]
steps = 6
prompts = 2
group = 2
max_new_tokens = 4
select = { kind = "pad", low = 0.03 }
health = { window = 2, stagnation = { action = "stop" } }
[runtime]
device = "cpu"
"#;

#[test]
fn an_alert_is_shown_and_kept_and_may_end_a_stage() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("recipe.toml"), RECIPE.to_owned() + TINY).unwrap();
    let called = curricle(dir.path(), &["run", "recipe.toml", "--events", "ndjson:events.ndjson"]);
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    assert!(
        called.stderr.contains("[rl] stop: stagnation at step 2: in 2 steps 0 % of the groups"),
        "{}",
        called.stderr
    );
    let events = fs::read_to_string(dir.path().join("events.ndjson")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let alerts: Vec<&Value> = events.iter().filter(|event| event["detector"] == "stagnation").collect();
    assert_eq!(alerts.len(), 1);
    assert_eq!((&alerts[0]["event"], &alerts[0]["step"]), (&"stage-alert".into(), &2.into()));
    let steps = events.iter().filter(|event| event["event"] == "stage-progress" && event["stage"] == "rl").count();
    assert_eq!(steps, 2, "the other four are not run");
}
