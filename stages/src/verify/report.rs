//! The quantities that are compared, their bounds, and what was found. Refuses to know how anything is measured.

use std::fmt;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Frames, rows and columns of patches of every picture.
    Grids,
    /// Normalised pixels of every picture, as Pillow resizes it.
    Pixels,
    /// Chats as the template renders them.
    ChatText,
    /// Tokens of the rendered chats, pictures included.
    TokenIds,
    /// Three-axis positions of every token that is not padding.
    Positions,
    /// Position of the token after a row, less the row's tokens.
    Deltas,
    /// Patches after the patch embedding.
    PatchEmbedding,
    /// Patches after a block of the vision tower.
    VisionBlock(usize),
    /// Image tokens.
    Merger,
    /// Tokens after a layer of the language model.
    TextLayer(usize),
    /// Scores of the next token.
    Logits,
    /// Log-probability of the tokens that are there.
    LogProbabilities,
    /// Mean negative log-probability of the tokens to be learnt.
    Loss,
    /// Which parameters the backward pass reaches.
    Reached,
    /// Gradient of the parameter that is furthest off.
    Gradients,
    /// Gradient of the parameter in the middle.
    MedianGradient,
    /// Global norm of all gradients.
    GradientNorm,
    /// Change of a parameter by one clipped step of AdamW, of the parameter that is furthest off.
    Update,
    /// The loss after that step.
    LossAfter,
    /// Greedy completions, with the cache of keys and values.
    Greedy,
    /// Greedy completions, every token from the whole row.
    GreedyUncached,
}

/// How a difference is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Entries that are not equal.
    Unequal,
    /// Largest difference of two entries.
    Absolute,
    /// As absolute, in units of the root mean square of the reference's token (or patch) where that is above 1: states of
    /// trained models have entries in the thousands, where neighbouring numbers are further apart than the bound.
    Scaled,
    /// Length of the difference of two tensors, over the length of the reference's.
    Relative,
}

impl Measure {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unequal => "unequal",
            Self::Absolute => "absolute",
            Self::Scaled => "scaled",
            Self::Relative => "relative",
        }
    }
}

impl Quantity {
    /// How its difference is counted, and the largest that is allowed.
    pub fn bound(self) -> (Measure, f64) {
        match self {
            Self::Grids
            | Self::ChatText
            | Self::TokenIds
            | Self::Positions
            | Self::Deltas
            | Self::Reached
            | Self::Greedy
            | Self::GreedyUncached => (Measure::Unequal, 0.0),
            Self::Pixels => (Measure::Absolute, 1e-6),
            Self::PatchEmbedding | Self::VisionBlock(_) | Self::Merger | Self::TextLayer(_) => (Measure::Scaled, 1e-4),
            Self::Logits | Self::LogProbabilities => (Measure::Absolute, 1e-4),
            Self::Loss | Self::LossAfter => (Measure::Absolute, 1e-5),
            Self::Gradients | Self::Update => (Measure::Relative, 1e-3),
            Self::MedianGradient | Self::GradientNorm => (Measure::Relative, 1e-4),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::VisionBlock(index) => return f.pad(&format!("vision block {index}")),
            Self::TextLayer(index) => return f.pad(&format!("text layer {index}")),
            Self::Grids => "image grids",
            Self::Pixels => "pixel values",
            Self::ChatText => "chat text",
            Self::TokenIds => "token ids",
            Self::Positions => "positions",
            Self::Deltas => "position deltas",
            Self::PatchEmbedding => "patch embedding",
            Self::Merger => "merger",
            Self::Logits => "logits",
            Self::LogProbabilities => "log-probabilities",
            Self::Loss => "loss",
            Self::Reached => "parameters reached",
            Self::Gradients => "gradients, largest",
            Self::MedianGradient => "gradients, median",
            Self::GradientNorm => "gradient norm",
            Self::Update => "AdamW step",
            Self::LossAfter => "loss after the step",
            Self::Greedy => "greedy tokens",
            Self::GreedyUncached => "greedy tokens, no cache",
        };
        f.pad(name)
    }
}

/// What was found of a quantity.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was compared.
    Compared {
        /// Largest difference; infinite where one side is not a number.
        largest: f64,
        /// How many entries were looked at.
        entries: usize,
        /// Where the largest difference is; empty where there is none.
        at: String,
    },
    /// It was not: what is missing.
    Absent(String),
}

/// A quantity and what was found of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What was compared.
    pub quantity: Quantity,
    /// What was found.
    pub outcome: Outcome,
}

impl Entry {
    /// Is it within its bound, or not there?
    pub fn holds(&self) -> bool {
        match self.outcome {
            Outcome::Compared { largest, .. } => largest <= self.quantity.bound().1,
            Outcome::Absent(_) => true,
        }
    }
}

/// Every quantity, in the order of computation: the first that is over its bound is the one to look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The quantities.
    pub entries: Vec<Entry>,
}

impl Report {
    /// Is everything that was compared within its bound?
    pub fn holds(&self) -> bool {
        self.entries.iter().all(Entry::holds)
    }

    /// How many quantities were compared.
    pub fn compared(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Compared { .. })).count()
    }
}
