use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::exec::{InputReceipt, Outcome, Status};
use crate::store::{Key, KeyPreimage};

fn key() -> Key {
    let params = json!({});
    KeyPreimage { format: 1, kind: "x".into(), version: 1, params, inputs: BTreeMap::new(), seed: 0 }.key()
}

/// A stage with files below its artifact: path and lines.
fn stage(
    root: &Path,
    name: &str,
    inputs: &[(&str, &str)],
    outputs: &[(&str, ArtifactKind)],
    files: &[(&str, &str)],
) -> StageReceipt {
    let artifact: PathBuf = root.join(name);
    for (file, text) in files {
        let path = artifact.join("artifact").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let input = |(port, reference): &(&str, &str)| {
        let kind = ArtifactKind::Data;
        ((*port).to_owned(), InputReceipt { reference: (*reference).into(), kind, identity: String::new(), rows: None })
    };
    StageReceipt {
        stage: name.into(),
        kind: "kind".into(),
        key: key(),
        status: Status::Ran,
        reasons: Vec::new(),
        wall_s: None,
        memory: None,
        artifact: Some(artifact),
        history: None,
        inputs: inputs.iter().map(input).collect(),
        outputs: outputs.iter().map(|(port, kind)| ((*port).to_owned(), *kind)).collect(),
        adopted: None,
        message: None,
    }
}

fn told(receipt: &Receipt, stage: &str, row: &str) -> Vec<String> {
    let passages = trace(receipt, stage, row).unwrap();
    let fate = |fate: &Fate| match fate {
        Fate::Outside => "outside".to_owned(),
        Fate::Made { output } => format!("made {output}"),
        Fate::Kept { output } => format!("kept {output}"),
        Fate::Dropped { reason, .. } => format!("dropped {reason}"),
        Fate::Read { input } => format!("read {input}"),
        Fate::NoResult => "no result".to_owned(),
    };
    passages.iter().map(|passage| format!("{} {}: {}", passage.stage, passage.id, fate(&passage.fate))).collect()
}

#[test]
fn a_row_is_followed_through_every_stage_whatever_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let data = [("rows", ArtifactKind::Data)];
    let counts = |ports: &str| {
        format!("{{\"schema_version\": 1, \"rows_in\": {{{ports}}}, \"rows_out\": {{}}, \"dropped\": []}}")
    };
    let of_data = counts("\"data\": 3");
    let dropped = "{\"id\": \"b\", \"reason\": \"answer\"}\n";
    let stages = vec![
        stage(
            dir.path(),
            "made",
            &[("exclude", "test.rows")],
            &data,
            &[("rows/rows.jsonl", "{\"id\": \"a\"}\n{\"id\": \"b\"}\n")],
        ),
        stage(
            dir.path(),
            "usable",
            &[("data", "made.rows"), ("against", "data.exam")],
            &data,
            &[
                ("rows/rows.jsonl", "{\"id\": \"a\"}\n"),
                ("curation/counts.json", &of_data),
                ("curation/dropped.jsonl", dropped),
            ],
        ),
        stage(
            dir.path(),
            "other",
            &[("data", "data.other")],
            &data,
            &[("rows/rows.jsonl", "{\"id\": \"a\"}\n"), ("curation/counts.json", &of_data)],
        ),
        stage(
            dir.path(),
            "mixed",
            &[("x", "usable.rows"), ("y", "other.rows")],
            &data,
            &[
                ("rows/rows.jsonl", "{\"id\": \"x/a\", \"source\": \"x\"}\n{\"id\": \"y/a\", \"source\": \"y\"}\n"),
                ("curation/counts.json", &counts("\"x\": 1, \"y\": 1")),
                (
                    "curation/renamed.jsonl",
                    "{\"id\": \"x/a\", \"source\": \"x\", \"was\": \"a\"}\n{\"id\": \"y/a\", \"source\": \"y\", \"was\": \"a\"}\n",
                ),
            ],
        ),
        stage(dir.path(), "learnt", &[("data", "mixed.rows")], &[("model", ArtifactKind::Model)], &[]),
    ];
    let receipt = Receipt {
        schema_version: 1,
        recipe: "r".into(),
        version: "0".into(),
        started: String::new(),
        finished: String::new(),
        wall_s: 0.0,
        outcome: Outcome::Done,
        stages,
        arms: Vec::new(),
        gates: Vec::new(),
        tiny: false,
    };
    let first = ["made a: made rows", "usable a: kept rows", "mixed x/a: kept rows", "learnt x/a: read data"];
    assert_eq!(told(&receipt, "learnt", "x/a"), first);
    assert_eq!(told(&receipt, "mixed", "y/a"), ["data.other a: outside", "other a: kept rows", "mixed y/a: kept rows"]);
    let both = told(&receipt, "mixed", "a");
    assert_eq!(both.len(), 6, "{both:?}");
    assert_eq!(told(&receipt, "mixed", "b"), ["made b: made rows", "usable b: dropped answer"]);
    assert_eq!(told(&receipt, "learnt", "c"), [""; 0]);
    assert_eq!(told(&receipt, "nothing", "a"), [""; 0]);
}
