use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::fs;
use crate::graph::{Arm, Graph, Label, StageId};
use crate::plan::{Options, plan};
use crate::store::Store;
use crate::testing::{KINDS, Sketch};

struct Bench {
    dir: tempfile::TempDir,
    store: Store,
    interrupt: Interrupt,
}

struct Ran {
    receipt: Receipt,
    events: Vec<RunEvent>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join(".curricle"));
        fs::create_dir_all(&dir.path().join("logs")).unwrap();
        fs::create_dir_all(&dir.path().join("meet")).unwrap();
        Self { dir, store, interrupt: Interrupt::new() }
    }

    fn run(&self, graph: &Graph, jobs: usize, keep_going: bool) -> Ran {
        self.run_by(&InProcess { kinds: KINDS }, graph, jobs, keep_going, &mut |_| {})
    }

    fn run_by(
        &self,
        executor: &dyn Executor,
        graph: &Graph,
        jobs: usize,
        keep_going: bool,
        watch: &mut dyn FnMut(&RunEvent),
    ) -> Ran {
        let plan = plan(graph, &self.store, &Options::default()).unwrap();
        let (store, interrupt, logs) = (&self.store, &self.interrupt, &self.dir.path().join("logs"));
        let run = Run { graph, plan: &plan, store, executor, interrupt, jobs, keep_going, logs };
        let mut events = Vec::new();
        let receipt = execute(&run, &mut |event| {
            watch(&event);
            events.push(event);
        });
        Ran { receipt, events }
    }
}

impl Ran {
    fn statuses(&self) -> Vec<String> {
        self.receipt.stages.iter().map(|stage| format!("{} {}", stage.stage, stage.status.word())).collect()
    }
}

fn chain() -> Graph {
    Sketch::new().stage("a", &json!({ "note": "a" }), &[]).stage("b", &json!({}), &[("model", "a.model")]).graph()
}

#[test]
fn runs_once_and_reuses_after() {
    let bench = Bench::new();
    let first = bench.run(&chain(), 1, false);
    assert_eq!(first.statuses(), ["a ran", "b ran"]);
    assert_eq!(first.receipt.outcome, Outcome::Done);
    let again = bench.run(&chain(), 1, false);
    assert_eq!(again.statuses(), ["a reused", "b reused"]);
    assert_eq!(again.receipt.stages[0].artifact, first.receipt.stages[0].artifact);
    let back: Receipt = serde_json::from_str(&serde_json::to_string(&first.receipt).unwrap()).unwrap();
    assert_eq!(back, first.receipt);
}

#[test]
fn a_request_says_all_that_a_stage_needs() {
    let bench = Bench::new();
    let recording = Recording::making(&["model"]);
    bench.run_by(&recording, &chain(), 1, false, &mut |_| {});
    let requests = recording.requests();
    let [a, b] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((a.stage.as_str(), a.kind.as_str()), ("a", "fake"));
    assert_eq!(a.params["lr"], 1e-5, "defaults are filled in");
    assert_eq!(
        a.seed.to_le_bytes()[..],
        (0..8).map(|i| u8::from_str_radix(&a.key[2 * i..2 * i + 2], 16).unwrap()).collect::<Vec<_>>()
    );
    assert_eq!(b.inputs["model"].reference, "a.model");
    assert!(b.inputs["model"].path.ends_with("artifact/model"));
    assert_eq!(a.runtime.threads, 0);
}

#[test]
fn independent_stages_overlap_and_share_the_cores() {
    let bench = Bench::new();
    let both = |name: &str| json!({ "act": "meet", "dir": bench.dir.path().join("meet"), "note": name });
    let graph = Sketch::new().stage("a", &both("a"), &[]).stage("b", &both("b"), &[]).graph();
    // Each waits for the other: in turn they would never end well.
    let ran = bench.run(&graph, 2, false);
    assert_eq!(ran.statuses(), ["a ran", "b ran"]);
}

#[test]
fn equal_work_is_done_once() {
    let bench = Bench::new();
    let graph = Sketch::new()
        .stage("a", &json!({}), &[])
        .stage("twin", &json!({}), &[])
        .stage("c", &json!({ "note": "c" }), &[("model", "twin.model")])
        .graph();
    let ran = bench.run(&graph, 2, false);
    assert_eq!(ran.statuses(), ["a ran", "twin reused", "c ran"]);
    assert_eq!(ran.receipt.stages[0].artifact, ran.receipt.stages[1].artifact);
}

fn one_fails(act: &str) -> Graph {
    Sketch::new()
        .stage("a", &json!({ "act": act }), &[])
        .stage("b", &json!({}), &[("model", "a.model")])
        .stage("c", &json!({ "note": "c" }), &[])
        .graph()
}

#[test]
fn a_failure_stops_the_run() {
    let bench = Bench::new();
    let ran = bench.run(&one_fails("fail"), 1, false);
    assert_eq!(ran.statuses(), ["a failed", "b skipped", "c skipped"]);
    assert_eq!(ran.receipt.outcome.exit_code(), 1);
    let messages: Vec<_> = ran.receipt.stages.iter().filter_map(|stage| stage.message.as_deref()).collect();
    assert_eq!(messages, ["it was asked to", "`a` has no result", "the run stopped at the first failure"]);
}

#[test]
fn keep_going_runs_what_does_not_need_it() {
    let bench = Bench::new();
    let ran = bench.run(&one_fails("fail"), 1, true);
    assert_eq!(ran.statuses(), ["a failed", "b skipped", "c ran"]);
    assert_eq!(ran.receipt.outcome, Outcome::Failed);
}

#[test]
fn a_panic_and_a_missing_output_are_failures() {
    let bench = Bench::new();
    let panicked = bench.run(&one_fails("panic"), 1, false);
    assert_eq!(panicked.receipt.stages[0].message.as_deref(), Some("the stage panicked"));
    let empty = bench.run(&one_fails("nothing"), 1, false);
    assert_eq!(empty.receipt.stages[0].message.as_deref(), Some("the stage ended without its output `model`"));
}

#[test]
fn an_interrupt_checkpoints_and_the_next_run_goes_on() {
    let bench = Bench::new();
    let graph = Sketch::new()
        .stage("a", &json!({ "act": "until-stopped" }), &[])
        .stage("b", &json!({}), &[("model", "a.model")])
        .graph();
    let interrupt = bench.interrupt.clone();
    let ran = bench.run_by(&InProcess { kinds: KINDS }, &graph, 1, false, &mut |event| {
        if matches!(event.what, Happening::StageProgress { .. }) {
            interrupt.raise(2);
        }
    });
    assert_eq!(ran.statuses(), ["a interrupted", "b skipped"]);
    assert_eq!(ran.receipt.outcome.exit_code(), 130);

    let bench = Bench { interrupt: Interrupt::new(), ..bench };
    let again = bench.run(&graph, 1, false);
    assert_eq!(again.statuses(), ["a ran", "b ran"]);
    assert!(again.events.iter().any(|event| matches!(event.what, Happening::StageResumed { step: 3, .. })));
    let reasons: Vec<_> = again.receipt.stages[0].reasons.iter().map(ToString::to_string).collect();
    assert_eq!(reasons, ["first run", "unfinished attempt found: goes on from its last checkpoint"]);

    let stage = &again.receipt.stages[0];
    assert_eq!(ran.receipt.stages[0].history.as_ref().unwrap().extension().unwrap(), "ndjson");
    let history = History::read(stage.history.as_ref().unwrap(), |_| true).unwrap();
    let steps: Vec<_> = history.steps.iter().map(|step| (step.step, step.metrics["reward"])).collect();
    assert_eq!(steps, [(3, 0.5)], "the first attempt's steps are beside the result of the second");
    let reused = bench.run(&graph, 1, false);
    assert_eq!(reused.receipt.stages[0].history, stage.history, "a reused stage still has its curve");
    let artifact = bench.store.find(&bench.store.index().unwrap(), &stage.key).unwrap().unwrap();
    assert!(artifact.manifest().outputs.keys().all(|name| name.starts_with("model/")), "a history is no output");
}

#[test]
fn a_number_that_is_none_becomes_a_line_of_the_log() {
    let bench = Bench::new();
    let graph = Sketch::new().stage("a", &json!({ "act": "until-stopped" }), &[]).graph();
    let interrupt = bench.interrupt.clone();
    let ran = bench.run_by(&InProcess { kinds: KINDS }, &graph, 1, false, &mut |event| {
        if matches!(event.what, Happening::StageLog { .. }) {
            interrupt.raise(15);
        }
    });
    let lines: Vec<Value> = ran.events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    let of = |name: &str| lines.iter().find(|line| line["event"] == name).unwrap();
    assert_eq!(of("stage-progress")["metrics"], json!({ "reward": 0.5 }));
    assert_eq!(of("stage-log")["message"], "step 3: `loss` is NaN");
    assert_eq!(of("run-finished")["outcome"], json!({ "interrupted": { "signal": 15 } }));
    assert_eq!(ran.receipt.outcome.exit_code(), 143);
}

#[test]
fn a_held_lease_is_store_trouble() {
    let bench = Bench::new();
    let graph = Sketch::new().stage("a", &json!({}), &[]).graph();
    let step = plan(&graph, &bench.store, &Options::default()).unwrap().steps.remove(0);
    let crate::store::Lookup::Miss(_claim) = bench.store.lookup("a", &step.preimage).unwrap() else { panic!("a hit") };
    let ran = bench.run(&graph, 1, false);
    assert_eq!(ran.statuses(), ["a failed"]);
    assert_eq!(ran.receipt.outcome.exit_code(), 7);
}

#[test]
fn a_device_that_cannot_be_had_stops_everything() {
    let bench = Bench::new();
    let graph = Sketch::new().stage("a", &json!({}), &[]).with(|node| node.runtime.device = "cuda".into()).graph();
    let plan = plan(&graph, &bench.store, &Options::default()).unwrap();
    let error = preflight(&graph, &plan, &|_| Err("there is no driver".into())).unwrap_err();
    assert_eq!(error.to_string(), "stage `a` cannot have device `cuda`: there is no driver");
}

#[test]
fn missing_files_stop_everything() {
    let bench = Bench::new();
    let graph = Sketch::new().stage("a", &json!({}), &[("data", "/nowhere/rows.jsonl")]).graph();
    let plan = plan(&graph, &bench.store, &Options::default()).unwrap();
    let error = preflight(&graph, &plan, &|_| Ok(())).unwrap_err().to_string();
    let expected = "stage `a`: input `data` = `/nowhere/rows.jsonl` is not on this machine: `/nowhere/rows.jsonl`";
    assert_eq!(error, expected);
}

fn shell(script: &str) -> Subprocess {
    Subprocess { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()] }
}

#[test]
fn a_worker_speaks_in_lines() {
    let bench = Bench::new();
    let graph = Sketch::new().stage("a", &json!({}), &[]).graph();
    let script = r#"
        read request
        out=$(printf '%s' "$request" | sed 's/.*"output_dir":"\([^"]*\)".*/\1/')
        echo 'a library prints'
        echo '{"event":"progress","step":1,"total":2,"metrics":{"loss":0.5}}'
        mkdir -p "$out/model"
        echo '{"end":"done"}'"#;
    let ran = bench.run_by(&shell(script), &graph, 1, false, &mut |_| {});
    assert_eq!(ran.statuses(), ["a ran"]);
    let said = |wanted: &Happening| ran.events.iter().any(|event| event.what == *wanted);
    let (stage, key) = ("a".to_owned(), ran.receipt.stages[0].key);
    assert!(said(&Happening::StageLog { stage, key, message: "a library prints".into() }));
}

#[test]
fn a_crash_shows_the_end_of_the_log() {
    let bench = Bench::new();
    let graph = Sketch::new().stage("a", &json!({}), &[]).graph();
    let ran = bench.run_by(&shell("read request; echo 'no such thing' >&2; kill -9 $$"), &graph, 1, false, &mut |_| {});
    let log = bench.dir.path().join("logs/a.log");
    let expected = format!(
        "the worker was killed by signal 9; was there enough memory?\nlast lines of {}:\nno such thing",
        log.display()
    );
    assert_eq!(ran.receipt.stages[0].message.as_deref(), Some(expected.as_str()));
}

#[test]
fn a_worker_is_told_to_stop_and_then_killed() {
    let bench = Bench::new();
    let graph = Sketch::new().stage("a", &json!({}), &[]).graph();
    let progress = r#"echo '{"event":"progress","step":4,"total":9,"metrics":{}}'"#;
    let interrupt = bench.interrupt.clone();
    let polite = shell(&format!(
        r#"read request; {progress}; read word; echo "{{\"end\":\"interrupted\",\"step\":4}}"; test "$word" = stop && exit 6"#
    ));
    let mut once = |event: &RunEvent| {
        if matches!(event.what, Happening::StageProgress { .. }) {
            interrupt.raise(2);
        }
    };
    let ran = bench.run_by(&polite, &graph, 1, false, &mut once);
    assert_eq!(ran.statuses(), ["a interrupted"]);

    let bench = Bench { interrupt: Interrupt::new(), ..bench };
    let interrupt = bench.interrupt.clone();
    let deaf = shell(&format!("read request; {progress}; sleep 60"));
    let mut twice = |event: &RunEvent| {
        if matches!(event.what, Happening::StageProgress { .. }) {
            interrupt.raise(2);
            interrupt.raise(2);
        }
    };
    let start = Instant::now();
    let ran = bench.run_by(&deaf, &graph, 1, false, &mut twice);
    assert_eq!(ran.statuses(), ["a interrupted"]);
    assert!(start.elapsed().as_secs() < 30);
}

#[test]
fn serve_runs_a_request_and_says_how_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (code, lines) = served(dir.path(), &json!({}));
    assert_eq!((code, lines.as_slice()), (0, [json!({ "end": "done" })].as_slice()));
    let (code, lines) = served(dir.path(), &json!({ "act": "fail" }));
    assert_eq!((code, &lines[0]["message"]), (1, &json!("it was asked to")));
}

fn served(dir: &Path, params: &Value) -> (u8, Vec<Value>) {
    let (output_dir, work_dir) = (dir.join("artifact"), dir.join("work"));
    fs::create_dir_all(&output_dir).unwrap();
    fs::create_dir_all(&work_dir).unwrap();
    let request = crate::stage::StageRequest {
        stage: "a".into(),
        kind: "fake".into(),
        params: params.clone(),
        key: "00".into(),
        seed: 1,
        inputs: std::collections::BTreeMap::new(),
        output_dir,
        work_dir,
        runtime: crate::stage::Runtime::default(),
    };
    let input = std::io::Cursor::new(serde_json::to_string(&request).unwrap() + "\n");
    let mut output = Vec::new();
    let code = serve(KINDS, input, &mut output, || {});
    let text = String::from_utf8(output).unwrap();
    (code, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_ledger_is_a_folder_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Ledger::create(dir.path(), "my recipe").unwrap();
    let second = Ledger::create(dir.path(), "my recipe").unwrap();
    assert_ne!(first.dir(), second.dir());
    let event = RunEvent::now(Happening::RunFinished { outcome: Outcome::Done, wall_s: 1.5 });
    first.record(&event).unwrap();
    let text = fs::read_to_string(&first.dir().join("events.ndjson")).unwrap();
    assert!(text.starts_with(r#"{"v":1,"t":""#), "{text}");
    assert!(text.ends_with("\"event\":\"run-finished\",\"outcome\":\"done\",\"wall_s\":1.5}\n"), "{text}");
    assert_eq!(serde_json::from_str::<RunEvent>(text.trim()).unwrap(), event);
}

#[test]
fn a_rebuild_is_the_same_work_beside_the_store() {
    let bench = Bench::new();
    let graph = chain();
    let planned = || plan(&graph, &bench.store, &Options::default()).unwrap();
    let b = graph.find("b").unwrap().id;
    let scratch = bench.dir.path().join("scratch");
    let executor = InProcess { kinds: KINDS };
    let early = rebuild(&graph, &planned(), b, &executor, &scratch, &mut |_| {}).unwrap_err();
    assert_eq!(early.to_string(), "stage `b` reads `a`, which is not built");
    bench.run(&graph, 1, false);
    let plan = planned();
    let outputs = rebuild(&graph, &plan, b, &executor, &scratch, &mut |_| {}).unwrap();
    let made = plan.step(b).artifact.as_ref().unwrap();
    assert_eq!(crate::store::determinism(made, &outputs).unwrap().0, crate::store::Class::BitEqual);
    assert_eq!(planned().summary().to_run(), 0);
}

#[test]
fn the_receipt_says_which_stage_is_whose() {
    let bench = Bench::new();
    let mut graph = chain();
    let label = |name: &str, ablation: &str| Label {
        name: name.into(),
        ablation: ablation.into(),
        variant: name.into(),
        seed: 3,
        settings: [("stages.x.params.note".to_owned(), json!("b"))].into(),
    };
    let arm = |label, stages: &[(&str, usize)]| Arm {
        label,
        also: Vec::new(),
        stages: stages.iter().map(|&(name, id)| (name.to_owned(), StageId(id))).collect(),
        gates: Vec::new(),
        without: Vec::new(),
    };
    graph.arms = vec![arm(label("", ""), &[("x", 0)]), arm(label("late", "order"), &[("x", 1)])];
    let receipt = bench.run(&graph, 1, false).receipt;
    let told = serde_json::to_value(&receipt.arms).unwrap();
    let expected = json!({
        "name": "late", "ablation": "order", "variant": "late", "seed": 3,
        "settings": { "stages.x.params.note": "b" }, "stages": { "x": "b" },
    });
    assert_eq!((told[0]["stages"]["x"].as_str(), &told[1]), (Some("a"), &expected));
    let text = serde_json::to_string(&receipt).unwrap();
    assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap().arms, receipt.arms);
}
