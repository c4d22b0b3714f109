//! `check`, `graph`, `kinds`, `schema` and `init` through the command line, and the gallery of mistakes in `errors/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::curricle;

fn gallery() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors")
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}

/// Every bad recipe gets exactly the message beside it. `BLESS=1` writes the messages instead; read them before you
/// commit them: each has to say where, why and what to do.
#[test]
fn every_mistake_of_the_gallery_is_explained() {
    let dir = gallery();
    let bless = std::env::var_os("BLESS").is_some();
    let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    names.sort_unstable();
    assert!(names.len() >= 40, "the gallery has {} recipes", names.len());
    let mut wrong = Vec::new();
    for path in names {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let args: Vec<_> =
            ["check".to_owned(), name.clone()].into_iter().chain(lines(&path.with_extension("args"))).collect();
        let called = curricle(&dir, &args);
        let expected = path.with_extension("stderr");
        if bless {
            fs::write(&expected, &called.stderr).unwrap();
        }
        // What only warns passes, and says so on standard output.
        let fails = called.stderr.contains("error[");
        if called.code != Some(if fails { 3 } else { 0 }) {
            wrong.push(format!("{name}: ended with {:?}:\n{}", called.code, called.stderr));
        } else if fs::read_to_string(&expected).unwrap_or_default() != called.stderr {
            wrong.push(format!("{name}: says\n{}", called.stderr));
        } else if called.stderr.is_empty() || (fails && !called.stdout.is_empty()) {
            wrong.push(format!("{name}: passes without a word, or prints to standard output"));
        }
    }
    assert!(wrong.is_empty(), "{} of the gallery differ (BLESS=1 rewrites):\n{}", wrong.len(), wrong.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `make schema` writes it.
#[test]
fn the_schema_beside_the_recipes_is_current() {
    let called = curricle(root(), &["schema"]);
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    let path = root().join("recipes/schema.json");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &called.stdout).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap_or_default() == called.stdout, "run `make schema`");
}

#[test]
fn every_shipped_recipe_and_every_template_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    for template in ["quickstart", "revisual-r1"] {
        let called = curricle(dir.path(), &["init", "--template", template]);
        assert_eq!(called.code, Some(0), "{}", called.stderr);
        assert_eq!(curricle(dir.path(), &["init", "--template", template]).code, Some(1), "never overwrites");
    }
    for folder in [dir.path(), &root().join("recipes")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let called = curricle(root(), &["check", &path.to_string_lossy()]);
                assert_eq!(called.code, Some(0), "{}", called.stderr);
            }
        }
    }
}

#[test]
fn json_holds_what_the_text_says() {
    let called = curricle(&gallery(), &["check", "several.toml", "eval-leak.toml", "--json"]);
    assert_eq!((called.code, called.stderr.as_str()), (Some(3), ""));
    let document: serde_json::Value = serde_json::from_str(&called.stdout).unwrap();
    assert_eq!(document["recipes"][0]["diagnostics"].as_array().unwrap().len(), 7);
    let leak = &document["recipes"][1]["diagnostics"][0];
    assert_eq!((leak["code"].as_str(), leak["labels"][0]["line"].as_u64()), (Some("eval-leak"), Some(12)));
}

#[test]
fn a_recipe_that_is_not_there_is_said_to_be_so() {
    let called = curricle(&gallery(), &["check", "nowhere.toml"]);
    assert_eq!(called.code, Some(3));
    assert!(called.stderr.contains("cannot read `nowhere.toml`"), "{}", called.stderr);
}

#[test]
fn usage_mistakes_end_with_two() {
    assert_eq!(curricle(&gallery(), &["chekc"]).code, Some(2));
    assert_eq!(curricle(&gallery(), &["kinds", "show", "stf"]).code, Some(2));
}

#[test]
fn kinds_describe_their_ports_and_parameters() {
    let called = curricle(&gallery(), &["kinds", "show", "sft"]);
    for part in ["model", "learned from", "lr  number", "Peak learning rate.", "early_stop"] {
        assert!(called.stdout.contains(part), "no `{part}` in:\n{}", called.stdout);
    }
}
