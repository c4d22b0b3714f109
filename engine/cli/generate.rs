//! `curricle generate`: rows in, the same rows with a model's answers out.

use std::time::Instant;

use curricle_stages::infer::{Completer, read};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::args::GenerateArgs;
use crate::exit::{Exit, Failure};
use crate::paint::Paint;

/// Completes every row and prints it, wave by wave: what is printed stays, whatever happens after.
pub fn run(args: &GenerateArgs, paint: Paint) -> Result<Exit, Failure> {
    let (rows, records) = read(&args.rows).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let completer = open(args)?;
    let sampling = completer.sampling(&args.sampling.wishes());
    let batch = args.batch.get();

    let bar = ProgressBar::new(rows.len() as u64).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} rows  {elapsed}<{eta}  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    if paint.quiet {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let (began, mut tokens, mut done) = (Instant::now(), 0, 0);
    for (rows, records) in rows.chunks(completer.wave(batch)).zip(records.chunks(completer.wave(batch))) {
        let completions = completer
            .complete(rows, done, &sampling, batch, args.sampling.seed)
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let mut lines = String::new();
        for (record, completion) in records.iter().zip(completions) {
            let mut columns = record.clone();
            tokens += completion.ids.len();
            let reason = if completion.finished { "stop" } else { "length" };
            columns.insert("text".into(), completer.text(&completion.ids).into());
            columns.insert("token_ids".into(), completion.ids.into());
            columns.insert("finish_reason".into(), reason.into());
            lines += &format!("{}\n", Value::Object(columns));
        }
        paint.data(&lines)?;
        done += rows.len();
        bar.set_position(done as u64);
        bar.set_message(format!("{:.0} tokens/s", tokens as f64 / began.elapsed().as_secs_f64()));
    }
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    paint.say(&format!("{done} rows, {tokens} tokens in {seconds:.1} s ({:.0} tokens/s)", tokens as f64 / seconds));
    Ok(Exit::Done)
}

fn open(args: &GenerateArgs) -> Result<Completer, Failure> {
    args.sampling.open(&args.model).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}
