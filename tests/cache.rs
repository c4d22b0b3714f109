//! `cache`, `verify` and `adopt`: what lies in the store, whether it is whole, and what was made elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Called, curricle, run_here};

const RECIPE: &str = r#"
schema = 1
[recipe]
name = "small"
[params]
size = 4
[stages.rows]
kind = "synthesize"
params = { train = "${params.size}", tasks = { arithmetic = {} } }
[stages.more]
kind = "synthesize"
inputs = { exclude = "rows.train" }
params = { train = 4, salt = 2, tasks = { arithmetic = {} } }
[stages.base]
kind = "init"
inputs = { data = "more.train" }
"#;

fn bench() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("small.toml"), RECIPE).unwrap();
    dir
}

fn call(dir: &Path, args: &[&str]) -> Called {
    let called = curricle(dir, args);
    assert_eq!(called.code, Some(0), "{args:?}: {}", called.stderr);
    called
}

fn json(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&call(dir, &[args, &["--json"]].concat()).stdout).unwrap()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let list = fs::read_dir(dir.join(".curricle/store/v1")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = list.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

#[test]
fn the_store_is_listed_measured_and_tidied() {
    let dir = bench();
    let dir = dir.path();
    let run = run_here(dir, "small.toml", &[]);
    run_here(dir, "small.toml", &["params.size=5"]);
    assert_eq!(entries(dir).len(), 6);

    let listed = json(dir, &["cache", "ls", "small.toml"]);
    let rows = listed["entries"].as_array().unwrap().iter().filter(|entry| entry["stage"] == "rows");
    let users: Vec<usize> = rows.map(|entry| entry["used_by"].as_array().unwrap().len()).collect();
    assert_eq!(users.iter().sum::<usize>(), 3, "one by the recipe and a run, one by a run alone");
    let text = call(dir, &["cache", "ls"]);
    assert!(text.stdout.starts_with("stage  kind        key "), "{}", text.stdout);
    assert_eq!(text.stdout.lines().count(), 7);
    let sums = json(dir, &["cache", "du"]);
    assert_eq!((&sums["entries"], &sums["kinds"][1]["kind"]), (&6.into(), &"synthesize".into()));
    assert!(call(dir, &["cache", "du"]).stdout.contains("synthesize        4  "));

    let careless = curricle(dir, &["cache", "gc"]);
    assert_eq!(careless.code, Some(2));
    assert!(careless.stderr.contains("nothing says what stays"), "{}", careless.stderr);
    let shown = call(dir, &["cache", "gc", "small.toml"]);
    assert_eq!(shown.stdout.lines().count(), 3);
    assert!(shown.stderr.contains("would go; 3 stay; `--delete` removes them"), "{}", shown.stderr);
    assert_eq!(entries(dir).len(), 6, "nothing goes unless told");
    assert!(call(dir, &["cache", "gc", "--all-runs"]).stderr.contains("nothing to remove; 6 entries stay"));
    let kept = json(dir, &["cache", "gc", "small.toml", "--keep", "base"]);
    assert_eq!((kept["go"].as_array().unwrap().len(), &kept["deleted"]), (2, &Value::Bool(false)));
    call(dir, &["cache", "gc", "--run", run.file_name().unwrap().to_str().unwrap(), "--delete"]);
    assert_eq!(entries(dir).len(), 3);
    assert_eq!(json(dir, &["plan", "small.toml"])["summary"]["to_run"], 0);
}

/// The results of a run that goes on are needed by what it has still to do.
#[test]
fn what_a_run_has_made_so_far_stays_while_it_goes_on() {
    let dir = bench();
    let dir = dir.path();
    let run = run_here(dir, "small.toml", &[]);
    let key = json(dir, &["plan", "small.toml"])["steps"][0]["key"].as_str().unwrap().to_owned();
    fs::remove_file(run.join("receipt.json")).unwrap();
    fs::write(run.join("events.ndjson"), format!("{{\"event\":\"stage-finished\",\"key\":\"{key}\"}}\n")).unwrap();
    let would_go = || json(dir, &["cache", "gc", "--keep", "nothing"])["go"].as_array().unwrap().len();
    assert_eq!(would_go(), 3, "a run that was killed holds nothing");
    let working = dir.join(".curricle/store/v1/other-00000000.partial");
    fs::create_dir_all(&working).unwrap();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "localhost".into());
    let lease = serde_json::json!({ "pid": std::process::id(), "host": host.trim(), "since": "" });
    fs::write(working.join("lease"), lease.to_string()).unwrap();
    assert_eq!(would_go(), 2, "what the run has made stays, and the work itself");
}

#[test]
fn damage_is_found() {
    let dir = bench();
    let dir = dir.path();
    run_here(dir, "small.toml", &[]);
    assert!(call(dir, &["cache", "verify"]).stderr.contains("3 results, every byte as committed"));
    assert!(call(dir, &["verify", "small.toml"]).stdout.contains("  as committed\n"));
    let more = entries(dir).into_iter().find(|path| path.to_string_lossy().contains("/more-")).unwrap();
    fs::write(more.join("artifact/train/rows.jsonl"), "x").unwrap();
    let found = curricle(dir, &["cache", "verify"]);
    assert_eq!(found.code, Some(7));
    assert!(found.stdout.contains("`train/rows.jsonl` has other bytes than were committed"), "{}", found.stdout);
    assert_eq!(curricle(dir, &["cache", "verify", "rows"]).code, Some(0), "only what is named");
    assert_eq!(curricle(dir, &["cache", "verify", "nothing"]).code, Some(2));
    let found = curricle(dir, &["verify", "small.toml", "more", "--json"]);
    assert_eq!(found.code, Some(7));
    let document: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(document["stages"][0]["damage"][0]["what"], "changed");
    assert_eq!(curricle(dir, &["verify", "small.toml", "more", "--set", "params.size=9"]).code, Some(6));
}

#[test]
fn something_made_elsewhere_becomes_a_result() {
    let dir = bench();
    let dir = dir.path();
    fs::write(dir.join("mine.jsonl"), "{\"prompt\":\"1+1\",\"answer\":\"2\"}\n").unwrap();
    let adopt = ["adopt", "mine.jsonl", "small.toml", "--as", "rows", "--note", "by hand"];
    let said = call(dir, &adopt);
    assert!(said.stderr.contains("stage `rows` is adopted: "), "{}", said.stderr);
    let plan = json(dir, &["plan", "small.toml"]);
    assert_eq!(
        (&plan["steps"][0]["decision"], &plan["steps"][0]["adopted"]["note"]),
        (&"reuse".into(), &"by hand".into())
    );
    let from = fs::canonicalize(dir).unwrap().join("mine.jsonl");
    let text = call(dir, &["plan", "small.toml"]).stdout;
    assert!(text.contains(&format!("adopted from `{}`: by hand", from.display())), "{text}");
    let run = run_here(dir, "small.toml", &[]);
    let receipt: Value = serde_json::from_str(&fs::read_to_string(run.join("receipt.json")).unwrap()).unwrap();
    assert_eq!(
        (&receipt["stages"][0]["status"], &receipt["stages"][0]["adopted"]["note"]),
        (&"reused".into(), &"by hand".into())
    );
    assert!(call(dir, &["verify", "small.toml", "rows"]).stdout.ends_with("as committed, adopted\n"));

    let twice = curricle(dir, &adopt);
    assert_eq!(twice.code, Some(1));
    assert!(twice.stderr.contains("help: `--replace` puts this in its place"), "{}", twice.stderr);
    call(dir, &[&adopt[..], &["--replace"]].concat());
    let wrong = curricle(dir, &["adopt", ".", "small.toml", "--as", "base"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("`.` is no model for output `model`: it has no `config.json`"), "{}", wrong.stderr);
    assert_eq!(curricle(dir, &["adopt", "nowhere", "small.toml", "--as", "base"]).code, Some(2));
    assert_eq!(curricle(dir, &["adopt", ".", "small.toml", "--as", "bass"]).code, Some(2));
}
