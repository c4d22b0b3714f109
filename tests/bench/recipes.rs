//! The binary on recipes: its start, `check`, `plan` and a run that reuses everything.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::case::{Answer, Case, Figure, median, seconds};
use crate::curriculum::curriculum;

pub fn cases() -> Vec<Case> {
    vec![Case { warm: 1, repeats: 10, ..Case::default() }]
}

/// Chains of stages that each leave out the rows of the one before.
fn chains(stages: usize, chains: usize) -> String {
    let mut text = "schema = 1\n[recipe]\nname = \"large\"\n".to_owned();
    for stage in 0..stages {
        write!(text, "[stages.s{stage}]\nkind = \"synthesize\"\n").unwrap();
        if stage >= chains {
            writeln!(text, "inputs = {{ exclude = \"s{}.train\" }}", stage - chains).unwrap();
        }
        writeln!(text, "params = {{ train = 1, salt = {stage}, tasks = {{ arithmetic = {{}} }} }}").unwrap();
    }
    text
}

/// Calls the binary in a folder.
pub fn curricle(dir: &Path, args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_curricle")).args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const RUN: [&str; 4] = ["run", "recipe.toml", "--progress", "none"];
const CHECK: [&str; 2] = ["check", "recipe.toml"];
const PLAN: [&str; 2] = ["plan", "recipe.toml"];

pub fn measure(case: &Case) -> Answer {
    let folder = |name: &str, recipe: String| {
        let dir = case.folder.join(name);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("recipe.toml"), recipe).unwrap();
        dir
    };
    let millis = |dir: &Path, args: &[&str]| case.median(|| curricle(dir, args)) * 1e3;
    let few = |dir: &Path, args: &[&str]| {
        median((0..case.repeats.min(3)).map(|_| seconds(|| curricle(dir, args)) * 1e3).collect())
    };
    let here = case.folder.as_path();
    let figure = |name: &str, value, bound: f64| {
        let figure = Figure::new(name, value, "ms");
        if bound > 0.0 { figure.at_most(bound) } else { figure }
    };
    let start = figure("cold start: `curricle --version`", millis(here, &["--version"]), 10.0);
    let chain = folder("chain", chains(100, 1));
    curricle(&chain, &RUN);
    let reused = figure("100 chained stages, everything there: `run`", millis(&chain, &RUN), 100.0);
    let planned = figure("100 chained stages, everything there: `plan`", millis(&chain, &PLAN), 0.0);
    let thousand = folder("thousand", chains(1000, 7));
    let checked = figure("1,000 stages: `check`", millis(&thousand, &CHECK), 50.0);
    let first = figure("1,000 stages: the first `run`", seconds(|| curricle(&thousand, &RUN)) * 1e3, 0.0);
    let cached = figure("1,000 stages, everything there: `plan`", millis(&thousand, &PLAN), 300.0);
    let again = figure("1,000 stages, everything there: `run`", few(&thousand, &RUN), 0.0);
    let many = folder("many", curriculum(10_000));
    let many_checked = figure("10,000 stages of a curriculum: `check`", few(&many, &CHECK), 1000.0);
    let many_planned = figure("10,000 stages of a curriculum: `plan`", few(&many, &PLAN), 2000.0);
    let figures = vec![start, reused, planned, checked, first, cached, again, many_checked, many_planned];
    Answer { peak_mib: None, ..case.answer(figures) }
}
