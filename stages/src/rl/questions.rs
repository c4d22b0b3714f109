//! A data port and a model folder → rows to ask, encoded on demand, and verdicts on answers. Images stay on disk until
//! their row is asked. Refuses to know who asks: training and evaluation both do.

use std::path::Path;
use std::sync::Arc;

use curricle_datasets::tokenize::Processor;
use curricle_datasets::{Encoded, Row};
use curricle_engine::stage::{InputArtifact, StageError};

use super::reward::Answered;
use crate::model::{ModelConfig, Sampling};
use crate::train::ahead::Ahead;

/// Rows with answers, and the processor of the model that is asked.
#[derive(Debug)]
pub struct Questions {
    rows: Vec<Row>,
    processor: Processor,
    /// Longest prompt that leaves room for a completion.
    longest: usize,
}

impl Questions {
    /// Opens rows and processor; `instruction` is added to every prompt.
    ///
    /// # Errors
    /// Where files can't be read, a row has no answer, or there is no row.
    pub fn open(
        data: &InputArtifact,
        model_dir: &Path,
        config: &ModelConfig,
        max_new_tokens: usize,
        instruction: Option<&str>,
    ) -> Result<Self, StageError> {
        let rows = crate::inputs::rows(data)?;
        if rows.is_empty() {
            return Err(StageError::Failed(format!("`{}` holds no rows", data.path.display())));
        }
        let rows = crate::inputs::instructed(rows, instruction);
        let processor = Processor::open(model_dir).map_err(|e| StageError::while_doing("opening the tokenizer", e))?;
        Self::of(rows, processor, config, max_new_tokens)
    }

    /// Questions of these rows.
    ///
    /// # Errors
    /// Where a row has no answer.
    pub fn of(
        rows: Vec<Row>,
        processor: Processor,
        config: &ModelConfig,
        max_new_tokens: usize,
    ) -> Result<Self, StageError> {
        if let Some(row) = rows.iter().find(|row| row.answer.is_none()) {
            return Err(StageError::Failed(format!("row `{}` has no `answer` to judge completions by", row.id)));
        }
        let longest = config.text.max_position_embeddings.saturating_sub(max_new_tokens);
        Ok(Self { rows, processor, longest })
    }

    /// Every row.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Keeps the first `limit` rows.
    pub fn truncate(&mut self, limit: usize) {
        self.rows.truncate(limit);
    }

    /// A row as the model is asked it.
    ///
    /// # Errors
    /// Where an image can't be read, or the prompt leaves no room for a completion.
    pub fn encode(&self, row: usize) -> Result<Encoded, StageError> {
        let row = &self.rows[row];
        let encoded =
            self.processor.prompt(row).map_err(|error| StageError::Failed(format!("row `{}`: {error}", row.id)))?;
        if encoded.ids.len() > self.longest {
            return Err(StageError::Failed(format!(
                "row `{}` has {} tokens; the model's positions leave room for {} before a completion",
                row.id,
                encoded.ids.len(),
                self.longest
            )));
        }
        Ok(encoded)
    }

    /// Rows as the model is asked them, each a job, ahead of who asks them, on so many threads (0: per core).
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn ahead(
        self: &Arc<Self>,
        threads: usize,
        rows: impl Iterator<Item = usize> + Send + 'static,
    ) -> Result<Ahead, StageError> {
        let questions = Arc::clone(self);
        Ahead::new(threads, 1, rows, move |row| Ok(vec![questions.encode(row)?]))
    }

    /// Text of a completion.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.processor.decode(ids, true)
    }

    /// A completion of so many tokens next to what was asked for.
    pub fn answered<'a>(&'a self, row: usize, text: &'a str, tokens: usize) -> Answered<'a> {
        let row = &self.rows[row];
        let answer = row.answer.as_deref().unwrap_or_default();
        Answered { prompt: &row.prompt, text, tokens, answer, choices: &row.choices }
    }

    /// The token that fills up short rows.
    pub fn pad(&self) -> u32 {
        self.processor.special().pad
    }

    /// How completions are drawn: the end of the turn stops; image and control tokens, and ids without text, are barred.
    pub fn sampling(&self, config: &ModelConfig, draws: Draws) -> Sampling {
        let special = self.processor.special();
        let thinking = [special.think_start, special.think_end];
        let mut banned = self.processor.control_ids();
        banned.retain(|&id| !thinking.contains(&Some(id)));
        banned.extend(self.processor.vocab_size() as u32..config.text.vocab_size as u32);
        Sampling {
            temperature: draws.temperature as f32,
            top_p: draws.top_p as f32,
            top_k: draws.top_k,
            repetition_penalty: 1.0,
            max_new_tokens: draws.max_new_tokens,
            stop: vec![special.eos],
            banned,
        }
    }
}

/// The sampling parameters of a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draws {
    /// 0 takes the likeliest token.
    pub temperature: f64,
    /// Probability kept.
    pub top_p: f64,
    /// Tokens kept; 0 keeps all.
    pub top_k: usize,
    /// Longest completion.
    pub max_new_tokens: usize,
}
