//! The table `select` of a recipe: settings of every rule, and what is wrong with them. Settings of other rules than the
//! chosen one are allowed and ignored, so that an ablation changes `kind` alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule that picks the samples of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SelectKind {
    /// Every sample, as plain GRPO.
    #[default]
    None,
    /// Every informative sample: the paper's arm `GRPO-Filter`.
    Filter,
    /// A random share of all samples: the paper's arm `Random-Sampling`.
    Random,
    /// Prioritized Advantage Distillation as printed (arXiv 2506.04207, §4.1.1 and Algorithm 1).
    Pad,
    /// Prioritized Advantage Distillation as the authors released it, which is another rule.
    PadReleased,
    /// Dynamic sampling: asks more prompts until enough groups differ (DAPO, arXiv 2503.14476).
    Dapo,
    /// Selective sample replay: samples with an advantage, and earlier ones again (VL-Rethinker, arXiv 2504.08837).
    Ssr,
    /// Dynamic sampling that passes over prompts whose groups did not differ before (GRESO, arXiv 2506.02177).
    Greso,
}

/// Which samples of a step are trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// The rule. Settings of other rules are ignored.
    pub kind: SelectKind,
    /// `pad`, `filter`: `T_low`, least |advantage| of an informative sample.
    pub low: f64,
    /// `pad`, `filter`: `T_high`, greatest |advantage| of an informative sample; left out, there is no upper bound.
    pub high: Option<f64>,
    /// `pad`, `random`: ρ, share of the step's samples that is trained on, at most.
    pub ratio: f64,
    /// `pad`: τ, low values concentrate on large advantages.
    pub temperature: Temperature,
    /// `pad-released`: its own numbers.
    pub released: Released,
    /// `dapo`, `greso`: asking again.
    pub refill: Refill,
    /// `ssr`: the buffer.
    pub replay: Replay,
    /// `greso`: passing over prompts.
    pub skip: Skip,
}

impl Default for Select {
    fn default() -> Self {
        Self {
            kind: SelectKind::None,
            low: 0.03,
            high: None,
            ratio: 0.5,
            temperature: Temperature::default(),
            released: Released::default(),
            refill: Refill::default(),
            replay: Replay::default(),
            skip: Skip::default(),
        }
    }
}

/// Numbers of PAD as released; the defaults are those of its script.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Released {
    /// `pad_alpha`: weights are |advantage| to this power.
    pub power: f64,
    /// |advantage| must be above this.
    pub low: f64,
    /// |advantage| must be below this.
    pub high: f64,
    /// Draws, with replacement, as a multiple of the step's samples.
    pub ratio: f64,
}

impl Default for Released {
    fn default() -> Self {
        Self { power: 1.5, low: 0.03, high: 0.97, ratio: 1.5 }
    }
}

/// Asking more prompts within a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Refill {
    /// Times that prompts are asked in a step, at most; 1 never asks again.
    pub rounds: usize,
}

impl Default for Refill {
    fn default() -> Self {
        Self { rounds: 10 }
    }
}

/// The buffer of earlier samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Replay {
    /// Samples that it holds; the oldest leave.
    pub capacity: usize,
    /// α: samples come back in proportion to |advantage| to this power.
    pub alpha: f64,
    /// Samples that come back, as a share of the step's own samples.
    pub share: f64,
}

impl Default for Replay {
    fn default() -> Self {
        Self { capacity: 512, alpha: 1.0, share: 0.5 }
    }
}

/// Passing over prompts whose groups did not differ the last times; the defaults are GRESO's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Skip {
    /// Probability, at the start, with which a prompt is asked although its group did not differ the last time.
    pub start: f64,
    /// How far a step moves it.
    pub step: f64,
    /// Its least value.
    pub least: f64,
    /// Its greatest value.
    pub most: f64,
    /// Share of groups without a difference that it aims at; a third of them all right, two thirds all wrong.
    pub target: f64,
    /// A prompt is asked with at least this probability.
    pub floor: f64,
    /// β: later rounds of a step ask this many times the prompts that are expected to be enough.
    pub reserve: f64,
}

impl Default for Skip {
    fn default() -> Self {
        Self { start: 0.5, step: 0.01, least: 0.05, most: 0.95, target: 0.25, floor: 0.01, reserve: 1.25 }
    }
}

/// τ over the steps of a stage: a number, or a straight line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Temperature {
    /// The same at every step.
    Constant(f64),
    /// `from` at the first step, `to` at the last.
    Linear(Linear),
}

/// A straight line over the steps of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Value at the first step.
    pub from: f64,
    /// Value at the last step.
    pub to: f64,
}

impl Default for Temperature {
    fn default() -> Self {
        Self::Constant(0.3)
    }
}

impl Temperature {
    /// τ at `step` (from 0) of `steps`.
    pub fn at(self, step: usize, steps: usize) -> f64 {
        match self {
            Self::Constant(value) => value,
            Self::Linear(Linear { from, to }) => {
                let last = steps.saturating_sub(1).max(1);
                let done = step.min(last) as f64 / last as f64;
                from * (1.0 - done) + to * done
            }
        }
    }

    fn ends(self) -> [f64; 2] {
        match self {
            Self::Constant(value) => [value, value],
            Self::Linear(Linear { from, to }) => [from, to],
        }
    }
}

/// A mistake: path below `select`, message, help.
type Mistake = (&'static str, String, &'static str);

impl Select {
    /// Times that prompts are asked in a step, at most.
    pub fn rounds(&self) -> usize {
        match self.kind {
            SelectKind::Dapo | SelectKind::Greso => self.refill.rounds,
            _ => 1,
        }
    }

    /// Says what is wrong with the settings of the rule: dotted path, message, help.
    pub fn problems(&self) -> Vec<Mistake> {
        let kind = self.kind;
        let mut found = Vec::new();
        if matches!(kind, SelectKind::Pad | SelectKind::Filter) {
            self.bounds(&mut found);
        }
        if matches!(kind, SelectKind::Pad | SelectKind::Random) && !(self.ratio > 0.0 && self.ratio <= 1.0) {
            let message =
                format!("`ratio` is {}, but it is the share of samples drawn without replacement", self.ratio);
            found.push(("ratio", message, "use a number above 0 and at most 1"));
        }
        if kind == SelectKind::Pad && self.temperature.ends().iter().any(|&tau| tau <= 0.0) {
            found.push(("temperature", "a temperature must be above 0".into(), "the paper goes from 1.0 to 0.3"));
        }
        if kind == SelectKind::PadReleased {
            self.released.problems(&mut found);
        }
        if matches!(kind, SelectKind::Dapo | SelectKind::Greso) && self.refill.rounds == 0 {
            found.push(("refill.rounds", "must be at least 1: no prompt would ever be asked".into(), "use at least 1"));
        }
        if kind == SelectKind::Ssr {
            self.replay.problems(&mut found);
        }
        if kind == SelectKind::Greso {
            self.skip.problems(&mut found);
        }
        found
    }

    fn bounds(&self, found: &mut Vec<Mistake>) {
        if self.low <= 0.0 {
            let message = format!("`low` is {}, so samples without any advantage would count as informative", self.low);
            found.push(("low", message, "use a threshold above 0, for example 0.03"));
        }
        if self.high.is_some_and(|high| high < self.low) {
            found.push(("high", "`high` is below `low`: no sample can lie between".into(), "leave `high` out"));
        }
    }
}

impl Released {
    fn problems(&self, found: &mut Vec<Mistake>) {
        if self.power < 0.0 {
            found.push((
                "released.power",
                "must not be negative: small advantages would be preferred".into(),
                "the release has 1.5",
            ));
        }
        if self.low < 0.0 {
            found.push(("released.low", "must not be negative".into(), "the release has 0.03"));
        }
        if self.high <= self.low {
            found.push((
                "released.high",
                "is not above `low`, so no |advantage| lies between them".into(),
                "the release has 0.97",
            ));
        }
        if self.ratio <= 0.0 {
            found.push((
                "released.ratio",
                "must be above 0: nothing would ever be drawn".into(),
                "the release has 1.5",
            ));
        }
    }
}

impl Replay {
    fn problems(&self, found: &mut Vec<Mistake>) {
        if self.capacity == 0 {
            let help = "use at least 1, or `select.kind = \"filter\"` for no buffer";
            found.push(("replay.capacity", "must be at least 1: the buffer could hold nothing".into(), help));
        }
        if self.alpha < 0.0 {
            found.push((
                "replay.alpha",
                "must not be negative: small advantages would be preferred".into(),
                "the paper has 1",
            ));
        }
        if self.share < 0.0 {
            found.push(("replay.share", "must not be negative".into(), "0.5 adds half as many as were sampled"));
        }
    }
}

impl Skip {
    fn problems(&self, found: &mut Vec<Mistake>) {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        for (path, value) in [
            ("skip.start", self.start),
            ("skip.least", self.least),
            ("skip.most", self.most),
            ("skip.target", self.target),
            ("skip.floor", self.floor),
        ] {
            if !share(value) {
                found.push((path, format!("{value} is no probability"), "use a number from 0 to 1"));
            }
        }
        if !(self.least <= self.start && self.start <= self.most) {
            found.push(("skip.start", "lies outside `least` and `most`".into(), "GRESO starts at 0.5 of 0.05 to 0.95"));
        }
        if self.floor <= 0.0 {
            found.push(("skip.floor", "must be above 0: a prompt might never be asked again".into(), "GRESO has 0.01"));
        }
        if self.step < 0.0 {
            found.push(("skip.step", "must not be negative".into(), "GRESO has 0.01"));
        }
        if self.reserve < 1.0 {
            found.push((
                "skip.reserve",
                "must be at least 1: fewer prompts than expected to be enough would be asked".into(),
                "GRESO has 1.25",
            ));
        }
    }
}
