//! Findings → what a training loop does about them: alerts, an early end, the best model kept; all of it part of a
//! checkpoint. Refuses to know how findings are made ([`super::monitor`]) and what a step computes.
//!
//! ```text
//! state.json             health: monitor, verdicts on watched questions, alerts, steps and values of the kept models
//! tensors.safetensors    best.reward.weights.…, best.image_accuracy.weights.…; best.reward.adamw.…, where optimizers are left
//! ```

use std::path::Path;

use curricle_engine::exec::StageEvent;
use curricle_engine::stage::StageError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ask::Asker;
use super::monitor::{Finding, Monitor, Reading};
use super::paired::Change;
use super::params::{Action, Health, ImageAccuracy, SolvedRows};
use crate::model::Qwen2_5Vl;
use crate::train::checkpoint::{self, Checkpoint, Named};
use crate::train::freeze::Learns;
use crate::train::lanes::Lanes;
use crate::train::meter::Meter;
use crate::train::optimizer::{AdamW, AdamWConfig};

/// Steps in a row whose gradient is not finite, after which nothing is to be hoped for.
const MOST_NOT_FINITE: usize = 10;

const IMAGE_ACCURACY: &str = "image_accuracy";

/// The watch over a training loop.
#[derive(Default)]
pub struct Guard {
    rules: Option<Health>,
    watch: Option<(ImageAccuracy, Asker)>,
    solved: Option<(SolvedRows, Asker)>,
    state: State,
    by_reward: Option<Best>,
    by_watch: Option<Best>,
    untold: Vec<Alert>,
}

/// A kept model.
struct Best {
    mark: Mark,
    held: Held,
}

/// What a stage may go back to.
#[derive(Clone)]
pub struct Held {
    /// The model.
    pub model: Qwen2_5Vl,
    /// The optimizer's state then, where the stage leaves one.
    pub optimizer: Option<AdamW>,
}

/// After which step a kept model stood, and what it was kept for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Mark {
    step: usize,
    value: f64,
}

/// What was found, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Alert {
    step: usize,
    detector: String,
    action: Action,
    message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct State {
    monitor: Monitor,
    /// Verdicts on the watched questions at the start.
    watched: Option<Vec<bool>>,
    /// Are the watched questions answered worse, and has that been said?
    falling: bool,
    not_finite: usize,
    alerts: Vec<Alert>,
}

impl Guard {
    /// Judges steps by these rules.
    #[must_use]
    pub fn with_rules(mut self, rules: Health) -> Self {
        self.rules = Some(rules);
        self
    }

    /// Asks these questions at the start and every so many steps.
    #[must_use]
    pub fn with_watch(mut self, settings: ImageAccuracy, asker: Asker) -> Self {
        self.watch = Some((settings, asker));
        self
    }

    /// Asks these questions at the start.
    #[must_use]
    pub fn with_solved(mut self, settings: SolvedRows, asker: Asker) -> Self {
        self.solved = Some((settings, asker));
        self
    }

    /// Before the first step of a stage: asks what is asked at the start.
    ///
    /// # Errors
    /// Where a question can't be asked.
    pub fn begin(
        &mut self,
        model: &Qwen2_5Vl,
        optimizer: Option<&AdamW>,
        lanes: &Lanes,
        meter: &Meter,
    ) -> Result<(), StageError> {
        if let Some((settings, asker)) = &self.solved {
            let right = asker.ask(model, lanes)?;
            let share = right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64;
            let (percent, count) = (format!("{:.0} %", 100.0 * share), right.len());
            meter.log(format!("{percent} of {count} answers are right before training"));
            if share >= settings.above {
                let message = format!("{percent} of {count} answers to these rows are right before training");
                self.found(0, Finding { detector: "solved", action: settings.action, message });
            }
        }
        if let Some(right) = self.look(0, model, optimizer, lanes)? {
            meter.log(format!("{:.1} % of the watched questions are answered rightly at the start", 100.0 * right));
        }
        self.announce(meter);
        Ok(())
    }

    /// Shall the loop hold on to what there was before a step, for [`Self::learn`]?
    pub fn keeps_models(&self) -> bool {
        self.rules.is_some_and(|rules| rules.rolls_back())
    }

    /// Learns the numbers of a step, and what earned them if [`Self::keeps_models`].
    pub fn learn(&mut self, step: usize, reading: &Reading, before: Option<Held>) {
        let Some(rules) = self.rules else { return };
        let improved = self.state.monitor.learn(rules.window, reading);
        if let (true, Some(held), Some(value)) = (improved, before, self.state.monitor.mean_reward(rules.window)) {
            self.by_reward = Some(Best { mark: Mark { step: step - 1, value }, held });
        }
        for finding in self.state.monitor.findings(&rules) {
            self.found(step, finding);
        }
    }

    /// Asks the watched questions if it is time; the share of right answers.
    ///
    /// # Errors
    /// Where a question can't be asked.
    pub fn look(
        &mut self,
        step: usize,
        model: &Qwen2_5Vl,
        optimizer: Option<&AdamW>,
        lanes: &Lanes,
    ) -> Result<Option<f64>, StageError> {
        let Some((settings, asker)) = &self.watch else { return Ok(None) };
        if !step.is_multiple_of(settings.every) {
            return Ok(None);
        }
        let (settings, right) = (*settings, asker.ask(model, lanes)?);
        let value = right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64;
        // Among equals the later one: it has learnt more of what the stage is for.
        if settings.action == Action::Rollback && self.by_watch.as_ref().is_none_or(|best| value >= best.mark.value) {
            let held = Held { model: model.clone(), optimizer: optimizer.cloned() };
            self.by_watch = Some(Best { mark: Mark { step, value }, held });
        }
        let start = self.state.watched.get_or_insert_with(|| right.clone());
        let change = Change::between(start, &right);
        let fallen = change.drop() >= settings.drop && change.lost > change.won && change.p_value() <= settings.p;
        if fallen && !self.state.falling {
            let message = format!(
                "{:.1} % of {} questions with images are answered rightly, {:.1} points fewer than at the start \
                 ({} lost, {} won, p = {:.3})",
                100.0 * value,
                change.items,
                100.0 * change.drop(),
                change.lost,
                change.won,
                change.p_value()
            );
            self.found(step, Finding { detector: IMAGE_ACCURACY, action: settings.action, message });
        }
        self.state.falling = fallen || (self.state.falling && change.drop() >= settings.drop / 2.0);
        Ok(Some(value))
    }

    /// Learns whether the gradient of a step was finite.
    ///
    /// # Errors
    /// After ten steps in a row where it was not.
    pub fn finite(&mut self, step: usize, finite: bool) -> Result<(), StageError> {
        self.state.not_finite = if finite { 0 } else { self.state.not_finite + 1 };
        if self.state.not_finite < MOST_NOT_FINITE {
            return Ok(());
        }
        Err(StageError::Failed(format!(
            "the gradients of the last {MOST_NOT_FINITE} steps up to {step} are not finite; try a smaller `lr` or a smaller \
             `max_grad_norm`"
        )))
    }

    /// Says what was found since the last time.
    pub fn announce(&mut self, meter: &Meter) {
        for Alert { step, detector, action, message } in self.untold.drain(..) {
            meter.report(StageEvent::Alert { step, detector, action: action.name().to_owned(), message });
        }
    }

    /// Shall the stage end here?
    pub fn ends(&self) -> bool {
        self.ended_by().is_some()
    }

    fn ended_by(&self) -> Option<&Alert> {
        let ends = |alert: &&Alert| alert.action == Action::Rollback;
        // Of several in one step, one that asks for the best model wins.
        let alerts = &self.state.alerts;
        alerts.iter().find(ends).or_else(|| alerts.iter().find(|alert| alert.action.ends()))
    }

    fn found(&mut self, step: usize, finding: Finding) {
        let Finding { detector, action, message } = finding;
        let alert = Alert { step, detector: detector.to_owned(), action, message };
        self.untold.push(alert.clone());
        self.state.alerts.push(alert);
    }

    /// What the stage leaves after `step` of `steps`, and a note of every alert in the folder that its model will be written to.
    ///
    /// # Errors
    /// Where the note can't be written.
    pub fn end(self, held: Held, step: usize, steps: usize, folder: &Path) -> Result<Held, StageError> {
        if self.state.alerts.is_empty() {
            return Ok(held);
        }
        let end = self.ended_by().cloned();
        let (mut kept, mut held) = (step, held);
        if let Some(Alert { action: Action::Rollback, detector, .. }) = &end {
            let best = if detector == IMAGE_ACCURACY { self.by_watch } else { self.by_reward };
            if let Some(best) = best {
                (kept, held) = (best.mark.step, best.held);
            }
        }
        let ended = end.map(|Alert { detector, action, .. }| {
            json!({ "step": step, "of": steps, "detector": detector, "action": action, "model_after_step": kept })
        });
        let note = json!({ "schema": 1, "alerts": self.state.alerts, "ended": ended });
        let written = curricle_engine::fs::write(&folder.join("health.json"), format!("{note:#}\n"));
        written.map_err(|error| StageError::Failed(error.to_string()))?;
        Ok(held)
    }

    fn kept(&self) -> [(&'static str, &Option<Best>); 2] {
        [("reward", &self.by_reward), (IMAGE_ACCURACY, &self.by_watch)]
    }

    /// The tensors and the state of a checkpoint.
    pub fn save(&self, learns: &Learns) -> (Vec<Named>, Value) {
        let (mut tensors, mut marks) = (Vec::new(), serde_json::Map::new());
        for (name, best) in self.kept() {
            let Some(Best { mark, held: Held { model, optimizer } }) = best else { continue };
            let moments = optimizer.iter().flat_map(|optimizer| optimizer.save(model));
            let held = checkpoint::weights(model, learns).into_iter().chain(moments);
            tensors.extend(held.map(|(field, data)| (format!("best.{name}.{field}"), data)));
            marks.insert(name.to_owned(), json!(mark));
        }
        (tensors, json!({ "state": self.state, "best": marks }))
    }

    /// What [`Self::save`] kept, with models that are `model` where nothing learns, and optimizers where the stage leaves one.
    ///
    /// # Errors
    /// Where the checkpoint holds something else.
    pub fn restore(
        &mut self,
        found: &Checkpoint,
        model: &Qwen2_5Vl,
        optimizer: Option<AdamWConfig>,
        learns: &Learns,
    ) -> Result<(), StageError> {
        let foreign = || StageError::Failed("the checkpoint is of another version; run the stage anew".to_owned());
        let saved = found.state.get("health").ok_or_else(foreign)?;
        self.state = serde_json::from_value(saved["state"].clone()).map_err(|_| foreign())?;
        let best = |name: &str| -> Result<Option<Best>, StageError> {
            let Some(mark) = saved["best"].get(name) else { return Ok(None) };
            let mark = serde_json::from_value(mark.clone()).map_err(|_| foreign())?;
            let restored = found.restore_from(&format!("best.{name}.weights"), model.clone(), learns);
            let model = restored.map_err(|error| StageError::while_doing("checkpointing", error))?;
            let moment = |field: &str| found.tensor(&format!("best.{name}.{field}"));
            let optimizer = optimizer.map(|config| AdamW::restore(config, &model, moment));
            Ok(Some(Best { mark, held: Held { model, optimizer } }))
        };
        (self.by_reward, self.by_watch) = (best("reward")?, best(IMAGE_ACCURACY)?);
        Ok(())
    }
}
