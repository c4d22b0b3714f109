//! What `estimate`, `plan` and `run` say of cost before anything starts.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn curricle(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curricle"));
    command.current_dir(dir).env("NO_COLOR", "1").env_remove("CURRICLE_STORE").args(args).output().unwrap()
}

fn recipe(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name).display().to_string()
}

fn document(dir: &Path, args: &[&str]) -> Value {
    let output = curricle(dir, args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stage<'a>(document: &'a Value, name: &str) -> &'a Value {
    document["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap()
}

#[test]
fn a_recipe_is_estimated_before_anything_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let document = document(dir.path(), &["estimate", &recipe("quickstart.toml"), "--json"]);
    assert_eq!(document["total"]["stages"], 13);
    assert_eq!(document["total"]["seconds"], Value::Null, "nothing has run yet");
    let mrl = stage(&document, "mrl");
    assert_eq!(mrl["parameters"], 1_111_488);
    assert!(mrl["flops"].as_f64().unwrap() > 1e12 && mrl["peak_memory_bytes"].as_u64().unwrap() > 100_000_000, "{mrl}");
    let phases: Vec<_> =
        mrl["phases"].as_array().unwrap().iter().map(|phase| phase["name"].as_str().unwrap()).collect();
    assert_eq!(phases, ["rollout", "backward", "update"]);
    assert!(!dir.path().join(".curricle").exists(), "an estimate makes nothing");
}

#[test]
fn released_models_are_counted_from_what_the_recipe_says_of_them() {
    let dir = tempfile::tempdir().unwrap();
    for (name, parameters) in [("revisual-r1-3b.toml", 3_754_622_976_u64), ("revisual-r1-7b.toml", 8_292_166_656)] {
        let document = document(dir.path(), &["estimate", &recipe(name), "--json"]);
        for name in ["cold_start", "mrl", "trl", "release"] {
            assert_eq!(stage(&document, name)["parameters"], parameters, "{name}");
        }
        let trl = stage(&document, "trl");
        assert!(trl["trained"].as_u64().unwrap() < parameters, "the tower is frozen");
        assert!(trl["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("8192 tokens")));
    }
}

#[test]
fn a_plan_ends_with_what_it_costs() {
    let dir = tempfile::tempdir().unwrap();
    let plan = curricle(dir.path(), &["plan", &recipe("quickstart.toml")]);
    let text = String::from_utf8(plan.stdout).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("about ") && last.contains(" of memory, ") && last.contains(" on disk"), "{last}");
    let document = document(dir.path(), &["plan", &recipe("quickstart.toml"), "--json"]);
    assert_eq!(document["estimate"]["stages"], 13);
}

#[cfg(feature = "flex")]
#[test]
fn what_can_not_fit_is_not_started() {
    let dir = tempfile::tempdir().unwrap();
    let huge = r#"
schema = 1
[recipe]
name = "huge"
[stages.rows]
kind = "synthesize"
params = { train = 16, tasks = { arithmetic = { levels = [1] } } }
[stages.base]
kind = "init"
inputs = { data = "rows.train" }
params = { hidden_size = 65536, intermediate = 262144, layers = 100, heads = 512, kv_heads = 512 }
"#;
    std::fs::write(dir.path().join("huge.toml"), huge).unwrap();
    let output = curricle(dir.path(), &["run", "huge.toml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("stage `base` would need about") && said.contains("--force-fit"), "{said}");
    assert!(!dir.path().join(".curricle").exists(), "nothing was started");
    // The first stage is small: it may run, whatever the second would need.
    let small = curricle(dir.path(), &["run", "huge.toml", "--until", "rows"]);
    assert_eq!(small.status.code(), Some(0), "{}", String::from_utf8_lossy(&small.stderr));
}
