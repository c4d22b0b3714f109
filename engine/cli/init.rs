//! `curricle init`: starts a recipe from a template, and never overwrites one.

use std::path::Path;

use curricle_engine::fs;

use crate::args::{InitArgs, Template};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};

/// The shipped recipes, and the files they extend; the first file of each is the one to run.
const QUICKSTART: &[(&str, &str)] = &[("quickstart.toml", include_str!("../../recipes/quickstart.toml"))];
const REVISUAL_R1: &[(&str, &str)] = &[
    ("revisual-r1-3b.toml", include_str!("../../recipes/revisual-r1-3b.toml")),
    ("base/revisual-r1.toml", include_str!("../../recipes/base/revisual-r1.toml")),
];

/// Writes the template's files.
pub fn run(args: &InitArgs, paint: Paint) -> Result<Exit, Failure> {
    let files = match args.template {
        Template::Quickstart => QUICKSTART,
        Template::RevisualR1 => REVISUAL_R1,
    };
    let paths = || files.iter().map(|(name, _)| args.dir.join(name));
    if let Some(there) = paths().find(|path| fs::exists(path)) {
        let message = format!("`{}` is already there; give another folder", there.display());
        return Err(Failure::new(Exit::Failed, message));
    }
    for (path, (_, text)) in paths().zip(files) {
        write(&path, text).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        paint.say(&format!("{} {}", paint.err_tint(Tint::Green, "made"), path.display()));
    }
    let recipe = args.dir.join(files[0].0);
    paint.say(&format!("next: curricle check {0}, then curricle run {0}", recipe.display()));
    Ok(Exit::Done)
}

fn write(path: &Path, text: &str) -> Result<(), fs::FsError> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    // The schema lies beside the shipped recipes only.
    let text = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#:schema ") => rest,
        _ => text,
    };
    fs::write(path, text)
}
