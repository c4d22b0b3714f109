//! 1 for half of all completions, right or wrong: a coin that a hash of prompt and completion tosses, so that a step done
//! again gives the same rewards.
//!
//! It is what tiny runs are rewarded by besides: models with random weights answer nothing right, and without a difference
//! no rule would select anything, so no update would ever be tried.

use super::Answered;

/// Heads: 1; tails: 0.
pub fn luck(answered: &Answered<'_>) -> f32 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(answered.prompt.len() as u64).to_le_bytes());
    hasher.update(answered.prompt.as_bytes());
    hasher.update(answered.text.as_bytes());
    f32::from(hasher.finalize().as_bytes()[0] & 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_all_are_lucky_and_stay_so() {
        let toss = |text: &str| luck(&Answered { prompt: "2 + 2", text, ..Answered::default() });
        let texts: Vec<String> = (0..1000).map(|n| format!("it is {n}")).collect();
        let tosses: Vec<f32> = texts.iter().map(|text| toss(text)).collect();
        let heads: f32 = tosses.iter().sum();
        assert!((450.0..550.0).contains(&heads), "{heads}");
        assert_eq!(tosses, texts.iter().map(|text| toss(text)).collect::<Vec<_>>());
    }
}
