//! Calls the binary.

pub mod curriculum;
pub mod edit;

#[cfg(feature = "rows")]
pub mod hub;

use std::path::{Path, PathBuf};
use std::process::Command;

use curricle_engine::exec::{Executor, Interrupt, Job, Ledger, Outcome, Run, StageEvent, execute};
use curricle_engine::graph::check;
use curricle_engine::plan::{Options, plan};
use curricle_engine::recipe::{Overrides, Recipe};
use curricle_engine::stage::StageError;
use curricle_engine::store::Store;
use curricle_stages::KINDS;

/// Two stages of a recipe: sums to ask, and a model with random weights that can't answer them.
pub const TINY: &str = r#"
[stages.rows]
kind = "synthesize"
params = { train = 12, test = 0, image_size = 56, tasks = { arithmetic = { levels = [1], reasoning = 0.0 } } }
[stages.base]
kind = "init"
inputs = { data = "rows.train" }
[stages.base.params]
hidden_size = 32
layers = 1
heads = 2
kv_heads = 1
intermediate = 64
vocab_size = 320
template = "bare"
vision = { depth = 1, hidden = 32, heads = 2, intermediate = 32, fullatt = [0] }
"#;

/// What a call of the binary came to.
pub struct Called {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Messages.
    pub stderr: String,
}

/// Calls the binary in a folder, without colours and with nothing of the caller's environment that matters to it.
pub fn curricle<S: AsRef<str>>(dir: &Path, args: &[S]) -> Called {
    curricle_with(dir, args, &[])
}

/// [`curricle`] with more of an environment. The hub's cache is a folder of its own, and the hub is nowhere.
pub fn curricle_with<S: AsRef<str>>(dir: &Path, args: &[S], env: &[(&str, &str)]) -> Called {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curricle"));
    for name in ["CLICOLOR_FORCE", "CURRICLE_STORE", "HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE"] {
        command.env_remove(name);
    }
    command.args(args.iter().map(AsRef::as_ref)).current_dir(dir).env("NO_COLOR", "1");
    command.env("HF_HOME", dir.join(".hf")).env("HF_ENDPOINT", "http://127.0.0.1:9").envs(env.iter().copied());
    let output = command.output().expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    Called { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Does no work: writes the stage's parameters into a file of each output.
struct Pretend;

impl Executor for Pretend {
    fn run(&self, job: &Job<'_>, _events: &mut dyn FnMut(StageEvent)) -> Result<(), StageError> {
        let kind = KINDS.iter().find(|kind| kind.name() == job.request.kind).expect("a known kind");
        for port in kind.decode(&job.request.params).expect("sound parameters").ports().outputs {
            let dir = job.request.output_dir.join(&*port.name);
            std::fs::create_dir_all(&dir).expect("the store can be written");
            std::fs::write(dir.join("rows.jsonl"), job.request.params.to_string()).expect("the store can be written");
        }
        Ok(())
    }
}

/// Runs a recipe in this process, pretending to work: in every build. Gives the folder of the run.
pub fn run_here(dir: &Path, recipe: &str, set: &[&str]) -> PathBuf {
    let overrides = Overrides { set: set.iter().map(|edit| (*edit).to_owned()).collect(), ..Overrides::default() };
    let recipe = Recipe::load(&dir.join(recipe), &overrides).expect("the recipe can be read");
    let graph = check(&recipe, KINDS).expect("the recipe is sound").graph;
    let store = Store::open(&dir.join(".curricle"));
    let plan = plan(&graph, &store, &Options::default()).expect("the recipe can be planned");
    let ledger = Ledger::create(&dir.join(".curricle"), graph.name()).expect("the store can be written");
    let (run_dir, logs, interrupt) = (ledger.dir().to_owned(), ledger.logs(), Interrupt::new());
    let (executor, graph, plan, store) = (&Pretend, &graph, &plan, &store);
    let run = Run { graph, plan, store, executor, interrupt: &interrupt, jobs: 1, keep_going: false, logs: &logs };
    let receipt = execute(&run, &mut |_| {});
    assert_eq!(receipt.outcome, Outcome::Done, "{receipt:?}");
    ledger.finish(&receipt).expect("the store can be written");
    run_dir
}
