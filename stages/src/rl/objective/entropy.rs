//! The entropy bonus: update number → coefficient, and which entropy it weighs.
//!
//! ```text
//! L ← L − c_u · H,   H = 1/T Σ_n −Σ_v p_v log p_v          over the whole vocabulary, T tokens in the optimizer step
//!
//! u < W          c_u = 0
//! constant       c_u = β₀
//! exponential    c_u = max(β_min, β₀ λ^(u − W))             ReVisual-R1, Table 5
//! linear         c_u = max(β_min, β₀ − (β₀ − β_min)(u − W)/over)
//! adaptive       c ± δ at every update, up where H ≤ target; applied only there   Skywork-OR1 (arXiv 2505.22312), TRL
//! ```
//!
//! u counts optimizer updates from 0, those of a step without an update included, so it follows from the step alone. The
//! released code begins one update later (its counter is compared with ≤). `sampled` is its estimator, −mean(log π) of
//! the sampled tokens: its value estimates H, but its gradient is the mean of ∇log π, which on policy is zero in
//! expectation and under PAD's sampling pushes down what was selected. It is no entropy gradient.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The reward for staying undecided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Entropy {
    /// β₀: weight of the entropy, in the loss, when the schedule begins; 0 turns the term off.
    pub coef: f64,
    /// Which entropy.
    pub kind: EntropyKind,
    /// How the weight moves over optimizer updates.
    pub schedule: EntropySchedule,
    /// `τ_w`: updates without the term, at the start.
    pub warmup: usize,
    /// Its least value.
    pub min: f64,
    /// λ, of `exponential`: factor per update.
    pub rate: f64,
    /// Of `linear`: updates from `coef` down to `min`.
    pub over: usize,
    /// Of `adaptive`.
    pub adaptive: Adaptive,
}

impl Default for Entropy {
    fn default() -> Self {
        Self {
            coef: 0.0,
            kind: EntropyKind::Full,
            schedule: EntropySchedule::Constant,
            warmup: 0,
            min: 0.0,
            rate: 0.985,
            over: 200_000,
            adaptive: Adaptive::default(),
        }
    }
}

/// Which entropy the bonus weighs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntropyKind {
    /// −Σ p log p over the vocabulary.
    #[default]
    Full,
    /// −log p of the sampled tokens, as released: its gradient is zero in expectation.
    Sampled,
}

/// How the weight moves over optimizer updates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntropySchedule {
    /// Stays.
    #[default]
    Constant,
    /// Shrinks by a factor per update.
    Exponential,
    /// Falls in a line.
    Linear,
    /// Steps up while the entropy is below a target, and down above it.
    Adaptive,
}

/// An entropy that the weight is steered by; the defaults are TRL's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adaptive {
    /// Entropy per token, in nats, that shall not be undercut.
    pub target: f64,
    /// δ: how far an update moves the weight.
    pub step: f64,
    /// Its greatest value.
    pub max: f64,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self { target: 0.2, step: 0.005, max: 1.0 }
    }
}

/// What the adaptive schedule carries from update to update; part of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Controller {
    coef: f64,
    /// Entropy of the last update.
    last: Option<f64>,
}

impl Controller {
    /// At the start of a stage.
    pub fn new(settings: &Entropy) -> Self {
        Self { coef: settings.coef, last: None }
    }

    /// The coefficient of update `update`, from 0.
    pub fn coef(&self, settings: &Entropy, update: usize) -> f64 {
        let Entropy { coef, schedule, warmup, min, rate, over, adaptive, .. } = *settings;
        if coef == 0.0 || update < warmup {
            return 0.0;
        }
        let done = (update - warmup) as f64;
        match schedule {
            EntropySchedule::Constant => coef,
            EntropySchedule::Exponential => (coef * rate.powf(done)).max(min),
            EntropySchedule::Linear => (coef - (coef - min) * done / over as f64).max(min),
            EntropySchedule::Adaptive if self.last.is_none_or(|last| last <= adaptive.target) => self.coef,
            EntropySchedule::Adaptive => 0.0,
        }
    }

    /// Learns the entropy per token of an update.
    pub fn observe(&mut self, settings: &Entropy, entropy: f64) {
        let Adaptive { target, step, max } = settings.adaptive;
        let by = if entropy <= target { step } else { -step };
        self.coef = (self.coef + by).min(max).max(settings.min);
        self.last = Some(entropy);
    }
}

impl Entropy {
    /// Says what is wrong: path below `entropy`, message, help.
    pub fn problems(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut found = Vec::new();
        for (path, value) in [("coef", self.coef), ("min", self.min)] {
            if value < 0.0 {
                found.push((
                    path,
                    "must not be negative: it would reward certainty",
                    "the paper has 0.02, falling to 0",
                ));
            }
        }
        if self.coef > 0.0 && self.min > self.coef {
            found.push(("min", "is above `coef`, where the schedule begins", "the paper has 0"));
        }
        if self.schedule == EntropySchedule::Exponential && !(self.rate > 0.0 && self.rate <= 1.0) {
            found.push(("rate", "must be above 0 and at most 1: the weight shrinks by it", "the paper has 0.985"));
        }
        if self.schedule == EntropySchedule::Linear && self.over == 0 {
            found.push(("over", "must be at least 1", "the paper has 200000 updates"));
        }
        if self.schedule == EntropySchedule::Adaptive {
            if self.coef == 0.0 {
                found.push(("coef", "0 turns the term off, whatever the target", "start with 0.005, for example"));
            }
            if self.adaptive.step <= 0.0 || self.adaptive.max < self.min {
                found.push(("adaptive", "the weight could never move", "TRL has step = 0.005, max = 1.0"));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coefs(settings: &Entropy, updates: &[usize]) -> Vec<f64> {
        updates.iter().map(|&update| Controller::new(settings).coef(settings, update)).collect()
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, not {expected:?}");
    }

    #[test]
    fn table_5_is_silent_for_140_updates_and_then_shrinks() {
        let schedule = EntropySchedule::Exponential;
        let paper = Entropy { coef: 0.02, schedule, warmup: 140, rate: 0.985, ..Entropy::default() };
        close(&coefs(&paper, &[0, 139, 140, 141, 142]), &[0.0, 0.0, 0.02, 0.0197, 0.019_404_5]);
        let floored = Entropy { min: 0.01, ..paper };
        close(&coefs(&floored, &[140, 1000]), &[0.02, 0.01]);
    }

    #[test]
    fn constant_stays_and_linear_falls_to_its_least() {
        let linear = Entropy { coef: 0.5, schedule: EntropySchedule::Linear, over: 4, min: 0.1, ..Entropy::default() };
        close(&coefs(&linear, &[0, 1, 2, 4, 9]), &[0.5, 0.4, 0.3, 0.1, 0.1]);
        close(&coefs(&Entropy { coef: 0.5, ..Entropy::default() }, &[0, 9]), &[0.5, 0.5]);
        close(&coefs(&Entropy { min: 0.1, ..Entropy::default() }, &[0]), &[0.0]);
    }

    #[test]
    fn an_adaptive_weight_climbs_below_the_target_and_rests_above() {
        let adaptive = Adaptive { target: 1.0, step: 0.25, max: 0.75 };
        let settings = Entropy { coef: 0.5, schedule: EntropySchedule::Adaptive, adaptive, ..Entropy::default() };
        let mut controller = Controller::new(&settings);
        let mut seen = vec![controller.coef(&settings, 0)];
        for entropy in [0.5, 0.5, 2.0, 2.0, 2.0, 2.0, 1.0] {
            controller.observe(&settings, entropy);
            seen.push(controller.coef(&settings, 0));
        }
        close(&seen, &[0.5, 0.75, 0.75, 0.0, 0.0, 0.0, 0.0, 0.25]);
        let again: Controller = serde_json::from_str(&serde_json::to_string(&controller).unwrap()).unwrap();
        assert_eq!(again, controller);
    }

    #[test]
    fn mistakes_are_named() {
        let paths = |json: &str| {
            let entropy: Entropy = serde_json::from_str(json).unwrap();
            entropy.problems().into_iter().map(|problem| problem.0).collect::<Vec<_>>()
        };
        assert!(paths("{}").is_empty());
        assert_eq!(paths(r#"{"coef":-1.0,"min":-1.0}"#), ["coef", "min"]);
        assert_eq!(paths(r#"{"coef":0.1,"min":0.2,"schedule":"exponential","rate":2.0}"#), ["min", "rate"]);
        assert_eq!(paths(r#"{"schedule":"linear","over":0}"#), ["over"]);
        assert_eq!(paths(r#"{"schedule":"adaptive","adaptive":{"step":0.0}}"#), ["coef", "adaptive"]);
    }
}
