//! Verb → the file that does it. Knows every verb's name and nothing of what any does.

use crate::args::Verb;
use crate::exit::{Exit, Failure};
use crate::paint::Paint;
use crate::{
    adopt, cache, check, completions, compute, config, data, diff, estimate, explain, fmt, grade, graph, init, kinds,
    lock, plan, report, run, schema, verify, verify_model, worker,
};

/// Does what was asked.
pub fn call(verb: &Verb, paint: Paint) -> Result<Exit, Failure> {
    match verb {
        Verb::Check(args) => check::run(args, paint),
        Verb::Graph(args) => graph::run(args, paint),
        Verb::Kinds(args) => kinds::run(args, paint),
        Verb::Fmt(args) => fmt::run(args, paint),
        Verb::Schema => schema::run(paint),
        Verb::Completions(args) => completions::run(args, paint),
        Verb::Init(args) => init::run(args, paint),
        Verb::Plan(args) => plan::run(args, paint),
        Verb::Estimate(args) => estimate::run(args, paint),
        Verb::Run(args) => run::run(args, paint),
        Verb::Explain(args) => explain::run(args, paint),
        Verb::Config(args) => config::run(args, paint),
        Verb::Data(args) => data::run(args, paint),
        Verb::Diff(args) => diff::run(args, paint),
        Verb::Lock(args) => lock::run(args, paint),
        Verb::Cache(args) => cache::run(args, paint),
        Verb::Verify(args) => verify::run(args, paint),
        Verb::Adopt(args) => adopt::run(args, paint),
        Verb::Report(args) => report::run(args, paint),
        Verb::Generate(args) => compute::generate(args, paint),
        Verb::Chat(args) => compute::chat(args, paint),
        Verb::Grade(args) => grade::run(args, paint),
        Verb::VerifyModel(args) => verify_model::run(args, paint),
        Verb::Worker => Ok(worker::run()),
    }
}
