use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

use super::*;
use crate::exec::{InProcess, Interrupt, Receipt, Run, execute};
use crate::fs;
use crate::graph::{Graph, Input};
use crate::hub::RepoKind;
use crate::plan::{Force, Options, Plan, plan};
use crate::stage::{
    AnyKind, ArtifactKind, ArtifactType, DataType, DataView, Extent, Fact, Facts, Kind, Memory, ModelType, Phase,
    PortTypes, Ports, Problems, Runtime, StageContext, StageError, StageKind,
};
use crate::store::Store;
use crate::testing::Sketch;

/// A kind whose operations are said in its parameters, and whose model has one row more than what it reads.
struct Costly;

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct CostlyParams {
    flops: Option<f64>,
    salt: u64,
}

impl StageKind for Costly {
    const NAME: &'static str = "costly";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "for tests";
    type Params = CostlyParams;

    fn ports(_: &CostlyParams) -> Ports {
        let ports = Ports::new().optional("model", ArtifactKind::Model).optional("data", ArtifactKind::Data);
        ports.output("model", ArtifactKind::Model)
    }

    fn validate(_: &CostlyParams, _: &mut Problems) {}

    fn types(_: &CostlyParams, _: &PortTypes, _: &mut Problems) -> PortTypes {
        PortTypes::default().with("model", ArtifactType::Model(ModelType::default()))
    }

    fn estimate(params: &CostlyParams, facts: &Facts<'_>) -> Estimate {
        let before = facts.input("model").or(facts.input("data")).and_then(|known| known.rows);
        let memory = Memory { other: 64, ..Memory::default() };
        let estimate = Estimate {
            flops: params.flops,
            tokens: before,
            phases: vec![Phase { name: "all".into(), memory }],
            output_bytes: Some(10),
            ..Estimate::default()
        };
        estimate.making("model", Extent { rows: before.map(|rows| rows + 1.0), ..Extent::default() })
    }

    fn run(_: &CostlyParams, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let config = context.output("model")?.join("config.json");
        fs::write(&config, "{}").map_err(|error| StageError::Failed(error.to_string()))
    }
}

static COSTLY: &dyn AnyKind = &Kind::<Costly>::NEW;
static KINDS: &[&dyn AnyKind] = &[COSTLY];

struct Bench {
    dir: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join(".curricle"));
        fs::create_dir_all(&dir.path().join("logs")).unwrap();
        Self { dir, store }
    }

    fn plan(&self, graph: &Graph, force: Force) -> Plan {
        plan(graph, &self.store, &Options { force, ..Options::default() }).unwrap()
    }

    fn estimate(&self, graph: &Graph, plan: &Plan) -> Estimates {
        estimate(graph, plan, &self.store, &Machine::here(), &|_| false).unwrap()
    }

    /// Runs what is to be run, with what is expected of it.
    fn run(&self, graph: &Graph, force: Force) -> Receipt {
        let mut plan = self.plan(graph, force);
        plan.expected = self.estimate(graph, &plan).expected();
        let (store, logs, interrupt) = (&self.store, &self.dir.path().join("logs"), &Interrupt::new());
        let executor = &InProcess { kinds: KINDS };
        let run = Run { graph, plan: &plan, store, executor, interrupt, jobs: 1, keep_going: false, logs };
        execute(&run, &mut |_| {})
    }
}

fn costly(flops: f64) -> Value {
    json!({ "flops": flops })
}

fn rows(dir: &Path) -> String {
    let path = dir.join("rows.jsonl");
    let line = |text: &str| format!("{}\n", json!({ "prompt": text, "answer": "12" }));
    fs::write(&path, line("one two") + &line("one two three four")).unwrap();
    path.display().to_string()
}

#[test]
fn what_is_known_flows_from_files_through_stages_to_be_run() {
    let bench = Bench::new();
    let file = rows(bench.dir.path());
    let graph = Sketch::new()
        .of_kind(COSTLY, "a", &costly(1.0), &[("data", &file)])
        .of_kind(COSTLY, "b", &costly(2.0), &[("model", "a.model")])
        .graph();
    let estimates = bench.estimate(&graph, &bench.plan(&graph, Force::Nothing));
    let tokens: Vec<_> = estimates.stages.iter().map(|stage| stage.estimate.tokens).collect();
    assert_eq!(tokens, [Some(2.0), Some(3.0)]);
    let total = estimates.total();
    assert_eq!((total.stages, total.counted, total.timed, total.output_bytes, total.memory), (2, 2, 0, 20, 64));
    assert!((total.flops - 3.0).abs() < 1e-9);
}

#[test]
fn the_length_of_rows_is_seen_in_the_file() {
    let bench = Bench::new();
    let file = rows(bench.dir.path());
    let of = |view: &DataView| rows::known(Path::new(&file), ArtifactKind::Data, view);
    let known = of(&DataView::default());
    // Two and four words; an answer of two digits in a box.
    let (prompt, answer) = (known.prompt.unwrap(), known.answer.unwrap());
    assert!((prompt.mean - 3.0 * 1.08).abs() < 1e-6 && (prompt.longest() - 4.0 * 1.08).abs() < 1e-6, "{prompt:?}");
    assert!((answer.mean - (2.0 * 1.08 + 3.0)).abs() < 1e-6, "{answer:?}");
    assert_eq!((known.rows, known.images), (Some(2.0), Some(0.0)));
    let view = DataView {
        splits: [("train".to_owned(), 0.5), ("rest".to_owned(), 0.5)].into(),
        split: Some("train".into()),
        ..DataView::default()
    };
    assert_eq!(of(&view).rows, Some(1.0));
    assert_eq!(of(&DataView { limit: Some(1), ..DataView::default() }).rows, Some(1.0));
    let mapped = DataView { columns: [("prompt".to_owned(), "answer".to_owned())].into(), ..DataView::default() };
    assert!((of(&mapped).prompt.unwrap().mean - 2.0 * 1.08).abs() < 1e-6);
}

#[test]
fn of_a_long_file_the_beginning_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let line = format!("{}\n", json!({ "prompt": "word ".repeat(100), "answer": "1" }));
    fs::write(&path, line.repeat(5_000)).unwrap();
    let known = rows::known(&path, ArtifactKind::Data, &DataView::default());
    assert!((known.rows.unwrap() - 5_000.0).abs() < 10.0, "{:?}", known.rows);
}

#[test]
fn what_the_recipe_says_stands_for_what_is_not_here() {
    let bench = Bench::new();
    let assumed = |rows| {
        let input = Input {
            reference: "data.x".into(),
            origin: crate::testing::remote(RepoKind::Data, "a/b", None),
            ty: ArtifactType::Data(DataType { rows: Fact::known(rows), ..DataType::default() }),
            assumed: None,
        };
        let with = |node: &mut crate::graph::StageNode| drop(node.inputs.insert("data".into(), input));
        Sketch::new().of_kind(COSTLY, "a", &costly(1.0), &[]).with(with).graph()
    };
    let graph = assumed(250);
    let plan = bench.plan(&graph, Force::Nothing);
    assert_eq!(bench.estimate(&graph, &plan).stages[0].estimate.tokens, Some(250.0));
}

#[test]
fn a_run_tells_the_next_estimate_how_long_it_took() {
    let bench = Bench::new();
    let graph = Sketch::new().of_kind(COSTLY, "a", &costly(4.0), &[]).graph();
    let first = bench.estimate(&graph, &bench.plan(&graph, Force::Nothing));
    assert_eq!(first.stages[0].time, None, "nothing has run yet");
    let receipt = bench.run(&graph, Force::Nothing);
    let wall_s = receipt.stages[0].wall_s.unwrap();

    assert!(bench.estimate(&graph, &bench.plan(&graph, Force::Nothing)).stages.is_empty(), "nothing would run");
    let again = bench.estimate(&graph, &bench.plan(&graph, Force::All));
    let time = again.stages[0].time.unwrap();
    assert!((time.seconds - wall_s).abs() < 1e-9, "{time:?} {wall_s}");
    assert_eq!((time.runs, time.same_stage, time.error), (1, true, None));

    // Twice the work of another stage of this kind: twice the time. Then it has run, and what was expected of it is known.
    let other = Sketch::new().of_kind(COSTLY, "b", &costly(8.0), &[]).graph();
    let time = bench.estimate(&other, &bench.plan(&other, Force::Nothing)).stages[0].time.unwrap();
    assert!((time.seconds - 2.0 * wall_s).abs() < 1e-9 && !time.same_stage, "{time:?}");
    let measured = bench.run(&other, Force::Nothing).stages[0].wall_s.unwrap();
    let time = bench.estimate(&other, &bench.plan(&other, Force::All)).stages[0].time.unwrap();
    let error = (2.0 * wall_s / measured - 1.0).abs();
    assert!((time.error.unwrap() - error).abs() < 1e-9 && time.same_stage, "{time:?} {error}");
}

#[test]
fn the_same_work_is_counted_once() {
    let bench = Bench::new();
    let graph = Sketch::new()
        .of_kind(COSTLY, "a", &costly(1.0), &[])
        .of_kind(COSTLY, "twin", &costly(1.0), &[])
        .of_kind(COSTLY, "after", &json!({ "salt": 1 }), &[("model", "twin.model")])
        .graph();
    let estimates = bench.estimate(&graph, &bench.plan(&graph, Force::Nothing));
    let names: Vec<_> = estimates.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["a", "after"]);
    assert!(estimates.of(graph.find("twin").unwrap().id).is_none());
}

#[test]
fn a_gpu_is_asked_for_once_a_device() {
    let bench = Bench::new();
    let graph = Sketch::new()
        .of_kind(COSTLY, "a", &costly(1.0), &[])
        .of_kind(COSTLY, "b", &costly(2.0), &[])
        .of_kind(COSTLY, "c", &costly(3.0), &[])
        .with(|node| node.runtime.device = "cuda:1".into())
        .graph();
    let asked = std::cell::RefCell::new(Vec::new());
    let on_gpu = |runtime: &Runtime| {
        asked.borrow_mut().push(runtime.device.clone());
        runtime.device.starts_with("cuda")
    };
    let plan = bench.plan(&graph, Force::Nothing);
    let estimates = estimate(&graph, &plan, &bench.store, &Machine::here(), &on_gpu).unwrap();
    assert_eq!(*asked.borrow(), ["auto", "cuda:1"]);
    assert_eq!(estimates.stages.iter().map(|stage| stage.gpu).collect::<Vec<_>>(), [false, false, true]);
    assert_ne!(estimates.stages[0].device, estimates.stages[2].device);
}

#[test]
fn the_document_says_what_each_sum_covers() {
    let bench = Bench::new();
    let graph = Sketch::new().of_kind(COSTLY, "a", &costly(1.0), &[]).of_kind(COSTLY, "b", &json!({}), &[]).graph();
    let document = bench.estimate(&graph, &bench.plan(&graph, Force::Nothing)).to_json("sketch");
    let total = &document["total"];
    assert_eq!((&total["stages"], &total["stages_with_flops"]), (&json!(2), &json!(1)));
    assert_eq!((&total["seconds"], &total["flops"], &total["output_bytes"]), (&Value::Null, &json!(1.0), &json!(20)));
    assert_eq!(document["stages"][0]["phases"][0]["memory"]["other"], json!(64));
}
