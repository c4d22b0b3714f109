//! A stage's steps and alerts ⇄ `history.ndjson` beside its result, so that a reused stage still has its curves.
//!
//! The file only grows, one [`StageEvent`] per line, across attempts. A step that is done again (after a checkpoint was
//! restored, or from the start) makes everything beyond it void: that is decided when reading, so that a crash between two
//! writes can lose a line and nothing else. This file refuses to know what a number means.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::StageEvent;
use crate::fs::{self, Appender, FsError};

/// Its name in an entry's folder.
pub const HISTORY: &str = "history.ndjson";

/// Appends what shall be kept; makes the file with its first line.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: Option<Appender>,
    /// It could not be written once: a curve is not worth a stage, and saying so once is enough.
    given_up: bool,
}

impl Writer {
    pub fn to(path: PathBuf) -> Self {
        Self { path, file: None, given_up: false }
    }

    /// Appends a line where the event belongs to a curve.
    pub fn keep(&mut self, event: &StageEvent) -> Result<(), FsError> {
        let kept = matches!(event, StageEvent::Progress { .. } | StageEvent::Resumed { .. } | StageEvent::Alert { .. });
        if !kept || self.given_up {
            return Ok(());
        }
        let result = self.append(event);
        self.given_up = result.is_err();
        result
    }

    fn append(&mut self, event: &StageEvent) -> Result<(), FsError> {
        let line = serde_json::to_string(event).expect("events are plain data");
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(Appender::open_after_crash(&self.path)?),
        };
        file.line(&line)
    }
}

/// What a stage went through, as far as it counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Steps in order, each once.
    pub steps: Vec<HistoryStep>,
    /// Alerts in order.
    pub alerts: Vec<HistoryAlert>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryStep {
    /// Its number, from 1.
    pub step: usize,
    /// Its numbers.
    pub metrics: BTreeMap<String, f64>,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryAlert {
    /// The step that showed it.
    pub step: usize,
    /// What noticed.
    pub detector: String,
    /// `warn`, `stop` or `rollback`.
    pub action: String,
    /// What was seen.
    pub message: String,
}

impl History {
    /// Reads a history, and of its numbers those that are `wanted`; empty where there is none. Lines that are not
    /// understood (cut by a crash, or of a later version) are passed over.
    ///
    /// # Errors
    ///
    /// A file that is there and can't be read.
    pub fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Self, FsError> {
        let reader = match fs::reader(path) {
            Ok(reader) => reader,
            Err(error) if error.is_absent() => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut history = Self::default();
        for line in reader.lines().map_while(Result::ok) {
            if let Ok(event) = serde_json::from_str(&line) {
                history.add(event, &wanted);
            }
        }
        Ok(history)
    }

    fn add(&mut self, event: StageEvent, wanted: &impl Fn(&str) -> bool) {
        match event {
            StageEvent::Resumed { step } => self.forget_beyond(step),
            StageEvent::Progress { step, mut metrics, .. } => {
                // Alerts do not wait for the numbers of their step: only a step done again voids them.
                if self.steps.last().is_some_and(|last| last.step > step) {
                    self.forget_beyond(step);
                }
                metrics.retain(|name, _| wanted(name));
                match self.steps.last_mut().filter(|last| last.step == step) {
                    Some(last) => last.metrics.append(&mut metrics),
                    None => self.steps.push(HistoryStep { step, metrics }),
                }
            }
            StageEvent::Alert { step, detector, action, message } => {
                let alert = HistoryAlert { step, detector, action, message };
                if !self.alerts.contains(&alert) {
                    self.alerts.push(alert);
                }
            }
            StageEvent::Checkpoint { .. } | StageEvent::Memory { .. } | StageEvent::Log { .. } => {}
        }
    }

    fn forget_beyond(&mut self, step: usize) {
        while self.steps.last().is_some_and(|last| last.step > step) {
            self.steps.pop();
        }
        self.alerts.retain(|alert| alert.step <= step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(step: usize, reward: f64) -> StageEvent {
        StageEvent::Progress { step, total: 9, metrics: BTreeMap::from([("reward".into(), reward)]) }
    }

    fn alert(step: usize) -> StageEvent {
        StageEvent::Alert { step, detector: "stagnation".into(), action: "warn".into(), message: "flat".into() }
    }

    /// What is read after these events were written by several attempts.
    fn kept(attempts: &[&[StageEvent]]) -> (Vec<(usize, f64)>, Vec<usize>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(HISTORY);
        for attempt in attempts {
            let mut writer = Writer::to(path.clone());
            attempt.iter().for_each(|event| writer.keep(event).unwrap());
        }
        let history = History::read(&path, |_| true).unwrap();
        let steps = history.steps.iter().map(|step| (step.step, step.metrics["reward"])).collect();
        (steps, history.alerts.iter().map(|alert| alert.step).collect())
    }

    #[test]
    fn a_resumed_attempt_replaces_what_lies_beyond_its_checkpoint() {
        let first = [alert(2), progress(1, 0.1), progress(2, 0.2), progress(3, 0.3), alert(3), progress(4, 0.4)];
        let second = [StageEvent::Resumed { step: 2 }, progress(3, 0.7)];
        assert_eq!(kept(&[&first]).1, [2, 3]);
        assert_eq!(kept(&[&first, &second]), (vec![(1, 0.1), (2, 0.2), (3, 0.7)], vec![2]));
        // Nothing after the resumption yet: what is beyond the checkpoint is gone all the same.
        assert_eq!(kept(&[&first, &second[..1]]).0, [(1, 0.1), (2, 0.2)]);
    }

    #[test]
    fn an_attempt_from_the_start_replaces_everything() {
        let first = [progress(1, 0.1), progress(2, 0.2), alert(2)];
        assert_eq!(kept(&[&first, &[progress(1, 0.5)]]), (vec![(1, 0.5)], vec![]));
    }

    #[test]
    fn a_step_may_report_twice_and_an_alert_counts_once() {
        let look = StageEvent::Progress { step: 2, total: 9, metrics: BTreeMap::from([("valid_loss".into(), 3.0)]) };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(HISTORY);
        let mut writer = Writer::to(path.clone());
        for event in [progress(2, 0.2), look, alert(2), alert(2), StageEvent::Log { message: "x".into() }] {
            writer.keep(&event).unwrap();
        }
        let history = History::read(&path, |name| name != "reward").unwrap();
        assert_eq!(history.steps, [HistoryStep { step: 2, metrics: BTreeMap::from([("valid_loss".into(), 3.0)]) }]);
        assert_eq!(history.alerts.len(), 1);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4, "a log line is no part of a curve");
    }

    #[test]
    fn a_line_cut_by_a_crash_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(HISTORY);
        let whole = serde_json::to_string(&progress(1, 0.1)).unwrap();
        fs::write(&path, format!("{whole}\n{}", &whole[..20])).unwrap();
        Writer::to(path.clone()).keep(&progress(2, 0.2)).unwrap();
        let steps: Vec<usize> = History::read(&path, |_| true).unwrap().steps.iter().map(|step| step.step).collect();
        assert_eq!(steps, [1, 2]);
    }

    #[test]
    fn no_file_is_no_history() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(History::read(&dir.path().join(HISTORY), |_| true).unwrap(), History::default());
    }

    #[test]
    fn what_cannot_be_written_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::to(dir.path().join("gone").join(HISTORY));
        assert!(writer.keep(&progress(1, 0.1)).is_err());
        assert!(writer.keep(&progress(2, 0.1)).is_ok());
    }
}
