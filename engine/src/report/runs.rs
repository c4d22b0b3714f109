//! Which run to report on.

use std::path::{Path, PathBuf};

use super::ReportError;
use super::measure::parse;
use crate::exec::Receipt;
use crate::fs;

/// The newest finished run below a `.curricle` folder, of one recipe or of any.
pub fn latest_run(curricle_dir: &Path, recipe: Option<&str>) -> Result<(PathBuf, Receipt), ReportError> {
    let runs = curricle_dir.join("runs");
    // Names begin with the time.
    for name in fs::list(&runs)?.into_iter().rev() {
        let dir = runs.join(name);
        if !fs::exists(&dir.join("receipt.json")) {
            continue;
        }
        let receipt = find_run(&dir)?;
        if recipe.is_none_or(|recipe| receipt.recipe == recipe) {
            return Ok((dir, receipt));
        }
    }
    Err(ReportError::NoRun { recipe: recipe.map(str::to_owned) })
}

/// The receipt in a run's folder.
pub fn find_run(dir: &Path) -> Result<Receipt, ReportError> {
    let path = dir.join("receipt.json");
    parse(&path, &fs::read_to_string(&path)?)
}
