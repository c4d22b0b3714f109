//! `curricle plan`: what `run` would do, and why.

use curricle_engine::gate::{GateRecord, Verdict};
use curricle_engine::graph::Graph;
use curricle_engine::plan::{Decision, Force, Options, Plan, PlanError, plan};
use curricle_engine::report::TINY;
use curricle_engine::store::Store;

use crate::args::{PlanArgs, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};
use crate::{check, effect, estimate, lock, tree};

/// Plans a recipe and prints the plan.
pub fn run(args: &PlanArgs, paint: Paint) -> Result<Exit, Failure> {
    let (_, checked) = check::graph(&args.recipe, paint)?;
    let store = Store::open(&args.store.folder(&args.recipe.tiny));
    let plan = make(&checked.graph, &store, &args.select)?;
    if args.locked {
        lock::enforce(&args.recipe.recipe, &checked.graph, &plan)?;
    }
    if let Some(revision) = &args.diff {
        return effect::run(args, revision, &checked, &plan, paint);
    }
    let (_, estimates) = estimate::make(&checked.graph, &plan, &store)?;
    if args.json {
        let mut document = plan.to_json(&checked.graph);
        document["estimate"] = estimates.total_json();
        paint.json(&document)?;
    } else {
        paint.data(&(text(&plan, &checked.graph, paint) + &estimate::line(&estimates)))?;
    }
    Ok(exit(&plan, &checked.graph, args.exit_code))
}

/// The plan that the command line asks for; `run` and `explain` take it from here too.
pub fn make(graph: &Graph, store: &Store, select: &SelectArgs) -> Result<Plan, Failure> {
    let force = match select.force.as_slice() {
        [] => Force::Nothing,
        names if names.iter().any(|name| name == "*") => Force::All,
        names => Force::Stages(names.to_vec()),
    };
    let options = Options {
        arms: select.arm.clone(),
        only: select.only.clone(),
        from: select.from.clone(),
        until: select.until.clone(),
        downstream: select.downstream,
        force,
        ignore_gates: select.ignore_gates,
    };
    plan(graph, store, &options).map_err(|error| failure(&error))
}

/// If that was asked for: 4 if there is work, 5 if a gate keeps what there is from starting; else 0.
pub fn exit(plan: &Plan, graph: &Graph, wanted: bool) -> Exit {
    match wanted {
        true if plan.summary().to_run() > 0 => Exit::Pending,
        true if plan.gates.records(graph).iter().any(GateRecord::stops) => Exit::Gate,
        _ => Exit::Done,
    }
}

/// The plan for people: a tree of arms, or a table where there is one recipe and no more.
pub fn text(plan: &Plan, graph: &Graph, paint: Paint) -> String {
    let tiny = if graph.is_tiny() { format!("{}\n\n", paint.out_tint(Tint::Yellow, TINY)) } else { String::new() };
    let stages = if graph.arms().len() > 1 { tree::text(plan, graph, paint) } else { table(plan, graph, paint) };
    let gates = gates(plan, graph, paint);
    let missing = match plan.missing().len() {
        0 => String::new(),
        count => format!("; {count} missing inputs keep it from running here"),
    };
    format!("{tiny}{stages}{gates}\n{}{missing}\n", plan.summary())
}

/// The plan as a table: a line per stage, a further one for every further reason.
fn table(plan: &Plan, graph: &Graph, paint: Paint) -> String {
    let width = plan.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for step in &plan.steps {
        let (word, tint, why) = match &step.decision {
            Decision::Reuse => ("reuse", Tint::Green, step.adopted().map(ToString::to_string).into_iter().collect()),
            Decision::Skip => ("skip ", Tint::Dim, vec!["not selected".to_owned()]),
            Decision::Share(with) => ("reuse", Tint::Green, vec![format!("same work as `{}`", plan.step(*with).name)]),
            Decision::Run(reasons) => ("run  ", Tint::Yellow, reasons.iter().map(ToString::to_string).collect()),
            Decision::Hold { gate, .. } => {
                let gate = plan.gates.record(graph, *gate);
                ("held ", Tint::Red, vec![format!("gate `{}` is {}", gate.gate, gate.words())])
            }
        };
        let mut why = why.into_iter();
        let pad = " ".repeat(width - step.name.chars().count());
        let name = paint.out_tint(Tint::Bold, &step.name);
        let (word, key) = (paint.out_tint(tint, word), paint.out_tint(Tint::Dim, &step.key.short()));
        let first = why.next().unwrap_or_default();
        text += format!("{name}{pad}  {word}  {key}  {first}").trim_end();
        text.push('\n');
        for more in why {
            text += &format!("{}{more}\n", " ".repeat(width + 2 + 5 + 2 + 8 + 2));
        }
    }
    text
}

/// A line per gate: what came of it, as far as that is known before the run.
fn gates(plan: &Plan, graph: &Graph, paint: Paint) -> String {
    let records = plan.gates.records(graph);
    let width = records.iter().map(|one| one.gate.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for one in &records {
        let tint = match one.verdict() {
            Some(Verdict::Met) => Tint::Green,
            Some(_) if one.stops() => Tint::Red,
            _ => Tint::Yellow,
        };
        let pad = " ".repeat(width - one.gate.chars().count());
        let (name, words) = (paint.out_tint(Tint::Bold, &one.gate), paint.out_tint(tint, &one.words()));
        let waiting = if one.is_open() || one.holds.is_empty() {
            String::new()
        } else {
            format!("; {} wait{}", one.holds.join(", "), if one.holds.len() == 1 { "s" } else { "" })
        };
        text += &format!("gate {name}{pad}  {words}: {}{waiting}\n", one.why());
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn failure(error: &PlanError) -> Failure {
    let exit = match error.exit_code() {
        2 => Exit::Usage,
        3 => Exit::Invalid,
        _ => Exit::Store,
    };
    let help = error.help().map_or_else(String::new, |help| format!("\n  help: {help}"));
    Failure::new(exit, format!("{error}{help}"))
}
