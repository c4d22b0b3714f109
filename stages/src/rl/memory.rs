//! What a step leaves for the next ones besides the model and its optimizer → part of a checkpoint, and back. Refuses to
//! know who uses it.
//!
//! ```text
//! state.json             history (GRESO), entropy (adaptive bonus), replay: row, tokens, advantage, priority of each
//! tensors.safetensors    replay.ids, replay.old: tokens and log-probabilities, sample after sample
//! ```

use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::objective::entropy::Controller;
use super::select::greso::History;
use super::select::ssr::{Buffer, Kept};
use crate::kinds::grpo::Params;
use crate::train::checkpoint::{Checkpoint, Named};

/// What selection carries from step to step.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// Samples that may come back.
    pub replay: Buffer,
    /// Prompts whose groups did not differ.
    pub history: History,
}

/// A replayed sample without its tokens.
#[derive(Serialize, Deserialize)]
struct Entry {
    row: usize,
    tokens: usize,
    advantage: f32,
    priority: f32,
}

impl Memory {
    /// At the start of a stage.
    pub fn new(params: &Params) -> Self {
        Self { replay: Buffer::default(), history: History::new(&params.select.skip) }
    }

    /// The tensors and the state of a checkpoint.
    pub fn save(&self, entropy: &Controller) -> (Vec<Named>, Value) {
        let kept = &self.replay.0;
        let entry = |kept: &Kept| Entry {
            row: kept.row,
            tokens: kept.ids.len(),
            advantage: kept.advantage,
            priority: kept.priority,
        };
        let entries: Vec<Entry> = kept.iter().map(entry).collect();
        let state = json!({ "history": self.history, "entropy": entropy, "replay": entries });
        if kept.is_empty() {
            return (Vec::new(), state);
        }
        let ids: Vec<i32> = kept.iter().flat_map(|kept| &kept.ids).map(|&id| id as i32).collect();
        let old: Vec<f32> = kept.iter().flat_map(|kept| &kept.old).copied().collect();
        let count = ids.len();
        let tensors = vec![
            ("replay.ids".to_owned(), TensorData::new(ids, [count])),
            ("replay.old".to_owned(), TensorData::new(old, [count])),
        ];
        (tensors, state)
    }

    /// What [`Self::save`] kept; `None` where the checkpoint holds something else.
    pub fn restore(found: &Checkpoint) -> Option<(Self, Controller)> {
        let part = |name: &str| found.state.get(name).cloned();
        let history = serde_json::from_value(part("history")?).ok()?;
        let entropy = serde_json::from_value(part("entropy")?).ok()?;
        let entries: Vec<Entry> = serde_json::from_value(part("replay")?).ok()?;
        let mut replay = Buffer::default();
        if !entries.is_empty() {
            let (ids, old) = (found.tensor("replay.ids")?, found.tensor("replay.old")?);
            let (mut ids, mut old) = (ids.iter::<i32>(), old.iter::<f32>());
            for Entry { row, tokens, advantage, priority } in entries {
                let ids: Vec<u32> = ids.by_ref().take(tokens).map(|id| id as u32).collect();
                let old: Vec<f32> = old.by_ref().take(tokens).collect();
                if ids.len() != tokens || old.len() != tokens {
                    return None;
                }
                replay.0.push_back(Kept { row, ids, advantage, priority, old });
            }
        }
        Some((Self { replay, history }, entropy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::select::greso::Outcome;
    use crate::train::checkpoint::Checkpoints;

    #[test]
    fn a_checkpoint_brings_everything_back() {
        let params = Params::default();
        let mut memory = Memory::new(&params);
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::below(dir.path());
        for step in 1..3_usize {
            let (tensors, state) = memory.save(&Controller::new(&params.entropy));
            checkpoints.save(step, &tensors, state).unwrap();
            let found = checkpoints.latest(|message| panic!("{message}")).unwrap();
            assert_eq!(Memory::restore(&found), Some((memory.clone(), Controller::new(&params.entropy))));
            let kept = |ids: &[u32], old: &[f32]| Kept {
                row: step,
                ids: ids.to_vec(),
                advantage: -0.1,
                priority: 0.3,
                old: old.to_vec(),
            };
            let fresh = [kept(&[7, 8], &[-0.1, -1.0 / 3.0]), kept(&[9], &[f32::NEG_INFINITY])];
            memory.replay.extend(&params.select.replay, fresh);
            memory.history.learn(&params.select.skip, &[(3, Outcome::Hard)]);
        }
    }

    #[test]
    fn a_foreign_state_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::below(dir.path());
        checkpoints.save(1, &[], json!({})).unwrap();
        assert!(Memory::restore(&checkpoints.latest(|message| panic!("{message}")).unwrap()).is_none());
    }
}
