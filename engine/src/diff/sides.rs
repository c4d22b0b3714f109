//! What of a recipe, a plan, a run and a key is worth comparing, and under which name.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Change, Part, Parts, parts};
use crate::exec::{Receipt, StageReceipt};
use crate::plan::{Plan, Step};
use crate::store::KeyPreimage;

/// Sections whose tables have names of their own.
const NAMED: [&str; 5] = ["models", "data", "stages", "gates", "ablations"];

/// Two recipes in one piece, and what the difference does to the keys of their stages.
pub fn recipes(old: &Value, new: &Value, plans: Option<(&Plan, &Plan)>) -> Parts {
    let mut found = parts(&sections(old), &sections(new));
    if let Some((old, new)) = plans {
        found.extend(keys(&old.steps, &new.steps));
    }
    found
}

/// The stages whose results have other names, as one part.
pub fn keys(old: &[Step], new: &[Step]) -> Option<Part> {
    let of = |steps: &[Step], name: &str| {
        steps.iter().find(|step| step.name == name).map(|step| Value::from(step.key.short()))
    };
    let gone = old.iter().filter(|step| of(new, &step.name).is_none());
    let changes: Vec<_> = new
        .iter()
        .chain(gone)
        .map(|step| Change { field: step.name.clone(), old: of(old, &step.name), new: of(new, &step.name) })
        .filter(|change| change.old != change.new)
        .collect();
    (!changes.is_empty()).then(|| Part { name: "keys".into(), changes })
}

/// `stages.mrl` and its like by themselves, everything else by section.
fn sections(recipe: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (section, value) in recipe.as_object().into_iter().flatten() {
        match value {
            Value::Object(entries) if NAMED.contains(&section.as_str()) => {
                found.extend(entries.iter().map(|(name, value)| (format!("{section}.{name}"), value.clone())));
            }
            Value::Object(_) => found.push((section.clone(), value.clone())),
            plain => found.push(("recipe".into(), json!({ section.clone(): plain }))),
        }
    }
    found
}

/// Two keys: everything that their results depend on.
pub fn preimages(old: &KeyPreimage, new: &KeyPreimage) -> Parts {
    let side = |preimage: &KeyPreimage| [("key".to_owned(), json!(preimage))];
    parts(&side(old), &side(new))
}

/// Two documents that `plan --json` printed.
pub fn plans(old: &Value, new: &Value) -> Parts {
    let head = |plan: &Value| json!({ "recipe": plan["recipe"], "to_run": plan["summary"]["to_run"] });
    let steps = |plan: &Value| {
        let step = |step: &Value| {
            let reasons: Vec<_> = step["reasons"].as_array().into_iter().flatten().map(|it| &it["text"]).collect();
            let name = step["stage"].as_str().unwrap_or_default().to_owned();
            let fields = json!({
                "kind": step["kind"], "key": step["key"], "decision": step["decision"], "reasons": reasons,
                "inputs": step["inputs"],
            });
            (name, fields)
        };
        let mut all = vec![("plan".to_owned(), head(plan))];
        all.extend(plan["steps"].as_array().into_iter().flatten().map(step));
        all
    };
    parts(&steps(old), &steps(new))
}

/// What a run's stages measured, by stage and name.
pub type Metrics = BTreeMap<String, BTreeMap<String, f64>>;

/// Two runs. `preimage` gives what the key of a stage's result is the digest of, where the store still has it.
pub fn runs(
    old: (&Receipt, &Metrics),
    new: (&Receipt, &Metrics),
    preimage: &dyn Fn(&StageReceipt) -> Option<KeyPreimage>,
) -> Parts {
    let side = |(receipt, metrics): (&Receipt, &Metrics)| {
        let head = json!({ "recipe": receipt.recipe, "version": receipt.version, "outcome": receipt.outcome });
        let mut all = vec![("run".to_owned(), head)];
        for stage in &receipt.stages {
            let mut fields = Map::new();
            fields.insert("status".into(), stage.status.word().into());
            fields.insert("key".into(), stage.key.short().into());
            if let Some(preimage) = preimage(stage) {
                fields.insert("made of".into(), json!(preimage));
            }
            if let Some(metrics) = metrics.get(&stage.stage) {
                fields.insert("metrics".into(), json!(metrics));
            }
            all.push((stage.stage.clone(), Value::Object(fields)));
        }
        all
    };
    parts(&side(old), &side(new))
}
