//! `curricle grade`: rows with a gold answer and a prediction → the same rows with the verdict in `ok`. Line by line, so that
//! a stream is answered as it comes; every other byte of a row stays as it is.

use std::io::{self, BufRead, Write};
use std::ops::Range;
use std::path::Path;

use curricle_engine::fs;
use curricle_stages::rl::reward::answer::{boxed, matches};
use serde_json::{Map, Value};

use crate::args::GradeArgs;
use crate::exit::{Exit, Failure};
use crate::paint::Paint;

/// Grades a file, or standard input where it is `-`.
pub fn run(args: &GradeArgs, paint: Paint) -> Result<Exit, Failure> {
    let (name, input): (String, Box<dyn BufRead>) = if args.rows == Path::new("-") {
        ("standard input".into(), Box::new(io::stdin().lock()))
    } else {
        let file = fs::reader(&args.rows).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        (format!("`{}`", args.rows.display()), Box::new(file))
    };
    let mut count = Count::default();
    let graded = grade(input, &mut io::BufWriter::new(io::stdout().lock()), &mut count);
    match graded {
        Ok(()) => paint.say(&count.summary()),
        Err(Trouble::Output(error)) => return Err(error.into()),
        Err(Trouble::Row(line, why)) => {
            let message = format!("line {line} of {name} {why}\n  {} before it are graded", count.summary());
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    Ok(Exit::Done)
}

/// How many rows there were.
#[derive(Debug, Default)]
struct Count {
    rows: usize,
    right: usize,
}

impl Count {
    fn summary(&self) -> String {
        let Self { rows, right } = *self;
        let share = if rows == 0 { 0.0 } else { 100.0 * right as f64 / rows as f64 };
        format!("{rows} row{}, {right} right ({share:.1} %)", if rows == 1 { "" } else { "s" })
    }
}

enum Trouble {
    /// Nothing more can be written.
    Output(io::Error),
    /// A line, from 1, and what is wrong with it.
    Row(usize, String),
}

/// What was graded before a bad line is written.
fn grade(mut input: impl BufRead, output: &mut impl Write, count: &mut Count) -> Result<(), Trouble> {
    let mut bytes = Vec::new();
    for place in 1.. {
        bytes.clear();
        // People and programs at the other end of a pipe wait for whole answers.
        let read = input.read_until(b'\n', &mut bytes);
        let row = match read {
            Ok(0) => break,
            Ok(_) => std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8 text".to_owned()).map(str::trim),
            Err(error) => Err(format!("can't be read: {error}")),
        };
        if row.as_ref().is_ok_and(|row| row.is_empty()) {
            continue;
        }
        match row.and_then(graded) {
            Ok((row, right)) => {
                writeln!(output, "{row}").and_then(|()| output.flush()).map_err(Trouble::Output)?;
                count.rows += 1;
                count.right += usize::from(right);
            }
            Err(why) => return Err(Trouble::Row(place, why)),
        }
    }
    Ok(())
}

/// The row with its verdict.
fn graded(row: &str) -> Result<(String, bool), String> {
    let fields = match serde_json::from_str(row) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(format!("is no JSON object: {}", start_of(row))),
        Err(error) => return Err(format!("is no JSON object: {error}: {}", start_of(row))),
    };
    let (gold, pred) = (text(&fields, "gold")?, text(&fields, "pred")?);
    let choices = choices(&fields)?;
    let right = matches(&gold, &choices, boxed(&pred).unwrap_or(&pred));
    Ok((with_verdict(row, right), right))
}

fn start_of(row: &str) -> String {
    let start: String = row.chars().take(60).collect();
    if start.len() < row.len() { format!("`{start}…`") } else { format!("`{start}`") }
}

/// An answer: text, or a number as it is written.
fn text(fields: &Map<String, Value>, name: &str) -> Result<String, String> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(other) => Err(format!("has no answer in `{name}`: `{other}` is neither text nor a number")),
        None => Err(format!("has no `{name}`; a row needs `gold` and `pred`")),
    }
}

/// Options of a choice question, if the row has some.
fn choices(fields: &Map<String, Value>) -> Result<Vec<String>, String> {
    let wrong = || "has `choices` that are no list of texts".to_owned();
    match fields.get("choices") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// Puts `ok` at the end of an object, or where it is already.
fn with_verdict(row: &str, right: bool) -> String {
    if let Some(Range { start, end }) = value_of_ok(row) {
        return format!("{}{right}{}", &row[..start], &row[end..]);
    }
    // It has `gold` and `pred`, so there is something before the comma.
    format!("{},\"ok\":{right}}}", row[..row.len() - 1].trim_end())
}

/// Where the value of the object's own field `ok` stands, in text that is known to be an object.
fn value_of_ok(row: &str) -> Option<Range<usize>> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let (mut text_at, mut last_text, mut value_at) = (0, "", None);
    let mut found = None;
    for (at, byte) in row.bytes().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    in_text = false;
                    last_text = &row[text_at..at];
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => (in_text, text_at) = (true, at + 1),
            b':' if depth == 1 && value_at.is_none() => value_at = (last_text == "ok").then_some(at + 1),
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' => {
                // Of two fields with one name, readers take the last.
                if (depth == 1)
                    && let Some(start) = value_at.take()
                {
                    found = Some(start..at);
                }
                depth -= usize::from(byte != b',');
            }
            _ => {}
        }
    }
    let Range { start, end } = found?;
    let value = &row[start..end];
    let start = start + (value.len() - value.trim_start().len());
    Some(start..start + value.trim().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_byte_of_a_row_stays() {
        for (row, expected) in [
            (r#"{"gold":"4","pred":"4.0"}"#, r#"{"gold":"4","pred":"4.0","ok":true}"#),
            (
                r#"{ "z": [1, {"ok": 2}], "pred": 5, "gold": 4 }"#,
                r#"{ "z": [1, {"ok": 2}], "pred": 5, "gold": 4,"ok":false}"#,
            ),
            (
                r#"{"ok": null , "gold":"1/2","pred":"so \\boxed{0.5}"}"#,
                r#"{"ok": true , "gold":"1/2","pred":"so \\boxed{0.5}"}"#,
            ),
            (r#"{"gold":"ok","pred":"OK","ok":[{"a":","}]}"#, r#"{"gold":"ok","pred":"OK","ok":true}"#),
            (
                r#"{"gold":"\"","a":"\"ok\":1,","pred":"}","x":{}}"#,
                r#"{"gold":"\"","a":"\"ok\":1,","pred":"}","x":{},"ok":false}"#,
            ),
            (
                r#"{"gold":"B","pred":"6","choices":["3","6"]}"#,
                r#"{"gold":"B","pred":"6","choices":["3","6"],"ok":true}"#,
            ),
        ] {
            let (row, right) = graded(row).unwrap();
            assert_eq!(row, expected);
            let fields: Value = serde_json::from_str(&row).unwrap();
            assert_eq!(fields["ok"], right);
        }
    }

    #[test]
    fn rows_without_answers_are_said_to_be_so() {
        for (row, part) in [
            ("[1]", "is no JSON object: `[1]`"),
            ("{\"gold\":", "is no JSON object: EOF"),
            (r#"{"gold":"4"}"#, "has no `pred`"),
            (r#"{"pred":"4"}"#, "has no `gold`"),
            (r#"{"gold":"4","pred":null}"#, "`null` is neither"),
            (r#"{"gold":"4","pred":"4","choices":[4]}"#, "no list of texts"),
        ] {
            let said = graded(row).unwrap_err();
            assert!(said.contains(part), "{said}");
        }
    }
}
