//! `generation_config.json` → how the model's makers want it sampled. Knows no token's meaning.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

const FILE: &str = "generation_config.json";

/// The values that generation uses; what the file leaves out is transformers' `GenerationConfig` default.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// Whether tokens are drawn rather than the likeliest taken.
    pub do_sample: bool,
    /// Divides the scores.
    pub temperature: f64,
    /// Probability kept.
    pub top_p: f64,
    /// Tokens kept; 0 keeps all.
    pub top_k: usize,
    /// See [`super::sampling::Sampling::repetition_penalty`].
    pub repetition_penalty: f64,
    /// Longest completion.
    pub max_new_tokens: Option<usize>,
    /// Tokens that end a completion; none leaves the choice to the tokenizer.
    #[serde(deserialize_with = "one_or_many")]
    pub eos_token_id: Vec<u32>,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            do_sample: false,
            temperature: 1.0,
            top_p: 1.0,
            top_k: 50,
            repetition_penalty: 1.0,
            max_new_tokens: None,
            eos_token_id: Vec::new(),
        }
    }
}

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {cause}; correct or remove the file", file.display())]
pub struct GenerationError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong.
    pub cause: String,
}

impl GenerationConfig {
    /// Reads the file of a model folder; the defaults where there is none.
    ///
    /// # Errors
    /// Where the file can't be read, is no JSON, or holds a value of the wrong type.
    pub fn read(dir: &Path) -> Result<Self, GenerationError> {
        let file = dir.join(FILE);
        if !file.is_file() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(&file).map_err(|error| error.to_string());
        // A null means "not set", as in transformers.
        let fields = |text: String| serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(&text);
        let parsed = text.and_then(|text| fields(text).map_err(|error| error.to_string())).and_then(|mut fields| {
            fields.retain(|_, value| !value.is_null());
            serde_json::from_value(fields.into()).map_err(|error| error.to_string())
        });
        parsed.map_err(|cause| GenerationError { file, cause })
    }
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ids {
        One(u32),
        Many(Vec<u32>),
    }
    Ok(match Ids::deserialize(deserializer)? {
        Ids::One(id) => vec![id],
        Ids::Many(ids) => ids,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<GenerationConfig, GenerationError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), text).unwrap();
        GenerationConfig::read(dir.path())
    }

    #[test]
    fn one_stop_token_or_several_and_nulls() {
        let found =
            read(r#"{"do_sample": true, "eos_token_id": [3, 4], "top_k": null, "top_p": 0.8, "use_cache": true}"#);
        let expected = GenerationConfig { do_sample: true, top_p: 0.8, eos_token_id: vec![3, 4], ..Default::default() };
        assert_eq!(found.unwrap(), expected);
        assert_eq!(read(r#"{"eos_token_id": 7}"#).unwrap().eos_token_id, [7]);
        assert_eq!(GenerationConfig::read(Path::new("/nowhere")).unwrap(), GenerationConfig::default());
    }

    #[test]
    fn a_wrong_value_is_told() {
        let error = read(r#"{"temperature": "hot"}"#).unwrap_err().to_string();
        assert!(error.contains("generation_config.json") && error.contains("hot"), "{error}");
    }
}
