//! `curricle report`: what a run showed.

use std::path::{Path, PathBuf};

use curricle_engine::exec::Receipt;
use curricle_engine::fs;
use curricle_engine::recipe::{Overrides, Recipe};
use curricle_engine::report::{Report, ReportError, build, find_run, latest_run};

use crate::args::{ReportArgs, ReportFormat};
use crate::exit::{Exit, Failure};
use crate::paint::Paint;

/// Reports on a run.
pub fn run(args: &ReportArgs, paint: Paint) -> Result<Exit, Failure> {
    let (dir, receipt) = receipt(args.run.as_deref(), &args.store.store)?;
    let report = build(&receipt).map_err(|error| failure(&error))?;
    if args.html {
        let path = args.output.clone().unwrap_or_else(|| dir.join("report.html"));
        fs::write(&path, report.to_html()).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        paint.data(&format!("{}\n", path.display()))?;
        return Ok(Exit::Done);
    }
    let format = if args.json { ReportFormat::Json } else { args.format };
    let text = match format {
        ReportFormat::Text | ReportFormat::Md => report.to_markdown(),
        ReportFormat::Html => report.to_html(),
        ReportFormat::Json => json(&report),
    };
    match &args.output {
        None => paint.data(&text)?,
        Some(path) => {
            fs::write(path, text).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
            paint.say(&format!("wrote {}", path.display()));
        }
    }
    Ok(Exit::Done)
}

/// The run meant: a folder, a name below `runs/`, a recipe's file, a recipe's name; the latest if nothing is.
pub fn receipt(run: Option<&str>, store: &Path) -> Result<(PathBuf, Receipt), Failure> {
    let at = |dir: PathBuf| find_run(&dir).map(|receipt| (dir, receipt));
    let found = match run {
        None => latest_run(store, None),
        Some(run) if fs::exists(&Path::new(run).join("receipt.json")) => at(PathBuf::from(run)),
        Some(run) if fs::exists(&store.join("runs").join(run).join("receipt.json")) => at(store.join("runs").join(run)),
        Some(run) if fs::exists(Path::new(run)) && !fs::is_dir(Path::new(run)) => {
            let recipe = Recipe::load(Path::new(run), &Overrides::default())?;
            latest_run(store, Some(recipe.name()))
        }
        Some(name) => latest_run(store, Some(name)),
    };
    found.map_err(|error| failure(&error))
}

/// One JSON document.
fn json(report: &Report) -> String {
    let value = serde_json::to_value(report).unwrap_or_default();
    format!("{value:#}\n")
}

/// What went wrong, as a failure of the program.
pub fn failure(error: &ReportError) -> Failure {
    let (exit, help) = match error {
        ReportError::NoRun { .. } => (Exit::Usage, "\n  help: run a recipe first: `curricle run RECIPE`"),
        ReportError::Damaged { .. } | ReportError::Disk(_) => (Exit::Store, ""),
    };
    Failure::new(exit, format!("{error}{help}"))
}
