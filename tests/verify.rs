//! `verify-model` as a user meets it: the table, the document, and how it ends.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::curricle;

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_checkpoint_and_its_fixtures_agree() {
    let dir = fixtures("untied");
    let model = dir.join("model");
    let called = curricle(&dir, &["verify-model", text(&model), "--against", text(&dir)]);
    assert_eq!(called.code, Some(0), "{}{}", called.stdout, called.stderr);
    assert!(called.stdout.lines().next().unwrap().starts_with("quantity"), "{}", called.stdout);
    assert!(called.stdout.contains("\nlogits  ") && called.stderr.contains("within their bounds"), "{}", called.stdout);
    let called = curricle(&dir, &["-q", "verify-model", text(&model), "--against", text(&dir)]);
    assert_eq!((called.code, called.stdout.as_str(), called.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn another_checkpoint_is_found_out() {
    let dir = fixtures("text");
    let other = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.join("model")).unwrap().map(|entry| entry.unwrap().path()) {
        std::fs::copy(&file, other.path().join(file.file_name().unwrap())).unwrap();
    }
    let weights = other.path().join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    // The end of a head's weight, of the first tensor in the file: 0.5 is far from what stands there.
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[header..header + 4].copy_from_slice(&0.5_f32.to_le_bytes());
    std::fs::write(&weights, bytes).unwrap();
    let called = curricle(&dir, &["verify-model", text(other.path()), "--against", text(&dir), "--json"]);
    assert_eq!(called.code, Some(1), "{}", called.stderr);
    let document: Value = serde_json::from_str(&called.stdout).unwrap();
    assert_eq!((&document["holds"], &document["schema"]), (&Value::Bool(false), &Value::from(1)));
    let of = |name: &str| {
        document["quantities"].as_array().unwrap().iter().find(|entry| entry["quantity"] == name).unwrap().clone()
    };
    assert_eq!((of("logits")["holds"].clone(), of("logits")["bound"].as_f64()), (Value::Bool(false), Some(1e-4)));
    assert_eq!(of("token ids")["holds"], Value::Bool(true));
    assert_eq!(of("merger")["absent"], "a batch with images");
    let called = curricle(&dir, &["-q", "verify-model", text(other.path()), "--against", text(&dir)]);
    assert!(called.stdout.contains("logits") && called.stdout.contains("OVER ITS BOUND"), "{}", called.stdout);
    assert!(!called.stdout.contains("token ids"), "{}", called.stdout);
}

#[test]
fn what_can_not_be_compared_is_no_difference() {
    let dir = fixtures("text");
    let called = curricle(&dir, &["verify-model", "model"]);
    assert_eq!(called.code, Some(2));
    let called = curricle(&dir, &["verify-model", "model", "--against", "nowhere"]);
    assert_eq!(called.code, Some(2));
    assert!(called.stderr.contains("nowhere/golden.safetensors` is not there"), "{}", called.stderr);
    let called = curricle(&dir, &["verify-model", "nowhere", "--against", "."]);
    assert_eq!(called.code, Some(2));
    assert!(called.stderr.contains("folder of a checkpoint"), "{}", called.stderr);
}
