//! `curricle data sample`: rows as stages get them.

use serde_json::{Value, json};

use super::rows;
use crate::args::data::SampleArgs;
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};

/// Prints rows.
pub fn run(args: &SampleArgs, as_json: bool, paint: Paint) -> Result<Exit, Failure> {
    let (path, view) = rows::find(&args.rows)?;
    let rows = curricle_stages::data::sample(&path, &view, args.n).map_err(|error| rows::failed(&error))?;
    if as_json {
        paint.json(&json!({ "schema_version": 1, "data": args.rows.data, "rows": rows }))?;
    } else {
        let text: Vec<_> = rows.iter().map(|row| text(row, paint)).collect();
        paint.data(&text.join("\n"))?;
    }
    Ok(Exit::Done)
}

/// A line per field; what goes over several lines is set in.
fn text(row: &Value, paint: Paint) -> String {
    let fields = row.as_object().into_iter().flatten();
    let line = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{} {}\n", paint.out_tint(Tint::Dim, &format!("{name:<9}")), value.replace('\n', "\n          "))
    };
    fields.map(line).collect()
}
