//! `make bench`: curricle beside PyTorch, transformers, TRL and `datasets` on one machine in one run, as Markdown for BENCHMARKS.md.
//!
//! ```text
//! part ──cases──▶ JSON ──▶ this binary with `--case`, a process of its own ──▶ figures, peak of memory ──┐
//!                   └────▶ peers/*.py in $PYTHON, a process of its own ──────▶ figures, peak of memory ──┴─▶ ratios
//! ```
//!
//! Rules. Both sides read the same case: the same shapes, the same tokens, one number format, as many threads. Each
//! measurement is the median of calls after calls that only warm up, and each process measures one case, so that a peak
//! (`VmHWM`) is of that case alone. Ours goes through the functions that stages call, with the allocator of the binary. Peers
//! are eager, as they are run: `torch.compile` is a part of its own (`compile`). The supervised peer is a plain loop without
//! Trainer, its AdamW the fused one; transformers generates with its cache and padding on the left; GRPO is TRL's own
//! trainer, timed around its methods. No rollout ends before its last token on either side. Weights are random: only shapes matter.
//!
//! `cargo bench --bench bench -- [--quick] [PART…]`; `--quick` measures every case once, and its figures mean nothing.
#![expect(clippy::unwrap_used, reason = "a measurement that can't be made should fail")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the measurement is the result")]

mod case;
mod curation;
#[path = "../support/curriculum.rs"]
mod curriculum;
mod generate;
mod grpo;
mod images;
mod inputs;
mod machine;
mod process;
mod quickstart;
mod recipes;
mod table;
mod tokens;
mod train;
mod waiting;

use std::process::ExitCode;

use case::{Answer, Case};
use process::Peers;

#[global_allocator]
static ALLOCATOR: curricle_stages::phases::heap::CountingAllocator<mimalloc::MiMalloc> =
    curricle_stages::phases::heap::CountingAllocator(mimalloc::MiMalloc);

/// Measurements that are asked for together.
struct Part {
    name: &'static str,
    title: &'static str,
    cases: fn() -> Vec<Case>,
    ours: fn(&Case) -> Answer,
    /// The peer's script; `None` where there is none.
    peer: Option<&'static str>,
    /// Whether a call without parts includes it.
    usual: bool,
}

impl Part {
    const fn new(name: &'static str, title: &'static str, cases: fn() -> Vec<Case>, ours: fn(&Case) -> Answer) -> Self {
        Self { name, title, cases, ours, peer: None, usual: true }
    }

    const fn beside(mut self, peer: &'static str) -> Self {
        self.peer = Some(peer);
        self
    }

    const fn on_request(mut self) -> Self {
        self.usual = false;
        self
    }
}

const PARTS: [Part; 15] = [
    Part::new("sft", "Supervised training: a step", train::cases, train::measure).beside("sft.py"),
    Part::new("compile", "Supervised training beside `torch.compile`", train::compiled, train::measure)
        .beside("sft.py")
        .on_request(),
    Part::new("grpo", "GRPO: a step and its parts", grpo::cases, grpo::measure).beside("grpo.py"),
    Part::new("generate", "Generation", generate::cases, generate::measure).beside("generate.py"),
    Part::new("images", "Images: pixels to patches, one thread", images::cases, images::measure).beside("images.py"),
    Part::new("tokens", "Tokenisation", tokens::cases, tokens::measure).beside("tokens.py"),
    Part::new("recipes", "Recipes: start, check, plan, reuse", recipes::cases, recipes::measure),
    Part::new("inputs", "Inputs that are known: `plan`", inputs::cases, inputs::measure),
    Part::new("waiting", "Training that waits for rows, share of its time", waiting::cases, waiting::measure)
        .on_request(),
    Part::new("quickstart", "The quickstart, its longest stages", quickstart::cases, quickstart::measure).on_request(),
    Part::new("curation", "Curation", curation::cases, curation::measure).beside("curation.py"),
    Part::new("gpu-sft", "GPU: supervised training in bf16", train::on_gpu, train::measure).beside("sft.py"),
    Part::new("gpu-generate", "GPU: rollout in bf16", generate::on_gpu, generate::measure).beside("generate.py"),
    Part::new("gpu-grpo", "GPU: GRPO in bf16", grpo::on_gpu, grpo::measure).beside("grpo.py"),
    Part::new("gpu-growth", "GPU: memory over 500 steps", train::growth, train::measure).on_request(),
];

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [flag, json] = &args[..]
        && flag == "--case"
    {
        let case: Case = serde_json::from_str(json).unwrap();
        let part = PARTS.iter().find(|part| part.name == case.part).unwrap();
        println!("{}", serde_json::to_string(&(part.ours)(&case)).unwrap());
        return ExitCode::SUCCESS;
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let asked: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with("--")).collect();
    let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
    let unknown: Vec<&&str> =
        asked.iter().filter(|name| !known.iter().any(|known| known.starts_with(**name))).collect();
    if !unknown.is_empty() || args.iter().any(|arg| arg.starts_with("--") && arg != "--quick") {
        eprintln!("bench: no part begins with {unknown:?}; parts: {}; the only flag is --quick", known.join(", "));
        return ExitCode::from(2);
    }
    let wanted = |part: &&Part| match &asked[..] {
        [] => part.usual,
        asked => asked.iter().any(|name| part.name == *name || (part.usual && part.name.starts_with(name))),
    };
    let peers = Peers::find();
    println!("{}", machine::heading(&peers, quick));
    let mut whole = true;
    for part in PARTS.iter().filter(wanted) {
        whole &= run(part, &peers, quick);
    }
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures a part and prints its table; `false` where something failed or broke its bound.
fn run(part: &Part, peers: &Peers, quick: bool) -> bool {
    let cases = (part.cases)();
    if cases.iter().any(|case| case.device != "cpu")
        && let Err(why) = machine::gpu()
    {
        println!("## {}\n\nSKIPPED: {why}\n", part.title);
        return true;
    }
    println!("{}", table::Table::heading(part.title, part.peer.is_some()));
    let mut whole = true;
    for mut case in cases {
        let folder = tempfile::tempdir().unwrap();
        (case.part, case.folder) = (part.name.to_owned(), folder.path().to_owned());
        if quick {
            (case.warm, case.repeats) = (0, 1);
        }
        let ours = process::ours(&case);
        let peer = part.peer.and_then(|script| peers.measure(&case, script));
        let table = table::Table { case: &case, ours: &ours, peer: peer.as_ref(), compares: part.peer.is_some() };
        println!("{table}");
        whole &= ours.is_ok() && !matches!(peer, Some(Err(_))) && table.within_bounds();
    }
    println!();
    whole
}
