//! Gates of recipes: who waits, what a plan knows, how a run ends.

use std::path::Path;

use super::*;
use crate::exec::{Executor, Happening, InProcess, Interrupt, Outcome, Receipt, Run, RunEvent, execute};
use crate::fs;
use crate::graph::{Graph, check};
use crate::plan::{Decision, Options, Plan, PlanError, plan};
use crate::recipe::{Overrides, Recipe};
use crate::store::Store;
use crate::testing::KINDS;

/// `base` → `mrl` → `trl`, each scored; `aside` depends on nothing.
pub(super) const RECIPE: &str = r#"
schema = 1
[stages.base]
kind = "fake"
[stages.mrl]
kind = "fake"
inputs = { model = "base.model" }
params = { note = "mrl" }
[stages.trl]
kind = "fake"
inputs = { model = "mrl.model" }
params = { note = "trl" }
[stages.aside]
kind = "fake"
params = { note = "aside" }
[stages.of_base]
kind = "probe"
inputs = { model = "base.model" }
[stages.of_mrl]
kind = "probe"
inputs = { model = "mrl.model" }
params = { wrong = 5 }
[stages.of_trl]
kind = "probe"
inputs = { model = "trl.model" }
[gates.kept]
after = "mrl"
require = "of_mrl.accuracy >= of_base.accuracy - 0.01"
"#;

pub(super) struct Bench {
    dir: tempfile::TempDir,
    store: Store,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join(".curricle"));
        fs::create_dir_all(&dir.path().join("logs")).unwrap();
        Self { dir, store }
    }

    pub fn graph(&self, text: &str) -> Graph {
        let path = self.dir.path().join("recipe.toml");
        fs::write(&path, text).unwrap();
        let recipe = Recipe::load(&path, &Overrides::default()).unwrap();
        check(&recipe, KINDS).map_err(|wrong| wrong.render(false)).unwrap().graph
    }

    pub fn plan(&self, graph: &Graph, options: &Options) -> Result<Plan, PlanError> {
        plan(graph, &self.store, options)
    }

    pub fn run(&self, text: &str, options: &Options) -> (Receipt, Vec<RunEvent>) {
        let graph = self.graph(text);
        let plan = self.plan(&graph, options).unwrap();
        self.execute(&graph, &plan, &InProcess { kinds: KINDS })
    }

    fn execute(&self, graph: &Graph, plan: &Plan, executor: &dyn Executor) -> (Receipt, Vec<RunEvent>) {
        let (interrupt, logs) = (&Interrupt::new(), &self.dir.path().join("logs"));
        let run = Run { graph, plan, store: &self.store, executor, interrupt, jobs: 1, keep_going: false, logs };
        let mut events = Vec::new();
        let receipt = execute(&run, &mut |event| events.push(event));
        (receipt, events)
    }
}

pub(super) fn statuses(receipt: &Receipt) -> String {
    let words = receipt.stages.iter().map(|stage| format!("{} {}", stage.stage, stage.status.word()));
    words.collect::<Vec<_>>().join(", ")
}

fn decisions(plan: &Plan) -> String {
    let word = |decision: &Decision| match decision {
        Decision::Reuse => "reuse",
        Decision::Run(_) => "run",
        Decision::Share(_) => "share",
        Decision::Skip => "skip",
        Decision::Hold { .. } => "held",
    };
    plan.steps.iter().map(|step| format!("{} {}", step.name, word(&step.decision))).collect::<Vec<_>>().join(", ")
}

fn ignoring() -> Options {
    Options { ignore_gates: true, ..Options::default() }
}

#[test]
fn what_lies_behind_waits_and_what_the_gate_needs_does_not() {
    let bench = Bench::new();
    let graph = bench.graph(RECIPE);
    let names = |ids: &BTreeSet<StageId>| ids.iter().map(|&id| graph.stage(id).name.as_str()).collect::<Vec<_>>();
    assert_eq!(names(&graph.gates()[0].holds), ["trl", "of_trl"]);
    assert_eq!(names(&graph.gates()[0].measured()), ["of_base", "of_mrl"]);
}

#[test]
fn a_drawing_has_gates() {
    use crate::graph::render::{Format, render};
    let graph = Bench::new().graph(RECIPE);
    let mermaid = render(&graph, Format::Mermaid);
    for line in [
        "gate_kept{{\"kept<br/><i>gate</i>\"}}",
        "of_base -.-> gate_kept",
        "of_mrl -.-> gate_kept",
        "gate_kept -.-> trl",
    ] {
        assert!(mermaid.contains(&format!("  {line}\n")), "no `{line}` in\n{mermaid}");
    }
    assert!(!mermaid.contains("gate_kept -.-> of_trl"), "it waits for `trl` anyway");
    assert!(render(&graph, Format::Dot).contains("\"gate kept\" -> \"trl\" [style=dashed];"));
    let text = render(&graph, Format::Text);
    assert!(text.contains("model = mrl.model, gate kept\n"), "{text}");
    assert!(text.ends_with("gate kept: of_mrl.accuracy >= of_base.accuracy - 0.01\n"), "{text}");
}

#[test]
fn a_gate_that_is_not_met_ends_the_run_with_5() {
    let bench = Bench::new();
    let (receipt, events) = bench.run(RECIPE, &Options::default());
    let expected = "base ran, mrl ran, trl skipped, aside ran, of_base ran, of_mrl ran, of_trl skipped";
    assert_eq!(statuses(&receipt), expected, "what is not behind the gate goes on");
    assert_eq!((receipt.outcome, receipt.outcome.exit_code()), (Outcome::GateNotMet, 5));
    let said = "gate `kept` is not met: `of_mrl.accuracy` 0.950, `of_base.accuracy` 1.000: difference -0.050 [-0.090, -0.020] over \
                100 items, each end with 95 % confidence; required: >= -0.01";
    assert_eq!(receipt.stages[2].message.as_deref(), Some(said));
    assert_eq!(receipt.stages[6].message.as_deref(), Some("`trl` has no result"));
    let told: Vec<_> = events.iter().filter(|event| matches!(event.what, Happening::GateJudged { .. })).collect();
    let line = serde_json::to_value(told[0]).unwrap();
    assert_eq!((told.len(), &line["event"], &line["verdict"]), (1, &"gate-judged".into(), &"not-met".into()));
    assert_eq!(line["holds"], serde_json::json!(["trl", "of_trl"]));
    assert_eq!(receipt.gates[0].verdict(), Some(Verdict::NotMet));
    let back: Receipt = serde_json::from_str(&serde_json::to_string(&receipt).unwrap()).unwrap();
    assert_eq!(back, receipt);
    let report = crate::report::build(&receipt).unwrap();
    for text in [report.to_markdown(), report.to_html(), report.to_summary()] {
        assert!(text.contains("not met") && text.contains("-0.050 [-0.090, -0.020]"), "{text}");
    }

    // Everything that it needs is in the store now: the plan knows.
    let graph = bench.graph(RECIPE);
    let plan = bench.plan(&graph, &Options::default()).unwrap();
    let expected = "base reuse, mrl reuse, trl held, aside reuse, of_base reuse, of_mrl reuse, of_trl held";
    assert_eq!(decisions(&plan), expected);
    assert_eq!(plan.summary().to_string(), "nothing to run, 5 reused, 2 held back by a gate");
    let json = plan.to_json(&graph);
    assert_eq!(json["gates"][0]["judgement"]["verdict"], "not-met");
    assert_eq!((&json["steps"][2]["decision"], &json["steps"][2]["gates"][0]), (&"hold".into(), &"kept".into()));
    let (again, _) = bench.run(RECIPE, &Options::default());
    assert_eq!((again.outcome, again.stages[2].message.as_deref()), (Outcome::GateNotMet, Some(said)));
}

#[test]
fn a_gate_that_is_met_lets_pass() {
    let bench = Bench::new();
    let text = RECIPE.replace("- 0.01", "- 0.1");
    let plan = bench.plan(&bench.graph(&text), &Options::default()).unwrap();
    assert_eq!(plan.summary().to_string(), "7 to run (7 new)", "before the stages have measured nothing is known");
    let (receipt, events) = bench.run(&text, &Options::default());
    assert_eq!(statuses(&receipt), "base ran, mrl ran, trl ran, aside ran, of_base ran, of_mrl ran, of_trl ran");
    assert_eq!((receipt.outcome, receipt.gates[0].verdict()), (Outcome::Done, Some(Verdict::Met)));
    let place = |wanted: &dyn Fn(&Happening) -> bool| events.iter().position(|event| wanted(&event.what)).unwrap();
    let judged = place(&|what| matches!(what, Happening::GateJudged { .. }));
    let started = place(&|what| matches!(what, Happening::StageStarted { stage, .. } if stage == "trl"));
    assert!(judged < started);
}

#[test]
fn an_undecided_gate_keeps_shut_and_a_warning_one_does_not() {
    let bench = Bench::new();
    let (receipt, _) = bench.run(&RECIPE.replace("- 0.01", "- 0.05"), &Options::default());
    assert_eq!((receipt.outcome, receipt.gates[0].verdict()), (Outcome::GateNotMet, Some(Verdict::Undecided)));
    let (receipt, _) = bench.run(&format!("{RECIPE}on_fail = \"warn\"\n"), &Options::default());
    assert_eq!((receipt.outcome, receipt.gates[0].verdict()), (Outcome::Done, Some(Verdict::NotMet)));
    assert_eq!(receipt.gates[0].words(), "not met, only warns");
}

#[test]
fn gates_can_be_ignored_and_results_stay() {
    let bench = Bench::new();
    let (receipt, _) = bench.run(RECIPE, &ignoring());
    assert!(receipt.stages.iter().all(|stage| stage.status.word() == "ran"), "{}", statuses(&receipt));
    assert_eq!((receipt.outcome, receipt.gates[0].ignored), (Outcome::Done, true));
    assert_eq!(receipt.gates[0].words(), "not met, ignored");
    let (receipt, _) = bench.run(RECIPE, &Options::default());
    assert!(receipt.stages.iter().all(|stage| stage.status.word() == "reused"), "{}", statuses(&receipt));
    assert_eq!(receipt.outcome, Outcome::GateNotMet, "what is reused is reused, and the gate is not met all the same");
}

#[test]
fn a_failure_wins() {
    let bench = Bench::new();
    let text = RECIPE.replace("params = { wrong = 5 }", "params = { act = \"fail\" }");
    let (receipt, _) = bench.run(&text, &Options::default());
    assert_eq!(receipt.outcome, Outcome::Failed);
    assert_eq!(receipt.gates[0].judgement, None);
    let text = RECIPE.replace("params = { note = \"aside\" }", "params = { act = \"fail\" }");
    let graph = bench.graph(&text);
    let plan = bench.plan(&graph, &Options::default()).unwrap();
    let (interrupt, logs) = (&Interrupt::new(), &bench.dir.path().join("logs"));
    let executor = &InProcess { kinds: KINDS };
    let run =
        Run { graph: &graph, plan: &plan, store: &bench.store, executor, interrupt, jobs: 1, keep_going: true, logs };
    let receipt = execute(&run, &mut |_| {});
    assert_eq!((receipt.outcome, receipt.gates[0].verdict()), (Outcome::Failed, Some(Verdict::NotMet)));
}

#[test]
fn a_selection_takes_in_what_a_gate_needs() {
    let bench = Bench::new();
    let graph = bench.graph(&RECIPE.replace("- 0.01", "- 0.1"));
    let until = Options { until: vec!["trl".into()], ..Options::default() };
    let plan = bench.plan(&graph, &until).unwrap();
    assert_eq!(decisions(&plan), "base run, mrl run, trl run, aside skip, of_base run, of_mrl run, of_trl skip");
    let (receipt, _) = bench.execute(&graph, &plan, &InProcess { kinds: KINDS });
    assert_eq!(receipt.outcome, Outcome::Done);
    let alone =
        |names: &[&str]| Options { only: names.iter().map(|name| (*name).into()).collect(), ..Options::default() };

    let bench = Bench::new();
    bench.run(&RECIPE.replace("- 0.01", "- 0.1"), &alone(&["base", "mrl"]));
    let error = bench.plan(&graph, &alone(&["trl"])).unwrap_err();
    assert_eq!(error.to_string(), "stage `trl` waits for gate `kept`, whose `of_base` is not built and not selected");
    assert_eq!(error.exit_code(), 2);
    assert!(bench.plan(&graph, &Options { ignore_gates: true, ..alone(&["trl"]) }).is_ok());
    let (receipt, _) = bench.run(RECIPE, &alone(&["aside"]));
    assert!(receipt.gates.is_empty(), "a gate has nothing to do with what was asked for");
}

/// A stage that does the same work and is not behind the gate does it.
#[test]
fn a_twin_in_front_of_the_gate_does_the_work() {
    let bench = Bench::new();
    let twin = "[stages.twin]\nkind = \"fake\"\ninputs = { model = \"again.model\" }\nparams = { note = \"trl\" }\n";
    let again = "[stages.again]\nkind = \"fake\"\ninputs = { model = \"base.model\" }\nparams = { note = \"mrl\" }\n";
    let text = RECIPE.replace("[gates.kept]", &format!("{again}{twin}[gates.kept]"));
    let (receipt, _) = bench.run(&text, &Options::default());
    let of = |name: &str| receipt.stages.iter().find(|stage| stage.stage == name).unwrap().status.word();
    assert_eq!((of("again"), of("twin"), of("trl")), ("reused", "ran", "skipped"));
    let plan = bench.plan(&bench.graph(&text), &Options::default()).unwrap();
    assert!(decisions(&plan).contains("trl reuse"), "{}", decisions(&plan));
}

#[test]
fn a_gate_may_wait_for_another() {
    let bench = Bench::new();
    let second = "[gates.second]\nafter = \"trl\"\nrequire = \"of_trl.accuracy >= 0.5\"\n[stages.last]\nkind = \"fake\"\n\
                  inputs = { model = \"trl.model\" }\nparams = { note = \"last\" }\n";
    let (receipt, _) = bench.run(&format!("{RECIPE}{second}"), &Options::default());
    let last = receipt.stages.iter().find(|stage| stage.stage == "last").unwrap();
    assert_eq!(last.message.as_deref(), Some("`trl` has no result"));
    assert_eq!(receipt.gates.iter().map(GateRecord::words).collect::<Vec<_>>(), ["not met", "not known yet"]);
    let (receipt, _) = bench.run(&format!("{}{second}", RECIPE.replace("- 0.01", "- 0.1")), &Options::default());
    assert_eq!(receipt.outcome, Outcome::Done, "{}", statuses(&receipt));
}

#[test]
fn a_damaged_result_leaves_it_unmeasured() {
    let bench = Bench::new();
    let (receipt, _) = bench.run(RECIPE, &Options::default());
    let folder: &Path = receipt.stages[5].artifact.as_deref().unwrap();
    fs::write(&folder.join("artifact/metrics/items.jsonl"), "{").unwrap();
    let plan = bench.plan(&bench.graph(RECIPE), &Options::default()).unwrap();
    let json = plan.to_json(&bench.graph(RECIPE));
    assert_eq!(json["gates"][0]["judgement"]["verdict"], "unmeasured");
    assert!(json["gates"][0]["judgement"]["trouble"].as_str().unwrap().contains("items.jsonl"), "{json}");
}
