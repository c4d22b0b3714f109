//! `config` and `diff`: a recipe in one piece is the same recipe, and two of a sort differ where they differ.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Called, curricle, run_here};

/// The shipped recipes in a folder where files may be written.
fn recipes() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    fs::create_dir(dir.path().join("base")).unwrap();
    for folder in ["", "base"] {
        for entry in fs::read_dir(from.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                fs::copy(&path, dir.path().join(folder).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    dir
}

fn call(dir: &Path, args: &[&str]) -> Called {
    let called = curricle(dir, args);
    assert_eq!(called.code, Some(0), "{args:?}: {}", called.stderr);
    called
}

/// `stage key` of every stage, in order of names.
fn keys(dir: &Path, recipe: &str, layers: &[&str]) -> Vec<String> {
    let called = call(dir, &[&["plan", recipe, "--json"], layers].concat());
    let plan: Value = serde_json::from_str(&called.stdout).unwrap();
    let line = |step: &Value| format!("{} {}", step["stage"].as_str().unwrap(), step["key"].as_str().unwrap());
    let mut keys: Vec<_> = plan["steps"].as_array().unwrap().iter().map(line).collect();
    keys.sort();
    keys
}

#[test]
fn every_shipped_recipe_in_one_piece_is_the_same_recipe() {
    let dir = recipes();
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for name in names
        .iter()
        .filter_map(|name| name.to_str())
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "toml"))
    {
        let expected = keys(dir.path(), name, &[]);
        for flags in [&[][..], &["--origin"], &["--resolved"], &["--resolved", "--origin"]] {
            let called = call(dir.path(), &[&["config", name], flags].concat());
            fs::write(dir.path().join("piece.toml"), &called.stdout).unwrap();
            assert_eq!(keys(dir.path(), "piece.toml", &[]), expected, "{name} {flags:?}:\n{}", called.stdout);
        }
        fs::remove_file(dir.path().join("piece.toml")).unwrap();
    }
}

const MAIN: &str = r#"
schema = 1
extends = ["base/base.toml"]
[params]
size = 4
[stages.rows]
params = { train = "${params.size}", salt = 7 }
[runtime]
threads = 2
"#;
const BASE: &str = r#"
[data.more]
source = "file:more.jsonl"
[stages.rows]
kind = "synthesize"
params = { train = 3, tasks = { arithmetic = {} } }
[stages.rows.inputs]
exclude = "data.more"
"#;

fn small() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("base")).unwrap();
    fs::write(dir.path().join("main.toml"), MAIN).unwrap();
    fs::write(dir.path().join("base/base.toml"), BASE).unwrap();
    fs::write(dir.path().join("base/more.jsonl"), "{\"prompt\":\"1+1\",\"answer\":\"2\"}\n").unwrap();
    dir
}

#[test]
fn every_value_says_who_set_it() {
    let dir = small();
    let args = ["config", "main.toml", "--origin", "--set", "stages.rows.params.salt=9"];
    let said = call(dir.path(), &args).stdout;
    for part in [
        "schema = 1  # main.toml:2\n",
        "source = \"file:base/more.jsonl\"  # base/base.toml:3\n",
        "train            = \"${params.size}\"  # main.toml:7\n",
        "salt             = 9                 # --set\n",
        "tasks.arithmetic = {}                # base/base.toml:6\n",
        "[runtime]\nthreads = 2  # main.toml:9\n",
    ] {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    let resolved = call(dir.path(), &["config", "main.toml", "--resolved", "--origin"]).stdout;
    for part in ["train                      = 4 ", "# default of synthesize\n"] {
        assert!(resolved.contains(part), "no `{part}` in\n{resolved}");
    }
    assert!(!resolved.contains("[params]\n"), "{resolved}");
    let document: Value = serde_json::from_str(&call(dir.path(), &["config", "main.toml", "--json"]).stdout).unwrap();
    assert_eq!(document["origins"]["stages.rows.params.salt"], "main.toml:7");
    assert_eq!(document["values"]["stages"]["rows"]["params"]["salt"], 7);
    assert_eq!(keys(dir.path(), "main.toml", &[]).len(), 1);
}

#[test]
fn secrets_are_asterisks() {
    let dir = small();
    fs::write(dir.path().join("main.toml"), format!("{MAIN}\n[params.x]\nhf_token = \"geheim\"\n")).unwrap();
    for flags in [&[][..], &["--resolved"], &["--json"]] {
        let said = curricle(dir.path(), &[&["config", "main.toml"], flags].concat());
        assert!(!said.stdout.contains("geheim") && !said.stderr.contains("geheim"), "{}", said.stdout);
    }
    assert!(call(dir.path(), &["config", "main.toml"]).stdout.contains("hf_token = \"********\""));
}

#[test]
fn a_recipe_that_cannot_be_read_is_refused() {
    let dir = small();
    assert_eq!(curricle(dir.path(), &["config", "nowhere.toml"]).code, Some(3));
    let broken =
        curricle(dir.path(), &["config", "main.toml", "--resolved", "--set", "stages.rows.params.salt=${params.no}"]);
    assert_eq!(broken.code, Some(3));
    assert!(broken.stderr.contains("`${params.no}` names nothing"), "{}", broken.stderr);
}

#[test]
fn recipes_differ_field_by_field_and_in_keys() {
    let dir = small();
    let called = call(dir.path(), &["diff", "main.toml", "--set", "params.size=5", "--set", "runtime.threads=1"]);
    let key = |layers: &[&str]| keys(dir.path(), "main.toml", layers)[0]["rows ".len()..][..8].to_owned();
    let expected = format!(
        "runtime\n  ~ threads  2 → 1\nstages.rows\n  ~ params.train  4 → 5\nkeys\n  ~ rows  \"{}\" → \"{}\"\n",
        key(&[]),
        key(&["--set", "params.size=5"]),
    );
    assert_eq!((called.stdout, called.stderr.as_str()), (expected, "3 fields differ\n"));
    let same = curricle(dir.path(), &["diff", "main.toml", "main.toml", "--exit-code"]);
    assert_eq!((same.code, same.stdout.as_str()), (Some(0), ""));
    let other = curricle(dir.path(), &["diff", "main.toml", "--old-set", "params.size=1", "--exit-code", "--json"]);
    assert_eq!(other.code, Some(4));
    let document: Value = serde_json::from_str(&other.stdout).unwrap();
    assert_eq!(document["parts"][0]["changes"][0]["field"], "params.train");
}

#[test]
fn plans_runs_and_keys_differ_field_by_field() {
    let dir = small();
    let mut names = Vec::new();
    for (index, size) in ["params.size=4", "params.size=6"].iter().enumerate() {
        let plan = call(dir.path(), &["plan", "main.toml", "--json", "--set", size]).stdout;
        fs::write(dir.path().join(format!("{index}.json")), plan).unwrap();
        let run = run_here(dir.path(), "main.toml", &[size]);
        names.push(run.file_name().unwrap().to_str().unwrap().to_owned());
    }
    let said = call(dir.path(), &["diff", &names[0], &names[1]]).stdout;
    assert!(said.starts_with("rows\n  ~ key "), "{said}");
    assert!(said.contains("  ~ made of.params.train  4 → 6\n"), "{said}");
    let said = call(dir.path(), &["diff", "0.json", "1.json"]).stdout;
    assert!(said.contains("  ~ key "), "{said}");
    let key = |layers: &[&str]| keys(dir.path(), "main.toml", layers)[0]["rows ".len()..].to_owned();
    let (old, new) = (key(&[]), key(&["--set", "params.size=6"]));
    let said = call(dir.path(), &["diff", &old[..6], &new]).stdout;
    assert_eq!(said, "key\n  ~ params.train  4 → 6\n");
    let entry = format!(".curricle/store/v1/rows-{}", &new[..8]);
    assert_eq!(call(dir.path(), &["diff", &old[..8], &entry]).stdout, said);
    let mixed = curricle(dir.path(), &["diff", "main.toml", "0.json"]);
    assert_eq!(mixed.code, Some(2));
    assert!(mixed.stderr.contains("a recipe and a plan have nothing to compare"), "{}", mixed.stderr);
    assert_eq!(curricle(dir.path(), &["diff", "no-such-thing", "0.json"]).code, Some(2));
}
