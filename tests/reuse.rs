//! What is done is not done again, and what changed says why: with the real binary and a cheap stage.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const RECIPE: &str = r#"
schema = 1
[recipe]
name = "reuse"
[params]
size = 12
[stages.held]
kind = "synthesize"
params = { train = 0, test = 6, tasks = { arithmetic = {} } }
[stages.rows]
kind = "synthesize"
inputs = { exclude = "held.test" }
params = { train = "${params.size}", tasks = { arithmetic = {}, count = {} } }
[stages.more]
kind = "synthesize"
inputs = { exclude = "rows.train" }
params = { train = 5, salt = 1, tasks = { arithmetic = {} } }
[stages.alone]
kind = "synthesize"
params = { train = 5, salt = 2, tasks = { compare = {} } }
"#;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("recipe.toml"), RECIPE).unwrap();
        Self { dir }
    }

    fn edit(&self, from: &str, to: &str) {
        let path = self.dir.path().join("recipe.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    fn call(&self, args: &[&str]) -> Output {
        call(self.dir.path(), args)
    }

    /// `stage status` for every stage of a run.
    fn run(&self, args: &[&str]) -> Vec<String> {
        let output = self.call(&[&["run", "recipe.toml", "--json", "--progress", "none"], args].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
        let word =
            |stage: &Value| format!("{} {}", stage["stage"].as_str().unwrap(), stage["status"].as_str().unwrap());
        receipt["stages"].as_array().unwrap().iter().map(word).collect()
    }

    fn plan(&self) -> Value {
        serde_json::from_slice(&self.call(&["plan", "recipe.toml", "--json"]).stdout).unwrap()
    }
}

fn call(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curricle"));
    command.args(args).current_dir(dir).env("NO_COLOR", "1").env_remove("CURRICLE_STORE").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn everything_runs_once() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["-j", "2"]), ["held ran", "rows ran", "more ran", "alone ran"]);
    assert_eq!(bench.run(&[]), ["held reused", "rows reused", "more reused", "alone reused"]);
    let again = bench.call(&["run", "recipe.toml"]);
    assert!(text(&again.stdout).contains("everything reused"), "{}", text(&again.stdout));
    assert_eq!(bench.call(&["plan", "recipe.toml", "--exit-code"]).status.code(), Some(0));
}

#[test]
fn a_change_reruns_what_follows_and_says_why() {
    let bench = Bench::new();
    bench.run(&[]);
    bench.edit("size = 12", "size = 13");
    let plan = bench.call(&["plan", "recipe.toml", "--exit-code"]);
    assert_eq!(plan.status.code(), Some(4));
    let said = text(&plan.stdout);
    assert!(said.contains("`train` changed from 12 to 13"), "{said}");
    assert!(said.contains("input `exclude` = `rows.train` will be rebuilt (stage `rows`)"), "{said}");
    assert!(said.contains("2 to run (1 changed, 1 downstream), 2 reused\n"), "{said}");
    assert_eq!(bench.run(&[]), ["held reused", "rows ran", "more ran", "alone reused"]);
    bench.edit("size = 13", "size = 12");
    assert_eq!(
        bench.run(&[]),
        ["held reused", "rows reused", "more reused", "alone reused"],
        "the first results are kept"
    );
}

#[test]
fn runtime_reruns_nothing() {
    let bench = Bench::new();
    bench.run(&[]);
    bench.edit("[params]", "[runtime]\ndevice = \"cpu\"\nthreads = 1\ncheckpoint_every = 7\n[params]");
    assert_eq!(bench.plan()["summary"]["to_run"], 0);
}

#[test]
fn the_same_file_makes_the_same_bytes() {
    let (one, other) = (Bench::new(), Bench::new());
    let outputs = |bench: &Bench| {
        bench.run(&[]);
        let entry = |step: &Value| {
            std::fs::read_to_string(Path::new(step["artifact"].as_str().unwrap()).join("manifest.json")).unwrap()
        };
        let manifests: Vec<Value> = bench.plan()["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| serde_json::from_str(&entry(step)).unwrap())
            .collect();
        manifests.into_iter().map(|manifest| (manifest["key"].clone(), manifest["outputs"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(outputs(&one), outputs(&other));
}

#[test]
fn force_and_selection() {
    let bench = Bench::new();
    let only = bench.call(&["run", "recipe.toml", "--only", "more"]);
    assert_eq!(only.status.code(), Some(2));
    assert!(
        text(&only.stderr).contains("stage `more` needs `rows`, which is not built and not selected"),
        "{}",
        text(&only.stderr)
    );
    assert_eq!(bench.run(&["--until", "rows"]), ["held ran", "rows ran", "more not-selected", "alone not-selected"]);
    assert_eq!(bench.run(&["--from", "rows"]), ["held not-selected", "rows reused", "more ran", "alone not-selected"]);
    assert_eq!(bench.run(&["--force=rows"]), ["held reused", "rows ran", "more ran", "alone ran"]);
}

#[test]
fn explain_shows_the_preimage() {
    let bench = Bench::new();
    bench.run(&[]);
    let said = text(&bench.call(&["explain", "recipe.toml", "rows"]).stdout);
    for part in [
        "synthesize, version",
        "input     exclude = held.test: output `test` of key ",
        "\"train\": 12",
        "decision  reuse\n",
        "because   the store has the result\n",
    ] {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    let json: Value =
        serde_json::from_slice(&bench.call(&["explain", "recipe.toml", "rows", "--json"]).stdout).unwrap();
    assert_eq!(json["stages"][0]["preimage"]["params"]["train"], 12);
}

#[test]
fn a_stage_made_again_is_bit_equal() {
    let bench = Bench::new();
    bench.run(&[]);
    let again = bench.call(&["verify", "recipe.toml", "rows", "--rebuild"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(text(&again.stdout).ends_with("  bit-equal\n"), "{}", text(&again.stdout));
}

#[test]
fn report_tells_of_the_latest_run() {
    let bench = Bench::new();
    assert_eq!(bench.call(&["report"]).status.code(), Some(2));
    bench.run(&[]);
    let said = text(&bench.call(&["report", "recipe.toml", "--format", "md"]).stdout);
    assert!(said.starts_with("# reuse\n\nDone in "), "{said}");
    assert!(said.contains("| rows  | synthesize | ran    |"), "{said}");
}
