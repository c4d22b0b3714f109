//! The binary: parses the command line, calls one verb, ends with its exit code.

mod args;
mod bars;
#[cfg(any(feature = "flex", feature = "cuda"))]
mod chat;
mod check;
mod completions;
mod compute;
mod exit;
mod explain;
#[cfg(any(feature = "flex", feature = "cuda"))]
mod generate;
mod grade;
mod graph;
mod init;
mod kinds;
mod paint;
mod plan;
mod report;
mod run;
mod schema;
mod verify_model;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Verb};
use crate::paint::Paint;

#[cfg(any(feature = "flex", feature = "cuda"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let paint = Paint::new(&cli);
    let result = match &cli.verb {
        Verb::Check(args) => check::run(args, paint),
        Verb::Graph(args) => graph::run(args, paint),
        Verb::Kinds(args) => kinds::run(args, paint),
        Verb::Schema => schema::run(paint),
        Verb::Completions(args) => completions::run(args, paint),
        Verb::Init(args) => init::run(args, paint),
        Verb::Plan(args) => plan::run(args, paint),
        Verb::Run(args) => run::run(args, paint),
        Verb::Explain(args) => explain::run(args, paint),
        Verb::Report(args) => report::run(args, paint),
        Verb::Generate(args) => compute::generate(args, paint),
        Verb::Chat(args) => compute::chat(args, paint),
        Verb::Grade(args) => grade::run(args, paint),
        Verb::VerifyModel(args) => verify_model::run(args, paint),
        Verb::Worker => Ok(worker::run()),
    };
    let exit = result.unwrap_or_else(|failure| paint.failure(&failure));
    ExitCode::from(exit as u8)
}
