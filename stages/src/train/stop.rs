//! When a stage ends before its last step, and which states it keeps beside its last: what a recipe says of both. Refuses to
//! know how a step is computed; what becomes of the rules during a run is decided in [`super::course`].

mod wall_time;

use curricle_engine::stage::{ArtifactKind, ArtifactType, ModelType, PortTypes, Ports, Problems, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use wall_time::WallTime;

/// A number of a kind of stage that rules may watch.
pub trait Metric: Copy + PartialEq + 'static {
    /// Its name in recipes, events and notes.
    fn name(self) -> &'static str;

    /// Is more better?
    fn higher_is_better(self) -> bool;

    /// The input whose rows it is measured on, beside those that are learned from.
    fn measured_on(self) -> Option<&'static str>;
}

/// Rules that end training before its last step. They are asked after every finished step; the first that holds ends the
/// stage there, as its last step would. The log and `stop.json` beside the model say which, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop<M> {
    /// A number gets better no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plateau: Option<Plateau<M>>,
    /// A number has reached a bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<Bound<M>>,
    /// Training has taken this long: `"2h30m"`. Time before an interruption counts, up to the checkpoint that training goes on
    /// from; loading and writing models does not. How many steps that is depends on the machine, and so does the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_time: Option<WallTime>,
    /// Training has seen this many tokens: in `sft` all of the rows of its steps, in `grpo` those that completions were sampled to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// Ends training that leads nowhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plateau<M> {
    /// What is watched.
    pub metric: M,
    /// Looks in a row without a new best, after which training ends.
    pub patience: usize,
    /// By how much a look must beat the best one to count as better.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub min_delta: f64,
}

/// Ends training that has come far enough, or gone astray. Give one of `above` and `below`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bound<M> {
    /// What is watched.
    pub name: M,
    /// Holds where a look is above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// Holds where a look is below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

/// States of the model that are kept beside the last one, each an output of its own: `mrl.model@best`, `mrl.model@step=400`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep<M> {
    /// Keeps the state with the best look at this number on the output `model@best`; of equals the earliest. Where there was no
    /// look, that is the stage's last state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<M>,
    /// Keeps the state after each of these steps, on the outputs `model@step=N`. A stage that ends before step N leaves its last
    /// state there, and says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<usize>,
    /// Has the stage been made small? Then its recipe's steps may lie beyond its end.
    #[serde(skip)]
    #[schemars(skip)]
    pub small: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl<M> Default for Keep<M> {
    fn default() -> Self {
        Self { best: None, steps: Vec::new(), small: false }
    }
}

/// The output of a state: `model@best`, `model@step=400`.
pub fn port(state: &str) -> String {
    format!("model@{state}")
}

impl<M: Metric> Stop<M> {
    /// What is watched, and the parameter that says so.
    pub fn watched(&self) -> impl Iterator<Item = (&'static str, M)> {
        let plateau = self.plateau.as_ref().map(|plateau| ("stop.plateau.metric", plateau.metric));
        plateau.into_iter().chain(self.metric.as_ref().map(|bound| ("stop.metric.name", bound.name)))
    }

    /// Reports rules that make no sense.
    pub fn report(&self, problems: &mut Problems) {
        let Self { plateau, metric, wall_time, tokens } = self;
        if plateau.is_none() && metric.is_none() && wall_time.is_none() && tokens.is_none() {
            let help = "give it `plateau`, `metric`, `wall_time` or `tokens`, or leave it out";
            problems.param("stop", "names no rule", help);
        }
        if let Some(Plateau { patience, min_delta, .. }) = plateau {
            if *patience == 0 {
                problems.param("stop.plateau.patience", "must be at least 1", "");
            }
            if *min_delta < 0.0 {
                problems.param("stop.plateau.min_delta", "must not be negative", "");
            }
        }
        if let Some(Bound { name, above, below }) = metric
            && above.is_some() == below.is_some()
        {
            let side = if name.higher_is_better() { "above" } else { "below" };
            let help = format!("to end a stage that is good enough: `{{ name = \"{}\", {side} = … }}`", name.name());
            let message = if above.is_some() { "has two bounds" } else { "has no bound" };
            problems.param("stop.metric", format!("{message}, and takes one of `above` and `below`"), help);
        }
        if *tokens == Some(0) {
            problems.param("stop.tokens", "must be at least 1", "");
        }
    }
}

impl<M: Metric> Keep<M> {
    /// Is nothing kept?
    pub fn is_empty(&self) -> bool {
        self.best.is_none() && self.steps.is_empty()
    }

    /// Names of the states that are kept: `best`, `step=400`.
    pub fn states(&self) -> impl Iterator<Item = String> {
        let steps = self.steps.iter().map(|step| format!("step={step}"));
        self.best.map(|_| "best".to_owned()).into_iter().chain(steps)
    }

    /// Adds an output for each state.
    pub fn ports(&self, ports: Ports) -> Ports {
        self.states().fold(ports, |ports, state| ports.output(port(&state), ArtifactKind::Model))
    }

    /// Adds the type of each state: that of the model which the stage leaves.
    pub fn types(&self, model: &ModelType, types: PortTypes) -> PortTypes {
        self.states().fold(types, |types, state| types.with(&port(&state), ArtifactType::Model(model.clone())))
    }

    /// Reports steps that make no sense; `steps` is how many the stage has, where that is known.
    pub fn report(&self, steps: Option<usize>, problems: &mut Problems) {
        for (index, &step) in self.steps.iter().enumerate() {
            let place = format!("keep.steps[{index}]");
            if step == 0 {
                problems.param(place, "must be at least 1: before that, it is the model that comes in", "");
            } else if self.steps[..index].contains(&step) {
                problems.param(place, format!("is {step}, which is there twice"), "");
            } else if let Some(steps) = steps.filter(|steps| step > *steps && !self.small) {
                let help = format!("keep a step up to {steps}, or train longer");
                problems.param(place, format!("is {step}, and the stage has {steps} steps"), help);
            }
        }
    }
}

/// What is looked at, and the parameter that says so.
fn places<M: Metric>(stop: Option<&Stop<M>>, keep: &Keep<M>) -> impl Iterator<Item = (&'static str, M)> {
    stop.into_iter().flat_map(Stop::watched).chain(keep.best.map(|metric| ("keep.best", metric)))
}

/// The first parameter that asks for looks at the rows of `watch`.
pub fn asks<M: Metric>(stop: Option<&Stop<M>>, keep: &Keep<M>) -> Option<&'static str> {
    places(stop, keep).find(|(_, metric)| metric.measured_on() == Some("watch")).map(|(place, _)| place)
}

/// Reports numbers that this stage can't look at, and rows that should not decide anything.
pub fn check<M: Metric>(stop: Option<&Stop<M>>, keep: &Keep<M>, inputs: &PortTypes, problems: &mut Problems) {
    for (place, metric) in places(stop, keep) {
        let Some(port) = metric.measured_on() else { continue };
        let name = metric.name();
        match inputs.data(port) {
            None => {
                let help = format!("connect `{port}`, or take another number");
                problems.param(place, format!("is `{name}`, which needs the input `{port}`"), help);
            }
            Some(rows) if rows.role == Role::Eval => {
                let message = format!(
                    "chooses by `{name}` on rows with role `eval`: what is measured on them later is no longer held out"
                );
                problems.warn(
                    place,
                    message,
                    "look at other rows: a split of those that are learned from, for example",
                );
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
