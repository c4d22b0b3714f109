//! `curricle config`: a recipe in one piece, each value with the place that set it.

use curricle_engine::recipe::{Config, Line};
use curricle_stages::KINDS;

use crate::args::ConfigArgs;
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};

/// Furthest column at which origins stand below each other.
const COLUMN: usize = 64;

/// Prints the recipe.
pub fn run(args: &ConfigArgs, paint: Paint) -> Result<Exit, Failure> {
    let mut config = Config::load(&args.recipe, &args.layers.overrides())?;
    if args.resolved {
        config = config.resolved(KINDS)?;
    }
    if args.json {
        paint.json(&config.to_json())?;
    } else {
        paint.data(&text(&config.lines(args.origin), args.origin, paint))?;
    }
    Ok(Exit::Done)
}

fn text(lines: &[Line], origin: bool, paint: Paint) -> String {
    let mut text = String::new();
    for block in lines.chunk_by(|_, next| next.origin.is_some()) {
        let width = block.iter().filter(|line| line.origin.is_some()).map(|line| line.text.chars().count());
        let width = width.filter(|width| *width <= COLUMN).max().unwrap_or_default();
        for line in block {
            match &line.origin {
                Some(who) if origin => {
                    let pad = " ".repeat(width.saturating_sub(line.text.chars().count()));
                    text += &format!("{}{pad}  {}", line.text, paint.out_tint(Tint::Dim, &format!("# {who}")));
                }
                None if line.text.starts_with('[') => text += &paint.out_tint(Tint::Bold, &line.text),
                _ => text += &line.text,
            }
            text.push('\n');
        }
    }
    text.trim_start_matches('\n').to_owned()
}
