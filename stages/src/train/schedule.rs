//! Step number → learning rate. Host arithmetic in f64; knows no optimizer.
//!
//! With `S` steps in all, `W` of them warm-up, and step `s` counted from 0:
//!
//! ```text
//! s < W      lr · (s + 1) / (W + 1)
//! constant   lr
//! linear     lr · (S − s) / max(1, S − W)
//! cosine     lr · ½ (1 + cos(π (s − W) / max(1, S − W)))
//! ```
//!
//! After the warm-up this is transformers' `get_{constant,linear,cosine}_schedule_with_warmup`. Deviation, on purpose: theirs
//! warms up with `s / W`, which makes the first step do nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate moves after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Stays.
    #[default]
    Constant,
    /// Falls in a line to zero.
    Linear,
    /// Falls along half a cosine to zero.
    Cosine,
}

/// A learning rate for every step of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    peak: f64,
    shape: Shape,
    warmup: usize,
    total: usize,
}

impl Schedule {
    /// A schedule with peak `lr` over `total` steps; `warmup` below 1 is a share of them (rounded up), otherwise a number
    /// of steps.
    pub fn new(lr: f64, shape: Shape, warmup: f64, total: usize) -> Self {
        let steps = if warmup < 1.0 { (warmup * total as f64).ceil() } else { warmup.round() };
        Self { peak: lr, shape, warmup: (steps as usize).min(total), total }
    }

    /// The learning rate of the step with this number, counted from 0.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / (self.warmup + 1) as f64;
        }
        let rest = self.total.saturating_sub(self.warmup).max(1) as f64;
        let done = ((step - self.warmup) as f64 / rest).min(1.0);
        self.peak
            * match self.shape {
                Shape::Constant => 1.0,
                Shape::Linear => 1.0 - done,
                Shape::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(shape: Shape, warmup: f64, total: usize) -> Vec<f64> {
        let schedule = Schedule::new(2.0, shape, warmup, total);
        (0..total).map(|step| (schedule.at(step) * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn constant_without_warmup_stays() {
        assert_eq!(table(Shape::Constant, 0.0, 3), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn warmup_by_steps_climbs_to_the_peak() {
        // W = 3: 1/4, 2/4, 3/4 of 2.0, then the peak.
        assert_eq!(table(Shape::Constant, 3.0, 5), [0.5, 1.0, 1.5, 2.0, 2.0]);
    }

    #[test]
    fn warmup_by_share_rounds_up() {
        // ceil(0.3 · 4) = 2.
        assert_eq!(table(Shape::Linear, 0.3, 4), [0.666_667, 1.333_333, 2.0, 1.0]);
    }

    #[test]
    fn linear_falls_in_equal_steps() {
        assert_eq!(table(Shape::Linear, 0.0, 4), [2.0, 1.5, 1.0, 0.5]);
    }

    #[test]
    fn cosine_is_half_way_down_in_the_middle() {
        // cos(π/4) = 0.707107.
        assert_eq!(table(Shape::Cosine, 0.0, 4), [2.0, 1.707_107, 1.0, 0.292_893]);
    }

    #[test]
    fn past_the_end_stays_at_the_end() {
        assert!(Schedule::new(2.0, Shape::Linear, 0.0, 4).at(9).abs() < 1e-12);
    }

    #[test]
    fn warmup_longer_than_the_run_never_reaches_the_peak() {
        assert_eq!(table(Shape::Cosine, 9.0, 3), [0.5, 1.0, 1.5]);
    }
}
