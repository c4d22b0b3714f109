//! Does a completion have the form that the paper's prompt demands?
//!
//! The release computes it as a full match of `<think>.*</think>.*\\boxed\{.*\}.*` (`.` matches line ends); that
//! alternative is this reward. Its three others accept completions without a box, which can't be scored anyway.

use super::Answered;

/// 1 if the completion starts with `<think>`, closes it, and boxes something after that, else 0.
pub fn format(answered: &Answered<'_>) -> f32 {
    let well_formed = answered
        .text
        .trim()
        .strip_prefix("<think>")
        .and_then(|rest| rest.split_once("</think>"))
        .and_then(|(_, rest)| rest.split_once(r"\boxed{"))
        .is_some_and(|(_, rest)| rest.contains('}'));
    if well_formed { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well_formed(text: &str) -> bool {
        format(&Answered { text, ..Answered::default() }) > 0.5
    }

    #[test]
    fn thinking_then_a_box() {
        assert!(well_formed("<think>a\nb</think>\nso \\boxed{4}."));
        assert!(well_formed("\n<think></think>\\boxed{}"));
        for bad in [
            r"\boxed{4}",
            r"<think>\boxed{4}</think>",
            r"<think>a</think> 4",
            r"so <think>a</think>\boxed{4}",
            r"<think>a</think>\boxed{4",
        ] {
            assert!(!well_formed(bad), "{bad}");
        }
    }
}
