//! Plan → the document that `plan --json` prints. Fields are added, never renamed, under one `schema_version`.

use serde_json::{Value, json};

use super::{Decision, Plan, Reason, Step};
use crate::graph::{Arm, Graph};
use crate::store::Artifact;

impl Plan {
    /// The document; `graph` is the one the plan was made of.
    pub fn to_json(&self, graph: &Graph) -> Value {
        let summary = self.summary();
        json!({
            "schema_version": 1,
            "recipe": self.recipe,
            "tiny": graph.is_tiny(),
            "summary": {
                "text": summary.to_string(),
                "to_run": summary.to_run(),
                "counts": summary,
            },
            "stages": { "by_hand": graph.by_hand(), "after_sharing": self.steps.len(), "cached": self.cached() },
            "arms": graph.arms().iter().map(|arm| self.arm_json(graph, arm)).collect::<Vec<_>>(),
            "gates": self.gates.records(graph),
            "steps": self.steps.iter().map(|step| self.step_json(graph, step)).collect::<Vec<_>>(),
        })
    }

    fn arm_json(&self, graph: &Graph, arm: &Arm) -> Value {
        let stages: serde_json::Map<_, _> =
            arm.stages.iter().map(|(name, id)| (name.clone(), json!(self.step(*id).name))).collect();
        json!({
            "name": arm.label.name,
            "ablation": arm.label.ablation,
            "variant": arm.label.variant,
            "seed": arm.label.seed,
            "settings": arm.label.settings,
            "also": arm.also,
            "without": arm.without,
            "gates": arm.gates.iter().map(|&gate| graph.gates()[gate].name.as_str()).collect::<Vec<_>>(),
            "stages": stages,
        })
    }

    fn step_json(&self, graph: &Graph, step: &Step) -> Value {
        let node = graph.stage(step.stage);
        let (decision, reasons): (_, Vec<Value>) = match &step.decision {
            Decision::Reuse => ("reuse", Vec::new()),
            Decision::Skip => ("skip", Vec::new()),
            Decision::Share(with) => ("share", vec![json!({ "reason": "same-work", "stage": self.step(*with).name })]),
            Decision::Run(reasons) => ("run", reasons.iter().map(told).collect()),
            Decision::Hold { reasons, .. } => ("hold", reasons.iter().map(told).collect()),
        };
        let gates: Vec<&str> = graph
            .gates()
            .iter()
            .filter(|gate| gate.holds.contains(&step.stage))
            .map(|gate| gate.name.as_str())
            .collect();
        let inputs: serde_json::Map<_, _> =
            node.inputs.iter().map(|(port, input)| (port.clone(), json!(input.reference))).collect();
        json!({
            "stage": step.name,
            "kind": node.kind.name(),
            "key": step.key,
            "decision": decision,
            "reasons": reasons,
            "gates": gates,
            "inputs": inputs,
            "missing": step.missing.iter().map(|missing| json!({
                "port": missing.port, "reference": missing.reference, "source": missing.source,
            })).collect::<Vec<_>>(),
            "adopted": step.adopted(),
            "artifact": step.artifact.as_ref().map(Artifact::dir),
        })
    }
}

fn told(reason: &Reason) -> Value {
    let mut value = json!(reason);
    value["text"] = json!(reason.to_string());
    value
}
