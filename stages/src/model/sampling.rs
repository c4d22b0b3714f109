//! Scores of one position → a token id: greedy, or drawn after temperature, top-k and top-p.
//!
//! The order of the filters and the token that crosses `top_p` staying in are those of transformers' logits warpers. Draws
//! come from a seeded stream of the row's own. Knows nothing of models and batches.

use std::collections::BTreeSet;

use curricle_kernels::logprob::weights;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How tokens are chosen, and when a row ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divides the scores; 0 chooses the best one.
    pub temperature: f32,
    /// Smallest set of tokens that together are this probable; 1 keeps all.
    pub top_p: f32,
    /// That many best tokens; 0 keeps all.
    pub top_k: usize,
    /// Divides the positive scores of tokens that the row holds already, prompt included, and multiplies the negative
    /// ones (`RepetitionPenaltyLogitsProcessor`); 1 leaves them.
    pub repetition_penalty: f32,
    /// Tokens after which a row is cut.
    pub max_new_tokens: usize,
    /// Tokens that end a row, and belong to it.
    pub stop: Vec<u32>,
    /// Tokens that are never chosen.
    pub banned: Vec<u32>,
}

impl Sampling {
    /// The best token at every step.
    pub fn greedy(max_new_tokens: usize, stop: Vec<u32>) -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            repetition_penalty: 1.0,
            max_new_tokens,
            stop,
            banned: Vec::new(),
        }
    }

    /// Does what a row holds change its scores?
    pub fn penalises(&self) -> bool {
        (self.repetition_penalty - 1.0).abs() > f32::EPSILON
    }

    /// Tokens that are never chosen: what is banned and does not stop.
    pub fn never(&self) -> impl Iterator<Item = u32> {
        self.banned.iter().copied().filter(|id| !self.stop.contains(id))
    }

    /// Applies [`Self::repetition_penalty`] to the scores of the tokens `held`.
    pub fn penalise(&self, scores: &mut [f32], held: &BTreeSet<u32>) {
        for &id in held {
            if let Some(score) = scores.get_mut(id as usize) {
                *score *= if *score < 0.0 { self.repetition_penalty } else { self.repetition_penalty.recip() };
            }
        }
    }

    /// Chooses a token; `None` if every one is banned or no score is a number.
    ///
    /// Stop tokens are never banned.
    pub fn choose(&self, scores: &mut [f32], rng: &mut ChaCha8Rng) -> Option<u32> {
        for id in self.never() {
            if let Some(score) = scores.get_mut(id as usize) {
                *score = f32::NEG_INFINITY;
            }
        }
        let (best, &peak) = scores
            .iter()
            .enumerate()
            .filter(|(_, score)| **score > f32::NEG_INFINITY)
            .reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        if self.temperature <= 0.0 {
            return Some(best as u32);
        }
        // Sums in 64 bits: the choice must not depend on how many improbable tokens there are.
        if self.top_k == 0 && self.top_p >= 1.0 {
            let weights = weights(scores, peak, 1.0 / self.temperature);
            return draw(weights.iter().map(|&weight| f64::from(weight)).enumerate(), rng.random());
        }
        let scale = 1.0 / f64::from(self.temperature);
        let mut weights: Vec<(usize, f64)> = scores
            .iter()
            .enumerate()
            .filter(|(_, score)| **score > f32::NEG_INFINITY)
            .map(|(id, score)| (id, (f64::from(score - peak) * scale).exp()))
            .collect();
        self.filter(&mut weights);
        draw(weights.iter().copied(), rng.random())
    }

    fn filter(&self, weights: &mut Vec<(usize, f64)>) {
        let order = |a: &(usize, f64), b: &(usize, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if self.top_k > 0 && self.top_k < weights.len() {
            weights.select_nth_unstable_by(self.top_k, order);
            weights.truncate(self.top_k);
        }
        if self.top_p >= 1.0 {
            // A fixed order, or equal seeds would choose differently.
            weights.sort_unstable_by_key(|&(id, _)| id);
            return;
        }
        weights.sort_unstable_by(order);
        let bound = f64::from(self.top_p) * weights.iter().map(|(_, weight)| weight).sum::<f64>();
        let mut sum = 0.0;
        let kept = weights.iter().take_while(|(_, weight)| {
            let below = sum < bound;
            sum += weight;
            below
        });
        let kept = kept.count().max(1);
        weights.truncate(kept);
    }
}

/// The token at the share `at` (0..1) of all weights.
fn draw(weights: impl Iterator<Item = (usize, f64)> + Clone, at: f64) -> Option<u32> {
    let mut left = at * weights.clone().map(|(_, weight)| weight).sum::<f64>();
    let mut last = None;
    for (id, weight) in weights.filter(|(_, weight)| *weight > 0.0) {
        left -= weight;
        last = Some(id as u32);
        if left < 0.0 {
            break;
        }
    }
    last
}

/// The stream of draws of one row.
pub fn stream(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

#[cfg(test)]
mod tests {
    use super::{Sampling, stream};

    fn sampling(temperature: f32, top_k: usize, top_p: f32) -> Sampling {
        Sampling { temperature, top_p, top_k, ..Sampling::greedy(1, vec![]) }
    }

    /// How often each of the tokens is drawn from probabilities 1/2, 1/4, 1/8, 1/8.
    fn drawn(sampling: &Sampling) -> [usize; 4] {
        let mut rng = stream(1);
        let mut counts = [0; 4];
        for _ in 0..4000 {
            let mut scores = [0.5_f32, 0.25, 0.125, 0.125].map(f32::ln);
            counts[sampling.choose(&mut scores, &mut rng).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_first_of_the_best() {
        let mut scores = [0.0, f32::NAN, 2.0, 2.0, f32::NEG_INFINITY];
        assert_eq!(sampling(0.0, 0, 1.0).choose(&mut scores, &mut stream(0)), Some(2));
        assert_eq!(sampling(0.0, 0, 1.0).choose(&mut [f32::NAN; 3], &mut stream(0)), None);
    }

    #[test]
    fn frequencies_are_the_probabilities() {
        let counts = drawn(&sampling(1.0, 0, 1.0));
        for (count, expected) in counts.iter().zip([2000, 1000, 500, 500]) {
            assert!(count.abs_diff(expected) < 130, "{counts:?}");
        }
        // Temperature 1/2 squares: 4/5.5 … 16 : 4 : 1 : 1.
        let counts = drawn(&sampling(0.5, 0, 1.0));
        assert!(counts[0].abs_diff(4000 * 16 / 22) < 130, "{counts:?}");
    }

    #[test]
    fn what_was_said_is_less_likely() {
        let rules = Sampling { repetition_penalty: 2.0, ..sampling(0.0, 0, 1.0) };
        let mut scores = [3.0, -1.0, 2.0, -1.0];
        rules.penalise(&mut scores, &[0, 1, 99].into());
        assert_eq!(scores.map(|score| (score * 2.0) as i32), [3, -4, 4, -2]);
    }

    #[test]
    fn filters_cut_the_tail() {
        assert_eq!(drawn(&sampling(1.0, 2, 1.0))[2..], [0, 0]);
        // 1/2 alone is below 0.6; the token that crosses it stays.
        let counts = drawn(&sampling(1.0, 0, 0.6));
        assert!(counts[1] > 0 && counts[2..] == [0, 0], "{counts:?}");
        assert_eq!(drawn(&sampling(1.0, 0, 0.0))[1..], [0, 0, 0]);
    }

    #[test]
    fn banned_tokens_are_not_chosen_unless_they_stop() {
        let mut rules = sampling(0.0, 0, 1.0);
        rules.banned = vec![0, 1, 99];
        rules.stop = vec![1];
        assert_eq!(rules.choose(&mut [9.0, 8.0, 7.0], &mut stream(0)), Some(1));
        rules.stop.clear();
        assert_eq!(rules.choose(&mut [9.0, 8.0, 7.0], &mut stream(0)), Some(2));
    }
}
