//! `curricle data`: what recipes take from outside. One file per verb; whatever reads rows needs the feature `rows`.

mod ls;
#[cfg(feature = "rows")]
mod pull;
#[cfg(feature = "rows")]
mod rows;
#[cfg(feature = "rows")]
mod sample;
#[cfg(feature = "rows")]
mod stats;
mod trace;

use crate::args::data::{DataArgs, DataVerb};
use crate::exit::{Exit, Failure};
use crate::paint::Paint;

/// Does what was asked of data.
pub fn run(args: &DataArgs, paint: Paint) -> Result<Exit, Failure> {
    match &args.what {
        DataVerb::Ls(ls) => ls::run(ls, args.json, paint),
        DataVerb::Trace(trace) => trace::run(trace, args.json, paint),
        #[cfg(feature = "rows")]
        DataVerb::Pull(pull) => pull::run(pull, args.json, paint),
        #[cfg(feature = "rows")]
        DataVerb::Sample(sample) => sample::run(sample, args.json, paint),
        #[cfg(feature = "rows")]
        DataVerb::Stats(stats) => stats::run(stats, args.json, paint),
        #[cfg(not(feature = "rows"))]
        DataVerb::Pull(_) | DataVerb::Sample(_) | DataVerb::Stats(_) => Err(without_rows()),
    }
}

#[cfg(not(feature = "rows"))]
fn without_rows() -> Failure {
    let why = "this build of curricle reads no rows and reaches no hub; build with the default features, or `--features rows`";
    Failure::new(Exit::Failed, why)
}
