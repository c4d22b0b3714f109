//! `data`, and recipes that take their rows from a hub: what is fetched, when, and what is known before and after.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::hub::{Reply, Repository, Request, Server};
use crate::support::{Called, curricle_with};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

const RECIPE: &str = r#"
schema = 1
[data.sums]
source = "hf:org/sums"
columns = { prompt = "question" }
role = "eval"
[stages.rows]
kind = "synthesize"
inputs = { exclude = "data.sums" }
params = { train = 4, tasks = { arithmetic = {} } }
"#;

fn sums() -> Repository {
    let rows = (1..=3).map(|n| format!("{{\"question\": \"{n}+{n}\", \"answer\": \"{}\", \"level\": {n}}}\n", 2 * n));
    let files = vec![
        ("README.md", b"---\nlicense: mit\n---\n".to_vec(), None),
        ("train.jsonl", rows.collect::<String>().into_bytes(), None),
        ("weights.bin", vec![0; 1000], None),
    ];
    Repository { name: "datasets/org/sums", commit: COMMIT.into(), files }
}

/// A folder with the recipe, and a hub that answers so.
struct Bench {
    dir: tempfile::TempDir,
    server: Server,
}

impl Bench {
    fn new(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("main.toml"), RECIPE).unwrap();
        Self { dir, server: Server::start(answer) }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn call(&self, args: &[&str]) -> Called {
        self.call_with(args, &[])
    }

    fn call_with(&self, args: &[&str], env: &[(&str, &str)]) -> Called {
        let endpoint = self.server.endpoint();
        let env: Vec<_> = [("HF_ENDPOINT", endpoint.as_str())].into_iter().chain(env.iter().copied()).collect();
        curricle_with(self.path(), args, &env)
    }

    fn json(&self, args: &[&str]) -> Value {
        let called = self.call(args);
        assert_eq!(called.code, Some(0), "{}", called.stderr);
        serde_json::from_str(&called.stdout).unwrap()
    }

    fn key(&self) -> String {
        self.json(&["plan", "main.toml", "--json"])["steps"][0]["key"].as_str().unwrap().to_owned()
    }
}

#[test]
fn rows_of_the_hub_are_fetched_once_and_then_read_like_any_other() {
    let bench = Bench::new(|request, _| sums().reply(request));
    let unseen = bench.call(&["-v", "check", "main.toml"]);
    assert_eq!(unseen.code, Some(0));
    assert!(unseen.stderr.contains("could not verify `data.sums`: it is on a hub"), "{}", unseen.stderr);
    let missing = bench.call(&["plan", "main.toml"]);
    assert!(missing.stdout.contains("1 missing inputs keep it from running here"), "{}", missing.stdout);
    assert!(bench.server.asked().is_empty(), "`check` and `plan` ask nobody");

    let pulled = bench.call(&["data", "pull", "main.toml"]);
    assert_eq!(pulled.code, Some(0), "{}", pulled.stderr);
    assert!(pulled.stdout.starts_with("data.sums  hf:org/sums  01234567  2 files, "), "{}", pulled.stdout);
    let asked: Vec<_> = bench.server.files_asked().into_iter().map(|request| request.path).collect();
    let file = |name: &str| format!("/datasets/org/sums/resolve/{COMMIT}/{name}");
    assert_eq!(asked, [file("README.md"), file("train.jsonl")], "only what can be read");

    let seen = bench.call(&["-v", "check", "main.toml"]);
    assert!(!seen.stderr.contains("could not verify"), "{}", seen.stderr);
    let plan = bench.call(&["plan", "main.toml"]);
    assert!(!plan.stdout.contains("missing"), "{}", plan.stdout);
    let identity = &bench.json(&["explain", "main.toml", "rows", "--json"]).to_string();
    assert!(identity.contains(COMMIT), "{identity}");
    let again = bench.call(&["data", "pull", "main.toml"]);
    assert!(again.stdout.contains("already here"), "{}", again.stdout);
    assert_eq!(bench.server.files_asked().len(), 2);

    let listed = bench.json(&["data", "ls", "main.toml", "--json"]);
    assert_eq!((&listed["entries"][0]["here"], &listed["entries"][0]["commit"]), (&true.into(), &COMMIT.into()));
    let sample = bench.json(&["data", "sample", "main.toml", "data.sums", "-n", "2", "--json"]);
    let prompts: Vec<_> =
        sample["rows"].as_array().unwrap().iter().map(|row| row["prompt"].as_str().unwrap()).collect();
    assert_eq!(prompts, ["1+1", "2+2"]);
    let stats = bench.json(&["data", "stats", "main.toml", "sums", "--json"]);
    assert_eq!((&stats["stats"]["rows"], &stats["stats"]["levels"]["3"]), (&3.into(), &1.into()));
}

#[test]
fn a_key_is_the_commits_and_a_lock_holds_to_it() {
    let bench = Bench::new(|request, _| sums().reply(request));
    let unknown = bench.key();
    fs::write(bench.path().join("pinned.toml"), RECIPE.replace("org/sums\"", &format!("org/sums@{COMMIT}\""))).unwrap();
    let pinned = bench.json(&["plan", "pinned.toml", "--json"])["steps"][0]["key"].as_str().unwrap().to_owned();
    bench.call(&["data", "pull", "main.toml"]);
    assert_ne!(bench.key(), unknown);
    assert_eq!(bench.key(), pinned, "a commit says it all, fetched or not, by its name or through a branch");

    assert_eq!(bench.call(&["lock", "main.toml"]).code, Some(0));
    let lock = fs::read_to_string(bench.path().join("main.lock")).unwrap();
    assert!(lock.contains(&format!("commit = \"{COMMIT}\"")), "{lock}");
    // Some other tool learned that the branch has moved.
    let refs = bench.path().join(".hf/hub/datasets--org--sums/refs/main");
    fs::write(refs, "f".repeat(40)).unwrap();
    assert_eq!(bench.key(), pinned, "the lock says which commit is meant");
    assert_eq!(bench.call(&["plan", "main.toml", "--locked"]).code, Some(0));
    let updated = bench.call(&["lock", "main.toml", "--update", "sums"]);
    assert!(updated.stdout.contains("data.sums: commit 01234567 → ffffffff"), "{}", updated.stdout);
    assert_ne!(bench.key(), pinned);
}

#[test]
fn offline_only_the_cache_counts() {
    let bench = Bench::new(|request, _| sums().reply(request));
    let offline = [("HF_HUB_OFFLINE", "1")];
    let refused = bench.call_with(&["data", "pull", "main.toml"], &offline);
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains("`HF_HUB_OFFLINE` is set, and it is not in the cache"), "{}", refused.stderr);
    assert!(bench.server.asked().is_empty());
    bench.call(&["data", "pull", "main.toml"]);
    let here = bench.call_with(&["data", "pull", "main.toml"], &offline);
    assert_eq!(here.code, Some(0), "{}", here.stderr);
}

#[test]
fn trouble_has_a_cause_a_fix_and_an_exit_code() {
    let closed = Bench::new(|request, _| {
        if request.is_file() { Reply::new(403, "").with("X-Error-Code", "GatedRepo") } else { sums().reply(request) }
    });
    let secret = [("HF_TOKEN", "hf_verysecret")];
    let refused = closed.call_with(&["data", "pull", "main.toml"], &secret);
    assert_eq!(refused.code, Some(3));
    let fix = format!("help: accept its terms at {}/datasets/org/sums, then set `HF_TOKEN`", closed.server.endpoint());
    assert!(refused.stderr.contains(&fix), "{}", refused.stderr);
    assert!(!refused.stderr.contains("verysecret") && !refused.stdout.contains("verysecret"));
    assert_eq!(closed.server.asked()[0].header("authorization"), Some("Bearer hf_verysecret"));

    let busy = Bench::new(|_, _| Reply::new(429, "").with("Retry-After", "9999"));
    let refused = busy.call(&["data", "pull", "hf:org/sums"]);
    assert_eq!(refused.code, Some(8));
    assert!(refused.stderr.contains("the hub is busy: it answers 429 and wants 9999 s of quiet"), "{}", refused.stderr);

    let damaged = Bench::new(|request, _| {
        if request.is_file() {
            Reply::new(200, "more than any listing ever promised of this file: ".repeat(9))
        } else {
            sums().reply(request)
        }
    });
    let refused = damaged.call(&["data", "pull", "hf:org/sums"]);
    assert_eq!(refused.code, Some(8), "{}", refused.stderr);
    assert!(refused.stderr.contains("what came is not what the hub promised"), "{}", refused.stderr);
    let blobs = damaged.path().join(".hf/hub/datasets--org--sums/blobs");
    let left: Vec<_> = fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".incomplete")), "{left:?}");

    let usage = busy.call(&["data", "pull", "hf:sums"]);
    assert_eq!(usage.code, Some(2), "{}", usage.stderr);
}

#[test]
fn a_cut_fetch_goes_on_by_itself() {
    let bench = Bench::new(|request, before| match before {
        _ if !request.is_file() => sums().reply(request),
        0 => Reply::new(500, ""),
        1 | 2 => sums().reply(request).cut(7),
        _ => sums().reply(request),
    });
    let pulled = bench.call(&["data", "pull", "main.toml"]);
    assert_eq!(pulled.code, Some(0), "{}", pulled.stderr);
    assert!(pulled.stderr.contains("the hub fails with status 500; again in 0.5 s"), "{}", pulled.stderr);
    assert!(bench.json(&["data", "sample", "main.toml", "sums", "--json"])["rows"].as_array().unwrap().len() == 3);
}
