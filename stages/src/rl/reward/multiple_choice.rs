//! Was the right option chosen? By letter or by text, in a box or, unlike `accuracy`, in plain words at the end: `Answer: B`,
//! `the answer is (B)`. Knows nothing of how options are shown.

use super::Answered;
use super::answer::{boxed, letter_position, matches};

/// 1 if the option that the completion chooses is the gold one, else 0.
pub(super) fn multiple_choice(answered: &Answered<'_>) -> f32 {
    let right = chosen(answered.text).is_some_and(|found| matches(answered.answer, answered.choices, found));
    if right { 1.0 } else { 0.0 }
}

/// What a completion chooses: the last box, else what stands after the last word `answer` if that is a letter, else all of
/// a completion that is one letter.
fn chosen(text: &str) -> Option<&str> {
    boxed(text).or_else(|| after_answer(text)).or_else(|| letter_position(text).map(|_| text))
}

/// The letter in `answer: B`, `answer is (B).`, `<answer>B</answer>`, at the last place that has one.
fn after_answer(text: &str) -> Option<&str> {
    const WORD: &str = "answer";
    // ASCII case only, so that positions are those of the text.
    let lower = text.to_ascii_lowercase();
    lower.rmatch_indices(WORD).find_map(|(at, _)| {
        let rest = text[at + WORD.len()..].trim_start_matches([' ', ':', '*', '>', '=', '\n']);
        let rest = rest.strip_prefix("is").unwrap_or(rest).trim_start_matches([' ', ':', '*', '\n']);
        let end = rest.find(|c: char| c.is_whitespace() || "<.,;*".contains(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        (word.len() <= 4 && letter_position(word).is_some()).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_by_letter_or_text_boxed_or_not() {
        let choices: Vec<String> = ["red", "green", "blue"].map(str::to_owned).to_vec();
        let score =
            |text, answer| multiple_choice(&Answered { text, answer, choices: &choices, ..Answered::default() }) > 0.5;
        for text in [
            r"so \boxed{B}",
            r"\boxed{(b)}",
            r"\boxed{green}",
            r"\boxed{\text{(B) green}}",
            "B",
            "(B).",
            "Answer: B",
            "I thought the answer is A. No, the answer is **(B)**.",
            "<think>answer</think><answer>B</answer>",
        ] {
            assert!(score(text, "B") && score(text, "green"), "{text}");
        }
        for text in [r"\boxed{A} answer: B", "answer: both", "the answer is A or B", "", "B or C", "Answer: Ä"] {
            assert!(!score(text, "B"), "{text}");
        }
    }
}
