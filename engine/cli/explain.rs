//! `curricle explain`: what a stage's key is made of, and why it runs or is reused.

use curricle_engine::graph::Graph;
use curricle_engine::plan::{Decision, Plan, Step};
use curricle_engine::store::{InputIdentity, Store};
use serde_json::{Value, json};

use crate::args::{ExplainArgs, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};
use crate::{check, plan};

/// Explains one stage, or every one.
pub fn run(args: &ExplainArgs, paint: Paint) -> Result<Exit, Failure> {
    let (_, checked) = check::graph(&args.recipe, paint)?;
    let graph = &checked.graph;
    // As a selection, so that an unknown name is answered with the nearest one there is.
    let names = args.stage.iter().cloned().collect::<Vec<_>>();
    let store = Store::open(&args.store.folder(&args.recipe.tiny));
    let chosen = plan::make(graph, &store, &SelectArgs { until: names.clone(), ..SelectArgs::default() })?;
    let is_named =
        |step: &&Step| names.iter().all(|name| step.name == *name || step.name.starts_with(&format!("{name}[")));
    let steps: Vec<&Step> = chosen.steps.iter().filter(is_named).collect();
    if args.json {
        let documents: Vec<Value> = steps.iter().map(|step| document(&chosen, graph, step)).collect();
        paint.json(&json!({ "schema_version": 1, "recipe": chosen.recipe, "stages": documents }))?;
    } else {
        let texts: Vec<String> = steps.iter().map(|step| text(&chosen, graph, step, paint)).collect();
        paint.data(&texts.join("\n"))?;
    }
    Ok(Exit::Done)
}

fn document(plan: &Plan, graph: &Graph, step: &Step) -> Value {
    let mut document = plan.to_json(graph)["steps"][step.stage.index()].take();
    document["preimage"] = json!(step.preimage);
    document
}

fn text(plan: &Plan, graph: &Graph, step: &Step, paint: Paint) -> String {
    let node = graph.stage(step.stage);
    let (word, why) = match &step.decision {
        Decision::Reuse => {
            let adopted = step.adopted().map_or_else(String::new, |adopted| format!(", {adopted}"));
            ("reuse", vec![format!("the store has the result{adopted}")])
        }
        Decision::Skip => ("skip", Vec::new()),
        Decision::Share(with) => ("reuse", vec![format!("same work as `{}`", plan.step(*with).name)]),
        Decision::Run(reasons) => ("run", reasons.iter().map(ToString::to_string).collect()),
        Decision::Hold { reasons, .. } => ("held", reasons.iter().map(ToString::to_string).collect()),
    };
    let label = |name: &str| paint.out_tint(Tint::Dim, &format!("{name:<9}"));
    let mut text = format!("{}\n", paint.out_tint(Tint::Bold, &step.name));
    text += &format!("  {} {}, version {}\n", label("kind"), step.preimage.kind, step.preimage.version);
    text += &format!("  {} {}\n", label("key"), step.key);
    text += &format!("  {} {word}\n", label("decision"));
    for reason in why {
        text += &format!("  {} {reason}\n", label("because"));
    }
    for (index, gate) in graph.gates().iter().enumerate().filter(|(_, gate)| gate.holds.contains(&step.stage)) {
        let record = plan.gates.record(graph, index);
        text += &format!("  {} waits for {}: {}; {}\n", label("gate"), gate.name, record.words(), record.why());
    }
    for (port, input) in &node.inputs {
        let identity = match &step.preimage.inputs[port] {
            InputIdentity::Stage { key, port } => format!("output `{port}` of key {}", key.short()),
            InputIdentity::File { digest, .. } => format!("files with digest {}", &digest[..8]),
            InputIdentity::Hub { source, commit, .. } => format!("`{source}` at commit {}", &commit[..8]),
            InputIdentity::Absent { source, .. } => format!("not on this machine: `{source}`"),
        };
        text += &format!("  {} {port} = {}: {identity}\n", label("input"), input.reference);
    }
    if let Some(artifact) = &step.artifact {
        text += &format!("  {} {}\n", label("result"), artifact.dir().display());
    }
    text + &format!("  {} {}", label("preimage"), step.preimage.pretty().trim_end().replace('\n', "\n  ")) + "\n"
}
