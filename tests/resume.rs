//! Killed at any moment and run again, training ends with the weights of a run that was never disturbed, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const RECIPE: &str = r#"
schema = 1
[recipe]
name = "resume"
seed = 7
[stages.rows]
kind = "synthesize"
params = { train = 48, test = 8, image_size = 56, tasks = { count = { levels = [1], reasoning = 0.0 }, arithmetic = { levels = [1], reasoning = 0.0 } } }
[stages.base]
kind = "init"
inputs = { data = "rows.train" }
[stages.base.params]
hidden_size = 32
layers = 2
heads = 2
kv_heads = 1
intermediate = 64
vocab_size = 320
template = "bare"
vision = { depth = 1, hidden = 32, heads = 2, intermediate = 32, fullatt = [0] }
[stages.cold]
kind = "sft"
inputs = { model = "base.model", data = "rows.train" }
params = { steps = 60, batch = 6, micro_batch = 3, lr = 1e-2, schedule = "cosine", warmup = 0.1 }
[stages.rl]
kind = "grpo"
inputs = { model = "cold.model", data = "rows.train" }
[stages.rl.params]
steps = 20
prompts = 3
group = 4
micro_batch = 6
max_new_tokens = 10
lr = 1e-3
temperature = 1.0
# So small a model is rarely right: let the form count too, and take every group.
reward = { accuracy = 1.0, format = 0.5 }
select = { kind = "none" }
kl = { coef = 1e-2 }
[stages.score]
kind = "evaluate"
each = ["cold", "rl"]
inputs = { model = "${each}.model", data = "rows.test" }
params = { max_new_tokens = 10, batch = 3 }
[runtime]
device = "cpu"
checkpoint_every = 3
"#;

/// Who dies.
#[derive(Debug, Clone, Copy)]
enum Victim {
    /// The process that trains; the one that asked for it reports a failed stage.
    Worker,
    /// The process that was started from the shell; its worker must notice and end too.
    Run,
}

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("recipe.toml"), RECIPE).unwrap();
        Self { dir }
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn start(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_curricle"))
            .args(["run", "recipe.toml", "--progress", "none", "--store"])
            .arg(self.store())
            .current_dir(self.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn finish(&self) {
        let output = self.start().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs, and kills with SIGKILL as soon as `stage` has ended `step` steps.
    fn kill(&self, stage: &str, step: f64, victim: Victim) {
        let before = newest_run(&self.store());
        let mut child = self.start();
        let deadline = Instant::now() + Duration::from_mins(4);
        let reached = || {
            let run = newest_run(&self.store()).filter(|run| Some(run) != before.as_ref());
            run.is_some_and(|run| progress(&run, stage, "/step").iter().any(|at| *at >= step))
        };
        while !reached() {
            assert!(Instant::now() < deadline, "`{stage}` never got to step {step}");
            assert!(child.try_wait().unwrap().is_none(), "the run ended before step {step} of `{stage}`");
            std::thread::sleep(Duration::from_millis(2));
        }
        let pid = match victim {
            Victim::Run => child.id(),
            Victim::Worker => self.worker(stage),
        };
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert!(!status.success(), "a killed run must not look done");
        assert!(!self.weights().contains_key(stage), "`{stage}` must not be committed");
    }

    /// Process of the worker that fills a stage's entry.
    fn worker(&self, stage: &str) -> u32 {
        let mut folders = fs::read_dir(self.store().join("store/v1")).unwrap().map(|entry| entry.unwrap().path());
        let ours = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(&format!("{stage}-")) && name.ends_with(".partial")
        };
        let holder = fs::read_to_string(folders.find(ours).unwrap().join("worker")).unwrap();
        serde_json::from_str::<Value>(&holder).unwrap()["pid"].as_u64().unwrap() as u32
    }

    /// Final weights by stage.
    fn weights(&self) -> BTreeMap<String, Vec<u8>> {
        self.outputs("model/model.safetensors")
    }

    /// A file of what is committed, by stage.
    fn outputs(&self, file: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.store().join("store/v1")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let done = paths.filter(|path| path.extension().is_none_or(|extension| extension != "partial"));
        let read = |path: PathBuf| {
            let stage = path.file_name()?.to_str()?.rsplit_once('-')?.0.to_owned();
            Some((stage, fs::read(path.join("artifact").join(file)).ok()?))
        };
        done.filter_map(read).collect()
    }
}

/// Folder of the newest run.
fn newest_run(store: &Path) -> Option<PathBuf> {
    fs::read_dir(store.join("runs")).ok()?.filter_map(|entry| Some(entry.ok()?.path())).max()
}

/// Values of one field of a stage's progress in the ledger of a run.
fn progress(run: &Path, stage: &str, field: &str) -> Vec<f64> {
    let events = fs::read_to_string(run.join("events.ndjson")).unwrap_or_default();
    let lines = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let steps = lines.filter(|event| event["stage"] == stage && event["event"] == "stage-progress");
    steps.filter_map(|event| event.pointer(field)?.as_f64()).collect()
}

#[test]
fn kill_and_run_again_ends_with_the_same_weights() {
    let calm = Bench::new();
    calm.finish();
    let expected = calm.weights();
    assert_eq!(expected.keys().collect::<Vec<_>>(), ["base", "cold", "rl"]);
    assert_ne!(expected["base"], expected["cold"]);
    let informative = progress(&newest_run(&calm.store()).unwrap(), "rl", "/metrics/effective_share");
    assert!(informative.iter().any(|share| *share > 0.0), "without rewards that differ, RL has nothing to resume");

    let disturbed = Bench::new();
    for (stage, step, victim) in [
        ("cold", 1.0, Victim::Worker),
        ("cold", 20.0, Victim::Run),
        ("cold", 40.0, Victim::Worker),
        ("rl", 1.0, Victim::Run),
        ("rl", 6.0, Victim::Worker),
        ("rl", 11.0, Victim::Run),
    ] {
        disturbed.kill(stage, step, victim);
    }
    disturbed.finish();
    let resumed = disturbed.weights();
    for (stage, weights) in &expected {
        assert!(*weights == resumed[stage], "`{stage}` differs after kill and resume");
    }
    let answers = calm.outputs("metrics/items.jsonl");
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["score_cold", "score_rl"]);
    assert_eq!(disturbed.outputs("metrics/items.jsonl"), answers);
}
