//! Names and thresholds of the detectors, as a recipe has them. Refuses to know how they are computed.

use curricle_engine::stage::{PortTypes, Problems, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fit;

/// What follows when a detector finds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing: it does not look.
    Off,
    /// It is said, once per episode.
    Warn,
    /// The stage ends, with the model as it is then.
    Stop,
    /// The stage ends, with its best model: the one that earned the highest mean reward over a window, or for
    /// `image_accuracy` the one with the most right answers.
    Rollback,
}

impl Action {
    /// Its name in recipes and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Stop => "stop",
            Self::Rollback => "rollback",
        }
    }

    /// Does the stage end?
    pub fn ends(self) -> bool {
        matches!(self, Self::Stop | Self::Rollback)
    }
}

/// Detectors of a `grpo` stage. All but `image_accuracy` cost nothing: they look at numbers that a step has anyhow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Steps that are averaged; a stage with fewer is not judged.
    pub window: usize,
    /// Groups whose answers are all right or all wrong teach nothing.
    pub stagnation: Stagnation,
    /// The reward falls from what it was.
    pub reward_collapse: RewardCollapse,
    /// The model is sure of every token: its completions of a prompt become one.
    pub entropy_collapse: EntropyCollapse,
    /// The model's tokens become noise.
    pub entropy_blow_up: EntropyBlowUp,
    /// Completions grow without end, or are cut at `max_new_tokens`.
    pub length_blow_up: LengthBlowUp,
    /// Updates run against the objective's bounds: they are too large, or too many per rollout.
    pub clip_ratio: ClipRatio,
    /// The first window's answers are right already: the data teaches little.
    pub solved: Solved,
    /// Questions with images, on the port `watch`, are answered worse than at the start.
    pub image_accuracy: ImageAccuracy,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            window: 10,
            stagnation: Stagnation::default(),
            reward_collapse: RewardCollapse::default(),
            entropy_collapse: EntropyCollapse::default(),
            entropy_blow_up: EntropyBlowUp::default(),
            length_blow_up: LengthBlowUp::default(),
            clip_ratio: ClipRatio::default(),
            solved: Solved::default(),
            image_accuracy: ImageAccuracy::default(),
        }
    }
}

/// Detectors of an `sft` stage. Each asks the model questions, so each is off unless a recipe turns it on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SftHealth {
    /// The model answers the rows rightly before it has learnt from them: the data teaches little.
    pub solved: SolvedRows,
    /// Questions with images, on the port `watch`, are answered worse than at the start.
    pub image_accuracy: ImageAccuracy,
}

/// Thresholds of `stagnation`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stagnation {
    /// What follows.
    pub action: Action,
    /// Finds something where this share of the groups, or fewer, have answers that differ.
    pub below: f64,
}

impl Default for Stagnation {
    fn default() -> Self {
        Self { action: Action::Warn, below: 0.1 }
    }
}

/// Thresholds of `reward_collapse`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RewardCollapse {
    /// What follows.
    pub action: Action,
    /// Finds something where the mean reward is this share of the best window's, or less. A best window at or below 0
    /// is not judged.
    pub share: f64,
}

impl Default for RewardCollapse {
    fn default() -> Self {
        Self { action: Action::Warn, share: 0.5 }
    }
}

/// Thresholds of `entropy_collapse`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EntropyCollapse {
    /// What follows.
    pub action: Action,
    /// Finds something where the entropy per token is this many nats, or fewer.
    pub below: f64,
}

impl Default for EntropyCollapse {
    fn default() -> Self {
        Self { action: Action::Warn, below: 0.02 }
    }
}

/// Thresholds of `entropy_blow_up`; both must be passed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EntropyBlowUp {
    /// What follows.
    pub action: Action,
    /// Times the first window's entropy.
    pub factor: f64,
    /// Nats per token.
    pub above: f64,
}

impl Default for EntropyBlowUp {
    fn default() -> Self {
        Self { action: Action::Warn, factor: 3.0, above: 1.0 }
    }
}

/// Thresholds of `length_blow_up`; either is enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LengthBlowUp {
    /// What follows.
    pub action: Action,
    /// Times the first window's mean length.
    pub factor: f64,
    /// Share of completions that are cut at `max_new_tokens`: what other tools call the clip ratio of responses.
    pub truncated: f64,
}

impl Default for LengthBlowUp {
    fn default() -> Self {
        Self { action: Action::Warn, factor: 3.0, truncated: 0.5 }
    }
}

/// Thresholds of `clip_ratio`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClipRatio {
    /// What follows.
    pub action: Action,
    /// Finds something where the bounds act on this share of the tokens, or more.
    pub above: f64,
}

impl Default for ClipRatio {
    fn default() -> Self {
        Self { action: Action::Warn, above: 0.3 }
    }
}

/// Thresholds of `solved` in a `grpo` stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Solved {
    /// What follows; `rollback` has nothing to go back to.
    pub action: Action,
    /// Finds something where this share of the first window's answers, or more, are right.
    pub above: f64,
}

impl Default for Solved {
    fn default() -> Self {
        Self { action: Action::Warn, above: 0.8 }
    }
}

/// Thresholds of `solved` in an `sft` stage, and how the model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SolvedRows {
    /// What follows; `stop` leaves the model as it came, and `rollback` has nothing to go back to.
    pub action: Action,
    /// Finds something where this share of the answers, or more, are right.
    pub above: f64,
    /// Rows that are asked, drawn from those with an `answer`.
    pub rows: usize,
    /// Answers per row: one takes the likeliest tokens, more are sampled at temperature 1.
    pub samples: usize,
    /// Longest answer in tokens.
    pub max_new_tokens: usize,
}

impl Default for SolvedRows {
    fn default() -> Self {
        Self { action: Action::Off, above: 0.8, rows: 100, samples: 1, max_new_tokens: 1024 }
    }
}

/// Thresholds of `image_accuracy`, and how the model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImageAccuracy {
    /// What follows.
    pub action: Action,
    /// Steps between two looks; the first look is before the first step.
    pub every: usize,
    /// Finds something where the share of right answers is this much lower than at the start, or more …
    pub drop: f64,
    /// … and chance alone does so with at most this probability: the exact one-sided test on the questions whose answers
    /// changed (`McNemar`).
    pub p: f64,
    /// Questions that are asked: the first with images on the port `watch`.
    pub rows: usize,
    /// Longest answer in tokens; the likeliest tokens are taken.
    pub max_new_tokens: usize,
}

impl Default for ImageAccuracy {
    fn default() -> Self {
        Self { action: Action::Off, every: 20, drop: 0.05, p: 0.05, rows: 200, max_new_tokens: 1024 }
    }
}

impl Health {
    /// Reports thresholds that make no sense.
    pub fn report(&self, problems: &mut Problems) {
        at_least_1("window", self.window, problems);
        share("stagnation.below", self.stagnation.below, problems);
        share("reward_collapse.share", self.reward_collapse.share, problems);
        not_negative("entropy_collapse.below", self.entropy_collapse.below, problems);
        factor("entropy_blow_up.factor", self.entropy_blow_up.factor, problems);
        not_negative("entropy_blow_up.above", self.entropy_blow_up.above, problems);
        factor("length_blow_up.factor", self.length_blow_up.factor, problems);
        share("length_blow_up.truncated", self.length_blow_up.truncated, problems);
        share("clip_ratio.above", self.clip_ratio.above, problems);
        solved(self.solved.action, self.solved.above, problems);
        self.image_accuracy.report(problems);
    }

    /// Does a detector of rewards and lengths roll back?
    pub fn rolls_back(&self) -> bool {
        let Self { stagnation, reward_collapse, entropy_collapse, entropy_blow_up, length_blow_up, clip_ratio, .. } =
            self;
        [
            stagnation.action,
            reward_collapse.action,
            entropy_collapse.action,
            entropy_blow_up.action,
            length_blow_up.action,
            clip_ratio.action,
        ]
        .contains(&Action::Rollback)
    }
}

impl SftHealth {
    /// Reports thresholds that make no sense.
    pub fn report(&self, problems: &mut Problems) {
        solved(self.solved.action, self.solved.above, problems);
        for (name, value) in [
            ("solved.rows", self.solved.rows),
            ("solved.samples", self.solved.samples),
            ("solved.max_new_tokens", self.solved.max_new_tokens),
        ] {
            at_least_1(name, value, problems);
        }
        self.image_accuracy.report(problems);
    }
}

impl ImageAccuracy {
    fn report(&self, problems: &mut Problems) {
        for (name, value) in [("every", self.every), ("rows", self.rows), ("max_new_tokens", self.max_new_tokens)] {
            at_least_1(&format!("image_accuracy.{name}"), value, problems);
        }
        share("image_accuracy.drop", self.drop, problems);
        share("image_accuracy.p", self.p, problems);
    }

    /// Reports that nobody asks the questions that the parameter `by` needs the answers to.
    pub fn asked(&self, by: Option<&str>, problems: &mut Problems) {
        if let Some(place) = by.filter(|_| self.action == Action::Off) {
            let help = "set `health.image_accuracy.action = \"warn\"`";
            problems.param(place, "looks at `image_accuracy`, and `health.image_accuracy` is off", help);
        }
    }

    /// Reports a port `watch` that does not fit.
    pub fn check(&self, inputs: &PortTypes, problems: &mut Problems) {
        let Some(watch) = inputs.data("watch") else {
            if self.action != Action::Off {
                let help = "connect questions with images: `inputs = { watch = \"data.NAME\" }`";
                problems.param("health.image_accuracy.action", "needs the input `watch`", help);
            }
            return;
        };
        if self.action == Action::Off {
            let message = "is `off`, so the questions on `watch` are never asked";
            problems.warn("health.image_accuracy.action", message, "set `action = \"warn\"`, or leave the input out");
        }
        if watch.images.is(&false) {
            problems.input(
                "watch",
                "has no images, and questions with images are what is watched",
                "use rows with images",
            );
            problems.see(&watch.images, "rows without images");
        }
        fit::images("watch", inputs, problems);
        fit::lacks(watch, "watch", &["answer"], "to judge answers by", problems);
        if watch.role == Role::Eval && self.action.ends() {
            let message =
                "may end the stage by rows with role `eval`: what is measured on them later is no longer held out";
            problems.warn("health.image_accuracy.action", message, "watch other rows, or use `action = \"warn\"`");
        }
    }
}

fn at_least_1(name: &str, value: usize, problems: &mut Problems) {
    if value == 0 {
        problems.param(format!("health.{name}"), "must be at least 1", "");
    }
}

fn share(name: &str, value: f64, problems: &mut Problems) {
    if !(0.0..=1.0).contains(&value) {
        problems.param(format!("health.{name}"), format!("is a share, from 0 to 1, and this is {value}"), "");
    }
}

fn not_negative(name: &str, value: f64, problems: &mut Problems) {
    if value < 0.0 {
        problems.param(format!("health.{name}"), "must not be negative", "");
    }
}

fn factor(name: &str, value: f64, problems: &mut Problems) {
    if value <= 1.0 {
        problems.param(format!("health.{name}"), "must be above 1, where the stage begins", "");
    }
}

fn solved(action: Action, above: f64, problems: &mut Problems) {
    share("solved.above", above, problems);
    if action == Action::Rollback {
        let message = "is `rollback`, and before training there is no other model to go back to";
        problems.param("health.solved.action", message, "use `warn` or `stop`");
    }
}
