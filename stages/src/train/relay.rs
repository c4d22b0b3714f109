//! burn-train's metrics → events of a stage, and burn-train's dashboard where it is wanted. Refuses to print.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::mpsc::Sender;

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{MetricDefinition, MetricId};
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn::train::{Interrupter, LearnerSummary};
use curricle_engine::exec::StageEvent;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// A renderer that reports progress, and lets another one draw.
pub(super) struct Relay {
    events: Sender<StageEvent>,
    names: Vec<(MetricId, String)>,
    numbers: BTreeMap<String, f64>,
    step: usize,
    steps: usize,
    looking: bool,
    dashboard: Option<Box<dyn MetricsRenderer>>,
}

impl Relay {
    /// With an interrupter and a terminal, the dashboard too.
    pub(super) fn new(events: Sender<StageEvent>, steps: usize, dashboard: Option<Interrupter>) -> Self {
        let dashboard = dashboard.filter(|_| std::io::stdout().is_terminal()).map(|interrupter| {
            let dashboard: Box<dyn MetricsRenderer> = Box::new(TuiMetricsRendererWrapper::new(interrupter, None));
            dashboard
        });
        Self { events, names: Vec::new(), numbers: BTreeMap::new(), step: 0, steps, looking: false, dashboard }
    }

    fn note(&mut self, state: &MetricState) {
        let MetricState::Numeric(entry, Some(value)) = state else { return };
        let value = value.current();
        if let Some((_, name)) = self.names.iter().find(|(id, _)| *id == entry.metric_id)
            && value.is_finite()
        {
            self.numbers.insert(name.clone(), value);
        }
    }

    /// Sends what came together since the last time.
    fn send(&mut self) {
        let metrics = std::mem::take(&mut self.numbers);
        if self.step > 0 && !metrics.is_empty() {
            // Nobody listens any more once the stage has ended; then there is nothing to report either.
            let _ = self.events.send(StageEvent::Progress { step: self.step, total: self.steps, metrics });
        }
    }
}

/// The dashboard's thread puts the terminal into raw mode at some moment after it is made, and there Ctrl-C is a key that it
/// does not know. It shall go on to be the signal that saves and stops.
fn let_ctrl_c_through() {
    let terminal = std::io::stdin();
    if let Ok(mut modes) = tcgetattr(&terminal)
        && !modes.local_modes.contains(LocalModes::ISIG)
    {
        modes.local_modes |= LocalModes::ISIG;
        // A terminal that refuses leaves `q`.
        let _ = tcsetattr(&terminal, OptionalActions::Now, &modes);
    }
}

impl MetricsRendererTraining for Relay {
    fn update_train(&mut self, state: MetricState) {
        self.note(&state);
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.update_train(state);
        }
    }

    fn update_valid(&mut self, state: MetricState) {
        self.note(&state);
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.update_valid(state);
        }
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn std::error::Error>> {
        match &mut self.dashboard {
            Some(dashboard) => dashboard.on_train_end(summary),
            None => Ok(()),
        }
    }
}

impl TrainingProgressLogger for Relay {
    fn start(&mut self, epochs: usize, first: usize, items: Option<usize>, label: Option<&str>) {
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.start(epochs, first, items, label);
        }
    }

    fn start_split(&mut self, split: &str, items: usize) {
        self.looking = split == "valid";
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.start_split(split, items);
        }
    }

    fn update_split(&mut self, items: usize) {
        if !self.looking {
            self.step = items;
            self.send();
        }
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.update_split(items);
            let_ctrl_c_through();
        }
    }

    fn update_epoch(&mut self, epoch: usize) {
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.update_epoch(epoch);
        }
    }

    fn end_split(&mut self) {
        if self.looking {
            self.send();
        }
        self.numbers.clear();
        self.looking = false;
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.end_split();
        }
    }

    fn end(&mut self) {
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.end();
        }
    }

    fn log_event_training(&mut self, event: String) {
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.log_event_training(event);
        }
    }
}

impl MetricsRenderer for Relay {
    fn manual_close(&mut self) {
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.manual_close();
        }
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names.push((definition.metric_id.clone(), definition.name.to_string()));
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.register_metric(definition);
        }
    }
}

/// burn-train's evaluator is not used here; the trait is part of what a renderer must be.
impl MetricsRendererEvaluation for Relay {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}
}

impl EvaluationProgressLogger for Relay {
    fn start_global_progress(&mut self, _tests: usize) {}

    fn start_test(&mut self, _name: &str, _items: usize) {}

    fn update_test_progress(&mut self, _items: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _event: String) {}
}
