//! Advantages → which samples are trained on. One rule per file; [`SelectKind::rule`] is the table.
//!
//! Every rule looks at the advantages of the *accuracy* reward alone: style rewards give all-wrong groups advantages of
//! 0.5 and more, and no group would ever count as uninformative. Host code; knows neither tokens nor tensors.

mod none;
mod pad;

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule that picks the samples of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SelectKind {
    /// Every sample, as plain GRPO.
    #[default]
    None,
    /// Prioritized Advantage Distillation (arXiv 2506.04207, §4.1.1 and Algorithm 1).
    Pad,
}

/// What a rule sees: settings, accuracy advantages, temperature of the step, and randomness.
type Rule = fn(&Select, &[f32], f64, &mut ChaCha8Rng) -> Vec<usize>;

impl SelectKind {
    fn rule(self) -> Rule {
        match self {
            Self::None => none::select,
            Self::Pad => pad::select,
        }
    }
}

/// Which samples of a step are trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// The rule; the other settings are PAD's.
    pub kind: SelectKind,
    /// `T_low`: least |advantage| of an informative sample.
    pub low: f64,
    /// `T_high`: greatest |advantage| of an informative sample; left out, there is no upper bound.
    pub high: Option<f64>,
    /// ρ: share of the step's samples that is trained on, at most.
    pub ratio: f64,
    /// τ: low values concentrate on large advantages.
    pub temperature: Temperature,
}

impl Default for Select {
    fn default() -> Self {
        Self { kind: SelectKind::None, low: 0.03, high: None, ratio: 0.5, temperature: Temperature::default() }
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

    /// Both ends; equal when constant.
    pub fn ends(self) -> [f64; 2] {
        match self {
            Self::Constant(value) => [value, value],
            Self::Linear(Linear { from, to }) => [from, to],
        }
    }
}

/// What a rule picked, and what it picked from.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Positions of the chosen samples, ascending, each once; empty means: no update.
    pub indices: Vec<usize>,
    /// Share of samples whose accuracy advantage is not 0.
    pub effective_share: f64,
    /// Number of samples by |advantage|: `[0]`, then bins of width 0.5, the last open.
    pub histogram: [usize; 7],
}

impl Select {
    /// Picks the samples of a step by their accuracy advantages.
    pub fn pick(&self, advantages: &[f32], temperature: f64, rng: &mut ChaCha8Rng) -> Selection {
        let mut indices = (self.kind.rule())(self, advantages, temperature, rng);
        indices.sort_unstable();
        let effective = advantages.iter().filter(|&&a| a != 0.0).count();
        let effective_share = if advantages.is_empty() { 0.0 } else { effective as f64 / advantages.len() as f64 };
        Selection { indices, effective_share, histogram: histogram(advantages) }
    }

    /// Says what is wrong with the settings: dotted path, message, help.
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        if self.kind == SelectKind::None {
            return problems;
        }
        if self.low <= 0.0 {
            let message = format!("`low` is {}, so samples without any advantage would count as informative", self.low);
            problems.push(("low", message, "use a threshold above 0, for example 0.03"));
        }
        if self.high.is_some_and(|high| high < self.low) {
            problems.push(("high", "`high` is below `low`: no sample can lie between".into(), "leave `high` out"));
        }
        if !(self.ratio > 0.0 && self.ratio <= 1.0) {
            let message =
                format!("`ratio` is {}, but it is the share of samples drawn without replacement", self.ratio);
            problems.push(("ratio", message, "use a number above 0 and at most 1"));
        }
        if self.temperature.ends().iter().any(|&tau| tau <= 0.0) {
            problems.push(("temperature", "a temperature must be above 0".into(), "the paper goes from 1.0 to 0.3"));
        }
        problems
    }
}

fn histogram(advantages: &[f32]) -> [usize; 7] {
    let mut bins = [0; 7];
    for &a in advantages {
        let bin = if a == 0.0 { 0 } else { 1 + ((a.abs() / 0.5) as usize).min(5) };
        bins[bin] += 1;
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::seed::{Purpose, stream};

    #[test]
    fn temperature_is_a_line_over_the_steps() {
        let line = Temperature::Linear(Linear { from: 1.0, to: 0.3 });
        assert!((line.at(0, 8) - 1.0).abs() < 1e-12 && (line.at(7, 8) - 0.3).abs() < 1e-12);
        assert!((line.at(1, 8) - 0.9).abs() < 1e-12);
        assert!((line.at(0, 1) - 1.0).abs() < 1e-12);
        assert!((Temperature::Constant(0.3).at(5, 9) - 0.3).abs() < 1e-12);
    }

    #[test]
    fn recipes_spell_both_temperatures() {
        let select: Select = serde_json::from_str(r#"{"kind":"pad","temperature":{"from":1.0,"to":0.3}}"#).unwrap();
        assert_eq!(select.temperature, Temperature::Linear(Linear { from: 1.0, to: 0.3 }));
        let select: Select = serde_json::from_str(r#"{"kind":"pad","temperature":0.3}"#).unwrap();
        assert_eq!(select.temperature, Temperature::Constant(0.3));
        assert!(serde_json::from_str::<Select>(r#"{"kind":"pda"}"#).unwrap_err().to_string().contains("`pad`"));
    }

    #[test]
    fn none_takes_everything_and_counts() {
        let picked = Select::default().pick(&[0.0, 0.4, -0.6, 5.0], 0.3, &mut stream(0, Purpose::Select, &[]));
        assert_eq!(picked.indices, [0, 1, 2, 3]);
        assert!((picked.effective_share - 0.75).abs() < 1e-12);
        assert_eq!(picked.histogram, [1, 1, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn bad_settings_are_named() {
        let bad = Select {
            kind: SelectKind::Pad,
            low: 0.0,
            high: Some(-1.0),
            ratio: 1.5,
            temperature: Temperature::Constant(0.0),
        };
        let paths: Vec<_> = bad.problems().into_iter().map(|problem| problem.0).collect();
        assert_eq!(paths, ["low", "high", "ratio", "temperature"]);
        assert!(Select { kind: SelectKind::None, ..bad }.problems().is_empty());
    }
}
