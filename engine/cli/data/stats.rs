//! `curricle data stats`: what can be counted of rows.

use curricle_stages::data::{Spread, Stats};
use serde_json::json;

use super::rows;
use crate::args::data::StatsArgs;
use crate::exit::{Exit, Failure};
use crate::paint::Paint;
use crate::table::table;

/// Counts rows.
pub fn run(args: &StatsArgs, as_json: bool, paint: Paint) -> Result<Exit, Failure> {
    let (path, view) = rows::find(&args.rows)?;
    let stats = curricle_stages::data::stats(&path, &view, args.tokenizer.as_deref(), args.images)
        .map_err(|error| rows::failed(&error))?;
    if as_json {
        paint.json(&json!({ "schema_version": 1, "data": args.rows.data, "stats": stats }))?;
    } else {
        paint.data(&text(&stats, paint))?;
    }
    Ok(Exit::Done)
}

fn text(stats: &Stats, paint: Paint) -> String {
    let mut text = format!("{} rows, {} with images\n", stats.rows, stats.with_images);
    if stats.groups > 0 {
        text += &format!("{} groups\n", stats.groups);
    }
    let heads = ["", "ROWS", "MIN", "MEAN", "MEDIAN", "P95", "MAX", "SUM"];
    let mut lines = vec![heads.map(str::to_owned).to_vec()];
    let chars = stats.chars.iter().map(|(field, spread)| (format!("{field}, characters"), spread));
    let tokens = stats.tokens.iter().map(|(field, spread)| (format!("{field}, tokens"), spread));
    let images = [("images of a row", stats.images), ("image width", stats.width), ("image height", stats.height)];
    let images = images.iter().filter(|_| stats.with_images > 0).map(|(name, spread)| ((*name).to_owned(), spread));
    for (name, spread) in chars.chain(tokens).chain(images) {
        lines.push(line(name, spread));
    }
    text += &format!("\n{}", table(&lines, &[1, 2, 3, 4, 5, 6, 7], paint));
    let counted = |title: &str, counts: Vec<(String, usize)>| {
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1);
        let mut lines = vec![vec![title.to_owned(), "ROWS".to_owned()]];
        lines.extend(counts.into_iter().map(|(name, count)| {
            let bar = "▪".repeat((count * 30).div_ceil(most));
            vec![name, count.to_string(), bar]
        }));
        if lines.len() > 1 { format!("\n{}", table(&lines, &[1], paint)) } else { String::new() }
    };
    text += &counted("TASK", stats.tasks.iter().map(|(task, count)| (task.clone(), *count)).collect());
    text += &counted("LEVEL", stats.levels.iter().map(|(level, count)| (level.to_string(), *count)).collect());
    if stats.broken_count > 0 {
        text += &format!("\n{} images can't be read:\n", stats.broken_count);
        stats.broken.iter().for_each(|line| text += &format!("  {line}\n"));
    }
    text
}

fn line(name: String, spread: &Spread) -> Vec<String> {
    let Spread { count, min, mean, median, p95, max, sum } = spread;
    let rest = [min, median, p95, max, sum].map(ToString::to_string);
    let [min, median, p95, max, sum] = rest;
    vec![name, count.to_string(), min, format!("{mean:.1}"), median, p95, max, sum]
}
