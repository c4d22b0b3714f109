//! Scored completions → `metrics.json` and `items.jsonl`. The sums are host code; refuses to know models and how answers are judged
//! ([`crate::rl::reward`]).

#[cfg(feature = "compute")]
pub mod run;
pub mod score;
