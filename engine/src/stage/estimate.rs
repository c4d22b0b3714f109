//! What a stage would cost, said before it runs, and the facts that are needed to say it. Facts are `Option`: `None` means
//! that nobody could see them, and what follows from them is then unknown too, never zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Runtime;

/// What is known of a model, or of rows, that flow along an edge.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extent {
    /// A model's `config.json`, or as much of it as the recipe says.
    pub config: Option<Arc<Value>>,
    /// Parameters of the low-rank adapter beside a model's weights.
    pub adapter: Option<u64>,
    /// Tokens that a model's chat template puts around one question and its answer.
    pub template: Option<f64>,
    /// Fewest and most pixels of an image as a model reads it.
    pub pixel_bounds: Option<[f64; 2]>,
    /// Rows.
    pub rows: Option<f64>,
    /// Tokens of a row's question.
    pub prompt: Option<Length>,
    /// Tokens of what a row has to learn from: response, or reasoning and answer.
    pub answer: Option<Length>,
    /// Images of a row, on average.
    pub images: Option<f64>,
    /// Pixels of an image, on average.
    pub pixels: Option<f64>,
}

/// How long texts are, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Length {
    /// On average.
    pub mean: f64,
    /// Lengths that the shares [`Length::SHARES`] of all texts don't exceed.
    pub marks: [f64; 5],
}

impl Length {
    /// Shares whose lengths are kept: half, and ever more of the texts, up to all.
    pub const SHARES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

    /// Of texts of these lengths; none of no text.
    pub fn of(mut lengths: Vec<f64>) -> Option<Self> {
        lengths.sort_by(f64::total_cmp);
        let last = lengths.len().checked_sub(1)?;
        let mean = lengths.iter().sum::<f64>() / lengths.len() as f64;
        Some(Self { mean, marks: Self::SHARES.map(|share| lengths[(last as f64 * share).round() as usize]) })
    }

    /// Of texts that are all this long.
    pub fn always(tokens: f64) -> Self {
        Self { mean: tokens, marks: [tokens; 5] }
    }

    /// These texts followed by others, long ones by long ones.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    /// What is left of these texts without others, which were counted as part of them.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.with(other, |a, b| (a - b).max(0.0))
    }

    /// These texts, cut where they are longer than a limit.
    #[must_use]
    pub fn cut(self, limit: f64) -> Self {
        self.with(Self::always(limit), f64::min)
    }

    /// The length that a share of the texts does not exceed; between the marks it grows evenly, below them it is the first.
    pub fn quantile(&self, share: f64) -> f64 {
        let above = Self::SHARES.iter().position(|mark| *mark >= share).unwrap_or(Self::SHARES.len() - 1);
        let Some(below) = above.checked_sub(1) else { return self.marks[0] };
        let (from, to) = (Self::SHARES[below], Self::SHARES[above]);
        self.marks[below] + (self.marks[above] - self.marks[below]) * (share - from) / (to - from)
    }

    /// The longest text.
    pub fn longest(&self) -> f64 {
        self.quantile(1.0)
    }

    /// About the longest of so many texts, drawn at random.
    pub fn longest_of(&self, texts: f64) -> f64 {
        self.quantile(1.0 - 1.0 / (texts + 1.0))
    }

    fn with(self, other: Self, join: impl Fn(f64, f64) -> f64) -> Self {
        let marks = std::array::from_fn(|at| join(self.marks[at], other.marks[at]));
        Self { mean: join(self.mean, other.mean), marks }
    }
}

/// What a stage may look at to say what it would cost.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// Connected inputs by port; nothing known of one that nobody could see.
    pub inputs: &'a BTreeMap<String, Extent>,
    /// How it would run.
    pub runtime: &'a Runtime,
    /// Threads that it would have.
    pub threads: usize,
    /// Does it compute on a GPU?
    pub gpu: bool,
}

impl Facts<'_> {
    /// What is known of an input; `None` where it is not connected.
    pub fn input(&self, port: &str) -> Option<&Extent> {
        self.inputs.get(port)
    }
}

/// What a stage would cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Estimate {
    /// Parameters of its model, the adapter included.
    pub parameters: Option<u64>,
    /// Those of them that learn; none where it does not train.
    pub trained: Option<u64>,
    /// What is in memory, phase by phase; the peak is that of the largest. Empty: unknown.
    pub phases: Vec<Phase>,
    /// Is that memory only a bound, because the lengths of rows are unknown? Then nothing is refused for it.
    pub bound: bool,
    /// Floating-point operations, a multiplication and an addition counted as two.
    pub flops: Option<f64>,
    /// Tokens that go through the model, read and written, each as often as it does.
    pub tokens: Option<f64>,
    /// Bytes of its outputs.
    pub output_bytes: Option<u64>,
    /// Bytes of the checkpoints that are on disk while it runs.
    pub checkpoint_bytes: Option<u64>,
    /// What is unknown, or only bounded, and why; lowercase fragments.
    pub notes: Vec<String>,
    /// What is known of its outputs, by port.
    #[serde(skip)]
    pub makes: BTreeMap<String, Extent>,
}

/// A stretch of a stage in which the same things are in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// What goes on: `rollout`, `backward`, …
    pub name: String,
    /// What is held.
    pub memory: Memory,
}

/// Bytes by what they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Weights in every format and copy, the reference's and the optimizer's masters included.
    pub weights: u64,
    /// Gradients.
    pub gradients: u64,
    /// The optimizer's moments.
    pub optimizer: u64,
    /// What a forward pass keeps for its backward pass, and what a layer needs while it computes.
    pub activations: u64,
    /// Keys and values of the tokens of a rollout.
    pub kv_cache: u64,
    /// Scores over the vocabulary, as many as there are at a time.
    pub logits: u64,
    /// The program itself, rows, and prepared images.
    pub other: u64,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.parts().iter().map(|(_, bytes)| bytes).sum()
    }

    /// Each part with its name.
    pub fn parts(&self) -> [(&'static str, u64); 7] {
        [
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
            ("activations", self.activations),
            ("kv cache", self.kv_cache),
            ("logits", self.logits),
            ("other", self.other),
        ]
    }
}

impl Estimate {
    /// Nothing but a reason.
    pub fn unknown(note: impl Into<String>) -> Self {
        Self { notes: vec![note.into()], ..Self::default() }
    }

    /// The phase that needs the most memory.
    pub fn peak(&self) -> Option<&Phase> {
        self.phases.iter().max_by_key(|phase| phase.memory.total())
    }

    /// What its time grows with: operations where it computes, else bytes that it writes.
    pub fn work(&self) -> Option<f64> {
        self.flops.or(self.output_bytes.map(|bytes| bytes as f64)).filter(|work| *work > 0.0)
    }

    /// This with something known of an output.
    #[must_use]
    pub fn making(mut self, port: &str, known: Extent) -> Self {
        self.makes.insert(port.to_owned(), known);
        self
    }
}

/// Tokens per piece of [`rough_tokens`]: the tokenizers of Qwen2.5-VL and `SmolLM2` make 1.00 to 1.15 of one on GSM8K, MATH-500,
/// AIME and `PuzzleVQA`, and 1.08 on average; so does one of 512 tokens on the rows that it was trained on.
const PER_PIECE: f64 = 1.08;

/// About how many tokens a text is, without its tokenizer.
///
/// Counts what the pre-tokenizer of Qwen2.5 cuts a text into (runs of letters, single digits, runs of other signs, line
/// breaks): a token never spans two of them, and most are one.
pub fn rough_tokens(text: &str) -> f64 {
    #[derive(PartialEq)]
    enum Piece {
        Letters,
        Digit,
        Signs,
        Break,
        Space,
    }
    let (mut pieces, mut before) = (0_u64, Piece::Space);
    for c in text.chars() {
        let piece = match c {
            '\n' => Piece::Break,
            c if c.is_whitespace() => Piece::Space,
            c if c.is_alphabetic() => Piece::Letters,
            c if c.is_numeric() => Piece::Digit,
            _ => Piece::Signs,
        };
        if piece == Piece::Digit || (piece != before && piece != Piece::Space) {
            pieces += 1;
        }
        before = piece;
    }
    pieces as f64 * PER_PIECE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_digits_and_signs_are_pieces() {
        // "How", "many", "are", "1", "2", "+", "3", "?", break, "<", "think", ">" — signs in a row are one piece.
        assert_eq!((rough_tokens("How many are 12 + 3?\n<think>") / PER_PIECE).round() as u64, 12);
        assert_eq!((rough_tokens("a  b\n\nc...") / PER_PIECE).round() as u64, 5);
        assert!(rough_tokens("").abs() < 1e-9);
    }

    #[test]
    fn lengths_keep_their_tail() {
        let length = Length::of((1..=1000).map(f64::from).collect()).unwrap();
        assert!((length.mean - 500.5).abs() < 1e-9);
        assert!((length.longest() - 1000.0).abs() < 1e-9 && (length.quantile(0.2) - 500.0).abs() < 2.0);
        // The longest of three is in the upper quarter, that of a hundred in the upper hundredth.
        assert!((length.longest_of(3.0) - 750.0).abs() < 2.0 && (length.longest_of(99.0) - 990.0).abs() < 2.0);
        assert!(length.longest_of(1e9) > 999.0 && length.longest_of(0.0) < length.longest_of(5.0));
        let sum = length.plus(Length::always(10.0));
        assert!((sum.longest() - 1010.0).abs() < 1e-9 && (sum.minus(length).longest() - 10.0).abs() < 1e-9);
        assert!((sum.cut(600.0).longest() - 600.0).abs() < 1e-9);
        assert_eq!(Length::of(Vec::new()), None);
    }

    #[test]
    fn the_peak_is_that_of_the_largest_phase() {
        let phase = |name: &str, weights, logits| Phase {
            name: name.into(),
            memory: Memory { weights, logits, ..Memory::default() },
        };
        let estimate =
            Estimate { phases: vec![phase("a", 5, 1), phase("b", 3, 4), phase("c", 1, 0)], ..Estimate::default() };
        assert_eq!(estimate.peak().map(|phase| (phase.name.as_str(), phase.memory.total())), Some(("b", 7)));
        assert_eq!(Estimate::default().peak(), None);
    }

    #[test]
    fn work_is_operations_or_bytes_and_never_nothing() {
        let of = |flops, output_bytes| Estimate { flops, output_bytes, ..Estimate::default() }.work();
        assert_eq!(of(Some(3.0), Some(5)), Some(3.0));
        assert_eq!(of(None, Some(5)), Some(5.0));
        assert_eq!(of(Some(0.0), None), None);
    }
}
