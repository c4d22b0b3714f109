//! `curricle data trace`: through which stages a row went, and what became of it at each.

use curricle_engine::report::{Fate, Passage, trace};
use serde_json::json;

use crate::args::data::TraceArgs;
use crate::exit::{Exit, Failure};
use crate::paint::Paint;
use crate::{report, table};

/// Traces a row.
pub fn run(args: &TraceArgs, as_json: bool, paint: Paint) -> Result<Exit, Failure> {
    let (_, receipt) = report::receipt(args.run.as_deref(), &args.store.store)?;
    if !receipt.stages.iter().any(|stage| stage.stage == args.stage) {
        let names: Vec<_> = receipt.stages.iter().map(|stage| stage.stage.as_str()).collect();
        let message = format!("the run has no stage `{}`\n  help: its stages are {}", args.stage, names.join(", "));
        return Err(Failure::new(Exit::Usage, message));
    }
    let passages = trace(&receipt, &args.stage, &args.row).map_err(|error| report::failure(&error))?;
    if passages.is_empty() {
        let message = format!("no stage up to `{}` knows a row `{}`", args.stage, args.row);
        return Err(Failure::new(Exit::Failed, message));
    }
    if as_json {
        paint.json(&json!({ "schema_version": 1, "stage": args.stage, "row": args.row, "passages": passages }))?;
    } else {
        let head = ["stage", "kind", "row", "what became of it"].map(str::to_owned).to_vec();
        let rows: Vec<_> = std::iter::once(head).chain(passages.iter().map(line)).collect();
        paint.data(&table::table(&rows, &[], paint))?;
    }
    Ok(Exit::Done)
}

fn line(passage: &Passage) -> Vec<String> {
    let fate = match &passage.fate {
        Fate::Outside => "comes from outside".to_owned(),
        Fate::Made { output } => format!("made (`{output}`)"),
        Fate::Kept { output } => format!("kept (`{output}`)"),
        Fate::Dropped { reason, evidence, other } => {
            let evidence = if evidence.is_empty() { String::new() } else { format!(": {evidence}") };
            let other = other.as_ref().map_or_else(String::new, |other| format!(", see `{other}`"));
            format!("dropped for `{reason}`{evidence}{other}")
        }
        Fate::Read { input } => format!("read (`{input}`)"),
        Fate::NoResult => "no result yet".to_owned(),
    };
    vec![passage.stage.clone(), passage.kind.clone(), passage.id.clone(), fate]
}
