//! What continuous integration and editors call: findings in its formats, what an edit runs again, formatting.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::curricle;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn findings_come_in_the_formats_of_others() {
    let gallery = root().join("tests/errors");
    let both = ["check", "several.toml", "files/base.toml", "--format"];
    let call = |format| curricle(&gallery, &[&both[..], &[format]].concat());
    let github = call("github");
    assert_eq!((github.code, github.stderr.as_str()), (Some(3), ""));
    assert!(github.stdout.lines().all(|line| line.starts_with("::")), "{}", github.stdout);
    assert!(github.stdout.starts_with("::error file=several.toml,line="), "{}", github.stdout);
    let sarif: Value = serde_json::from_str(&call("sarif").stdout).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), github.stdout.lines().count());
    assert_eq!(results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "several.toml");
    let junit = call("junit");
    assert_eq!(junit.code, Some(3));
    assert!(
        junit.stdout.starts_with("<?xml") && junit.stdout.contains("<testsuite name=\"several.toml\""),
        "{}",
        junit.stdout
    );
    let json = call("json").stdout;
    assert_eq!(json, curricle(&gallery, &["check", "several.toml", "files/base.toml", "--json"]).stdout);
    assert_eq!(curricle(&gallery, &["check", "several.toml", "--json", "--format", "sarif"]).code, Some(2));
    let sound = curricle(root(), &["check", "recipes/quickstart.toml", "--format", "junit"]);
    assert_eq!(sound.code, Some(0));
    assert!(
        sound.stdout.contains("<testcase classname=\"recipes/quickstart.toml\" name=\"check\"/>"),
        "{}",
        sound.stdout
    );
}

const RECIPE: &str = r#"
schema = 1
extends = ["sub/base.toml"]
[stages.more]
kind = "synthesize"
inputs = { exclude = "rows.train" }
params = { train = 4, salt = 2, tasks = { arithmetic = {} } }
[stages.alone]
kind = "synthesize"
params = { train = 4, salt = 3, tasks = { arithmetic = {} } }
"#;
const BASE: &str = r#"
[stages.rows]
kind = "synthesize"
inputs = { exclude = "data.held" }
params = { train = 4, tasks = { arithmetic = {} } }
[data.held]
source = "file:held.jsonl"
"#;

fn git(dir: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").current_dir(dir).args(identity).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_plan_says_what_an_edit_runs_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir_all(dir.join("recipes/sub")).unwrap();
    fs::write(dir.join("recipes/main.toml"), RECIPE).unwrap();
    fs::write(dir.join("recipes/sub/base.toml"), BASE).unwrap();
    // The data is no part of the repository.
    fs::write(dir.join("recipes/sub/held.jsonl"), "{\"prompt\":\"1+1\",\"answer\":\"2\"}\n").unwrap();
    fs::write(dir.join(".gitignore"), "*.jsonl\n").unwrap();
    git(dir, &["init", "-q"]);
    git(dir, &["add", "."]);
    git(dir, &["commit", "-q", "-m", "first"]);
    let same = curricle(dir, &["plan", "recipes/main.toml", "--diff", "HEAD", "--exit-code"]);
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert_eq!(same.stdout, "**recipes/main.toml** against `HEAD`: nothing runs again; 3 stages unchanged\n");

    fs::write(dir.join("recipes/sub/base.toml"), BASE.replace("train = 4", "train = 5")).unwrap();
    let edited = curricle(&dir.join("recipes"), &["plan", "main.toml", "--diff", "HEAD", "--exit-code"]);
    assert_eq!(edited.code, Some(4), "{}", edited.stderr);
    let lines: Vec<_> = edited.stdout.lines().collect();
    assert_eq!(lines[0], "**main.toml** against `HEAD`: 2 of 3 stages run again (1 changed, 1 downstream)");
    assert!(lines[2].starts_with("| stage | effect     | key before | key after  | why "), "{}", edited.stdout);
    assert!(
        lines[4].contains("| rows  | changed    |") && lines[4].contains("`train` changed from 4 to 5"),
        "{}",
        lines[4]
    );
    assert!(lines[5].contains("| more  | downstream |"), "{}", lines[5]);
    let json = curricle(dir, &["plan", "recipes/main.toml", "--diff", "HEAD", "--json"]).stdout;
    let document: Value = serde_json::from_str(&json).unwrap();
    let effect = |stage: &Value| format!("{} {}", stage["stage"].as_str().unwrap(), stage["what"].as_str().unwrap());
    let effects: Vec<_> = document["stages"].as_array().unwrap().iter().map(effect).collect();
    assert_eq!(effects, ["alone same", "rows changed", "more downstream"]);

    fs::write(dir.join("recipes/new.toml"), RECIPE).unwrap();
    let new = curricle(dir, &["plan", "recipes/new.toml", "--diff", "HEAD"]).stdout;
    assert!(new.starts_with("**recipes/new.toml** against `HEAD`: 3 of 3 stages run again (3 new)"), "{new}");
    let unknown = curricle(dir, &["plan", "recipes/main.toml", "--diff", "--upload-pack=x"]);
    assert_eq!(unknown.code, Some(2));
    assert_eq!(curricle(dir, &["plan", "recipes/main.toml", "--diff", "nowhere"]).code, Some(2));
}

#[test]
fn every_shipped_recipe_is_formatted() {
    let mut names = Vec::new();
    for folder in ["recipes", "recipes/base"] {
        let all = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        names.extend(all.filter(|path| path.extension().is_some_and(|it| it == "toml")));
    }
    let names: Vec<_> = names.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    assert!(names.len() >= 5);
    let args: Vec<_> = ["fmt", "--check"].iter().map(ToString::to_string).chain(names).collect();
    let called = curricle(root(), &args);
    assert_eq!((called.code, called.stdout.as_str()), (Some(0), ""), "`curricle fmt` would change these");
}

/// With the language servers that editors use, where they are installed; `check` has tests of its own.
#[test]
#[expect(clippy::print_stderr, reason = "what was left out has to be heard")]
fn editors_accept_every_shipped_recipe() {
    for (tool, lint) in [("taplo", &["lint"][..]), ("tombi", &["lint", "--offline", "--error-on-warnings"])] {
        let known = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
        if !known {
            eprintln!("SKIPPED {tool}: it is not installed");
            continue;
        }
        for entry in fs::read_dir(root().join("recipes")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "toml") {
                let output = Command::new(tool).current_dir(root()).args(lint).arg(&path).output().unwrap();
                let said =
                    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{tool} on {}:\n{said}", path.display());
            }
        }
    }
}

#[test]
fn formatting_changes_files_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.toml");
    fs::write(&path, "schema=1\nextends   = []\n").unwrap();
    let checked = curricle(dir.path(), &["fmt", "--check", "a.toml"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(4), "a.toml\n"));
    let formatted = curricle(dir.path(), &["fmt", "a.toml"]);
    assert_eq!((formatted.code, formatted.stderr.as_str()), (Some(0), "formatted a.toml\n"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "schema  = 1\nextends = []\n");
    fs::write(&path, "schema = \n").unwrap();
    assert_eq!(curricle(dir.path(), &["fmt", "a.toml"]).code, Some(3));
    assert_eq!(curricle(dir.path(), &["fmt", "nowhere.toml"]).code, Some(2));
}

#[test]
fn completions_know_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let script = curricle(root(), &["completions", shell]).stdout;
        for verb in ["config", "diff", "lock", "cache", "verify", "adopt", "fmt"] {
            assert!(script.contains(verb), "{shell} does not complete `{verb}`");
        }
    }
}
