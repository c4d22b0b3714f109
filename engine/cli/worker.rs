//! `curricle worker`: one stage in a process of its own; what `run` starts for every stage.

use std::io::{self, BufReader};

use curricle_engine::exec::serve;
use curricle_stages::KINDS;

use crate::exit::Exit;

/// Serves the one request on standard input.
pub fn run() -> Exit {
    // Whoever asked is gone: nobody would commit what this process still makes.
    let orphaned = || std::process::exit(Exit::Incomplete as i32);
    match serve(KINDS, BufReader::new(io::stdin()), io::stdout(), orphaned) {
        0 => Exit::Done,
        6 => Exit::Incomplete,
        _ => Exit::Failed,
    }
}
