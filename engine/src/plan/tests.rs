use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::fs;
use crate::graph::Graph;
use crate::hub::RepoKind;
use crate::stage::{DataView, Runtime};
use crate::store::{Lookup, Store};
use crate::testing::{FAKE_V2, Sketch};

/// A store in a folder of its own, and a file to read.
struct Bench {
    dir: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join(".curricle"));
        fs::write(&dir.path().join("rows.jsonl"), "1").unwrap();
        Self { dir, store }
    }

    fn rows(&self) -> String {
        self.dir.path().join("rows.jsonl").display().to_string()
    }

    /// One stage that reads the file.
    fn one(&self, params: &Value) -> Sketch {
        Sketch::new().stage("sft", params, &[("data", &self.rows())])
    }

    fn plan(&self, graph: &Graph) -> Plan {
        self.plan_with(graph, &Options::default()).unwrap()
    }

    fn plan_with(&self, graph: &Graph, options: &Options) -> Result<Plan, PlanError> {
        plan(graph, &self.store, options)
    }

    /// Commits a result for every stage that would run.
    fn build(&self, graph: &Graph) {
        for step in self.plan(graph).to_run() {
            if let Lookup::Miss(claim) = self.store.lookup(&step.name, &step.preimage).unwrap() {
                claim.commit(1.0).unwrap();
            }
        }
    }
}

/// `a → b → c`, and `d` alone.
fn chain(lr: f64) -> Graph {
    Sketch::new()
        .stage("a", &json!({}), &[])
        .stage("b", &json!({ "lr": lr }), &[("model", "a.model")])
        .stage("c", &json!({ "note": "c" }), &[("model", "b.model")])
        .stage("d", &json!({ "note": "d" }), &[])
        .graph()
}

fn decisions(plan: &Plan) -> Vec<String> {
    let word = |step: &Step| match &step.decision {
        Decision::Reuse => format!("{} reuse", step.name),
        Decision::Skip => format!("{} skip", step.name),
        Decision::Share(with) => format!("{} as {}", step.name, plan.step(*with).name),
        Decision::Hold { .. } => format!("{} held", step.name),
        Decision::Run(reasons) => {
            format!("{} run: {}", step.name, reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; "))
        }
    };
    plan.steps.iter().map(word).collect()
}

/// Builds `before`, then says why `after` has to run; empty if it is reused.
fn why(bench: &Bench, before: Sketch, after: Sketch) -> String {
    bench.build(&before.graph());
    let plan = bench.plan(&after.graph());
    match &plan.steps.last().unwrap().decision {
        Decision::Run(reasons) => reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; "),
        _ => String::new(),
    }
}

#[test]
fn a_parameter_invalidates() {
    let bench = Bench::new();
    let why = why(&bench, bench.one(&json!({ "lr": 1e-6 })), bench.one(&json!({ "lr": 2e-6 })));
    assert_eq!(why, "`lr` changed from 1e-6 to 2e-6");
}

#[test]
fn a_nested_parameter_invalidates() {
    let bench = Bench::new();
    let after = bench.one(&json!({ "select": { "kind": "none" } }));
    assert_eq!(why(&bench, bench.one(&json!({})), after), r#"`select.kind` changed from "pad" to "none""#);
}

#[test]
fn file_content_invalidates() {
    let bench = Bench::new();
    bench.build(&bench.one(&json!({})).graph());
    fs::write(&bench.dir.path().join("rows.jsonl"), "2").unwrap();
    let why = why(&bench, Sketch::new(), bench.one(&json!({})));
    let short = |text: &[u8]| blake3::hash(text).to_hex()[..8].to_owned();
    let rows = bench.rows();
    let expected = format!("files of input `data` = `{rows}` changed from {} to {}", short(b"1"), short(b"2"));
    assert_eq!(why, expected);
}

#[test]
fn a_view_invalidates() {
    let bench = Bench::new();
    let view = DataView { limit: Some(9), ..DataView::default() };
    let why = why(&bench, bench.one(&json!({})), bench.one(&json!({})).view(&view));
    assert_eq!(why, format!("`limit` of input `data` = `{}` changed from null to 9", bench.rows()));
}

#[test]
fn the_seed_invalidates() {
    let bench = Bench::new();
    let seeded = |seed| Sketch::new().seed(seed).stage("sft", &json!({}), &[]);
    assert_eq!(why(&bench, seeded(1), seeded(2)), "seed changed from 1 to 2");
}

#[test]
fn the_version_of_a_kind_invalidates() {
    let bench = Bench::new();
    let before = Sketch::new().stage("sft", &json!({}), &[]);
    let after = Sketch::new().of_kind(FAKE_V2, "sft", &json!({}), &[]);
    assert_eq!(why(&bench, before, after), "kind `fake` changed from version 1 to 2");
}

#[test]
fn another_producer_invalidates() {
    let bench = Bench::new();
    let two = || Sketch::new().stage("a", &json!({}), &[]).stage("b", &json!({ "lr": 1.0 }), &[]);
    let why = why(
        &bench,
        two().stage("c", &json!({}), &[("model", "a.model")]),
        two().stage("c", &json!({}), &[("model", "b.model")]),
    );
    assert!(why.starts_with("input `model` = `b.model` changed from `model` of "), "{why}");
}

#[test]
fn connecting_a_port_invalidates() {
    let bench = Bench::new();
    let before = Sketch::new().stage("sft", &json!({}), &[]);
    let why = why(&bench, before, bench.one(&json!({})));
    assert_eq!(why, format!("input `data` is now connected to `{}`", bench.rows()));
}

#[test]
fn runtime_does_not_invalidate() {
    let bench = Bench::new();
    let other =
        Runtime { device: "cuda:3".into(), threads: 7, checkpoint_every: 1, gradient_checkpointing: true, tui: true };
    assert_eq!(why(&bench, bench.one(&json!({})), bench.one(&json!({})).with(|node| node.runtime = other)), "");
}

#[test]
fn the_name_of_a_stage_does_not_invalidate() {
    let bench = Bench::new();
    let after = Sketch::new().stage("cold_start", &json!({}), &[("data", &bench.rows())]);
    assert_eq!(why(&bench, bench.one(&json!({})), after), "");
}

#[test]
fn spelling_and_order_do_not_invalidate() {
    let bench = Bench::new();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let before = bench.one(&parsed(r#"{ "lr": 0.00001, "select": { "low": 0.5, "kind": "x" } }"#));
    let after = bench.one(&parsed(r#"{ "select": { "kind": "x", "low": 5e-1 }, "lr": 1e-5 }"#));
    assert_eq!(why(&bench, before, after), "");
}

#[test]
fn defaults_spelled_out_do_not_invalidate() {
    let bench = Bench::new();
    assert_eq!(why(&bench, bench.one(&json!({})), bench.one(&json!({ "lr": 1e-5 }))), "");
}

#[test]
fn where_files_lie_does_not_invalidate() {
    let bench = Bench::new();
    let copy = bench.dir.path().join("copy.jsonl");
    fs::write(&copy, "1").unwrap();
    let after = Sketch::new().stage("sft", &json!({}), &[("data", &copy.display().to_string())]);
    assert_eq!(why(&bench, bench.one(&json!({})), after), "");
}

#[test]
fn pure_order_does_not_invalidate() {
    let bench = Bench::new();
    let two = || Sketch::new().stage("a", &json!({ "lr": 1.0 }), &[]).stage("b", &json!({}), &[]);
    assert_eq!(why(&bench, two(), two().with(|node| node.after = vec![StageId(0)])), "");
}

#[test]
fn what_follows_a_change_says_so() {
    let bench = Bench::new();
    let first = bench.plan(&chain(1.0));
    assert_eq!(first.summary().to_string(), "4 to run (4 new)");
    bench.build(&chain(1.0));
    assert_eq!(bench.plan(&chain(1.0)).summary().to_string(), "nothing to run, 4 reused");
    let plan = bench.plan(&chain(2.0));
    let expected = [
        "a reuse",
        "b run: `lr` changed from 1.0 to 2.0",
        "c run: input `model` = `b.model` will be rebuilt (stage `b`)",
        "d reuse",
    ];
    assert_eq!(decisions(&plan), expected);
    assert_eq!(plan.summary().to_string(), "2 to run (1 changed, 1 downstream), 2 reused");
}

#[test]
fn selections() {
    let bench = Bench::new();
    bench.build(&chain(1.0));
    let graph = chain(2.0);
    let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let ran = |options: Options| {
        let plan = bench.plan_with(&graph, &options).unwrap();
        plan.to_run().map(|step| step.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ran(Options { only: some(&["b"]), ..Options::default() }), ["b"]);
    assert_eq!(ran(Options { only: some(&["b"]), downstream: true, ..Options::default() }), ["b", "c"]);
    assert_eq!(ran(Options { from: some(&["b"]), ..Options::default() }), ["b", "c"]);
    assert_eq!(ran(Options { until: some(&["b"]), ..Options::default() }), ["b"]);
    assert_eq!(ran(Options { only: some(&["d"]), ..Options::default() }), Vec::<String>::new());
    let forced = Options { force: Force::Stages(some(&["a"])), ..Options::default() };
    assert_eq!(ran(forced), ["a", "b", "c"]);
    assert_eq!(ran(Options { force: Force::All, only: some(&["d"]), ..Options::default() }), ["d"]);
}

#[test]
fn a_selection_must_have_what_it_needs() {
    let bench = Bench::new();
    let only = |name: &str| Options { only: vec![name.into()], ..Options::default() };
    let error = bench.plan_with(&chain(1.0), &only("b")).unwrap_err();
    assert_eq!(error.to_string(), "stage `b` needs `a`, which is not built and not selected");
    assert_eq!(error.exit_code(), 2);
    let graph = Sketch::new().stage("cold_start", &json!({}), &[]).graph();
    let error = bench.plan_with(&graph, &only("cold_strat")).unwrap_err();
    assert_eq!(error.to_string(), "there is no stage `cold_strat` in this recipe");
    assert_eq!(error.help().as_deref(), Some("did you mean `cold_start`?"));
}

#[test]
fn a_name_stands_for_all_its_instances() {
    let bench = Bench::new();
    let graph = Sketch::new()
        .stage("score[a]", &json!({ "note": "a" }), &[])
        .stage("score[b]", &json!({ "note": "b" }), &[])
        .stage("scores", &json!({ "note": "c" }), &[])
        .graph();
    let plan = bench.plan_with(&graph, &Options { only: vec!["score".into()], ..Options::default() }).unwrap();
    assert_eq!(plan.summary().to_string(), "2 to run (2 new), 1 not selected");
}

#[test]
fn equal_work_is_done_once() {
    let bench = Bench::new();
    let graph = Sketch::new().stage("a", &json!({}), &[]).stage("b", &json!({}), &[]).graph();
    assert_eq!(decisions(&bench.plan(&graph)), ["a run: first run", "b as a"]);
}

#[test]
fn missing_files_are_shown_and_not_run() {
    let bench = Bench::new();
    let graph = Sketch::new()
        .stage("a", &json!({}), &[("data", "/nowhere/rows.jsonl")])
        .stage("b", &json!({}), &[])
        .with(|node| {
            let origin = crate::testing::remote(RepoKind::Model, "a/b", None);
            let ty = crate::stage::ArtifactType::Model(crate::stage::ModelType::default());
            let reference = "models.base".into();
            node.inputs.insert("model".into(), crate::graph::Input { reference, origin, ty, assumed: None });
        })
        .graph();
    let plan = bench.plan(&graph);
    let sources: Vec<_> = plan.missing().into_iter().map(|(stage, missing)| (stage, missing.source.as_str())).collect();
    assert_eq!(sources, [("a", "/nowhere/rows.jsonl"), ("b", "hf:a/b")]);
    assert_eq!(decisions(&plan)[1], "b run: first run; input `model` = `models.base` is not on this machine: `hf:a/b`");
}

#[test]
fn an_unfinished_attempt_is_named() {
    let bench = Bench::new();
    let graph = bench.one(&json!({})).graph();
    let step = bench.plan(&graph).steps.remove(0);
    let Lookup::Miss(claim) = bench.store.lookup("sft", &step.preimage).unwrap() else { panic!("a hit") };
    fs::write(&claim.work_dir().join("checkpoint"), "").unwrap();
    drop(claim);
    let expected = ["sft run: first run; unfinished attempt found: goes on from its last checkpoint"];
    assert_eq!(decisions(&bench.plan(&graph)), expected);
}

#[test]
fn a_plan_creates_nothing() {
    let bench = Bench::new();
    bench.plan(&bench.one(&json!({})).graph());
    assert!(!fs::exists(&bench.dir.path().join(".curricle")));
}

#[test]
fn the_json_form_has_old_and_new_values() {
    let bench = Bench::new();
    bench.build(&chain(1.0));
    let graph = chain(2.0);
    let json = bench.plan(&graph).to_json(&graph);
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["summary"]["counts"]["changed"], 1);
    let reason = json!({ "reason": "param-changed", "param": "lr", "old": 1.0, "new": 2.0, "text": "`lr` changed from 1.0 to 2.0" });
    assert_eq!(json["steps"][1]["reasons"][0], reason);
    assert_eq!(json["steps"][0]["decision"], "reuse");
}

#[test]
fn many_reused_stages_are_planned_quickly() {
    let bench = Bench::new();
    let mut sketch = Sketch::new().stage("s0", &json!({}), &[("data", &bench.rows())]);
    for index in 1..150 {
        sketch =
            sketch.stage(&format!("s{index}"), &json!({ "lr": index }), &[("model", &format!("s{}.model", index - 1))]);
    }
    let graph = sketch.graph();
    bench.build(&graph);
    let start = Instant::now();
    assert_eq!(bench.plan(&graph).summary().to_string(), "nothing to run, 150 reused");
    // The promise is 300 ms for 1,000 stages, release build, idle machine; this catches only what is far off.
    assert!(start.elapsed().as_secs_f64() < 1.0, "{:?}", start.elapsed());
}
