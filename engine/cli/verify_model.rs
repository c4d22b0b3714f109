//! `curricle verify-model`: how far this program's model is from transformers', on a checkpoint of yours.

use std::fmt::Write as _;

use curricle_stages::verify::{Entry, Measure, Outcome, Report, verify};
use serde_json::{Value, json};

use crate::args::VerifyModelArgs;
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};

/// Compares, prints a line per quantity, and ends with 1 if one is over its bound.
pub fn run(args: &VerifyModelArgs, paint: Paint) -> Result<Exit, Failure> {
    // Whoever reads 1 must know that two models differ, not that a file is missing.
    let report = verify(&args.folder, &args.against).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    if args.json {
        paint.json(&document(&report))?;
    } else {
        paint.data(&table(&report, paint))?;
        paint.say(&summary(&report));
    }
    Ok(if report.holds() { Exit::Done } else { Exit::Failed })
}

fn document(report: &Report) -> Value {
    let entry = |entry: &Entry| {
        let (measure, bound) = entry.quantity.bound();
        let mut object = json!({ "quantity": entry.quantity.to_string(), "measure": measure.as_str(), "bound": bound });
        match &entry.outcome {
            // JSON has no infinity: what is not a number on one side only is `null`.
            Outcome::Compared { largest, entries, at } => {
                object["largest"] = json!(largest);
                object["entries"] = json!(entries);
                object["at"] = json!(at);
                object["holds"] = json!(entry.holds());
            }
            Outcome::Absent(missing) => object["absent"] = json!(missing),
        }
        object
    };
    let entries: Vec<Value> = report.entries.iter().map(entry).collect();
    json!({ "schema": 1, "holds": report.holds(), "compared": report.compared(), "quantities": entries })
}

/// A line per quantity; to those who want quiet only the ones over their bounds.
fn table(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    if !paint.quiet {
        let heading = format!("{:<24} {:>10} {:>9}  {:<9} at", "quantity", "difference", "bound", "measure");
        let _ = writeln!(out, "{}", paint.out_tint(Tint::Bold, &heading));
    }
    for entry in report.entries.iter().filter(|entry| !paint.quiet || !entry.holds()) {
        let (measure, bound) = entry.quantity.bound();
        let line = match &entry.outcome {
            Outcome::Absent(missing) => {
                paint.out_tint(Tint::Dim, &format!("{:<24} not in the fixtures: {missing}", entry.quantity))
            }
            Outcome::Compared { largest, at, .. } => {
                let (largest, bound) = (shown(measure, *largest), shown(measure, bound));
                let line = format!("{:<24} {largest:>10} {bound:>9}  {:<9} {at}", entry.quantity, measure.as_str());
                if entry.holds() {
                    line
                } else {
                    paint.out_tint(Tint::Red, &format!("{}  OVER ITS BOUND", line.trim_end()))
                }
            }
        };
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn shown(measure: Measure, number: f64) -> String {
    match measure {
        Measure::Unequal => format!("{number}"),
        _ if number == 0.0 => "0".to_owned(),
        _ => format!("{number:.1e}"),
    }
}

fn summary(report: &Report) -> String {
    let (compared, absent) = (report.compared(), report.entries.len() - report.compared());
    let absent = if absent > 0 { format!(", {absent} not in the fixtures") } else { String::new() };
    let over: Vec<&Entry> = report.entries.iter().filter(|entry| !entry.holds()).collect();
    match over.first() {
        None => format!("{compared} quantities within their bounds{absent}"),
        Some(first) => {
            format!("{} of {compared} quantities over their bounds, first {}{absent}", over.len(), first.quantity)
        }
    }
}
