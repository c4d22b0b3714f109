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
