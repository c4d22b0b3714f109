//! Tokens that a tokenizer lacks → a tokenizer that has them, and its files. Knows nothing of embeddings but their rows.

use std::path::Path;

use serde_json::{Value, json};
use tokenizers::AddedToken;

use super::cache::Cache;
use super::{EncodeError, Processor, control, special_tokens};
use crate::fs;

impl Processor {
    /// The same processor with more tokens, such as `<think>`: each gets the next free id, in order, unless it has one
    /// already. They are visible text (not special), as with transformers' `add_tokens`.
    ///
    /// A model needs more embedding rows only where [`Self::missing_rows`] says so: checkpoints often have some to spare.
    pub fn with_added_tokens(mut self, tokens: &[String]) -> Result<Self, EncodeError> {
        let fail = |token: &String, why: &str| EncodeError::AddedToken { token: token.clone(), why: why.to_owned() };
        for token in tokens {
            if token.trim().is_empty() {
                return Err(fail(token, "it is blank; name its text"));
            }
            // A token that merges make keeps its id, but is found in text before any merging from now on.
            if !self.tokenizer.get_added_vocabulary().get_vocab().contains_key(token) {
                self.tokenizer.add_tokens(&[AddedToken::from(token.as_str(), false)]);
            }
            let id = self.tokenizer.token_to_id(token).ok_or_else(|| fail(token, "the tokenizer did not take it"))?;
            if self.encode(token)? != [id] {
                return Err(fail(token, "the tokenizer does not read it back as one token; choose another text"));
            }
        }
        self.special = special_tokens(&self.tokenizer, Path::new("tokenizer.json"), &self.settings)?;
        self.control = control(&self.tokenizer, self.special);
        self.cache = Cache::default();
        Ok(self)
    }

    /// Embedding rows that a model with `rows` of them lacks for this tokenizer's ids; 0 where none has to be added.
    pub fn missing_rows(&self, rows: usize) -> usize {
        self.vocab_size().saturating_sub(rows)
    }

    /// Writes `tokenizer.json` and, where the model folder had one, `tokenizer_config.json`, as transformers reads them.
    pub fn write_tokenizer(&self, model_dir: &Path) -> Result<(), EncodeError> {
        let text = self.tokenizer.to_string(false).map_err(|error| EncodeError::Tokenizer(error.to_string()))?;
        fs::write(&model_dir.join("tokenizer.json"), text.as_bytes())?;
        if self.settings.is_null() {
            return Ok(());
        }
        let mut settings = self.settings.clone();
        // Older folders repeat the added tokens here, and those that are repeated win.
        if let Some(repeated) = settings.get_mut("added_tokens_decoder").and_then(Value::as_object_mut) {
            for (id, token) in self.tokenizer.get_added_tokens_decoder() {
                let entry = json!({
                    "content": token.content,
                    "lstrip": token.lstrip,
                    "normalized": token.normalized,
                    "rstrip": token.rstrip,
                    "single_word": token.single_word,
                    "special": token.special,
                });
                repeated.entry(id.to_string()).or_insert(entry);
            }
        }
        fs::write(&model_dir.join("tokenizer_config.json"), format!("{settings:#}\n").as_bytes())?;
        Ok(())
    }
}
