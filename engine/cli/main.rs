//! The binary: parses the command line, calls one verb, ends with its exit code.

mod adopt;
mod args;
mod bars;
mod cache;
#[cfg(any(feature = "flex", feature = "cuda"))]
mod chat;
mod check;
mod completions;
mod compute;
mod config;
mod data;
mod diff;
mod dispatch;
mod effect;
mod estimate;
mod exit;
mod explain;
mod fetch;
mod fmt;
#[cfg(any(feature = "flex", feature = "cuda"))]
mod generate;
mod grade;
mod graph;
mod init;
mod kinds;
mod lock;
mod paint;
mod plan;
mod report;
mod run;
mod schema;
mod table;
mod tree;
mod verify;
mod verify_model;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::paint::Paint;

#[cfg(any(feature = "flex", feature = "cuda"))]
#[global_allocator]
static ALLOCATOR: curricle_stages::phases::heap::CountingAllocator<mimalloc::MiMalloc> =
    curricle_stages::phases::heap::CountingAllocator(mimalloc::MiMalloc);

fn main() -> ExitCode {
    let cli = Cli::parse();
    #[cfg(feature = "rows")]
    curricle_engine::rows::lend(curricle_stages::inputs::head);
    let paint = Paint::new(&cli);
    let exit = dispatch::call(&cli.verb, paint).unwrap_or_else(|failure| paint.failure(&failure));
    ExitCode::from(exit as u8)
}
