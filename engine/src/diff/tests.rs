use serde_json::json;

use super::*;
use crate::plan::{Options, plan};
use crate::store::Store;
use crate::testing::Sketch;

fn said(parts: &[Part]) -> Vec<String> {
    let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".into(), ToString::to_string);
    let line = |part: &Part| {
        let name = part.name.clone();
        let changes = part.changes.iter();
        changes
            .map(move |change| format!("{name} {}: {} {}", change.field, side(&change.old), side(&change.new)))
            .collect()
    };
    parts.iter().flat_map(|part| -> Vec<String> { line(part) }).collect()
}

#[test]
fn fields_are_found_at_any_depth() {
    let old = json!({ "lr": 1.0, "select": { "kind": "pad", "low": 0.1 }, "list": [1, 2], "gone": { "a": 1 } });
    let new = json!({ "lr": 1.0, "select": { "kind": "none" }, "list": [1, 3], "fresh": { "b": 2 } });
    let found = said(&[Part { name: "x".into(), changes: fields(&old, &new) }]);
    let expected = [
        "x fresh.b: - 2",
        "x list: [1,2] [1,3]",
        "x select.kind: \"pad\" \"none\"",
        "x select.low: 0.1 -",
        "x gone.a: 1 -",
    ];
    assert_eq!(found, expected);
    assert!(fields(&old, &old).is_empty());
}

#[test]
fn recipes_differ_by_section_and_in_the_keys_that_follow() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let graph = |lr: f64| {
        Sketch::new()
            .stage("a", &json!({ "lr": lr }), &[])
            .stage("b", &json!({}), &[("model", "a.model")])
            .stage("c", &json!({ "note": "c" }), &[])
            .graph()
    };
    let plans = [1.0, 2.0].map(|lr| plan(&graph(lr), &store, &Options::default()).unwrap());
    let recipe =
        |lr: f64| json!({ "schema": 1, "stages": { "a": { "params": { "lr": lr } } }, "runtime": { "jobs": lr } });
    let found = recipes(&recipe(1.0), &recipe(2.0), Some((&plans[0], &plans[1])));
    let names: Vec<_> = found.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["runtime", "stages.a", "keys"]);
    let stages: Vec<_> = found[2].changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(stages, ["a", "b"]);
}

#[test]
fn plans_and_preimages_are_compared_field_by_field() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let made = [1.0, 2.0].map(|lr| {
        let graph = Sketch::new().stage("a", &json!({ "lr": lr }), &[]).graph();
        let plan = plan(&graph, &store, &Options::default()).unwrap();
        (plan.to_json(&graph), plan.steps[0].preimage.clone())
    });
    assert_eq!(said(&preimages(&made[0].1, &made[1].1)), ["key params.lr: 1.0 2.0"]);
    let found = plans(&made[0].0, &made[1].0);
    assert_eq!((found.len(), found[0].name.as_str(), found[0].changes[0].field.as_str()), (1, "a", "key"));
}
