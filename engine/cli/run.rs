//! `curricle run`: trains what is not there yet, and reports.

use std::io::{IsTerminal, Write};
use std::path::Path;

use curricle_engine::exec::{
    Executor, InProcess, Interrupt, Ledger, Outcome, Receipt, Run, RunEvent, Subprocess, execute, preflight,
};
use curricle_engine::fs::{self, Appender};
use curricle_engine::report::{Report, TINY, build, duration, table};
use curricle_engine::store::Store;
use curricle_stages::{KINDS, device};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::RunArgs;
use crate::bars::Bars;
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};
use crate::{check, estimate, fetch, lock, plan};

/// Runs a recipe.
pub fn run(args: &RunArgs, paint: Paint) -> Result<Exit, Failure> {
    let mut recipe_args = args.recipe.clone();
    if args.tui {
        recipe_args.layers.set.push("runtime.tui=true".into());
    }
    let (recipe, checked) = check::graph(&recipe_args, paint)?;
    let store = Store::open(&args.store.folder(&args.recipe.tiny));
    let plan = plan::make(&checked.graph, &store, &args.select)?;
    if args.locked {
        lock::enforce(&args.recipe.recipe, &checked.graph, &plan)?;
    }
    if args.dry_run {
        let (_, estimates) = estimate::make(&checked.graph, &plan, &store)?;
        paint.data(&(plan::text(&plan, &checked.graph, paint) + &estimate::line(&estimates)))?;
        return Ok(plan::exit(&plan, &checked.graph, args.exit_code));
    }
    // What comes from the hub is known only when it is here: its commit, its types, and so what has to run.
    let again = || {
        let (recipe, checked) =
            check::load(&recipe_args.recipe, &recipe_args.layers, recipe_args.strict, &recipe_args.tiny)?;
        let plan = plan::make(&checked.graph, &store, &args.select)?;
        if args.locked {
            lock::enforce(&args.recipe.recipe, &checked.graph, &plan)?;
        }
        Ok((recipe, checked, plan))
    };
    let (recipe, checked, mut plan) = fetch::missing((recipe, checked, plan), &again, paint)?;
    let graph = &checked.graph;
    preflight(graph, &plan, &device::available)
        .map_err(|error| Failure::new(Exit::Invalid, format!("{error}\n  help: {}", error.help())))?;
    let (machine, estimates) = estimate::make(graph, &plan, &store)?;
    estimate::demand(&estimates, &machine, &store, args.force_fit, paint)?;
    plan.expected = estimates.expected();
    paint.say(&format!("{}: {}", plan.recipe, plan.summary()));

    let failed = |error: fs::FsError| Failure::new(Exit::Store, error.to_string());
    let mut ledger = Ledger::create(&args.store.folder(&args.recipe.tiny), graph.name()).map_err(failed)?;
    let (dir, logs) = (ledger.dir().to_owned(), ledger.logs());
    // A dashboard needs this terminal, and only one stage can have it.
    let dashboard = plan.to_run().any(|step| graph.stage(step.stage).runtime.tui) && has_screen(paint);
    let mut bars = Bars::new(args.progress, paint, dashboard);
    let mut events = EventSink::open(args.events.as_deref())?;
    let interrupt = Interrupt::new();
    listen(&interrupt, paint)?;
    let jobs = if dashboard { 1 } else { args.jobs.map(usize::from).or(recipe.jobs()).unwrap_or(1) };
    let executor = executor(dashboard)?;
    let run = Run {
        graph,
        plan: &plan,
        store: &store,
        executor: &*executor,
        interrupt: &interrupt,
        jobs,
        keep_going: args.keep_going,
        logs: &logs,
    };
    let mut trouble = None;
    let receipt = execute(&run, &mut |event| {
        bars.show(&event);
        if let Err(error) = ledger.record(&event).and_then(|()| events.record(&event)) {
            trouble.get_or_insert(error);
        }
    });
    ledger.finish(&receipt).map_err(failed)?;
    if let Some(error) = trouble {
        return Err(failed(error));
    }
    conclude(args, &receipt, &dir, paint)
}

/// Says what came of it: the report, where things lie, and how to go on.
fn conclude(args: &RunArgs, receipt: &Receipt, dir: &Path, paint: Paint) -> Result<Exit, Failure> {
    let report = build(receipt).map_err(|error| Failure::new(Exit::Store, error.to_string()))?;
    for (name, text) in [("report.md", report.to_markdown()), ("report.html", report.to_html())] {
        fs::write(&dir.join(name), text).map_err(|error| Failure::new(Exit::Store, error.to_string()))?;
    }
    if args.json {
        let receipt = serde_json::to_value(receipt).unwrap_or_default();
        paint.json(&receipt)?;
    } else if !paint.quiet && args.events.as_deref() != Some("ndjson") {
        paint.data(&text(&report, receipt, dir, paint))?;
    }
    match receipt.outcome {
        Outcome::Interrupted { .. } => paint.complain(&format!("interrupted; resume with: {}", command_line())),
        Outcome::Failed | Outcome::StoreTrouble => {
            paint.say(&format!("logs are in {}; what is done is kept", dir.join("logs").display()));
        }
        Outcome::GateNotMet => {
            paint.say("a gate is not met: what is behind it did not start; `--ignore-gates` runs it all the same");
        }
        Outcome::Done => {}
    }
    Ok(match receipt.outcome {
        Outcome::Done => Exit::Done,
        Outcome::Failed => Exit::Failed,
        Outcome::GateNotMet => Exit::Gate,
        Outcome::StoreTrouble => Exit::Store,
        Outcome::Interrupted { signal: SIGTERM } => Exit::Terminated,
        Outcome::Interrupted { .. } => Exit::Interrupted,
    })
}

fn text(report: &Report, receipt: &Receipt, dir: &Path, paint: Paint) -> String {
    let mut text = if report.is_folded() { table(&report.variant_rows()) } else { String::new() };
    let width = receipt.stages.iter().map(|stage| stage.stage.chars().count()).max().unwrap_or_default();
    for stage in receipt.stages.iter().filter(|_| !report.is_folded()) {
        let pad = " ".repeat(width - stage.stage.chars().count());
        let time = stage.wall_s.map_or_else(String::new, duration);
        let place = stage.artifact.as_deref().map_or_else(String::new, |path| relative(path).display().to_string());
        let line = format!("{}{pad}  {:<12}  {time:>12}  {place}", stage.stage, stage.status.word());
        text += line.trim_end();
        text.push('\n');
    }
    if report.is_folded() {
        report.troubles().iter().for_each(|line| text += &format!("{line}\n"));
    }
    text += &report.to_summary();
    if report.tiny {
        text += &format!("\n{}\n", paint.out_tint(Tint::Yellow, TINY));
    }
    let all_reused = receipt.stages.iter().all(|stage| stage.status == curricle_engine::exec::Status::Reused);
    let how = if all_reused { "everything reused" } else { "run" };
    let took = format!("{how}, {}", duration(receipt.wall_s));
    text + &format!(
        "\n{}; report: {}\n",
        paint.out_tint(Tint::Bold, &took),
        relative(&dir.join("report.html")).display()
    )
}

fn relative(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}

/// Can a dashboard be drawn on standard output? Says so where it can't.
fn has_screen(paint: Paint) -> bool {
    let screen = std::io::stdout().is_terminal();
    if !screen {
        paint.say("no dashboard: standard output is no terminal; going on with plain lines");
    }
    screen
}

fn executor(dashboard: bool) -> Result<Box<dyn Executor>, Failure> {
    if dashboard {
        return Ok(Box::new(InProcess { kinds: KINDS }));
    }
    let program = std::env::current_exe()?;
    Ok(Box::new(Subprocess { program, args: vec!["worker".into()] }))
}

/// Turns signals into a wish to stop: the first asks, the second insists, the third ends this process at once.
fn listen(interrupt: &Interrupt, paint: Paint) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let interrupt = interrupt.clone();
    std::thread::spawn(move || {
        for signal in &mut signals {
            if interrupt.insisted() {
                std::process::exit(128 + signal);
            }
            interrupt.raise(signal);
            if interrupt.insisted() {
                paint.complain("stopping at once");
            } else {
                paint.complain("stopping at the next step; once more to stop at once");
            }
        }
    });
    Ok(())
}

/// The command that was typed, fit to be typed again.
fn command_line() -> String {
    let plain =
        |word: &String| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./=:,@%+".contains(c));
    let quoted = |word: String| if plain(&word) { word } else { format!("'{}'", word.replace('\'', r"'\''")) };
    let words = std::env::args().skip(1).map(quoted);
    std::iter::once("curricle".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// `--events`: where else events go.
enum EventSink {
    Nowhere,
    Output,
    File(Appender),
}

impl EventSink {
    fn open(option: Option<&str>) -> Result<Self, Failure> {
        match option {
            None => Ok(Self::Nowhere),
            Some("ndjson") => Ok(Self::Output),
            Some(other) => match other.strip_prefix("ndjson:") {
                Some(path) if !path.is_empty() => Appender::open(Path::new(path))
                    .map(Self::File)
                    .map_err(|error| Failure::new(Exit::Failed, error.to_string())),
                _ => {
                    Err(Failure::new(Exit::Usage, format!("`--events` takes `ndjson` or `ndjson:FILE`, not `{other}`")))
                }
            },
        }
    }

    fn record(&mut self, event: &RunEvent) -> Result<(), fs::FsError> {
        let line = || serde_json::to_string(event).unwrap_or_default();
        match self {
            Self::Nowhere => {}
            // A reader that went away stops nothing: the run and its ledger go on.
            Self::Output => drop(writeln!(std::io::stdout().lock(), "{}", line())),
            Self::File(file) => file.line(&line())?,
        }
        Ok(())
    }
}
