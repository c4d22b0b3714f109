//! `curricle estimate`: what the stages that `run` would start would cost; and the line of it that `plan` shows.

use std::path::Path;

use curricle_engine::estimate::{Estimates, Machine, Misfit, StageEstimate, Time, bytes, estimate, fit};
use curricle_engine::fs;
use curricle_engine::graph::Graph;
use curricle_engine::plan::Plan;
use curricle_engine::report::duration;
use curricle_engine::store::Store;
use curricle_stages::device;

use crate::args::EstimateArgs;
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};
use crate::{check, plan};

/// Estimates a recipe.
pub fn run(args: &EstimateArgs, paint: Paint) -> Result<Exit, Failure> {
    let (_, checked) = check::graph(&args.recipe, paint)?;
    let store = Store::open(&args.store.folder(&args.recipe.tiny));
    let plan = plan::make(&checked.graph, &store, &args.select)?;
    let (machine, estimates) = make(&checked.graph, &plan, &store)?;
    if args.json {
        let mut document = estimates.to_json(&plan.recipe);
        document["misfits"] = misfits(&estimates, &machine, &store).into();
        paint.json(&document)?;
    } else {
        paint.data(&text(&plan, &estimates, &machine, &store, paint))?;
    }
    Ok(Exit::Done)
}

/// What a plan would cost on this machine.
pub fn make(graph: &Graph, plan: &Plan, store: &Store) -> Result<(Machine, Estimates), Failure> {
    if plan.to_run().next().is_none() {
        return Ok((Machine::default(), Estimates::default()));
    }
    let machine = Machine::here();
    let estimates = estimate(graph, plan, store, &machine, &device::on_gpu);
    let estimates =
        estimates.map_err(|error| Failure::new(Exit::Store, format!("{error}\n  help: {}", error.help())))?;
    Ok((machine, estimates))
}

/// Ends here what can't fit this machine, before anything has started; `forced` only says so.
pub fn demand(
    estimates: &Estimates,
    machine: &Machine,
    store: &Store,
    forced: bool,
    paint: Paint,
) -> Result<(), Failure> {
    let found = fit(estimates, machine, free(store));
    let Some(first) = found.first() else { return Ok(()) };
    let lines = shortened(&found);
    if forced {
        paint.say(&format!("starting all the same: {}", lines.join("; ")));
        return Ok(());
    }
    Err(Failure::new(Exit::Invalid, format!("{}\n  help: {}", lines.join("\n"), first.help())))
}

/// `about 3 min 20 s (time of 8 of 9 stages known), 1.2 GB on disk`; empty where nothing is known.
pub fn line(estimates: &Estimates) -> String {
    let total = estimates.total();
    let mut parts = Vec::new();
    if total.timed > 0 {
        let of = if total.timed < total.stages {
            format!(" for {} of {} stages", total.timed, total.stages)
        } else {
            String::new()
        };
        parts.push(format!("{}{of}", duration(total.seconds)));
    }
    if total.memory > 0 {
        parts.push(format!("{} of memory", bytes(total.memory)));
    }
    if total.output_bytes > 0 {
        parts.push(format!("{} on disk", bytes(total.output_bytes)));
    }
    if parts.is_empty() { String::new() } else { format!("about {}; more: curricle estimate\n", parts.join(", ")) }
}

fn free(store: &Store) -> Option<u64> {
    fs::free_space(Path::new(store.root()))
}

fn misfits(estimates: &Estimates, machine: &Machine, store: &Store) -> Vec<String> {
    shortened(&fit(estimates, machine, free(store)))
}

/// What does not fit, the first few in full.
fn shortened(found: &[Misfit]) -> Vec<String> {
    const SPELLED: usize = 3;
    let mut lines: Vec<String> = found.iter().take(SPELLED).map(ToString::to_string).collect();
    if found.len() > SPELLED {
        lines.push(format!("and {} more", found.len() - SPELLED));
    }
    lines
}

/// A line per stage, what is behind its peak of memory and its time, and the totals.
fn text(plan: &Plan, estimates: &Estimates, machine: &Machine, store: &Store, paint: Paint) -> String {
    if estimates.stages.is_empty() {
        return format!("{}\n", plan.summary());
    }
    let head = ["stage", "kind", "parameters", "trained", "memory", "operations", "tokens", "disk", "time"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(estimates.stages.iter().map(cells));
    let total = estimates.total();
    rows.push([
        "total".to_owned(),
        String::new(),
        String::new(),
        String::new(),
        some(total.memory > 0, bytes(total.memory)),
        some(total.counted > 0, format!("{}{}", count(total.flops), of(total.counted, total.stages))),
        some(total.counted > 0, count(total.tokens)),
        some(total.weighed > 0, format!("{}{}", bytes(total.output_bytes), of(total.weighed, total.stages))),
        some(total.timed > 0, format!("{}{}", duration(total.seconds), of(total.timed, total.stages))),
    ]);
    let mut text = aligned(&rows, paint);
    for (names, lines) in grouped(&estimates.stages) {
        text += &format!("\n{}\n", paint.out_tint(Tint::Bold, &names.join(", ")));
        for line in lines {
            text += &format!("  {line}\n");
        }
    }
    text += &format!("\n{}\n", plan.summary());
    if let Some(there) = machine.memory {
        let disk = free(store).map_or_else(String::new, |free| format!(", {} of disk free", bytes(free)));
        text += &format!("this machine: {} of memory{disk}\n", bytes(there));
    }
    for misfit in misfits(estimates, machine, store) {
        text += &format!("{} {misfit}\n", paint.out_tint(Tint::Red, "does not fit:"));
    }
    text
}

fn cells(stage: &StageEstimate) -> [String; 9] {
    let estimate = &stage.estimate;
    let or = |known: Option<String>| known.unwrap_or_else(|| "?".to_owned());
    let parameters = |number: u64| count(number as f64);
    let compute = estimate.parameters.is_some();
    let blank = |text: String| if compute || text != "?" { text } else { String::new() };
    [
        stage.name.clone(),
        stage.kind.to_owned(),
        blank(or(estimate.parameters.map(parameters))),
        estimate.trained.map(parameters).unwrap_or_default(),
        or(estimate
            .peak()
            .map(|phase| format!("{}{}", if estimate.bound { "≤ " } else { "" }, bytes(phase.memory.total())))),
        blank(or(estimate.flops.map(count))),
        blank(or(estimate.tokens.map(count))),
        or(estimate.output_bytes.map(bytes)),
        stage.time.map_or_else(|| "?".to_owned(), |time| format!("~ {}", duration(time.seconds))),
    ]
}

/// What is behind each stage's numbers; stages of which the same is said stand together.
fn grouped(stages: &[StageEstimate]) -> Vec<(Vec<&str>, Vec<String>)> {
    let mut groups: Vec<(Vec<&str>, Vec<String>)> = Vec::new();
    for stage in stages {
        let mut lines = details(stage);
        lines.extend(stage.estimate.notes.iter().cloned());
        match groups.iter_mut().find(|(_, said)| *said == lines) {
            Some((names, _)) => names.push(&stage.name),
            None => groups.push((vec![&stage.name], lines)),
        }
    }
    groups
}

/// What the peak consists of, and what the time follows from.
fn details(stage: &StageEstimate) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(peak) = stage.estimate.peak() {
        let parts = peak.memory.parts().into_iter().filter(|(_, size)| *size > 0);
        let parts: Vec<_> = parts.map(|(name, size)| format!("{name} {}", bytes(size))).collect();
        let where_to = if stage.gpu { " of GPU memory, which nobody here knows the size of" } else { "" };
        lines.push(format!("memory at the peak ({}): {}{where_to}", peak.name, parts.join(", ")));
    }
    if let Some(size) = stage.estimate.checkpoint_bytes.filter(|size| *size > 0) {
        lines.push(format!("checkpoints: {} on disk while it runs", bytes(size)));
    }
    lines.push(match stage.time {
        Some(time) => basis(&time),
        None if stage.estimate.work().is_none() => "no time: its work is unknown".to_owned(),
        None => "no time: no earlier run of such a stage on this device".to_owned(),
    });
    lines
}

/// `~ 21 s from 4 earlier runs, off by 8 % on average`.
fn basis(time: &Time) -> String {
    let plural = if time.runs == 1 { "" } else { "s" };
    let whose = if time.same_stage { "of this stage" } else { "of its kind" };
    let size = if time.like_size { "" } else { ", of another size" };
    let percent = |error: f64| format!("{:.0} %", error * 100.0);
    let error = match time.error {
        Some(error) => format!("; such times were off by {} on average", percent(error)),
        None => "; nothing was expected of them, so how far off this is nobody knows".to_owned(),
    };
    let memory = time.memory_error.map_or_else(String::new, |error| format!(", peaks of memory by {}", percent(error)));
    format!("~ {} from {} earlier run{plural} {whose}{size}{error}{memory}", duration(time.seconds), time.runs)
}

fn some(known: bool, text: String) -> String {
    if known { text } else { "?".to_owned() }
}

fn of(part: usize, all: usize) -> String {
    if part < all { format!(" ({part} of {all})") } else { String::new() }
}

/// `1.36e8` as `136 M`: three digits of a power of 1000.
fn count(number: f64) -> String {
    const UNITS: [&str; 9] = ["", " k", " M", " G", " T", " P", " E", " Z", " Y"];
    let (mut value, mut unit) = (number, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$}{}", UNITS[unit])
}

/// Rows of cells in columns; names on the left, numbers on the right.
fn aligned(rows: &[[String; 9]], paint: Paint) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            let pad = " ".repeat(width - cell.chars().count());
            if column < 2 { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        let tint = if index == 0 { Tint::Dim } else { Tint::Bold };
        let edge = index == 0 || index + 1 == rows.len();
        text += &if edge { paint.out_tint(tint, line) } else { line.to_owned() };
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let expected = [(0.0, "0"), (512.0, "512"), (46_312.0, "46.3 k"), (136_049_280.0, "136 M"), (8.29e9, "8.29 G")];
        for (number, text) in expected {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn a_time_says_what_it_follows_from() {
        let time =
            |error, runs| Time { seconds: 21.3, runs, same_stage: true, like_size: true, error, memory_error: None };
        let text = "~ 21 s from 4 earlier runs of this stage; such times were off by 8 % on average";
        assert_eq!(basis(&time(Some(0.0812), 4)), text);
        assert!(basis(&time(None, 1)).contains("1 earlier run of this stage; nothing was expected"));
    }
}
