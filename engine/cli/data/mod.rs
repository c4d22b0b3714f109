//! `curricle data`: what recipes take from outside. One file per verb; whatever reads rows needs the feature `rows`.

mod ls;
#[cfg(feature = "rows")]
mod rows;
#[cfg(feature = "rows")]
mod sample;
#[cfg(feature = "rows")]
mod stats;
mod trace;

use crate::args::{DataArgs, DataVerb};
use crate::exit::{Exit, Failure};
use crate::paint::Paint;

/// Does what was asked of data.
pub fn run(args: &DataArgs, paint: Paint) -> Result<Exit, Failure> {
    match &args.what {
        DataVerb::Ls(ls) => ls::run(ls, args.json, paint),
        DataVerb::Trace(trace) => trace::run(trace, args.json, paint),
        #[cfg(feature = "rows")]
        DataVerb::Sample(sample) => sample::run(sample, args.json, paint),
        #[cfg(feature = "rows")]
        DataVerb::Stats(stats) => stats::run(stats, args.json, paint),
        #[cfg(not(feature = "rows"))]
        DataVerb::Sample(_) | DataVerb::Stats(_) => Err(without_rows()),
    }
}

#[cfg(not(feature = "rows"))]
fn without_rows() -> Failure {
    let why = "this build of curricle reads no rows; build with the default features, or `--features rows`";
    Failure::new(Exit::Failed, why)
}
