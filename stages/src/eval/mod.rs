//! Scored completions → `metrics.json` and `items.jsonl`. Host code; refuses to know models and how answers are judged
//! ([`crate::rl::reward`]).

pub mod score;
