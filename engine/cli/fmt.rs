//! `curricle fmt`: recipes written as the shipped ones are.

use std::io::Read;
use std::path::Path;

use curricle_engine::fs;
use curricle_engine::recipe::format;

use crate::args::FmtArgs;
use crate::exit::{Exit, Failure};
use crate::paint::Paint;

/// Formats every file, or says which are not.
pub fn run(args: &FmtArgs, paint: Paint) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let mut wrong = None;
    for path in &args.recipes {
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            paint.data(&format("standard input", &text)?)?;
            continue;
        }
        let text = fs::read_to_string(path).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        match format(&path.display().to_string(), &text) {
            Ok(formatted) if formatted == text => {}
            Ok(_) if args.check => {
                exit = Exit::Pending;
                paint.data(&format!("{}\n", path.display()))?;
            }
            Ok(formatted) => {
                fs::write_atomic(&fs::absolute(path), formatted)
                    .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
                paint.say(&format!("formatted {}", path.display()));
            }
            Err(diagnostics) => {
                paint.diagnostics(&diagnostics);
                wrong = Some(Exit::Invalid);
            }
        }
    }
    Ok(wrong.unwrap_or(exit))
}
