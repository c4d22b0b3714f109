use serde_json::json;

use super::*;
use crate::plan::{Options, plan};
use crate::store::Store;
use crate::testing::Sketch;

/// A folder with a file of rows, and a recipe's worth of stages that read it.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(&dir.path().join("rows.jsonl"), "1").unwrap();
        Self { dir }
    }

    fn graph(&self, lr: f64) -> Graph {
        let rows = self.dir.path().join("rows.jsonl").display().to_string();
        let renamed = |node: &mut StageNode| {
            if let Some(input) = node.inputs.get_mut("data") {
                input.reference = "data.mm.train".into();
            }
        };
        Sketch::new()
            .stage("a", &json!({ "lr": lr }), &[("data", &rows)])
            .with(renamed)
            .stage("b", &json!({}), &[("model", "a.model")])
            .stage("c", &json!({ "note": "c" }), &[])
            .graph()
    }

    fn lock(&self, graph: &Graph) -> Lock {
        let store = Store::open(&self.dir.path().join(".curricle"));
        Lock::of(graph, &plan(graph, &store, &Options::default()).unwrap(), self.dir.path())
    }
}

fn said(drift: &[Drift]) -> Vec<String> {
    drift.iter().map(ToString::to_string).collect()
}

#[test]
fn a_lock_is_written_and_read_back() {
    let bench = Bench::new();
    let lock = bench.lock(&bench.graph(1.0));
    let path = path_beside(&bench.dir.path().join("x.toml"));
    assert_eq!(Lock::read(&path).unwrap(), None);
    let text = lock.to_toml(Path::new("recipes/x.toml"));
    assert!(text.starts_with("# What `x.toml` is made of"), "{text}");
    assert!(text.contains("\n[data.mm]\nsource = \"file:rows.jsonl\"\nblake3 = \""), "{text}");
    fs::write(&path, &text).unwrap();
    assert_eq!(Lock::read(&path).unwrap(), Some(lock.clone()));
    assert!(lock.drift(&lock).is_empty());
    fs::write(&path, text.replace("format = 1", "format = 9")).unwrap();
    assert!(Lock::read(&path).unwrap_err().to_string().ends_with("it has format 9, and this version reads 1"));
    fs::write(&path, "format = ").unwrap();
    assert!(matches!(Lock::read(&path), Err(LockError::Damaged { .. })));
}

#[test]
fn drift_names_the_entry_and_both_values() {
    let bench = Bench::new();
    let old = bench.lock(&bench.graph(1.0));
    fs::write(&bench.dir.path().join("rows.jsonl"), "2").unwrap();
    let graph = bench.graph(1.0);
    let new = bench.lock(&graph);
    let short = |text: &[u8]| blake3::hash(text).to_hex()[..8].to_owned();
    let drift = said(&old.drift(&new));
    assert_eq!(drift.len(), 3, "{drift:?}");
    assert_eq!(drift[0], format!("data.mm: content {} → {}", short(b"1"), short(b"2")));
    assert!(drift[1].starts_with("stages.a: key ") && drift[2].starts_with("stages.b: key "), "{drift:?}");

    let updated = old.clone().updated(&new, &graph, &["mm".to_owned()]).unwrap();
    assert!(updated.drift(&new).is_empty(), "what depends on an entry follows it");
    let other = bench.lock(&bench.graph(2.0));
    let updated = old.clone().updated(&new, &graph, &["stages.c".to_owned()]).unwrap();
    assert_eq!(updated, old, "nothing else follows");
    assert_eq!(said(&new.drift(&other)).len(), 2);
    let error = old.updated(&new, &graph, &["data.nn".to_owned()]).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.help().as_str()),
        ("there is no entry `data.nn` to update", "did you mean `data.mm`?")
    );
}

#[test]
fn what_is_not_here_is_not_known_and_no_drift() {
    let bench = Bench::new();
    let graph = bench.graph(1.0);
    let there = bench.lock(&graph);
    fs::remove_file(&bench.dir.path().join("rows.jsonl")).unwrap();
    let absent = bench.lock(&graph);
    assert_eq!((absent.inputs["data.mm"].content.as_ref(), absent.stages["b"].key), (None, None));
    assert!(absent.inputs["data.mm"].moves() && absent.stages["c"].key.is_some());
    assert!(there.drift(&absent).is_empty());
    let other = said(&absent.drift(&bench.lock(&bench.graph(2.0))));
    assert_eq!(other.len(), 1, "the edit of a stage is seen although its key is not known");
    assert!(other[0].starts_with("stages.a: settings "), "{other:?}");
    assert_eq!(absent.clone().keeping(&there), there);
    let drift = said(&absent.drift(&there));
    assert!(drift[0].starts_with("data.mm: content was not known, now "), "{drift:?}");
}

#[test]
fn stages_come_and_go_and_kinds_change() {
    let bench = Bench::new();
    let one = |kind, name: &str| Sketch::new().of_kind(kind, name, &json!({}), &[]).graph();
    let old = bench.lock(&one(crate::testing::FAKE, "a"));
    let drift = said(&old.drift(&bench.lock(&one(crate::testing::FAKE_V2, "a"))));
    assert_eq!(drift[0], "stages.a: kind version 1 of `fake` → version 2 of `fake`");
    let drift = said(&old.drift(&bench.lock(&one(crate::testing::FAKE, "z"))));
    assert_eq!(drift, ["stages.z: not locked", "stages.a: locked, and no longer in the recipe"]);
}

#[test]
fn a_hub_is_known_by_name_and_revision() {
    let of = |revision: Option<&str>| LockedInput {
        source: "hf:a/b".into(),
        revision: revision.map(str::to_owned),
        commit: revision.filter(|revision| crate::hub::is_commit(revision)).map(str::to_owned),
        content: None,
    };
    let lock = |revision| Lock { inputs: BTreeMap::from([("models.m".to_owned(), of(revision))]), ..Lock::default() };
    assert_eq!(said(&lock(None).drift(&lock(Some("v1")))), ["models.m: revision the newest → v1"]);
    assert!(of(None).moves() && of(Some("main")).moves() && !of(Some(&"0".repeat(40))).moves());
}

#[test]
fn a_commit_is_locked_written_and_held_to() {
    let bench = Bench::new();
    let lock = |commit: Option<&str>| {
        let with = |node: &mut StageNode| {
            let origin = crate::testing::remote(crate::hub::RepoKind::Data, "a/b", commit);
            let ty = crate::stage::ArtifactType::Data(crate::stage::DataType::default());
            let input = Input { reference: "data.x.train".into(), origin, ty, assumed: None };
            node.inputs.insert("data".into(), input);
        };
        bench.lock(&Sketch::new().stage("a", &json!({}), &[]).with(with).graph())
    };
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let (one, other, unknown) = (lock(Some(&a)), lock(Some(&b)), lock(None));
    assert!(one.stages["a"].key.is_some(), "a commit tells a key, although its files are not here");
    assert!(unknown.stages["a"].key.is_none() && unknown.inputs["data.x"].moves());
    let path = bench.dir.path().join("r.lock");
    fs::write(&path, one.to_toml(Path::new("r.toml"))).unwrap();
    let read = Lock::read(&path).unwrap().unwrap();
    assert_eq!(read, one);
    assert_eq!(read.pins()["data.x"].commit, a);
    assert_eq!(said(&read.drift(&other))[0], "data.x: commit aaaaaaaa → bbbbbbbb");
    assert_eq!(read.drift(&unknown), [], "what nobody asked the hub for can't have changed");
    assert_eq!(unknown.keeping(&read), one);
}
