//! Recipes from text: composition, interpolation, places.

use std::path::PathBuf;

use super::*;
use crate::fs;

/// Files of a folder, and what is laid over the first of them.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn load(&self, overrides: &Overrides) -> Recipe {
        Recipe::load(&self.path("main.toml"), overrides).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
    }

    fn params(&self, overrides: &Overrides) -> serde_json::Value {
        let recipe = self.load(overrides);
        assert!(recipe.mistakes.iter().all(|mistake| mistake.code == "unused"), "{:?}", recipe.mistakes);
        recipe.stages[0].params.value.to_json()
    }
}

const MAIN: &str = r#"
schema = 1
extends = ["base/base.toml"]
[stages.a]
kind = "k"
[stages.a.params]
lr = 2.0
list = [3]
"#;
const BASE: &str = r#"
[data.rows]
source = "file:rows.jsonl"
[stages.a.params]
lr = 1.0
list = [1, 2]
deep = { x = 1, y = 2 }
"#;

#[test]
fn tables_merge_and_scalars_and_lists_are_replaced() {
    let files = Files::new(&[("main.toml", MAIN), ("base/base.toml", BASE)]);
    let expected = serde_json::json!({"lr": 2.0, "list": [3], "deep": {"x": 1, "y": 2}});
    assert_eq!(files.params(&Overrides::default()), expected);
}

#[test]
fn overlays_then_unset_then_set() {
    let overlay = "unset = [\"stages.a.params.deep.x\"]\n[stages.a.params]\nlr = 3.0\ndeep = { z = 3 }\n";
    let files = Files::new(&[("main.toml", MAIN), ("base/base.toml", BASE), ("over.toml", overlay)]);
    let overrides = Overrides {
        overlays: vec![files.path("over.toml")],
        unset: vec!["stages.a.params.list".into()],
        set: vec!["stages.a.params.lr=4.5".into(), "stages.a.params.word=cosine".into()],
    };
    let expected = serde_json::json!({"lr": 4.5, "deep": {"y": 2, "z": 3}, "word": "cosine"});
    assert_eq!(files.params(&overrides), expected);
}

#[test]
fn unset_removes_what_is_inherited_before_the_file_writes_its_own() {
    let main = MAIN.replace("schema = 1", "schema = 1\nunset = [\"stages.a.params\"]");
    let files = Files::new(&[("main.toml", &main), ("base/base.toml", BASE)]);
    assert_eq!(files.params(&Overrides::default()), serde_json::json!({"lr": 2.0, "list": [3]}));
}

#[test]
fn paths_start_from_the_file_that_says_them() {
    let files = Files::new(&[("main.toml", MAIN), ("base/base.toml", BASE)]);
    let recipe = files.load(&Overrides::default());
    let source = recipe.data["rows"].source.as_ref().unwrap();
    assert_eq!(source.value, Location::File(files.path("base/rows.jsonl")));
    assert_eq!(recipe.sources.get(source.span.source).name, files.path("base/base.toml").display().to_string());
}

#[test]
fn a_lone_reference_keeps_its_type_and_others_become_text() {
    let main = r#"
schema = 1
[recipe]
seed = 7
[params]
lr = 1e-3
parts = ["vision"]
[stages.a]
kind = "k"
params = { lr = "${params.lr}", parts = "${params.parts}", text = "lr ${params.lr}, seed ${seed}", seed = "${seed}" }
"#;
    let files = Files::new(&[("main.toml", main)]);
    let expected = serde_json::json!({"lr": 1e-3, "parts": ["vision"], "text": "lr 0.001, seed 7", "seed": 7});
    assert_eq!(files.params(&Overrides::default()), expected);
}

#[test]
fn a_stage_may_override_runtime() {
    let main = "schema = 1\n[stages.a]\nkind = \"k\"\n[runtime]\nthreads = 2\njobs = 3\ngradient_checkpointing = true\n\
        [runtime.stages.a]\ndevice = \"cuda:1\"\n[runtime.stages.b]\ngradient_checkpointing = false\n";
    let recipe = Files::new(&[("main.toml", main)]).load(&Overrides::default());
    assert_eq!(recipe.jobs(), Some(3));
    let (name, runtime) = &recipe.runtime_stages[0];
    assert_eq!((name.value.as_str(), runtime.device.as_str(), runtime.threads), ("a", "cuda:1", 2));
    let checkpointing = recipe.runtime_stages.iter().map(|(_, runtime)| runtime.gradient_checkpointing);
    assert_eq!(checkpointing.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_secret_is_masked_wherever_it_is_shown() {
    let main = "schema = 1\n[params]\nhf_token = \"geheim\"\n[stages.a]\nkind = \"k\"\n";
    let recipe = Files::new(&[("main.toml", main)]).load(&Overrides::default());
    let wrong = Diagnostics::new(recipe.sources.clone(), recipe.mistakes.clone());
    assert!(wrong.render(false).contains("hf_token = ********"), "{}", wrong.render(false));
    assert!(!wrong.render(false).contains("geheim") && !wrong.to_json().to_string().contains("geheim"));
}

const SCALED: &str = r#"
schema = 1
scale = "paper"
[scales.paper]
extends = ["base/base.toml"]
[scales.tiny.stages.a]
kind = "small"
params = { lr = 1.0, list = [1], more = true }
[scales.huge]
extends = ["base/base.toml"]
unset = ["stages.a.params.list"]
[stages.a.params]
lr = 2.0
"#;

#[test]
fn a_scale_lies_under_the_rest_of_its_file() {
    let base = "[stages.a]\nkind = \"big\"\n[stages.a.params]\nlr = 0.5\nlist = [9]\n";
    let outer = "scale = \"tiny\"\nextends = [\"main.toml\"]\n";
    let files = Files::new(&[("main.toml", SCALED), ("base/base.toml", base), ("outer.toml", outer)]);
    let set =
        |edits: &[&str]| Overrides { set: edits.iter().map(|one| (*one).to_owned()).collect(), ..Overrides::default() };
    assert_eq!(files.params(&set(&[])), serde_json::json!({ "lr": 2.0, "list": [9] }));
    let tiny = serde_json::json!({ "lr": 2.0, "list": [1], "more": true });
    assert_eq!(files.params(&set(&["scale=huge", "scale=tiny"])), tiny, "the last choice counts");
    assert_eq!(files.params(&set(&["scale=huge"])), serde_json::json!({ "lr": 2.0 }));
    assert_eq!(files.load(&set(&[])).scales(), ["paper", "tiny", "huge"]);
    let outer = Recipe::load(&files.path("outer.toml"), &set(&[])).unwrap();
    assert_eq!(outer.stages[0].params.value.to_json(), tiny, "who extends a recipe chooses its scale");
    assert_eq!(outer.stages[0].kind.as_ref().unwrap().value, "small");
}
