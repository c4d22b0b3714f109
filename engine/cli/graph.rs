//! `curricle graph`: a recipe's stages as a drawing.

use curricle_engine::graph::render::{self, Format};

use crate::args::{GraphArgs, GraphFormat};
use crate::exit::{Exit, Failure};
use crate::paint::Paint;

/// Prints the drawing.
pub fn run(args: &GraphArgs, paint: Paint) -> Result<Exit, Failure> {
    let (_, checked) = crate::check::graph(&args.recipe, paint)?;
    let format = match args.format {
        GraphFormat::Mermaid => Format::Mermaid,
        GraphFormat::Dot => Format::Dot,
        GraphFormat::Text => Format::Text,
    };
    paint.data(&render::render(&checked.graph, format))?;
    Ok(Exit::Done)
}
