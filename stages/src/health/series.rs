//! Values of a number, step by step → its mean over the last of them, at the start, and at its best. Refuses to know what
//! it is.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What is kept of a number; part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The last values, as many as the window has.
    recent: VecDeque<f64>,
    /// Mean of the first full window.
    start: Option<f64>,
    /// Greatest mean of a full window.
    best: Option<f64>,
}

impl Series {
    /// Adds the value of a step; one that is not finite is passed over. True where the window's mean is a new best.
    pub fn push(&mut self, window: usize, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        self.recent.push_back(value);
        while self.recent.len() > window {
            self.recent.pop_front();
        }
        let Some(mean) = self.mean(window) else { return false };
        self.start.get_or_insert(mean);
        let improved = self.best.is_none_or(|best| mean > best);
        if improved {
            self.best = Some(mean);
        }
        improved
    }

    /// Mean over the window, once it is full. Summed anew each time, so that no rounding is carried along.
    pub fn mean(&self, window: usize) -> Option<f64> {
        (self.recent.len() == window).then(|| self.recent.iter().sum::<f64>() / window as f64)
    }

    /// Mean of the first full window.
    pub fn start(&self) -> Option<f64> {
        self.start
    }

    /// Greatest mean of a full window.
    pub fn best(&self) -> Option<f64> {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_a_mean_once_it_is_full() {
        let mut series = Series::default();
        assert!(!series.push(2, 1.0));
        assert_eq!((series.mean(2), series.start(), series.best()), (None, None, None));
        assert!(series.push(2, 3.0), "the first mean is the best so far");
        assert!(series.push(2, 5.0));
        assert!(!series.push(2, 0.0));
        assert_eq!((series.mean(2), series.start(), series.best()), (Some(2.5), Some(2.0), Some(4.0)));
    }

    #[test]
    fn what_is_no_number_is_passed_over() {
        let mut series = Series::default();
        series.push(1, 1.0);
        assert!(!series.push(1, f64::NAN) && !series.push(1, f64::INFINITY));
        assert_eq!(series.mean(1), Some(1.0));
    }
}
