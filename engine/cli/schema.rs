//! `curricle schema`: the JSON Schema of recipes, for editors.

use curricle_engine::recipe;
use curricle_stages::KINDS;

use crate::exit::{Exit, Failure};
use crate::paint::Paint;

/// Prints the schema.
pub fn run(paint: Paint) -> Result<Exit, Failure> {
    paint.json(&recipe::schema(KINDS))?;
    Ok(Exit::Done)
}
