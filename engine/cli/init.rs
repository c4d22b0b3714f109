//! `curricle init`: starts a recipe from a template, and never overwrites one.

use std::path::Path;

use curricle_engine::fs;

use crate::args::{InitArgs, Template};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};

const QUICKSTART: &str = include_str!("templates/quickstart.toml");
const REVISUAL_R1: &str = include_str!("templates/revisual-r1.toml");

/// Writes the template's files.
pub fn run(args: &InitArgs, paint: Paint) -> Result<Exit, Failure> {
    let (name, text) = match args.template {
        Template::Quickstart => ("quickstart.toml", QUICKSTART),
        Template::RevisualR1 => ("revisual-r1.toml", REVISUAL_R1),
    };
    let path = args.dir.join(name);
    if fs::exists(&path) {
        let message = format!("`{}` is already there; give another folder", path.display());
        return Err(Failure::new(Exit::Failed, message));
    }
    write(&args.dir, &path, text).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    paint.say(&format!("{} {}", paint.err_tint(Tint::Green, "made"), path.display()));
    paint.say(&format!("next: curricle check {0}, then curricle run {0}", path.display()));
    Ok(Exit::Done)
}

fn write(dir: &Path, path: &Path, text: &str) -> Result<(), fs::FsError> {
    fs::create_dir_all(dir)?;
    fs::write(path, text)
}
