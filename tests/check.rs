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

/// A recipe is checked where its devices are not.
#[test]
fn every_device_that_a_stage_knows_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (device, code) in [("cuda:0,1", 0), ("cuda:all", 0), ("cpu*2", 0), ("cuda:1,1", 3), ("cpu*0", 3)] {
        let set = format!("runtime.device={device:?}");
        let called = curricle(root, &["check", "recipes/quickstart.toml", "--set", &set]);
        assert_eq!(called.code, Some(code), "{device}: {}", called.stderr);
    }
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
                let called = curricle(root(), &["check", "--every-scale", &path.to_string_lossy()]);
                assert_eq!(called.code, Some(0), "{}", called.stderr);
            }
        }
    }
}

/// Stages after sharing and by hand, by recipe and scale.
#[test]
fn arms_of_the_shipped_ablations_share_their_beginnings() {
    let names = ["all-orders", "cold-start", "length-reward", "objective", "order", "pad"];
    let paths: Vec<String> = names.iter().map(|name| format!("recipes/ablation-{name}.toml")).collect();
    let args: Vec<&str> =
        ["check", "--every-scale", "--json"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let called = curricle(root(), &args);
    assert_eq!(called.code, Some(0), "{}", called.stdout);
    let document: serde_json::Value = serde_json::from_str(&called.stdout).unwrap();
    let told = |recipe: &serde_json::Value| {
        let name = recipe["recipe"].as_str().unwrap().trim_start_matches("recipes/ablation-").trim_end_matches(".toml");
        let warnings = recipe["diagnostics"].as_array().unwrap().iter().filter(|one| one["severity"] == "warning");
        assert_eq!(warnings.count(), 0, "{recipe}");
        format!(
            "{name} {} {} {} {}",
            recipe["scale"].as_str().unwrap(),
            recipe["arms"],
            recipe["stages"],
            recipe["by_hand"]
        )
    };
    let told: Vec<String> = document["recipes"].as_array().unwrap().iter().map(told).collect();
    let expected = [
        "all-orders paper 18 81 90",
        "all-orders tiny 18 69 180",
        "cold-start paper 20 60 60",
        "cold-start tiny 10 27 85",
        "length-reward paper 10 63 90",
        "length-reward tiny 10 49 130",
        "objective paper 30 62 120",
        "objective tiny 30 68 300",
        "order paper 18 48 75",
        "order tiny 18 39 168",
        "pad paper 35 72 140",
        "pad tiny 35 110 350",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_plan_shows_arms_as_a_tree_and_takes_some_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().to_string_lossy().into_owned();
    let plan = |more: &[&str]| {
        let args = ["plan", "recipes/ablation-order.toml", "--set", "scale=tiny", "--store", &store];
        let called = curricle(root(), &args.into_iter().chain(more.iter().copied()).collect::<Vec<_>>());
        assert!(called.code == Some(0) || !called.stderr.is_empty());
        if called.code == Some(0) { called.stdout } else { called.stderr }
    };
    let text = plan(&[]);
    for part in [
        "├─ base (as written), cold_start+mrl\n│  │ mrl × 3 ",
        "└─ cold_start+trl, cold_start+trl+mrl\n",
        "168 stages by hand, 39 after sharing, 0 of them in the store\n",
        "39 to run (39 new)",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(plan(&["--arm", "cold_start"]).contains("8 to run (8 new), 31 not selected"));
    assert!(plan(&["--arm", "base#2"]).contains("10 to run"));
    assert!(plan(&["--arm", "order", "--only", "final"]).contains("which is not built and not selected"));
    assert!(plan(&["--arm", "mixd"]).contains("there is no arm `mixd` in this recipe\n  help: did you mean `mixed`?"));
    let document: serde_json::Value = serde_json::from_str(&plan(&["--json"])).unwrap();
    let arm = &document["arms"][4];
    assert_eq!((&arm["name"], &arm["ablation"]), (&"cold_start+trl".into(), &"order".into()), "{arm}");
    assert_eq!(arm["stages"]["final"], "final@cold_start+trl");
    assert_eq!(document["stages"]["after_sharing"], 39);
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
    for part in ["model", "learned from", "lr  number", "Peak learning rate.", "plateau"] {
        assert!(called.stdout.contains(part), "no `{part}` in:\n{}", called.stdout);
    }
    let evaluate = curricle(&gallery(), &["kinds", "show", "evaluate"]).stdout;
    assert!(evaluate.contains("metrics, for gates\n  accuracy, accuracy/image, "), "{evaluate}");
}

/// Two tests with questions of the training file; one of them is waived.
#[cfg(feature = "rows")]
#[test]
fn rows_that_are_learned_from_and_measured_on_are_found_by_looking() {
    let dir = tempfile::tempdir().unwrap();
    let line = |prompt: &str| format!("{{\"prompt\": \"{prompt}\", \"answer\": \"5\"}}\n");
    let practice = line("What is 2 + 3?") + &line("What is 1 + 4?") + &line("What is 3 + 2?");
    fs::write(dir.path().join("practice.jsonl"), practice).unwrap();
    fs::write(dir.path().join("exam.jsonl"), line("What is 7 - 2?") + &line("what is 2 + 3")).unwrap();
    fs::write(dir.path().join("old.jsonl"), line("What is 1 + 4?")).unwrap();
    let model = gallery().join("files/model");
    let recipe = format!(
        r#"schema = 1
[models.base]
source = "file:{}"
[data.practice]
source = "file:practice.jsonl"
[data.exam]
source = "file:exam.jsonl"
role   = "eval"
[data.old]
source = "file:old.jsonl"
role   = "eval"
waive  = {{ practice = "only to compare with last year" }}
[stages.cold_start]
kind   = "sft"
inputs = {{ model = "models.base", data = "data.practice" }}
[stages.score]
kind   = "evaluate"
each   = ["exam", "old"]
inputs = {{ model = "cold_start.model", data = "data.${{each}}" }}
"#,
        model.display()
    );
    fs::write(dir.path().join("recipe.toml"), recipe).unwrap();
    assert_eq!(curricle(dir.path(), &["check", "recipe.toml"]).code, Some(0), "types alone show nothing");
    let called = curricle(dir.path(), &["check", "--leaks", "recipe.toml"]);
    assert_eq!(called.code, Some(3), "{}", called.stderr);
    for part in [
        "error[leak]: 1 of 2 rows of `data.exam` is in `data.practice`",
        "the same item (what is 2 + 3)",
        "`waive = { practice = \"…\" }` in `[data.exam]`",
        "warning[leak]: 1 of 1 rows of `data.old` is in `data.practice`: waived",
    ] {
        assert!(called.stderr.contains(part), "no `{part}` in:\n{}", called.stderr);
    }
}
