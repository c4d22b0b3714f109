//! Gates of recipes with arms.

use super::run::{Bench, RECIPE, statuses};
use crate::exec::Outcome;
use crate::graph::Graph;
use crate::plan::Options;

fn gates(graph: &Graph) -> Vec<String> {
    let of = |arm: &crate::graph::Arm| {
        let names: Vec<_> = arm.gates.iter().map(|&gate| graph.gates()[gate].name.as_str()).collect();
        format!("{}: {} without {}", arm.label.name, names.join(", "), arm.without.join(", "))
    };
    graph.arms().iter().map(of).collect()
}

#[test]
fn every_arm_is_judged_by_itself() {
    let bench = Bench::new();
    let text = format!(
        "{RECIPE}[ablations.good]\nset = {{ \"stages.mrl.params.note\" = \"good\", \"stages.of_mrl.params.wrong\" = 0 }}\n\
         [ablations.last]\nset = {{ \"stages.trl.params.note\" = \"other\" }}\n"
    );
    let graph = bench.graph(&text);
    assert_eq!(
        gates(&graph),
        [": kept without ", "good: kept@good without ", "last: kept without "],
        "shared where it is the same"
    );
    let (receipt, _) = bench.run(&text, &Options::default());
    assert_eq!(receipt.outcome, Outcome::GateNotMet);
    let of = |name: &str| receipt.stages.iter().find(|stage| stage.stage == name).unwrap().status.word();
    let words = ["trl", "trl@good", "of_trl@good", "trl@last", "aside"].map(of);
    assert_eq!(words, ["skipped", "ran", "ran", "skipped", "ran"], "{}", statuses(&receipt));
    let verdicts: Vec<_> = receipt.gates.iter().map(|gate| (gate.gate.as_str(), gate.words())).collect();
    assert_eq!(verdicts, [("kept", "not met".to_owned()), ("kept@good", "met".to_owned())]);
    assert_eq!(receipt.gates[0].holds, ["trl", "of_trl", "trl@last", "of_trl@last"]);
}

#[test]
fn an_arm_without_the_stages_of_a_gate_goes_without_it() {
    let bench = Bench::new();
    let text = format!("{RECIPE}[ablations.blind]\nunset = [\"stages.of_base\"]\n");
    let graph = bench.graph(&text);
    assert_eq!(gates(&graph), [": kept without ", "blind:  without gates.kept"]);
    // That arm has the same `trl` and no gate before it.
    let (receipt, _) = bench.run(&text, &Options::default());
    let trl = receipt.stages.iter().find(|stage| stage.stage == "trl").unwrap();
    assert_eq!((trl.status.word(), receipt.outcome), ("ran", Outcome::GateNotMet));
    let base = Options {
        arms: vec!["base".into()],
        force: crate::plan::Force::Stages(vec!["trl".into()]),
        ..Options::default()
    };
    let plan = bench.plan(&graph, &base).unwrap();
    assert_eq!(plan.summary().held, 2, "an arm that takes no part opens nothing");
}

#[test]
fn an_order_in_which_a_gate_has_no_sense_goes_without_it() {
    let bench = Bench::new();
    let learning = RECIPE
        .replace(
            "inputs = { model = \"mrl.model\" }\nparams = { note = \"trl\" }",
            "inputs = { model = \"mrl.model\", data = \"data.rows\" }",
        )
        .replace(
            "inputs = { model = \"base.model\" }\nparams = { note = \"mrl\" }",
            "inputs = { model = \"base.model\", data = \"data.rows\" }",
        )
        .replace("after = \"mrl\"", "after = \"trl\"")
        .replace("of_mrl.accuracy >= of_base", "of_trl.accuracy >= of_mrl");
    let text = format!(
        "{learning}[data.rows]\nsource = \"file:rows.jsonl\"\n[ablations.order]\nchain = [\"mrl\", \"trl\"]\npermute = true\n\
         subsets = true\n"
    );
    let graph = bench.graph(&text);
    assert_eq!(gates(&graph)[0], ": kept without ");
    let of = |name: &str| gates(&graph).into_iter().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    assert_eq!(of("mrl"), "mrl:  without gates.kept");
    assert_eq!(of("trl+mrl"), "trl+mrl:  without gates.kept");
}
