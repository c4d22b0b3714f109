//! Numbers of a run, step by step → whether it ends there ([`super::stop`]), and which state is the best so far. What was seen
//! is part of a checkpoint, so that a resumed run ends where it would have. Refuses to know where numbers come from.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use curricle_engine::fs;
use curricle_engine::stage::StageError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checkpoint::Checkpoint;
use super::meter::Meter;
use super::stop::{Bound, Keep, Metric, Plateau, Stop};

/// The way of a run so far.
#[derive(Debug)]
pub struct Course<M> {
    stop: Option<Stop<M>>,
    best: Option<M>,
    seen: Seen,
    /// When this attempt began.
    began: Instant,
}

/// What counts for what comes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Seen {
    /// Values that a look is going to be the mean of, by metric.
    collected: BTreeMap<String, Vec<f64>>,
    /// Best look of the metric that shall not stand still.
    plateau: Option<Mark>,
    /// Looks since.
    since: usize,
    /// Best look of the metric that the best state is chosen by.
    best: Option<Mark>,
    tokens: u64,
    /// Of earlier attempts.
    seconds: f64,
    ended: Option<Ended>,
}

/// A look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The step after which the state stood that it is of.
    pub step: usize,
    /// Its value.
    pub value: f64,
}

/// Why and when a run ended before its last step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// After this step.
    pub step: usize,
    /// By the rule of this name.
    pub rule: String,
    /// Because of this.
    pub message: String,
}

/// Is the first value better than the second, by more than `by`?
fn better<M: Metric>(metric: M, value: f64, than: f64, by: f64) -> bool {
    if metric.higher_is_better() { value > than + by } else { value < than - by }
}

impl<M: Metric> Course<M> {
    /// Of a run that begins now.
    pub fn new(stop: Option<&Stop<M>>, keep: &Keep<M>) -> Self {
        Self { stop: stop.cloned(), best: keep.best, seen: Seen::default(), began: Instant::now() }
    }

    /// Does a rule, or the choice of the best state, look at this number?
    pub fn watches(&self, metric: M) -> bool {
        self.best == Some(metric) || self.stop.iter().flat_map(Stop::watched).any(|(_, watched)| watched == metric)
    }

    /// Is the best state chosen by this number?
    pub fn chooses_by(&self, metric: M) -> bool {
        self.best == Some(metric)
    }

    /// Takes a step's value of a number that looks are means of, and forgets all but the newest `window`. One that is not finite
    /// is passed over. The mean, once there are as many.
    pub fn collect(&mut self, metric: M, value: f64, window: usize) -> Option<f64> {
        if !self.watches(metric) || !value.is_finite() {
            return None;
        }
        let values = self.seen.collected.entry(metric.name().to_owned()).or_default();
        values.push(value);
        values.drain(..values.len().saturating_sub(window));
        (values.len() == window).then(|| mean(values))
    }

    /// The mean of what was collected since the last time, if anything was.
    pub fn take(&mut self, metric: M) -> Option<f64> {
        self.seen.collected.remove(metric.name()).map(|values| mean(&values))
    }

    /// Counts what a finished step used.
    pub fn step(&mut self, step: usize, tokens: usize) {
        self.seen.tokens += tokens as u64;
        let Some(Stop { tokens, wall_time, .. }) = &self.stop else { return };
        if let Some(most) = tokens.filter(|most| self.seen.tokens >= *most) {
            let message = format!("training has seen {} tokens, of {most}", self.seen.tokens);
            self.end(step, "tokens", message);
        } else if let Some(most) = wall_time.filter(|most| self.seconds() >= most.duration().as_secs_f64()) {
            // Not how long it took: that is another number every time.
            self.end(step, "wall_time", format!("training has taken {most}"));
        }
    }

    /// Judges a look after `step` at the state after step `of`. True where that state is the best so far.
    pub fn look(&mut self, step: usize, of: usize, metric: M, value: f64) -> bool {
        let rules = self.stop.clone();
        if let Some(Bound { name, above, below }) = rules.as_ref().and_then(|stop| stop.metric.as_ref())
            && *name == metric
        {
            let passed = above.filter(|bound| value > *bound).map(|bound| ("above", bound));
            if let Some((side, bound)) = passed.or(below.filter(|bound| value < *bound).map(|bound| ("below", bound))) {
                self.end(step, "metric", format!("`{}` is {value:.4}, {side} {bound}", metric.name()));
            }
        }
        if let Some(Plateau { metric: watched, patience, min_delta }) = rules.and_then(|stop| stop.plateau)
            && watched == metric
        {
            self.stand(step, Mark { step: of, value }, metric, patience, min_delta);
        }
        let improved = self.best == Some(metric)
            && value.is_finite()
            && self.seen.best.is_none_or(|best| better(metric, value, best.value, 0.0));
        if improved {
            self.seen.best = Some(Mark { step: of, value });
        }
        improved
    }

    /// Ends where the best look is too long ago. A value that is not finite is no better than any.
    fn stand(&mut self, step: usize, mark: Mark, metric: M, patience: usize, min_delta: f64) {
        match self.seen.plateau {
            Some(best) if !better(metric, mark.value, best.value, min_delta) => {
                self.seen.since += 1;
                if self.seen.since >= patience {
                    let (name, looks) = (metric.name(), self.seen.since);
                    let word = if looks == 1 { "look" } else { "looks" };
                    let delta = if min_delta > 0.0 { format!(" by more than {min_delta}") } else { String::new() };
                    let Mark { step: of, value } = best;
                    let message = format!(
                        "`{name}` has not become better{delta} for {looks} {word}: {value:.4} after step {of} is its best"
                    );
                    self.end(step, "plateau", message);
                }
            }
            _ if mark.value.is_finite() => (self.seen.plateau, self.seen.since) = (Some(mark), 0),
            _ => {}
        }
    }

    fn end(&mut self, step: usize, rule: &str, message: String) {
        self.seen.ended.get_or_insert(Ended { step, rule: rule.to_owned(), message });
    }

    /// Why the run ends, if it does.
    pub fn ended(&self) -> Option<&Ended> {
        self.seen.ended.as_ref()
    }

    /// The best look at what the best state is chosen by.
    pub fn best(&self) -> Option<Mark> {
        self.seen.best
    }

    /// Seconds of all attempts, as far as they count.
    fn seconds(&self) -> f64 {
        self.seen.seconds + self.began.elapsed().as_secs_f64()
    }

    /// What a checkpoint keeps of it.
    pub fn save(&self) -> Value {
        let timed = self.stop.as_ref().is_some_and(|stop| stop.wall_time.is_some());
        json!(Seen { seconds: if timed { self.seconds() } else { 0.0 }, ..self.seen.clone() })
    }

    /// Goes on from what a checkpoint kept. One from before there were rules has nothing to go on from.
    ///
    /// # Errors
    /// Where the checkpoint holds something else.
    pub fn restore(&mut self, found: &Checkpoint) -> Result<(), StageError> {
        self.resume(&found.state["course"])
            .ok_or_else(|| StageError::Failed("the checkpoint is of another version; run the stage anew".to_owned()))
    }

    fn resume(&mut self, saved: &Value) -> Option<()> {
        if !saved.is_null() {
            self.seen = serde_json::from_value(saved.clone()).ok()?;
        }
        self.began = Instant::now();
        Some(())
    }

    /// Says why the run ended after `step` of `steps`, if a rule ended it: in the log, and in a note in the model's folder.
    ///
    /// # Errors
    /// Where the note can't be written.
    pub fn tell(&self, step: usize, steps: usize, folder: &Path, meter: &Meter) -> Result<(), StageError> {
        let Some(ended) = self.ended().filter(|_| step < steps) else { return Ok(()) };
        meter.log(format!("stopped after step {step} of {steps} (`stop.{}`): {}", ended.rule, ended.message));
        let note = json!({ "schema": 1, "step": step, "of": steps, "rule": ended.rule, "message": ended.message });
        let written = fs::write(&folder.join("stop.json"), format!("{note:#}\n"));
        written.map_err(|error| StageError::Failed(error.to_string()))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests;
