mod arms;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::exec::{InputReceipt, MemoryReceipt, Receipt, StageReceipt};
use crate::fs;
use crate::stage::{ArtifactKind, Counted, PhaseMemory};
use crate::store::{Key, KeyPreimage};

fn key() -> Key {
    let params = json!({});
    KeyPreimage { format: 1, kind: "evaluate".into(), version: 1, params, inputs: BTreeMap::new(), seed: 0 }.key()
}

/// An evaluation of `model` on `data`, with a score per item; odd items are images.
fn evaluation(root: &Path, model: &str, data: &str, scores: &[u8]) -> StageReceipt {
    let artifact = root.join(model).join(data);
    let metrics = artifact.join("artifact/metrics");
    fs::create_dir_all(&metrics).unwrap();
    let accuracy = scores.iter().map(|score| f64::from(*score)).sum::<f64>() / scores.len() as f64;
    let document = json!({ "schema": 1, "metrics": { "accuracy": accuracy, "tokens": 12.5 }, "items": scores.len() });
    fs::write(&metrics.join("metrics.json"), document.to_string()).unwrap();
    let item = |(index, score): (usize, &u8)| {
        let group = if index % 2 == 1 { "image" } else { "text" };
        json!({ "id": format!("{index}"), "group": group, "task": "add", "score": score, "text": "" }).to_string()
            + "\n"
    };
    fs::write(&metrics.join("items.jsonl"), scores.iter().enumerate().map(item).collect::<String>()).unwrap();
    let input = |reference: &str, kind| InputReceipt {
        reference: reference.into(),
        kind,
        identity: reference.into(),
        rows: None,
    };
    StageReceipt {
        stage: if data == "test" { format!("score[{model}]") } else { format!("score[{model}] on {data}") },
        kind: "evaluate".into(),
        key: key(),
        status: Status::Ran,
        reasons: Vec::new(),
        wall_s: Some(3.0),
        memory: None,
        artifact: Some(artifact),
        history: None,
        inputs: BTreeMap::from([
            ("model".to_owned(), input(&format!("{model}.model"), ArtifactKind::Model)),
            ("data".to_owned(), input(data, ArtifactKind::Data)),
        ]),
        outputs: BTreeMap::from([("metrics".to_owned(), ArtifactKind::Metrics)]),
        adopted: None,
        message: None,
    }
}

fn receipt(stages: Vec<StageReceipt>) -> Receipt {
    Receipt {
        schema_version: 1,
        recipe: "sketch".into(),
        tiny: false,
        version: "0".into(),
        started: "then".into(),
        finished: "later".into(),
        wall_s: 65.0,
        outcome: Outcome::Done,
        stages,
        arms: Vec::new(),
        gates: Vec::new(),
    }
}

#[test]
fn each_evaluation_is_compared_with_the_one_before_it_on_the_same_data() {
    let dir = tempfile::tempdir().unwrap();
    let before = [0, 0, 0, 0, 1, 0, 1, 0].repeat(10);
    // Every image item that was wrong becomes right.
    let after = [0, 1, 0, 1, 1, 1, 1, 1].repeat(10);
    let report = build(&receipt(vec![
        evaluation(dir.path(), "sft", "test", &before),
        evaluation(dir.path(), "sft", "other", &after),
        evaluation(dir.path(), "mrl", "test", &after),
    ]))
    .unwrap();

    let subjects: Vec<_> = report.evaluations.iter().map(|one| (one.subject.as_str(), one.data.as_str())).collect();
    assert_eq!(subjects, [("sft", "test"), ("sft", "other"), ("mrl", "test")]);
    let accuracy = report.evaluations[0].metrics["accuracy"];
    assert_eq!((accuracy.value, accuracy.interval), (0.25, Some(wilson(20, 80))));
    assert_eq!(report.evaluations[0].metrics["tokens"].interval, None, "no interval for what items do not carry");

    let compared: Vec<_> = report
        .comparisons
        .iter()
        .map(|one| (one.before.as_str(), one.after.as_str(), one.group.as_str(), one.items, one.difference))
        .collect();
    assert_eq!(
        compared,
        [("sft", "mrl", "all", 80, 0.5), ("sft", "mrl", "image", 40, 1.0), ("sft", "mrl", "text", 40, 0.0)]
    );
    assert!(report.comparisons[0].is_significant());
    assert!(!report.comparisons[2].is_significant());
    let text = report.to_markdown();
    assert!(text.contains("| sft → mrl | image    | 40  | +1.000 [+1.000, +1.000] * |"), "{text}");
    assert!(text.contains("Done in 1 min 05 s"), "{text}");
    let back: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(back, report);
}

#[test]
fn the_memory_of_stages_and_of_their_phases_is_a_table_where_somebody_looked() {
    let dir = tempfile::tempdir().unwrap();
    let without = evaluation(dir.path(), "sft", "test", &[1, 0]);
    let plain = build(&receipt(vec![without.clone()])).unwrap();
    assert!(!plain.to_markdown().contains("## Memory") && !plain.to_html().contains("Memory"));
    // As a receipt of an earlier version is, which knew no memory.
    let mut older = serde_json::to_value(&without).unwrap();
    assert!(older.as_object_mut().unwrap().remove("memory").is_none());
    assert_eq!(serde_json::from_value::<StageReceipt>(older).unwrap(), without);

    let phase = |phase: &str, peak, held| PhaseMemory { phase: phase.into(), peak, held, of: Counted::Heap };
    let phases = vec![phase("answering", 90_000_000, 1_500_000)];
    let memory = MemoryReceipt { peak: Some(120_000_000), expected: Some(100_000_000), phases };
    let with = StageReceipt { memory: Some(memory), ..evaluation(dir.path(), "mrl", "test", &[1, 1]) };
    let report = build(&receipt(vec![without, with])).unwrap();
    let text = report.to_markdown();
    for line in [
        "| stage      | phase            | at most | at its end | expected |",
        "| score[mrl] | its process      | 120 MB  |            | 100 MB   |",
        "| score[mrl] | answering (heap) | 90.0 MB | 1.50 MB    |          |",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
    assert!(report.to_html().contains("<h2>Memory</h2>"));
    let back: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(back, report);
}

#[test]
fn a_damaged_artifact_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let stage = evaluation(dir.path(), "sft", "test", &[1]);
    let path = stage.artifact.as_ref().unwrap().join("artifact/metrics/metrics.json");
    fs::write(&path, "{").unwrap();
    let error = build(&receipt(vec![stage])).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot understand `{}`: ", path.display())), "{error}");
}

#[test]
fn the_latest_finished_run_is_found_by_recipe() {
    let dir = tempfile::tempdir().unwrap();
    for (name, recipe) in [("2020-a", "a"), ("2021-b", "b"), ("2022-a", "a"), ("2023-a", "")] {
        let folder = dir.path().join("runs").join(name);
        fs::create_dir_all(&folder).unwrap();
        if !recipe.is_empty() {
            let receipt = Receipt { recipe: recipe.into(), ..receipt(Vec::new()) };
            fs::write(&folder.join("receipt.json"), serde_json::to_string(&receipt).unwrap()).unwrap();
        }
    }
    let found = |recipe| latest_run(dir.path(), recipe).map(|(path, _)| path.file_name().unwrap().to_owned());
    assert_eq!(found(None).unwrap(), "2022-a");
    assert_eq!(found(Some("b")).unwrap(), "2021-b");
    assert_eq!(found(Some("c")).unwrap_err().to_string(), "there is no finished run of recipe `c`");
}
