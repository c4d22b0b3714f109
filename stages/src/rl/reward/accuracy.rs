//! The rule-based reward of eq. 1: is the boxed answer the gold answer?
//!
//! As in the release, only `\boxed{…}` counts (the paper's prompt demands it) and the last one is taken.

use super::Answered;
use super::answer::{boxed, matches};

/// 1 if the last boxed answer of the completion equals the gold answer, else 0.
pub fn accuracy(answered: &Answered<'_>) -> f32 {
    match boxed(answered.text) {
        Some(found) if matches(answered.answer, answered.choices, found) => 1.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_box_counts() {
        let answered = |text| Answered { text, answer: "12", ..Answered::default() };
        assert!((accuracy(&answered(r"first \boxed{3}, no: \boxed{12}.")) - 1.0).abs() < f32::EPSILON);
        for wrong in [r"\boxed{12} or \boxed{3}", "12", "", r"\boxed{", r"\boxed{12"] {
            assert!(accuracy(&answered(wrong)).abs() < f32::EPSILON, "{wrong}");
        }
    }
}
