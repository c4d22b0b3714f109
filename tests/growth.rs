//! Memory after 500 steps is what it was after 10: what a step leaves behind shows in how much of the heap is in use when its
//! phases end, which does not depend on what else runs on the machine.

use std::path::Path;

use curricle_engine::report::latest_run;
use curricle_engine::stage::{Counted, PhaseMemory};

use crate::support::curricle;

/// Every step of either stage reads all rows, so that nothing is new after the first few. A layer's tensors have tens of kB.
const RECIPE: &str = r#"
schema = 1
[recipe]
name = "growth"
[params]
steps = 10
[stages.rows]
kind = "synthesize"
params = { train = 4, tasks = { arithmetic = { levels = [1] } } }
[stages.base]
kind = "init"
inputs = { data = "rows.train" }
[stages.base.params]
hidden_size = 64
layers = 1
heads = 2
kv_heads = 1
intermediate = 128
vocab_size = 300
vision = { depth = 1, hidden = 8, heads = 2, intermediate = 16, fullatt = [0] }
template = "bare"
[stages.supervised]
kind = "sft"
inputs = { model = "base.model", data = "rows.train" }
params = { steps = "${params.steps}", batch = 4, micro_batch = 4, lr = 1e-4 }
[stages.asked]
kind = "grpo"
inputs = { model = "base.model", data = "rows.train" }
[stages.asked.params]
steps = "${params.steps}"
prompts = 4
group = 2
max_new_tokens = 3
lr = 1e-4
kl = { coef = 0.01 }
select = { kind = "none" }
"#;

/// The memory of a stage's phases, as the receipt says it.
fn phases(dir: &Path, stage: &str) -> Vec<PhaseMemory> {
    let (_, receipt) = latest_run(&dir.join(".curricle"), None).unwrap();
    let memory = receipt.stages.into_iter().find(|known| known.stage == stage).unwrap().memory.unwrap();
    assert!(memory.peak.unwrap() > memory.phases.iter().map(|phase| phase.peak).max().unwrap(), "{memory:?}");
    memory.phases
}

#[test]
fn five_hundred_steps_hold_what_ten_steps_hold() {
    // What grows with the steps by design: a hundred bytes of numbers a step for the dashboard, twice while a list moves.
    const NUMBERS: u64 = 2 << 20;
    let run = |steps: usize| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("recipe.toml"), RECIPE).unwrap();
        let steps = format!("params.steps={steps}");
        let ran = curricle(dir.path(), &["run", "recipe.toml", "--set", &steps]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ["supervised", "asked"].map(|stage| phases(dir.path(), stage))
    };
    for (few, many) in run(10).into_iter().zip(run(500)) {
        assert!(few.len() >= 2, "{few:?}");
        for (few, many) in few.iter().zip(&many) {
            assert_eq!((&few.phase, few.of, many.of), (&many.phase, Counted::Heap, Counted::Heap));
            assert!(few.held > 100_000 && few.peak > few.held, "nothing is counted: {few:?}");
            assert!(many.held < few.held + NUMBERS && many.peak < few.peak + NUMBERS, "{few:?}, then {many:?}");
        }
    }
}
