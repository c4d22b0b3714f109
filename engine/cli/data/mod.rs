//! `curricle data`: what recipes take from outside. One file per verb; all of it needs the feature `rows`.

#[cfg(feature = "rows")]
mod ls;
#[cfg(feature = "rows")]
mod pull;
#[cfg(feature = "rows")]
mod rows;
#[cfg(feature = "rows")]
mod sample;
#[cfg(feature = "rows")]
mod show;
#[cfg(feature = "rows")]
mod stats;
mod trace;

use crate::args::data::DataArgs;
use crate::exit::{Exit, Failure};
use crate::paint::Paint;

/// Does what was asked of data.
#[cfg(feature = "rows")]
pub fn run(args: &DataArgs, paint: Paint) -> Result<Exit, Failure> {
    use crate::args::data::DataVerb;

    match &args.what {
        DataVerb::Ls(ls) => ls::run(ls, args.json, paint),
        DataVerb::Trace(trace) => trace::run(trace, args.json, paint),
        DataVerb::Show(show) => show::run(show, args.json, paint),
        DataVerb::Pull(pull) => pull::run(pull, args.json, paint),
        DataVerb::Sample(sample) => sample::run(sample, args.json, paint),
        DataVerb::Stats(stats) => stats::run(stats, args.json, paint),
    }
}

/// Traces rows; of all else it says what this build lacks.
#[cfg(not(feature = "rows"))]
pub fn run(args: &DataArgs, paint: Paint) -> Result<Exit, Failure> {
    if let crate::args::data::DataVerb::Trace(trace) = &args.what {
        return trace::run(trace, args.json, paint);
    }
    let why = "this build of curricle reads no rows and reaches no hub; build with the default features, or `--features rows`";
    Err(Failure::new(Exit::Failed, why))
}
