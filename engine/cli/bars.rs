//! Events → what a person watches: a bar per running stage on a terminal, plain and rarer lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use curricle_engine::exec::{Happening, RunEvent};
use curricle_engine::gate::{OnFail, Verdict};
use curricle_engine::report::duration;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Progress;
use crate::paint::{Paint, Tint};

/// Shortest time between two plain lines of one stage.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// Metrics worth a place on the line, in this order; the first three that a stage reports.
const SHOWN: [&str; 6] = ["loss", "reward", "accuracy", "kl", "tokens_per_s", "items_per_s"];

/// Shows a run.
pub struct Bars {
    paint: Paint,
    multi: Option<MultiProgress>,
    by_stage: BTreeMap<String, ProgressBar>,
    spoke: BTreeMap<String, Instant>,
    silent: bool,
    /// A dashboard has the terminal while a stage runs: only what comes before and after a stage is said.
    dashboard: bool,
    /// Alerts of the stage that the dashboard shows.
    held: Vec<RunEvent>,
}

impl Bars {
    /// As the command line and the terminal want it.
    pub fn new(how: Progress, paint: Paint, dashboard: bool) -> Self {
        let bars = match how {
            _ if dashboard => false,
            Progress::Auto => std::io::stderr().is_terminal(),
            Progress::Bar => true,
            Progress::Plain | Progress::None => false,
        };
        let multi =
            (bars && !paint.quiet).then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self {
            paint,
            multi,
            by_stage: BTreeMap::new(),
            spoke: BTreeMap::new(),
            silent: paint.quiet || how == Progress::None,
            dashboard,
            held: Vec::new(),
        }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: &RunEvent) {
        match &event.what {
            Happening::GateJudged { .. } => self.gate(&event.what),
            Happening::RunStarted { .. }
            | Happening::RunFinished { .. }
            | Happening::StageCheckpoint { .. }
            | Happening::StageMemory { .. } => {}
            Happening::StageResumed { .. } | Happening::StageProgress { .. } | Happening::StageLog { .. }
                if self.dashboard => {}
            Happening::StageAlert { .. } if self.dashboard => self.held.push(event.clone()),
            Happening::StageReused { stage, .. } => self.say(stage, Tint::Green, "reused"),
            Happening::StageStarted { stage, reasons, .. } => {
                self.say(stage, Tint::Yellow, &format!("runs: {}", reasons.join("; ")));
                self.open(stage);
            }
            Happening::StageResumed { stage, step, .. } => {
                self.say(stage, Tint::Yellow, &format!("goes on after step {step}"));
            }
            Happening::StageProgress { stage, step, total, metrics, .. } => {
                self.progress(stage, *step, *total, metrics);
            }
            Happening::StageAlert { .. } => self.alert(&event.what),
            Happening::StageLog { stage, message, .. } => self.say(stage, Tint::Dim, message),
            Happening::StageFinished { stage, wall_s, .. } => {
                self.close(stage);
                self.say(stage, Tint::Green, &format!("done in {}", duration(*wall_s)));
            }
            Happening::StageFailed { stage, message, .. } => {
                self.close(stage);
                self.always(&format!("{} stage `{stage}` failed: {message}", self.paint.err_tint(Tint::Red, "error:")));
            }
            Happening::StageInterrupted { stage, step, .. } => {
                self.close(stage);
                let what = match step {
                    0 => "stopped before its first step".to_owned(),
                    step => format!("stopped after step {step}; its checkpoint is kept"),
                };
                self.say(stage, Tint::Yellow, &what);
            }
            Happening::StageSkipped { stage, because, .. } => {
                self.say(stage, Tint::Yellow, &format!("skipped: {because}"));
            }
        }
    }

    fn gate(&self, what: &Happening) {
        let Happening::GateJudged { gate, verdict, on_fail, ignored, message, .. } = what else { return };
        let name = format!("gate {gate}");
        match (verdict, on_fail) {
            (Verdict::Met, _) => self.say(&name, Tint::Green, &format!("met: {message}")),
            (_, OnFail::Stop) if !ignored => {
                let tinted = self.paint.err_tint(Tint::Red, &format!("[{name}]"));
                self.always(&format!("{tinted} {}: {message}", verdict.words()));
            }
            _ => {
                let why = if *ignored { "ignored" } else { "only warns" };
                self.say(&name, Tint::Yellow, &format!("{}, {why}: {message}", verdict.words()));
            }
        }
    }

    fn open(&mut self, stage: &str) {
        let Some(multi) = &self.multi else { return };
        let template = "  {prefix:.bold} {bar:24.cyan/dim} {pos:>5}/{len} {msg}  {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = multi.add(ProgressBar::new(0).with_style(style).with_prefix(stage.to_owned()));
        bar.enable_steady_tick(Duration::from_millis(500));
        self.by_stage.insert(stage.to_owned(), bar);
    }

    fn close(&mut self, stage: &str) {
        if let Some(bar) = self.by_stage.remove(stage) {
            bar.finish_and_clear();
        }
        for event in std::mem::take(&mut self.held) {
            self.alert(&event.what);
        }
    }

    fn alert(&self, what: &Happening) {
        let Happening::StageAlert { stage, step, detector, action, message, .. } = what else { return };
        let tint = if action == "warn" { Tint::Yellow } else { Tint::Red };
        self.say(stage, tint, &format!("{action}: {detector} at step {step}: {message}"));
    }

    fn progress(&mut self, stage: &str, step: usize, total: usize, metrics: &BTreeMap<String, f64>) {
        if let Some(bar) = self.by_stage.get(stage) {
            bar.set_length(total as u64);
            // A resumed stage starts far along: only the steps of this attempt say how fast it is.
            if bar.position() == 0 && step > 1 {
                bar.set_position(step as u64);
                bar.reset_eta();
            }
            bar.set_position(step as u64);
            bar.set_message(spelled(metrics));
            return;
        }
        let due = self.spoke.get(stage).is_none_or(|last| last.elapsed() >= PLAIN_EVERY);
        if due || step == total {
            self.spoke.insert(stage.to_owned(), Instant::now());
            self.say(stage, Tint::Dim, &format!("step {step}/{total}  {}", spelled(metrics)));
        }
    }

    fn say(&self, stage: &str, tint: Tint, text: &str) {
        if !self.silent {
            let text = text.replace('\n', &format!("\n[{stage}] "));
            self.always(&format!("{} {text}", self.paint.err_tint(tint, &format!("[{stage}]"))));
        }
    }

    fn always(&self, text: &str) {
        match &self.multi {
            Some(multi) => multi.suspend(|| self.paint.complain(text)),
            None => self.paint.complain(text),
        }
    }
}

fn spelled(metrics: &BTreeMap<String, f64>) -> String {
    let known = SHOWN.iter().filter_map(|name| Some((*name, *metrics.get(*name)?)));
    let others =
        metrics.iter().filter(|(name, _)| !SHOWN.contains(&name.as_str())).map(|(name, value)| (name.as_str(), *value));
    let spell = |(name, value): (&str, f64)| match name.strip_suffix("_per_s") {
        Some(unit) => format!("{value:.0} {unit}/s"),
        None if value != 0.0 && value.abs() < 1e-3 => format!("{name} {value:.2e}"),
        None => format!("{name} {value:.3}"),
    };
    known.chain(others).take(3).map(spell).collect::<Vec<_>>().join("  ")
}
