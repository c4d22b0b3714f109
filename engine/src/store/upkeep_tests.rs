//! Adopting, verifying, sweeping.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::fs;

/// What `name` makes from the results of others.
fn preimage(name: &str, inputs: &[Key]) -> KeyPreimage {
    let input =
        |(index, key): (usize, &Key)| (format!("in{index}"), InputIdentity::Stage { key: *key, port: "model".into() });
    KeyPreimage {
        format: KeyPreimage::FORMAT,
        kind: "fake".into(),
        version: 1,
        params: json!({ "name": name }),
        inputs: inputs.iter().enumerate().map(input).collect(),
        seed: 0,
    }
}

fn claim(store: &Store, name: &str, inputs: &[Key]) -> Claim {
    match store.lookup(name, &preimage(name, inputs)).unwrap() {
        Lookup::Miss(claim) => claim,
        Lookup::Hit(artifact) => panic!("{artifact:?} should not be there"),
    }
}

fn build(store: &Store, name: &str, inputs: &[Key]) -> Artifact {
    let claim = claim(store, name, inputs);
    fs::create_dir_all(&claim.output_dir().join("model")).unwrap();
    fs::write(&claim.output_dir().join("model/config.json"), "{\"a\":1}").unwrap();
    claim.commit(1.0).unwrap()
}

fn key(name: &str, inputs: &[Key]) -> Key {
    preimage(name, inputs).key()
}

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(Entry::stage).collect()
}

#[test]
fn damage_is_any_byte_that_was_not_committed() {
    let dir = tempfile::tempdir().unwrap();
    let made = build(&Store::open(dir.path()), "a", &[]);
    assert_eq!(made.damage().unwrap(), []);
    let file = |name: &str| made.dir().join("artifact/model").join(name);
    let said = || made.damage().unwrap().iter().map(Damage::to_string).collect::<Vec<_>>();
    fs::write(&file("config.json"), "{\"a\":2}").unwrap();
    fs::write(&file("extra"), "").unwrap();
    let expected = ["`model/config.json` has other bytes than were committed", "`model/extra` was not committed"];
    assert_eq!(said(), expected);
    fs::remove_file(&file("config.json")).unwrap();
    fs::write(&made.dir().join("preimage.json"), preimage("b", &[]).pretty()).unwrap();
    let expected = [
        "`preimage.json` has other bytes than were committed",
        "`model/config.json` is missing",
        "`model/extra` was not committed",
    ];
    assert_eq!(said(), expected);
}

#[test]
fn a_sweep_keeps_what_a_root_was_made_from() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    build(&store, "a", &[]);
    build(&store, "b", &[key("a", &[])]);
    build(&store, "other", &[]);
    let roots = BTreeSet::from([key("b", &[key("a", &[])])]);
    let sweep = store.sweep(&roots, &[]).unwrap();
    assert_eq!(names(&sweep.go), ["other"]);
    assert!(sweep.stay.iter().all(|(_, why)| *why == Kept::Reached));
    let kept = store.sweep(&roots, &["other".into()]).unwrap();
    assert!(kept.go.is_empty() && kept.stay.iter().any(|(_, why)| *why == Kept::Named));
    let digits = key("other", &[]).hex()[..6].to_owned();
    assert!(store.sweep(&roots, &[digits]).unwrap().go.is_empty());
    for entry in &sweep.go {
        assert!(store.remove(entry).unwrap());
    }
    let left: Vec<_> = store.entries().unwrap();
    assert_eq!(names(&left), ["a", "b"]);
    assert!(left.iter().all(|entry| entry.size > 0 && entry.changed_ns > 0));
}

#[test]
fn work_and_what_it_is_made_from_is_never_swept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    build(&store, "a", &[]);
    let working = claim(&store, "b", &[key("a", &[])]);
    drop(claim(&store, "left", &[]));
    let none = BTreeSet::new();
    // The lease of work that was left still names this process, which lives: it counts as held until it does not.
    let sweep = store.sweep(&none, &[]).unwrap();
    assert!(sweep.go.is_empty(), "{:?}", sweep.go);
    assert!(sweep.stay.iter().all(|(_, why)| *why == Kept::InUse));
    let lease = store.root().join(format!("left-{}.partial/lease", key("left", &[]).short()));
    fs::write(&lease, json!({ "pid": 0, "host": fs::host(), "since": "" }).to_string()).unwrap();
    let sweep = store.sweep(&none, &[]).unwrap();
    assert_eq!(names(&sweep.go), ["left"]);
    let kept = store.sweep(&BTreeSet::from([key("left", &[])]), &[]).unwrap();
    assert!(kept.go.is_empty(), "unfinished work of a stage that is needed stays");
    // Somebody begins between the look and the removal.
    let again = claim(&store, "left", &[]);
    assert!(!store.remove(&sweep.go[0]).unwrap());
    drop(again);
    assert!(store.remove(&sweep.go[0]).unwrap());
    drop(working);
}

#[test]
fn what_a_crash_left_and_what_is_damaged_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let made = build(&store, "a", &[]);
    fs::create_dir_all(&store.root().join("a-00000000.replaced/artifact")).unwrap();
    fs::create_dir_all(&store.root().join("b-11111111.removed")).unwrap();
    fs::write(&made.dir().join("manifest.json"), "{").unwrap();
    let sweep = store.sweep(&BTreeSet::from([key("a", &[])]), &[]).unwrap();
    assert_eq!((sweep.go.len(), sweep.stay.len()), (3, 0));
    for entry in &sweep.go {
        assert!(store.remove(entry).unwrap());
    }
    assert!(store.entries().unwrap().is_empty());
}

#[test]
fn an_adopted_result_says_so_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store"));
    let from = dir.path().join("mine");
    fs::create_dir_all(&from.join("deep")).unwrap();
    fs::write(&from.join("deep/config.json"), "{}").unwrap();
    let adopted = || Adopted { from: from.clone(), note: Some("from the cluster".into()) };
    let outputs = [(PathBuf::from("model"), from.clone())];
    let adopt = |replace| store.adopt("sft", &preimage("sft", &[]), &outputs, adopted(), replace).unwrap();
    let made = adopt(false).unwrap();
    assert_eq!(made.manifest().adopted.as_deref(), Some(&adopted()));
    assert_eq!(adopted().to_string(), format!("adopted from `{}`: from the cluster", from.display()));
    assert!(made.manifest().outputs.contains_key("model/deep/config.json") && made.damage().unwrap().is_empty());
    assert!(adopt(false).is_none() && adopt(true).is_some());
    let sweep = store.sweep(&BTreeSet::new(), &[]).unwrap();
    assert_eq!((sweep.go.len(), sweep.stay[0].1), (0, Kept::Adopted));
    assert!(fs::exists(&from.join("deep/config.json")), "it is copied");
}

fn safetensors(path: &Path, note: &str, values: [f32; 2]) {
    let header = json!({
        "__metadata__": { "note": note }, "w": { "dtype": "F32", "shape": [2], "data_offsets": [0, 8] },
    });
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn results_of_the_same_work_are_equal_alike_or_different() {
    let dir = tempfile::tempdir().unwrap();
    let claim = claim(&Store::open(&dir.path().join("store")), "a", &[]);
    let fill = |root: &Path, json: &str, rows: &str, note: &str, value: f32| {
        fs::create_dir_all(&root.join("model")).unwrap();
        fs::write(&root.join("model/config.json"), json).unwrap();
        fs::write(&root.join("model/rows.jsonl"), rows).unwrap();
        safetensors(&root.join("model/w.safetensors"), note, [1.0, value]);
    };
    fill(&claim.output_dir(), "{\"a\": 1, \"b\": 2}", "{\"x\":1}\n{\"x\":2}\n", "", 2.0);
    let made = claim.commit(1.0).unwrap();
    let again = dir.path().join("again");
    let compared = |json: &str, rows: &str, note: &str, value: f32| {
        fill(&again, json, rows, note, value);
        determinism(&made, &again).unwrap()
    };
    let (json, rows) = ("{\"a\": 1, \"b\": 2}", "{\"x\":1}\n{\"x\":2}\n");
    assert_eq!(compared(json, rows, "", 2.0), (Class::BitEqual, vec![]));
    let (class, files) = compared("{\"b\":2,\"a\":1}", "{\"x\": 1}\n{\"x\": 2}\n", "later", 2.0);
    assert_eq!((class, files.len()), (Class::EqualNumbers, 3));
    let (class, files) = compared(json, rows, "", 2.5);
    assert_eq!(class, Class::Different);
    assert_eq!(files, [Unlike { file: "model/w.safetensors".into(), class, largest: Some(0.5) }]);
    assert_eq!(compared(json, "{\"x\":1}\n", "", 2.0).0, Class::Different);
    fs::write(&again.join("model/extra"), "").unwrap();
    assert_eq!(compared(json, rows, "", 2.0).0, Class::Different, "a file that was not there");
}
