//! A run of two variants under two seeds, from files in a temporary folder to text.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::{evaluation, receipt};
use crate::exec::{ArmReceipt, HISTORY, InputReceipt, Receipt, StageReceipt};
use crate::fs;
use crate::report::{Report, Status, build};
use crate::stage::ArtifactKind;
use crate::store::{Key, KeyPreimage};

fn key(name: &str) -> Key {
    let params = json!({ "name": name });
    KeyPreimage { format: 1, kind: "any".into(), version: 1, params, inputs: BTreeMap::new(), seed: 0 }.key()
}

/// A training stage with a history of 40 steps that rises by `slope`.
fn training(root: &Path, name: &str, from: &str, slope: f64) -> StageReceipt {
    let artifact = root.join(name);
    fs::create_dir_all(&artifact).unwrap();
    let line = |step: usize| {
        let reward = 0.2 + slope * step as f64;
        json!({ "event": "progress", "step": step, "total": 40, "metrics": { "reward": reward, "kl": 0.0, "lr": 1.0 } })
    };
    let lines: String = (1..=40).map(|step| line(step).to_string() + "\n").collect();
    fs::write(&artifact.join(HISTORY), lines).unwrap();
    let input = InputReceipt { reference: from.into(), kind: ArtifactKind::Model, identity: from.into(), rows: None };
    StageReceipt {
        stage: name.into(),
        kind: "grpo".into(),
        key: key(name),
        status: Status::Ran,
        reasons: Vec::new(),
        wall_s: Some(60.0),
        memory: None,
        artifact: Some(artifact),
        history: None,
        inputs: BTreeMap::from([("model".to_owned(), input)]),
        outputs: BTreeMap::from([("model".to_owned(), ArtifactKind::Model)]),
        adopted: None,
        message: None,
    }
}

fn score(root: &Path, name: &str, model: &str, scores: &[u8]) -> StageReceipt {
    let mut stage = evaluation(root, &format!("{name}-files"), "test", scores);
    stage.stage = name.into();
    stage.key = key(name);
    stage.inputs.get_mut("model").unwrap().reference = format!("{model}.model");
    stage
}

fn arm(variant: &str, seed: u64, stages: &[(&str, &str)]) -> ArmReceipt {
    let set = |variant: &str| BTreeMap::from([("stages.mrl.params.select.kind".to_owned(), json!(variant))]);
    ArmReceipt {
        name: format!("{variant}/seed={seed}"),
        ablation: variant.into(),
        variant: variant.into(),
        seed,
        settings: if variant.is_empty() { BTreeMap::new() } else { set(variant) },
        stages: stages.iter().map(|(local, name)| ((*local).to_owned(), (*name).to_owned())).collect(),
    }
}

/// `cold` is one for all; `mrl` is trained per variant and seed. `random` is worse by a quarter of the items.
fn two_by_two(root: &Path) -> Receipt {
    let base = [1, 1, 0, 1].repeat(20);
    let worse = [1, 1, 0, 0].repeat(20);
    let mut stages = vec![training(root, "cold", "models.base", 0.0), score(root, "score[cold]", "cold", &base)];
    let mut arms = Vec::new();
    for (variant, scores, slope) in [("", &base, 0.01), ("random", &worse, 0.005)] {
        for seed in [1, 2] {
            let (mrl, scored) = (format!("mrl{variant}{seed}"), format!("score{variant}{seed}"));
            stages.push(training(root, &mrl, "cold.model", slope * f64::from(seed)));
            stages.push(score(root, &scored, "mrl", scores));
            let shared = [("cold", "cold"), ("score[cold]", "score[cold]")];
            let own = [("mrl", mrl.as_str()), ("score[mrl]", scored.as_str())];
            arms.push(arm(variant, u64::from(seed as u32), &[shared, own].concat()));
        }
    }
    Receipt { arms, ..receipt(stages) }
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/tests").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected, "{} differs; BLESS=1 writes it anew", path.display());
}

#[test]
fn two_arms_under_two_seeds() {
    let dir = tempfile::tempdir().unwrap();
    let report = build(&two_by_two(dir.path())).unwrap();
    let mrl = &report.evaluations[1];
    assert_eq!((mrl.subject.as_str(), mrl.seeds, mrl.items), ("mrl", 2, 160));
    assert_eq!((report.evaluations[0].seeds, report.evaluations[0].items), (1, 80), "seeds that share it are one");

    let arms = report.arms.as_ref().unwrap();
    let table = arms.tables.iter().find(|table| table.metric == "accuracy").unwrap();
    assert_eq!(table.columns, ["cold", "mrl"]);
    let random = &table.rows[1];
    assert!(random.cells[0].as_ref().unwrap().same_as_base);
    let difference = random.cells[1].as_ref().unwrap().difference.unwrap();
    assert_eq!((difference.estimate.mean, difference.estimate.seeds, difference.estimate.items), (-0.25, 2, 160));
    assert_eq!((difference.better, difference.worse), (0, 2));
    assert!(difference.excludes_zero() && difference.p_holm < 0.05);

    let lines: Vec<_> =
        report.curves.iter().flat_map(|curve| &curve.lines).map(|line| (line.label(), line.seeds)).collect();
    assert_eq!(lines, [("base".to_owned(), 2), ("random".to_owned(), 2)], "what never changes has no curve");
    let end = report.curves[0].lines[0].points[19];
    // Steps 39 and 40 of slopes 0.01 and 0.02.
    assert!((end.mean - (0.2 + 39.5 * 0.015)).abs() < 1e-12, "{end:?}");
    assert!((end.high - end.low - 39.5 * 0.01).abs() < 1e-12, "{end:?}");

    golden("two_arms.md", &report.to_markdown());
    golden("two_arms.txt", &report.to_summary());
    let back: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(back, report);
}

/// What a browser would trip over: every element that is opened is closed, and nothing comes from elsewhere.
#[test]
fn the_page_stands_alone_and_is_well_formed() {
    let dir = tempfile::tempdir().unwrap();
    let mut receipt = two_by_two(dir.path());
    receipt.recipe = "<script>alert(1)</script>".into();
    let page = build(&receipt).unwrap().to_html();
    assert!(!page.contains("<script") && !page.contains("http"), "{page}");
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let (inside, _) = tag.split_once('>').unwrap();
        let name = inside.trim_start_matches('/').split([' ', '\n']).next().unwrap();
        if let Some(closed) = inside.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "in {open:?}");
        } else if !inside.ends_with('/') && !["!doctype", "meta"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for part in ["<h2>Arms</h2>", "class=\"forest\"", "class=\"band c1\"", "<h2>Curves</h2>", "random"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[test]
fn an_arm_that_lacks_a_seed_is_compared_over_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut receipt = two_by_two(dir.path());
    receipt.stages.retain(|stage| stage.stage != "scorerandom2");
    let report = build(&receipt).unwrap();
    let table = &report.arms.unwrap().tables[0];
    let cell = table.rows[1].cells[1].clone().unwrap();
    let difference = cell.difference.unwrap().estimate;
    assert_eq!((cell.seeds, difference.seeds, difference.items, difference.mean), (1, 1, 80, -0.25));
}

#[test]
fn variants_that_end_with_different_stages_are_compared_by_their_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut receipt = two_by_two(dir.path());
    // The arm `random` stops after its cold start.
    for arm in receipt.arms.iter_mut().filter(|arm| !arm.variant.is_empty()) {
        arm.stages.retain(|local, _| local.ends_with("cold") || local == "score[cold]");
    }
    let table = &build(&receipt).unwrap().arms.unwrap().tables[0];
    assert_eq!(table.columns, ["cold", "mrl", "(last)"]);
    assert!(table.rows[1].cells[1].is_none());
    let last = table.rows[1].cells[2].clone().unwrap();
    assert!(!last.same_as_base);
    assert!(last.difference.unwrap().estimate.mean.abs() < 1e-12);
}

#[test]
fn a_stage_that_measures_other_models_in_other_arms_names_its_column() {
    let dir = tempfile::tempdir().unwrap();
    let mut receipt = two_by_two(dir.path());
    for arm in &mut receipt.arms {
        let scored = arm.stages.remove("score[mrl]").unwrap();
        // The arm `random` stops after its cold start, and `final` measures that.
        if !arm.variant.is_empty() {
            arm.stages.remove("mrl");
            let stage = receipt.stages.iter_mut().find(|stage| stage.stage == scored).unwrap();
            stage.inputs.get_mut("model").unwrap().reference = "cold.model".into();
        }
        arm.stages.insert("final".into(), scored);
    }
    let table = &build(&receipt).unwrap().arms.unwrap().tables[0];
    assert_eq!(table.columns[..2], ["cold", "final"]);
}

#[test]
fn many_stages_are_counted_and_failures_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut receipt = two_by_two(dir.path());
    let one = receipt.stages[0].clone();
    for index in 0..40 {
        let name = format!("extra{index}");
        let status = if index == 7 { Status::Failed } else { Status::Reused };
        let message = (index == 7).then(|| "no memory\nmore".to_owned());
        receipt.stages.push(StageReceipt { stage: name.clone(), key: key(&name), status, message, ..one.clone() });
        receipt.arms[0].stages.insert(name.clone(), name);
    }
    let report = build(&receipt).unwrap();
    assert!(report.is_folded());
    let text = report.to_markdown();
    let stages = text.split("## ").nth(1).unwrap();
    let expected = "\
Stages

| arm             | seeds | stages | ran | reused | failed | time alone  |
| --------------- | ----- | ------ | --- | ------ | ------ | ----------- |
| base            | 2     | 48     | 8   | 39     | 1      | 44 min 12 s |
| random          | 2     | 8      | 8   |        |        | 4 min 12 s  |
| each stage once |       | 50     | 10  | 39     | 1      | 45 min 15 s |

- extra7 failed: no memory

";
    assert_eq!(stages, expected);
}

#[test]
fn alerts_are_listed_and_folded() {
    let dir = tempfile::tempdir().unwrap();
    let receipt = two_by_two(dir.path());
    for (name, step) in [("mrl1", 12), ("mrl2", 9)] {
        let path = dir.path().join(name).join(HISTORY);
        let alert = json!({
            "event": "alert", "step": step, "detector": "stagnation", "action": "warn", "message": "a|b < c"
        });
        fs::write(&path, format!("{}{alert}\n", fs::read_to_string(&path).unwrap())).unwrap();
    }
    let report = build(&receipt).unwrap();
    let text = report.to_markdown();
    assert!(text.contains("| mrl1  | 12   | stagnation | warn   | a\\|b < c |"), "{text}");
    assert_eq!(report.alert_lines(), ["warn: stagnation ×2 in mrl1, mrl2"]);
    assert!(report.to_summary().ends_with("\nalerts\n  warn: stagnation ×2 in mrl1, mrl2\n"));
}
