//! The quickstart's training stages, a few steps of each: how much of a step goes by before its rows are there.

use std::collections::BTreeMap;

use crate::case::{Answer, Case, Figure};
use crate::recipes::curricle;

/// Steps that are enough to see it.
const STEPS: [&str; 4] = [
    "stages.warm_up.params.steps=60",
    "stages.cold_start.params.steps=60",
    "stages.mrl.params.steps=4",
    "stages.trl.params.steps=4",
];

pub fn cases() -> Vec<Case> {
    vec![Case { warm: 0, repeats: 1, ..Case::default() }]
}

pub fn measure(case: &Case) -> Answer {
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes/quickstart.toml");
    let mut args = vec!["run", recipe, "--progress", "none", "--until", "trl", "--ignore-gates"];
    args.extend(["--set", "runtime.device=cpu"]);
    args.extend(STEPS.iter().flat_map(|steps| ["--set", steps]));
    curricle(&case.folder, &args);
    let mut shares = BTreeMap::new();
    for entry in std::fs::read_dir(case.folder.join(".curricle/store/v1")).unwrap() {
        let dir = entry.unwrap();
        let Ok(history) = std::fs::read_to_string(dir.path().join("history.ndjson")) else { continue };
        let steps = history.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let waits: Vec<f64> = steps.filter_map(|step| step["metrics"]["wait_share"].as_f64()).collect();
        if !waits.is_empty() {
            let stage = dir.file_name().to_string_lossy().rsplit_once('-').unwrap().0.to_owned();
            shares.insert(stage, 100.0 * waits.iter().sum::<f64>() / waits.len() as f64);
        }
    }
    assert_eq!(shares.len(), STEPS.len(), "stages that say `wait_share`: {shares:?}");
    let figures = shares.into_iter().map(|(stage, share)| Figure::new(format!("`{stage}`"), share, "%").at_most(2.0));
    Answer { peak_mib: None, ..case.answer(figures.collect()) }
}
