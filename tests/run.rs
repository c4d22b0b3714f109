//! How `run` starts, stops and fails: exit codes, streams, signals.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const LONG: &str = r#"
schema = 1
[recipe]
name = "long"
[stages.rows]
kind = "synthesize"
params = { train = 16, image_size = 56, tasks = { arithmetic = { levels = [1] } } }
[stages.base]
kind = "init"
inputs = { data = "rows.train" }
params = { hidden_size = 32, layers = 1, heads = 2, kv_heads = 1, intermediate = 32, vocab_size = 300, template = "bare" }
[stages.cold]
kind = "sft"
inputs = { model = "base.model", data = "rows.train" }
params = { steps = 100000, batch = 2, micro_batch = 2 }
[runtime]
device = "cpu"
"#;

const ROWS: &str = r#"
schema = 1
[recipe]
name = "rows"
[stages.rows]
kind = "synthesize"
params = { train = 4, tasks = { arithmetic = {} } }
"#;

fn curricle(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curricle"));
    command.current_dir(dir).env("NO_COLOR", "1").env_remove("CURRICLE_STORE");
    command
}

fn run(recipe: &str, args: &[&str]) -> (tempfile::TempDir, Output) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("recipe.toml"), recipe).unwrap();
    let output = curricle(dir.path()).args(["run", "recipe.toml"]).args(args).output().unwrap();
    (dir, output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_device_that_is_not_there_stops_before_anything_starts() {
    let (dir, output) = run(LONG, &["--set", "runtime.device=cuda:99"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("stage `base` cannot have device `cuda:99`: "), "{}", text(&output.stderr));
    assert!(!dir.path().join(".curricle").exists(), "nothing was started");
}

#[test]
fn events_are_lines_of_json() {
    let (_dir, output) = run(ROWS, &["--events", "ndjson"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let events: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .filter(|name| !name.ends_with("progress") && !name.ends_with("log"))
        .collect();
    assert_eq!(names, ["run-started", "stage-started", "stage-finished", "run-finished"]);
    assert!(events.iter().all(|event| event["v"] == 1 && event["t"].is_string()));
}

#[test]
fn a_run_leaves_its_ledger_receipt_and_report() {
    let (dir, output) = run(ROWS, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let runs: Vec<_> =
        std::fs::read_dir(dir.path().join(".curricle/runs")).unwrap().map(|run| run.unwrap().path()).collect();
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    let mut names: Vec<_> =
        std::fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["events.ndjson", "logs", "receipt.json", "report.html", "report.md"]);
}

#[test]
fn a_dry_run_is_the_plan() {
    let (dir, output) = run(ROWS, &["--dry-run", "--exit-code"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stdout).contains("\n1 to run (1 new)\n"), "{}", text(&output.stdout));
    assert!(!dir.path().join(".curricle").exists());
}

#[test]
fn ctrl_c_checkpoints_and_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("recipe.toml"), LONG).unwrap();
    let mut child = curricle(dir.path())
        .args(["run", "recipe.toml", "--events", "ndjson", "--progress", "none"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let trains = |line: &String| line.contains("\"stage-progress\"") && line.contains("\"cold\"");
    assert!(lines.any(|line| trains(&line)), "`cold` never began to train");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(
        said.contains("interrupted; resume with: curricle run recipe.toml --events ndjson --progress none"),
        "{said}"
    );
    assert!(rest.iter().any(|line| line.contains("\"stage-interrupted\"")), "{rest:?}");

    let again = curricle(dir.path()).args(["run", "recipe.toml", "-n"]).output().unwrap();
    assert!(
        text(&again.stdout).contains("unfinished attempt found: goes on from its last checkpoint"),
        "{}",
        text(&again.stdout)
    );
}
