//! The figures of BENCHMARKS.md about large recipes. `make bench` runs them in release, where they mean something.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

const STAGES: usize = 1_000;

/// Seven chains of stages that each leave out the rows of the one before.
fn recipe() -> String {
    let mut text = "schema = 1\n[recipe]\nname = \"large\"\n".to_owned();
    for stage in 0..STAGES {
        write!(text, "[stages.s{stage}]\nkind = \"synthesize\"\n").unwrap();
        if stage >= 7 {
            writeln!(text, "inputs = {{ exclude = \"s{}.train\" }}", stage - 7).unwrap();
        }
        writeln!(text, "params = {{ train = 1, salt = {stage}, tasks = {{ arithmetic = {{}} }} }}").unwrap();
    }
    text
}

/// Chains of every kind that trains or measures, each from a base of its own split, through tokens, adapters and merges:
/// types of all sorts flow along every edge.
fn curriculum(stages: usize) -> String {
    let mut text = "schema = 1\n[models.base]\nsource = \"hf:org/base\"\n".to_owned();
    text +=
        "assume = { images = true, max_length = 32768, vocabulary = 151665, embedding = 151936, adapter = false }\n";
    for (name, role) in [("rows", "train"), ("exam", "eval")] {
        write!(text, "[data.{name}]\nsource = \"hf:org/{name}\"\nrole = \"{role}\"\nlicence = \"cc-by-4.0\"\n")
            .unwrap();
        text += "assume = { images = true, columns = [\"prompt\", \"answer\", \"images\"], answers = \"number\" }\n";
    }
    let mut model = "models.base".to_owned();
    for stage in 0..stages {
        let (kind, data, params) = match stage % 5 {
            0 => ("sft", "rows", "steps = 9, add_tokens = [\"<think>\"]"),
            1 => ("grpo", "rows", "steps = 9, lora = { rank = 16 }, max_new_tokens = 1024"),
            2 => ("evaluate", "exam", "max_new_tokens = 1024"),
            3 => ("merge", "", ""),
            _ => ("grpo", "rows", "steps = 9, freeze = [\"vision\"], reward = { numeric = { weight = 0.5 } }"),
        };
        let data = if data.is_empty() { String::new() } else { format!(", data = \"data.{data}\"") };
        write!(text, "[stages.s{stage}]\nkind = \"{kind}\"\ninputs = {{ model = \"{model}\"{data} }}\n").unwrap();
        writeln!(text, "params = {{ {params} }}").unwrap();
        if kind != "evaluate" {
            model = if stage % 100 == 99 { "models.base".to_owned() } else { format!("s{stage}.model") };
        }
    }
    text
}

#[test]
#[expect(clippy::print_stderr, reason = "the measurement is the result")]
#[ignore = "a benchmark: run it with `make bench`"]
fn bench_checking_ten_thousand_stages() {
    const MANY: usize = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("large.toml"), curriculum(MANY)).unwrap();
    let check = best_of(5, || curricle(dir, &["check", "large.toml"]));
    eprintln!("{MANY} stages of a curriculum: check {check:.1?}");
    assert!(check < Duration::from_secs(1), "check took {check:?}");
}

fn curricle(dir: &std::path::Path, args: &[&str]) -> Duration {
    let start = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_curricle")).args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    start.elapsed()
}

fn best_of(count: usize, mut run: impl FnMut() -> Duration) -> Duration {
    (0..count).map(|_| run()).min().unwrap()
}

#[test]
#[expect(clippy::print_stderr, reason = "the measurement is the result")]
#[ignore = "a benchmark: run it with `make bench`"]
fn bench_a_thousand_stages() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("large.toml"), recipe()).unwrap();
    let check = best_of(10, || curricle(dir, &["check", "large.toml"]));
    let first = curricle(dir, &["run", "large.toml", "--progress", "none"]);
    let plan = best_of(10, || curricle(dir, &["plan", "large.toml"]));
    let again = best_of(3, || curricle(dir, &["run", "large.toml", "--progress", "none"]));
    eprintln!(
        "{STAGES} stages: check {check:.1?}, first run {first:.1?}, plan of it cached {plan:.1?}, second run {again:.1?}"
    );
    assert!(check < Duration::from_millis(50), "check took {check:?}");
    assert!(plan < Duration::from_millis(300), "plan took {plan:?}");
}
