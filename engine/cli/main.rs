//! The binary: parses the command line, calls one verb, ends with its exit code.

mod args;
mod check;
mod completions;
mod exit;
mod graph;
mod init;
mod kinds;
mod paint;
mod schema;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Verb};
use crate::exit::{Exit, Failure};
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
        Verb::Plan(_) | Verb::Run(_) | Verb::Explain(_) | Verb::Report(_) | Verb::Worker(_) => {
            Err(Failure::new(Exit::Usage, "this verb is on its way"))
        }
    };
    let exit = result.unwrap_or_else(|failure| paint.failure(&failure));
    ExitCode::from(exit as u8)
}
