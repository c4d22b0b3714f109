use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::fs::{self, Lock};

fn preimage(lr: f64) -> KeyPreimage {
    KeyPreimage {
        format: KeyPreimage::FORMAT,
        kind: "fake".into(),
        version: 1,
        params: json!({ "lr": lr }),
        inputs: BTreeMap::new(),
        seed: 0,
    }
}

fn miss(store: &Store, stage: &str, preimage: &KeyPreimage) -> Claim {
    match store.lookup(stage, preimage).unwrap() {
        Lookup::Miss(claim) => claim,
        Lookup::Hit(artifact) => panic!("{artifact:?} should not be there"),
    }
}

fn hit(store: &Store, stage: &str, preimage: &KeyPreimage) -> Artifact {
    match store.lookup(stage, preimage).unwrap() {
        Lookup::Hit(artifact) => artifact,
        Lookup::Miss(claim) => panic!("{claim:?} should be a hit"),
    }
}

fn fill(claim: &Claim, text: &str) {
    fs::create_dir_all(&claim.output_dir().join("model")).unwrap();
    fs::write(&claim.output_dir().join("model/config.json"), text).unwrap();
}

#[test]
fn a_key_is_the_digest_of_its_readable_line() {
    let preimage = preimage(1e-6);
    let line = r#"{"format":1,"kind":"fake","version":1,"params":{"lr":1e-6},"inputs":{},"seed":0}"#;
    assert_eq!(preimage.line(), line);
    assert_eq!(preimage.key().hex(), blake3::hash(line.as_bytes()).to_hex().as_str());
    let bytes = *blake3::hash(line.as_bytes()).as_bytes();
    assert_eq!(preimage.key().seed().to_le_bytes(), bytes[..8]);
    let back: KeyPreimage = serde_json::from_str(&preimage.pretty()).unwrap();
    assert_eq!(back, preimage);
}

#[test]
fn a_commit_is_found_under_its_key_by_any_stage() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let claim = miss(&store, "score[mrl]", &preimage(1.0));
    fill(&claim, "{}");
    fs::write(&claim.work_dir().join("checkpoint"), "x").unwrap();
    let made = claim.commit(2.5).unwrap();

    let name = format!("score_mrl-{}", preimage(1.0).key().short());
    assert_eq!(fs::list(store.root()).unwrap(), [name.as_str()]);
    assert_eq!(fs::list(made.dir()).unwrap(), ["artifact", "manifest.json", "preimage.json"]);
    assert_eq!(hit(&store, "other", &preimage(1.0)), made);
    assert_eq!(made.preimage().unwrap(), preimage(1.0));
    let record = &made.manifest().outputs["model/config.json"];
    assert_eq!((record.size, record.blake3.as_str()), (2, blake3::hash(b"{}").to_hex().as_str()));
    assert!(fs::exists(&made.output("model").join("config.json")));
    miss(&store, "score[mrl]", &preimage(2.0));
}

#[test]
fn a_dropped_claim_leaves_work_and_no_outputs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let claim = miss(&store, "sft", &preimage(1.0));
    fill(&claim, "half");
    fs::write(&claim.work_dir().join("checkpoint"), "step 7").unwrap();
    drop(claim);

    let key = preimage(1.0).key();
    assert!(store.unfinished(&store.index().unwrap(), "sft", &key).unwrap());
    assert!(store.find(&store.index().unwrap(), &key).unwrap().is_none());
    let adopted = miss(&store, "sft", &preimage(1.0));
    assert_eq!(fs::read_to_string(&adopted.work_dir().join("checkpoint")).unwrap(), "step 7");
    assert!(fs::list(&adopted.output_dir()).unwrap().is_empty());
}

#[test]
fn a_second_claim_is_refused_with_the_holder() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let claim = miss(&store, "sft", &preimage(1.0));
    let error = store.lookup("sft", &preimage(1.0)).unwrap_err();
    let StoreError::Held { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(holder.pid, std::process::id());
    assert!(error.to_string().starts_with("stage `sft` is being built by process "), "{error}");
    drop(claim);
    miss(&store, "sft", &preimage(1.0));
}

#[test]
fn a_claim_waits_for_an_orphaned_worker() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let claim = miss(&store, "sft", &preimage(1.0));
    let guard = WorkerGuard::take(&claim.work_dir()).unwrap();
    drop(claim);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| miss(&store, "sft", &preimage(1.0)));
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!second.is_finished());
        drop(guard);
        second.join().unwrap();
    });
}

#[test]
fn a_forced_claim_replaces_the_entry_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let claim = miss(&store, "sft", &preimage(1.0));
    fill(&claim, "old");
    claim.commit(1.0).unwrap();
    let claim = store.claim("sft", &preimage(1.0)).unwrap();
    assert_eq!(
        fs::read_to_string(&hit(&store, "sft", &preimage(1.0)).output("model").join("config.json")).unwrap(),
        "old"
    );
    fill(&claim, "new");
    let made = claim.commit(1.0).unwrap();
    assert_eq!(fs::read_to_string(&made.output("model").join("config.json")).unwrap(), "new");
    assert_eq!(fs::list(store.root()).unwrap().len(), 1);
}

#[test]
fn a_damaged_entry_names_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let claim = miss(&store, "sft", &preimage(1.0));
    fill(&claim, "");
    let made = claim.commit(1.0).unwrap();
    fs::write(&made.dir().join("manifest.json"), "{").unwrap();
    let error = store.lookup("sft", &preimage(1.0)).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("store entry `{}` is damaged: `manifest.json`: ", made.dir().display())),
        "{error}"
    );
}

#[test]
fn a_lease_of_a_moved_folder_is_no_lease() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = (dir.path().join("a"), dir.path().join("b"));
    fs::create_dir_all(&before).unwrap();
    let lease = Lock::try_take(&before.join("lease")).unwrap().unwrap();
    assert!(lease.in_place(&before.join("lease")));
    fs::rename(&before, &after).unwrap();
    assert!(!lease.in_place(&before.join("lease")));
}

#[test]
fn latest_is_by_name_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    for (stage, lr) in [("sft", 1.0), ("sft", 2.0), ("score[a]", 3.0), ("score_a", 4.0)] {
        let claim = miss(&store, stage, &preimage(lr));
        claim.commit(1.0).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let index = store.index().unwrap();
    let latest = |stage: &str| store.latest(&index, stage).unwrap().map(|artifact| artifact.manifest().key);
    assert_eq!(latest("sft"), Some(preimage(2.0).key()));
    assert_eq!(latest("score[a]"), Some(preimage(3.0).key()));
    assert_eq!(latest("absent"), None);
}
