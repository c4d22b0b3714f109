use std::cell::RefCell;
use std::path::Path;

use super::*;
use crate::fs;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn name(revision: Option<&str>, path: Option<&str>) -> HubName {
    let own = |text: Option<&str>| text.map(str::to_owned);
    HubName::parse(RepoKind::Data, "org/rows", own(revision), own(path)).unwrap()
}

#[test]
fn names_stay_in_their_places() {
    let parse = |text: &str| HubName::parse(RepoKind::Model, text, None, None);
    assert_eq!(parse("Qwen/Qwen2.5-VL-3B-Instruct@v1").unwrap().to_string(), "hf:Qwen/Qwen2.5-VL-3B-Instruct@v1");
    assert_eq!(parse("a/b").unwrap().folder(), "models--a--b");
    assert_eq!(parse("a/b@refs/convert/parquet").unwrap().revision(), "refs/convert/parquet");
    for wrong in ["a", "a/b/c", "a/", "/b", "../b", "a/..", "a/b c", "a--b/c", "a/.b", "a/b?c", "a\\b/c"] {
        assert_eq!(parse(wrong), Err(NameError::Repo), "{wrong}");
    }
    for wrong in ["a/b@", "a/b@../x", "a/b@x//y", "a/b@/x", "a/b@x?y", "a/b@x%2f", "a/b@x@y"] {
        assert!(matches!(parse(wrong), Err(NameError::Revision(_))), "{wrong}");
    }
    let twice = HubName::parse(RepoKind::Model, "a/b@x", Some("y".into()), None);
    assert_eq!(twice, Err(NameError::Twice("x".into(), "y".into())));
    assert!(HubName::parse(RepoKind::Model, "a/b@x", Some("x".into()), None).is_ok());
    let outside = HubName::parse(RepoKind::Data, "a/b", None, Some("../../etc".into()));
    assert_eq!(outside, Err(NameError::Path("../../etc".into())));
}

#[test]
fn a_model_needs_its_top_and_data_rows_and_images() {
    let model = HubName::parse(RepoKind::Model, "a/b", None, None).unwrap();
    for file in ["config.json", "model-00001-of-00002.safetensors", "chat_template.jinja", "merges.txt", "README.md"] {
        assert!(model.wants(file), "{file}");
    }
    for file in ["pytorch_model.bin", "onnx/model.safetensors", ".gitattributes", "original/params.json", "LICENSE"] {
        assert!(!model.wants(file), "{file}");
    }
    let all = name(None, None);
    for file in ["train.jsonl", "data/train-00000-of-00001.parquet", "images/1.PNG", "x.csv", "x.jsonl.gz", "README.md"]
    {
        assert!(all.wants(file), "{file}");
    }
    for file in
        ["load.py", ".cache/x.json", "dataset_infos.json", "archive.zip", "x.py.gz", "x.parquet.gz", ".gz", "README"]
    {
        assert!(!all.wants(file), "{file}");
    }
}

#[test]
fn a_path_is_a_file_a_folder_or_a_pattern() {
    let wants = |path: &str, file: &str| name(None, Some(path)).wants(file);
    assert!(wants("main", "main/train-00000-of-00001.parquet"));
    assert!(wants("main/train-*.parquet", "main/train-00000-of-00001.parquet"));
    assert!(wants("*/test*", "main/test-00000-of-00001.parquet"));
    assert!(wants("train.jsonl", "train.jsonl"));
    assert!(!wants("main", "main2/train.parquet"));
    assert!(!wants("main/train-*.parquet", "main/test-00000-of-00001.parquet"));
    assert!(!wants("main/*", "socratic/train.parquet"));
    assert!(!wants("main/a/b", "main/a"));
    assert!(wants("train.jsonl", "images/1.png"), "rows may name any image");
    assert!(!wants("*.py", "load.py"), "what can't be read is not fetched");
}

/// A hub of one repository whose `main` is at the last commit given; writes down what it is asked.
struct Fake<'a> {
    shelf: &'a Shelf,
    main: &'static str,
    files: Vec<(&'static str, &'static str)>,
    asked: RefCell<Vec<String>>,
}

impl Hub for Fake<'_> {
    fn list(&self, name: &HubName, revision: &str, _: &mut dyn FnMut(Progress<'_>)) -> Result<Listing, Trouble> {
        self.asked.borrow_mut().push(format!("list {name} {revision}"));
        let commit = if is_commit(revision) { revision } else { self.main }.to_owned();
        let listed = |(path, text): &(&str, &str)| Listed {
            path: (*path).into(),
            size: text.len() as u64,
            blob: "0".into(),
            sha256: false,
        };
        Ok(Listing { commit, files: self.files.iter().map(listed).collect() })
    }

    fn fetch(
        &self,
        name: &HubName,
        commit: &str,
        files: &[Listed],
        _: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Trouble> {
        for file in files {
            self.asked.borrow_mut().push(format!("fetch {}", file.path));
            let (_, text) = self.files.iter().find(|(path, _)| *path == file.path).unwrap();
            put(&self.shelf.snapshot(name, commit).join(&file.path), text);
        }
        Ok(())
    }
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_branch_is_asked_for_once_and_again_only_afresh() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::at(dir.path());
    let name = name(None, None);
    let mut hub = Fake { shelf: &shelf, main: A, files: vec![("x.jsonl", "1")], asked: RefCell::default() };
    let order = |shelf: &Shelf| Order { name: name.clone(), commit: shelf.commit(&name) };
    assert_eq!((shelf.commit(&name), shelf.copy(&name, A)), (None, None));
    let pulled = pull(&hub, &shelf, &order(&shelf), false, &mut |_| {}).unwrap();
    assert_eq!((pulled.commit.as_str(), pulled.files, pulled.bytes), (A, 1, 1));
    assert_eq!(shelf.copy(&name, A), Some(shelf.snapshot(&name, A)));
    hub.main = B;
    let again = pull(&hub, &shelf, &order(&shelf), false, &mut |_| {}).unwrap();
    assert_eq!((again.commit.as_str(), again.files), (A, 0), "a branch that moved moves nothing here");
    assert_eq!(hub.asked.take(), ["list hf:org/rows main", "fetch x.jsonl"]);
    let afresh = pull(&hub, &shelf, &order(&shelf), true, &mut |_| {}).unwrap();
    assert_eq!((afresh.commit.as_str(), shelf.commit(&name).as_deref()), (B, Some(B)));
}

#[test]
fn a_copy_is_whole_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::at(dir.path());
    let files = vec![("x.jsonl", "12"), ("y.jsonl", "34"), ("z.bin", "56")];
    let hub = Fake { shelf: &shelf, main: A, files, asked: RefCell::default() };
    let name = name(Some(A), None);
    let order = Order { name: name.clone(), commit: shelf.commit(&name) };
    put(&shelf.snapshot(&name, A).join("x.jsonl"), "12");
    assert_eq!(shelf.copy(&name, A), None, "nobody knows what else there is");
    pull(&hub, &shelf, &order, false, &mut |_| {}).unwrap();
    assert_eq!(hub.asked.take(), [&format!("list hf:org/rows@{A} {A}"), "fetch y.jsonl"]);
    assert!(shelf.copy(&name, A).is_some());
    assert!(!dir.path().join("datasets--org--rows/refs").exists(), "a commit is no branch");
    put(&shelf.snapshot(&name, A).join("y.jsonl"), "3");
    assert_eq!(shelf.copy(&name, A), None);
}

#[test]
fn pins_win_over_what_a_branch_meant_last() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::at(dir.path());
    let name = name(None, None);
    put(&shelf.repo(&name).join("refs/main"), &format!("{B}\n"));
    let pin = Pin { source: "hf:org/rows".into(), revision: None, commit: A.into() };
    let mut held = Held { shelf, pins: [("data.x".to_owned(), pin)].into() };
    assert_eq!(held.find("data.x", &name).0.as_deref(), Some(A));
    assert_eq!(held.find("data.y", &name).0.as_deref(), Some(B), "another entry");
    let other = HubName { revision: Some("main".into()), ..name.clone() };
    assert_eq!(held.find("data.x", &other).0.as_deref(), Some(B), "the recipe asks for something else than was locked");
    held.pins.clear();
    assert_eq!(held.find("data.x", &name).0.as_deref(), Some(B));
}

#[test]
fn a_repository_without_rows_says_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::at(dir.path());
    let hub =
        Fake { shelf: &shelf, main: A, files: vec![("load.py", "1"), ("README.md", "2")], asked: RefCell::default() };
    let trouble = pull(&hub, &shelf, &Order { name: name(None, None), commit: None }, false, &mut |_| {}).unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::Refused);
    assert_eq!(trouble.message, "hf:org/rows has no file that could be read; it has `load.py`, `README.md`");
    assert!(trouble.help.contains("refs/convert/parquet"));
}
