//! `curricle completions`: a shell's completion script.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::exit::{Exit, Failure};
use crate::paint::Paint;

/// Prints the script.
pub fn run(args: &CompletionsArgs, paint: Paint) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "curricle", &mut script);
    paint.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
