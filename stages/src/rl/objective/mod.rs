//! Log-probabilities and advantages → the loss of a micro-batch. One objective per file; [`ObjectiveKind`] is the table.
//!
//! ```text
//! L = Σ_n w_n [ s_n + β KL_n ] − c/T Σ_n H_n          n counts tokens, T of them in the optimizer step
//!
//! clip        s = −min(ρ A, clip(ρ, 1 − ε_low, 1 + ε_high) A)     GRPO, DAPO, ReVisual-R1 eq. 2
//! gspo        the same with one ratio per completion               GSPO
//! cispo       s = −sg(min(ρ, cap)) A log π                         MiniMax-M1
//! sapo        s = −σ(τ (ρ − 1)) 4/τ A                              SAPO
//! reinforce   s = −A log π                                         REINFORCE
//! ```
//!
//! | method | objective | `mean` | `advantage.kind` |
//! | --- | --- | --- | --- |
//! | GRPO | `clip` | `sequence` | `group` |
//! | DAPO | `clip`, `high = 0.28` | `token` | `group`, with `select.kind = "dapo"` |
//! | Dr.GRPO | `clip` | `constant` | `centred` |
//! | GSPO | `gspo` | `sequence` | `group` |
//! | RLOO | `reinforce` | `sequence` | `leave-one-out` |
//!
//! Everything is flat: `n` counts the completion tokens of a micro-batch, completion after completion, and no completion is
//! cut over two micro-batches. A token's weight says how much of the optimizer step's mean it is ([`mean`]), so the losses
//! of micro-batches add up to the loss of the whole, and splitting differently changes nothing but rounding. Weight 0 hides
//! a token: it is hidden before anything is exponentiated, so it may hold −inf. Refuses to know samples and rewards.

pub mod cispo;
pub mod clip;
pub mod entropy;
pub mod gspo;
pub mod kl;
pub mod mean;
pub mod problems;
pub mod ratio;
pub mod reinforce;
pub mod sapo;
#[cfg(feature = "compute")]
mod tokens;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "compute")]
pub use tokens::{Loss, Terms, Tokens};

/// Bound on a log-ratio before it is exponentiated: ratios stay in [1e-3, 1e3], as in the released code.
pub const LOG_RATIO_BOUND: f64 = 6.907_755_278_982_137;

/// What an update makes likelier, and by how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveKind {
    /// The clipped ratio of each token: GRPO, DAPO; settings in `clip`.
    #[default]
    Clip,
    /// The clipped ratio of each completion: GSPO; settings in `gspo`.
    Gspo,
    /// Log-probabilities weighed by a capped ratio: CISPO; settings in `cispo`.
    Cispo,
    /// A soft gate in place of the clip: SAPO; settings in `sapo`.
    Sapo,
    /// Log-probabilities weighed by the advantage alone.
    Reinforce,
}

#[cfg(feature = "compute")]
impl ObjectiveKind {
    fn surrogate(self) -> tokens::Objective {
        match self {
            Self::Clip => clip::surrogate,
            Self::Gspo => gspo::surrogate,
            Self::Cispo => cispo::surrogate,
            Self::Sapo => sapo::surrogate,
            Self::Reinforce => reinforce::surrogate,
        }
    }
}

#[cfg(feature = "compute")]
#[cfg(test)]
mod tests;
