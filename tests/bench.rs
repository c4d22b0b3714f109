//! The figures of BENCHMARKS.md about large recipes and large sets of rows. `make bench` runs them in release, where they mean
//! something.

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
fn bench_ten_thousand_stages() {
    const MANY: usize = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("large.toml"), curriculum(MANY)).unwrap();
    let check = best_of(5, || curricle(dir, &["check", "large.toml"]));
    let plan = best_of(3, || curricle(dir, &["plan", "large.toml"]));
    eprintln!("{MANY} stages of a curriculum: check {check:.1?}, plan {plan:.1?}");
    assert!(check < Duration::from_secs(1), "check took {check:?}");
    assert!(plan < Duration::from_secs(2), "plan took {plan:?}");
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

const ROWS: usize = 1_000_000;

/// Questions of some thirty words: a tenth is there twice, a tenth nearly so, a tenth has no answer that can be checked.
fn million(path: &std::path::Path) {
    use std::io::Write as _;

    let mut state = 1_u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut before: Vec<String> = Vec::new();
    for row in 0..ROWS {
        let again = draw(10);
        let mut words: Vec<String> = match before.get(draw(before.len().max(1) as u64) as usize) {
            Some(prompt) if again < 2 => prompt.split(' ').map(str::to_owned).collect(),
            _ => (0..20 + draw(20))
                .map(|_| format!("w{}", "abcdefghijklmnopqrst".get(..1 + draw(20) as usize).unwrap()))
                .collect(),
        };
        if again == 1 {
            let place = draw(words.len() as u64) as usize;
            "changed".clone_into(&mut words[place]);
        }
        if again >= 2 {
            words.push(format!("and {} of {}?", draw(1000), draw(1000)));
        }
        let prompt = words.join(" ");
        let answer = if draw(10) == 0 { "it depends on the weather".to_owned() } else { draw(10_000).to_string() };
        let (topic, level) = (draw(20) * draw(20) / 20, 1 + draw(10));
        writeln!(
            file,
            "{{\"id\": \"r{row}\", \"prompt\": \"{prompt}\", \"answer\": \"{answer}\", \"topic\": \"topic {topic}\", \"level\": {level}}}"
        )
        .unwrap();
        if before.len() < 50_000 {
            before.push(prompt);
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the measurement is the result")]
#[ignore = "a benchmark: run it with `make bench`"]
fn bench_curating_a_million_rows() {
    let kept = std::env::var_os("CURRICLE_BENCH_ROWS").map(std::path::PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let rows = kept.unwrap_or_else(|| dir.join("rows.jsonl"));
    if !rows.exists() {
        million(&rows);
    }
    let recipe = format!(
        "schema = 1\n[recipe]\nname = \"million\"\n[data.raw]\nsource = \"file:{}\"\n\
         [stages.usable]\nkind = \"filter\"\ninputs = {{ data = \"data.raw\" }}\n\
         [stages.distinct]\nkind = \"dedupe\"\ninputs = {{ data = \"usable.rows\" }}\n\
         [stages.balanced]\nkind = \"balance\"\ninputs = {{ data = \"distinct.rows\" }}\nparams = {{ rows = 200000 }}\n",
        rows.display()
    );
    std::fs::write(dir.join("million.toml"), recipe).unwrap();
    let all = curricle(dir, &["run", "million.toml", "--progress", "none"]);
    let (mut peak, mut told) = (0, String::new());
    for entry in std::fs::read_dir(dir.join(".curricle/store/v1")).unwrap() {
        let dir = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(dir.join("manifest.json")) else { continue };
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let counts = std::fs::read_to_string(dir.join("artifact/curation/counts.json")).unwrap();
        let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
        let (came, seconds) = (counts["rows_in"]["data"].as_f64().unwrap(), manifest["wall_s"].as_f64().unwrap());
        let memory = manifest["usage"]["peak_memory"].as_u64().unwrap_or_default();
        peak = peak.max(memory);
        write!(
            told,
            "\n  {}: {came} rows in, {} out, {seconds:.1} s, {:.0} rows/s, {} MB at the peak",
            manifest["kind"].as_str().unwrap(),
            counts["rows_out"]["rows"],
            came / seconds,
            memory >> 20
        )
        .unwrap();
    }
    eprintln!("{ROWS} rows through filter, dedupe and balance: {all:.1?}{told}");
    assert!(peak > 0 && peak < 2 << 30, "{peak} bytes at the peak");
    assert!(all < Duration::from_mins(15), "{all:?}");
}
