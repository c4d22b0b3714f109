//! Whole recipes with variation → graphs.

use std::collections::BTreeSet;

use serde_json::json;

use crate::diagnostic::{Diagnostics, Severity};
use crate::fs;
use crate::graph::{Arm, Checked, Graph, check};
use crate::plan::{Options, plan};
use crate::recipe::{Overrides, Recipe};
use crate::store::Store;
use crate::testing::KINDS;

/// `cold → mrl → trl`, an evaluation of each, and what the last one leaves.
const BASE: &str = r#"
schema = 1
[recipe]
seed = 7
[models.base]
source = "hf:a/base"
[stages.cold]
kind = "fake"
inputs = { model = "models.base" }
[stages.mrl]
kind = "fake"
inputs = { model = "cold.model" }
params = { lr = 2.0, select = { kind = "pad", low = 0.1 } }
[stages.trl]
kind = "fake"
inputs = { model = "mrl.model" }
params = { lr = 3.0 }
[stages.score]
kind = "fake"
each = ["cold", "mrl", "trl"]
inputs = { model = "${each}.model" }
params = { note = "score" }
[stages.release]
kind = "fake"
inputs = { model = "trl.model" }
params = { note = "release" }
"#;

fn checked(more: &str) -> Result<Checked, Diagnostics> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recipe.toml");
    fs::write(&path, format!("{BASE}{more}")).unwrap();
    check(&Recipe::load(&path, &Overrides::default()).unwrap(), KINDS)
}

fn graph(more: &str) -> Graph {
    checked(more).unwrap_or_else(|wrong| panic!("{}", wrong.render(false))).graph
}

fn said(more: &str, severity: Severity) -> Vec<String> {
    let list = match checked(more) {
        Ok(checked) => checked.warnings,
        Err(diagnostics) => diagnostics,
    };
    let list = list.list().iter().filter(|one| one.severity == severity);
    list.map(|one| one.message.clone()).collect()
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.arms().iter().map(|arm| arm.label.name.as_str()).collect()
}

fn arm<'g>(graph: &'g Graph, name: &str) -> &'g Arm {
    graph.arms().iter().find(|arm| arm.label.name == name).unwrap()
}

/// What the stage of an arm reads as its model.
fn start(graph: &Graph, name: &str, stage: &str) -> String {
    graph.stage(arm(graph, name).stages[stage]).inputs["model"].reference.clone()
}

fn keys(graph: &Graph) -> Vec<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(graph, &Store::open(&dir.path().join("store")), &Options::default()).unwrap();
    plan.steps.iter().map(|step| (step.name.clone(), step.key.hex())).collect()
}

#[test]
fn a_recipe_without_variation_has_no_arms() {
    assert!(graph("").arms().is_empty());
}

#[test]
fn what_an_arm_sets_replaces_the_whole_and_the_rest_is_shared() {
    let graph = graph("[ablations.none]\nset = { \"stages.mrl.params.select\" = { kind = \"none\" } }\n");
    assert_eq!(names(&graph), ["", "none"]);
    let stages: Vec<_> = graph.stages().iter().map(|stage| stage.name.as_str()).collect();
    let own = ["mrl@none", "trl@none", "score[mrl]@none", "score[trl]@none", "release@none"];
    assert_eq!(stages.len(), 7 + 5);
    assert!(own.iter().all(|name| stages[7..].contains(name)), "{stages:?}");
    let mrl = graph.find("mrl@none").unwrap();
    assert_eq!(mrl.stage.params()["select"], json!({ "kind": "none", "low": 0.03 }), "`low` is the default again");
    assert_eq!(mrl.stage.params()["lr"], 2.0);
    assert_eq!(arm(&graph, "none").stages["cold"], arm(&graph, "").stages["cold"]);
    assert_eq!(
        arm(&graph, "none").label.settings,
        [("stages.mrl.params.select".to_owned(), json!({ "kind": "none" }))].into()
    );
}

#[test]
fn keys_of_the_recipe_as_written_are_those_without_variation() {
    let alone = keys(&graph(""));
    assert_eq!(alone[0].1[..16], *"cafedf42234baee1", "a recorded key");
    let varied = keys(&graph(
        "[seeds]\nvalues = [7, 8]\n[ablations.none]\nset = { \"stages.mrl.params.select.kind\" = \"none\" }\n",
    ));
    for stage in &alone {
        assert!(varied.contains(stage), "{stage:?} in {varied:?}");
    }
    assert_eq!(varied.iter().map(|(_, key)| key).collect::<BTreeSet<_>>().len(), varied.len(), "no work twice");
}

#[test]
fn seeds_repeat_everything_or_what_comes_after_a_stage() {
    let all = graph("[seeds]\nvalues = [7, 1]\n");
    assert_eq!((names(&all), all.stages().len()), (vec!["", "#1"], 14));
    let from = graph("[seeds]\ncount = 3\nfrom = [\"mrl\"]\n");
    assert_eq!(names(&from), ["", "#2", "#3"]);
    assert_eq!(from.stages().len(), 2 + 3 * 5, "`cold` and its score are common");
    let seed = |name: &str| from.find(name).unwrap().seed;
    assert_eq!((seed("cold"), seed("score[cold]"), seed("mrl"), seed("release#3")), (7, 7, 1, 3));
    let text = "[ablations.late]\nset = { \"stages.trl.params.note\" = \"s${seed}\", \"stages.cold.params.note\" = \"s${seed}\" }\n";
    let told = graph(&format!("[seeds]\nvalues = [5]\nfrom = [\"mrl\"]\n{text}"));
    let note = |name: &str| told.find(name).unwrap().stage.params()["note"].clone();
    assert_eq!((note("trl@late"), note("cold@late")), (json!("s5"), json!("s7")));
}

#[test]
fn seeds_come_before_arms_so_that_an_interrupted_run_has_whole_sets() {
    let graph = graph("[seeds]\nvalues = [1, 2]\n[ablations.slow]\nset = { \"stages.mrl.params.lr\" = 0.5 }\n");
    assert_eq!(names(&graph), ["", "slow", "#2", "slow#2"]);
    assert!(graph.find("mrl@slow#2").is_some());
}

#[test]
fn a_matrix_says_which_values_there_are() {
    let sweep = graph("[matrix]\n\"stages.mrl.params.lr\" = [2.0, 4.0]\n\"stages.trl.params.lr\" = [3.0]\n");
    assert_eq!(names(&sweep), ["", "stages.mrl.params.lr=4.0"], "two paths end alike");
    let graph = graph(
        "[matrix]\n\"stages.mrl.params.lr\" = [0.1, 1e-6]\n[ablations.x]\nset = { \"stages.trl.params.lr\" = 9 }\n",
    );
    assert_eq!(names(&graph), ["lr=0.1", "x@lr=0.1", "lr=1e-6", "x@lr=1e-6"]);
}

#[test]
fn one_arm_per_value() {
    let graph = graph("[ablations.lr]\neach = { \"stages.trl.params.lr\" = [3.0, 1e-6] }\n");
    assert_eq!(names(&graph), ["", "lr=1e-6"]);
    assert_eq!(arm(&graph, "").also, ["lr=3.0"]);
}

#[test]
fn all_orders_share_their_beginnings() {
    let graph = graph("[ablations.order]\nchain = [\"cold\", \"mrl\", \"trl\"]\npermute = true\n");
    assert_eq!(graph.arms().len(), 6);
    let trained =
        graph.stages().iter().filter(|stage| !stage.name.contains("score") && !stage.name.contains("release"));
    assert_eq!(trained.count(), 15, "18 by hand");
    assert_eq!(start(&graph, "cold+trl+mrl", "mrl"), "trl.model");
    assert_eq!(start(&graph, "cold+trl+mrl", "release"), "mrl.model", "who takes the end takes the new end");
    assert_eq!(start(&graph, "trl+mrl+cold", "trl"), "models.base", "as the first one did");
}

/// Who gives another state than its last gives that one wherever it stands.
#[test]
fn another_order_takes_the_states_that_were_chosen() {
    let more = "[ablations.order]\nchain = [\"cold\", \"mrl\", \"trl\"]\nfixed = [\"cold\"]\npermute = true\n";
    let text = format!("{BASE}{more}")
        .replace("lr = 2.0,", "keep = [\"best\"], lr = 2.0,")
        .replace("\"mrl.model\"", "\"mrl.model@best\"")
        .replace("\"trl.model\"", "\"trl.model@last\"");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recipe.toml");
    fs::write(&path, text).unwrap();
    let checked = check(&Recipe::load(&path, &Overrides::default()).unwrap(), KINDS);
    let graph = checked.unwrap_or_else(|wrong| panic!("{}", wrong.render(false))).graph;
    assert_eq!(start(&graph, "", "trl"), "mrl.model@best");
    assert_eq!(start(&graph, "cold+trl+mrl", "mrl"), "trl.model", "nobody chose one of `trl`");
    assert_eq!(start(&graph, "cold+trl+mrl", "release"), "mrl.model@last", "what stands outside chooses itself");
    assert_eq!(start(&graph, "cold+trl+mrl", "score[mrl]"), "mrl.model");
}

#[test]
fn what_needs_a_stage_left_out_goes_with_it() {
    let more = "[stages.judge]\nkind = \"fake\"\ninputs = { model = \"mrl.model\" }\nafter = [\"trl\"]\n[runtime.stages.mrl]\nthreads = 1\n";
    let graph = graph(&format!(
        "{more}[ablations.short]\nchain = [\"cold\", \"mrl\", \"trl\"]\nfixed = [\"cold\"]\ndrop = true\n"
    ));
    assert_eq!(names(&graph), ["", "cold+mrl", "cold+trl"]);
    let without = arm(&graph, "cold+trl");
    assert_eq!(without.without, ["judge"]);
    let stages: Vec<_> = without.stages.keys().map(String::as_str).collect();
    assert_eq!(stages, ["cold", "release", "score[cold]", "score[trl]", "trl"]);
    assert_eq!(start(&graph, "cold+mrl", "release"), "mrl.model");
    let unset = graph_of_unset();
    assert_eq!(arm(&unset, "short").without, ["release"]);
    assert!(!arm(&unset, "short").stages.contains_key("score[trl]"));
}

fn graph_of_unset() -> Graph {
    graph("[ablations.short]\nunset = [\"stages.trl\"]\n")
}

#[test]
fn an_arm_may_add_a_stage() {
    let text = "[ablations.mixed]\nunset = [\"stages.mrl\", \"stages.trl\"]\n[ablations.mixed.set]\n\
        \"stages.mixed\" = { kind = \"fake\", inputs = { model = \"cold.model\" } }\n\
        \"stages.score.each\" = [\"cold\", \"mixed\"]\n";
    let graph = graph(text);
    assert_eq!(start(&graph, "mixed", "score[mixed]"), "mixed.model");
    assert!(graph.find("mixed@mixed").is_some());
}

#[test]
fn a_slip_in_an_arm_is_an_error_in_its_own_text() {
    let one = |text: &str| said(&format!("[ablations.x]\n{text}\n"), Severity::Error).join("; ");
    assert_eq!(one("set = { \"stages.mrl.params.lr\" = \"much\" }"), "`lr` of stage `mrl` does not fit");
    assert!(one("set = { \"stages.mlr.params.lr\" = 1 }").contains("there is no `stages.mlr`"));
    assert!(one("chain = [\"cold\", \"trl\"]\npermute = true").contains("does not start from the model of `cold`"));
    assert!(one("chain = [\"cold\", \"rl\"]\npermute = true").contains("there is no stage `rl`"));
    let seeds = said("[seeds]\nvalues = [1]\nfrom = [\"mlr\"]\n", Severity::Error);
    assert_eq!(seeds, ["there is no stage `mlr` for seeds to begin at"]);
}

#[test]
fn an_arrangement_that_makes_no_sense_is_left_out() {
    let text = "[ablations.o]\nset = { \"stages.trl.after\" = [\"mrl\"] }\nchain = [\"cold\", \"mrl\", \"trl\"]\n\
        fixed = [\"cold\"]\nsubsets = true\npermute = true\n";
    let warnings = said(text, Severity::Warning);
    assert_eq!(warnings, ["arm `cold+trl+mrl` is left out: stages wait for each other: mrl -> trl -> mrl"]);
    assert_eq!(names(&graph(text)), ["", "cold", "cold+mrl", "cold+trl", "cold+mrl+trl"]);
}

#[test]
fn an_arm_that_changes_nothing_is_said_to() {
    let warnings = said("[ablations.same]\nset = { \"stages.mrl.params.lr\" = 2.0 }\n", Severity::Warning);
    assert_eq!(warnings, ["arm `same` is the same as the recipe as written"]);
}

#[test]
fn a_parameter_that_one_arm_uses_is_used() {
    let text =
        "[params]\nrate = 0.5\nnever = 1\n[ablations.x]\nset = { \"stages.mrl.params.lr\" = \"${params.rate}\" }\n";
    assert_eq!(said(text, Severity::Warning), ["nothing uses the parameter `never`"]);
}
