//! Rows that are curated by the binary, in every build: what a run leaves, what its report shows, where each row went.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::curricle;

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn run(dir: &Path) {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/curation.toml");
    std::fs::copy(recipe, dir.join("curation.toml")).unwrap();
    let called = curricle(dir, &["run", "curation.toml", "--progress", "none"]);
    assert_eq!(called.code, Some(0), "{}", called.stderr);
}

/// The folder of a stage's result.
fn artifact(dir: &Path, stage: &str) -> PathBuf {
    let store = dir.join(".curricle/store/v1");
    let prefix = format!("{stage}-");
    let names =
        std::fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    store.join(names.filter(|name| name.starts_with(&prefix)).max().expect("the stage has a result")).join("artifact")
}

fn ids(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn rows_are_curated_and_every_one_is_accounted_for() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(dir);
    let rows = |stage: &str, port: &str| lines(&artifact(dir, stage).join(port).join("rows.jsonl"));
    let dropped = |stage: &str| lines(&artifact(dir, stage).join("curation/dropped.jsonl"));
    let mut before = ids(&rows("raw", "rows"));
    for (stage, ports) in [
        ("usable", &["rows"][..]),
        ("distinct", &["rows"]),
        ("clean", &["rows"]),
        ("balanced", &["rows"]),
        ("parts", &["train", "val"]),
    ] {
        let kept: BTreeSet<_> = ports.iter().flat_map(|port| ids(&rows(stage, port))).collect();
        let gone = ids(&dropped(stage));
        assert!(kept.is_disjoint(&gone), "{stage}");
        assert_eq!(kept.union(&gone).cloned().collect::<BTreeSet<_>>(), before, "{stage} accounts for every row");
        before = kept;
    }
    let reasons = |stage: &str| {
        dropped(stage).iter().map(|row| row["reason"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(reasons("usable"), BTreeSet::from(["answer".to_owned()]));
    assert!(reasons("distinct").contains("exact"));
    assert!(!dropped("clean").is_empty(), "the exam's drawings are among the raw rows");
    let exam = rows("exam", "test");
    let asked = |rows: &[Value]| {
        rows.iter().map(|row| row["prompt"].to_string() + &row["group"].to_string()).collect::<BTreeSet<_>>()
    };
    assert!(asked(&rows("clean", "rows")).is_disjoint(&asked(&exam)));
}

#[test]
fn the_report_shows_rows_in_and_out_and_a_row_can_be_traced() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(dir);
    let report = curricle(dir, &["report", "--format", "md"]).stdout;
    for part in [
        "## Rows",
        "| distinct ",
        "exact ",
        "### balanced: task × level, rows in → out",
        "### raw: shares",
        "### clean: pairs",
    ] {
        assert!(report.contains(part), "no `{part}` in:\n{report}");
    }
    let page = curricle(dir, &["report", "--format", "html"]).stdout;
    assert!(page.contains("<h2>Rows</h2>") && page.contains("rows in → out"));
    let report: Value = serde_json::from_str(&curricle(dir, &["report", "--json"]).stdout).unwrap();
    assert_eq!(report["curation"][0]["stage"], "raw");
    let receipt =
        std::fs::read_dir(dir.join(".curricle/runs")).unwrap().next().unwrap().unwrap().path().join("receipt.json");
    let receipt: Value = serde_json::from_str(&std::fs::read_to_string(receipt).unwrap()).unwrap();
    let parts = receipt["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "parts").unwrap();
    assert_eq!(parts["inputs"]["data"]["rows"].as_str().map(str::len), Some(64), "the digest of the rows that it read");

    let row = &lines(&artifact(dir, "parts").join("train/rows.jsonl"))[0];
    let id = row["id"].as_str().unwrap();
    let called = curricle(dir, &["data", "trace", "parts", "--row", id]);
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    let told: Vec<&str> = called.stdout.lines().collect();
    assert_eq!(told.len(), 8, "{}", called.stdout);
    assert!(told[1].contains("made"), "{}", called.stdout);
    assert!(told[7].starts_with("parts") && told[7].contains("kept (`train`)"), "{}", called.stdout);
    let gone = &lines(&artifact(dir, "distinct").join("curation/dropped.jsonl"))[0];
    let called = curricle(dir, &["data", "trace", "parts", "--row", gone["id"].as_str().unwrap(), "--json"]);
    let told: Value = serde_json::from_str(&called.stdout).unwrap();
    let last = told["passages"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["stage"], &last["fate"], &last["reason"]),
        (&"distinct".into(), &"dropped".into(), &gone["reason"])
    );
    let called = curricle(dir, &["data", "trace", "parts", "--row", "no such row"]);
    assert_eq!(called.code, Some(1));
    assert!(called.stderr.contains("no stage up to `parts` knows a row `no such row`"), "{}", called.stderr);
}

#[test]
fn rows_and_images_outlive_what_they_were_made_from() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(dir);
    for stage in ["images", "raw", "usable", "distinct", "clean", "balanced"] {
        std::fs::remove_dir_all(artifact(dir, stage).parent().unwrap()).unwrap();
    }
    let folder = artifact(dir, "parts").join("train");
    let rows = lines(&folder.join("rows.jsonl"));
    let images: Vec<_> = rows.iter().filter_map(|row| row["images"][0].as_str()).collect();
    assert!(images.len() > 10);
    assert!(images.iter().all(|image| folder.join(image).metadata().is_ok_and(|file| file.len() > 0)));
}
