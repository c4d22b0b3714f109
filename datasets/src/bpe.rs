//! A corpus → the tokenizer, chat template and image settings of a new model, as Hugging Face lays them out.
//! Knows nothing of weights.

use std::path::Path;

use serde_json::json;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer, TokenizerBuilder};

use crate::chat::PLAIN_TEMPLATE;
use crate::fs::{self, FsError};
use crate::image::ImageConfig;
use crate::tokenize::EncodeError;

/// Qwen2.5's split of text into words before merging.
const SPLIT: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+",
    r"|\s+(?!\S)|\s+"
);
/// Tokens of Qwen2.5 that never stand for text.
const SPECIAL: [&str; 14] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
];
/// Tokens of Qwen2.5 that a reader may see, and the two around written reasoning.
const VISIBLE: [&str; 10] = [
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<think>",
    "</think>",
];
/// Smallest vocabulary: every byte and every added token.
pub const MIN_VOCABULARY: usize = 256 + SPECIAL.len() + VISIBLE.len();

/// Bounds for models whose images are small drawings: 56 × 56 to 336 × 336 pixels.
pub const TINY_IMAGES: (usize, usize) = (56 * 56, 336 * 336);

/// Everything of a model folder that is about data.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessorFiles {
    /// `tokenizer.json`.
    pub tokenizer: String,
    /// `chat_template.jinja`.
    pub template: String,
    /// `preprocessor_config.json`.
    pub images: ImageConfig,
}

impl ProcessorFiles {
    /// Trains a tokenizer on `corpus`, with the plain chat template; `pixels` are the fewest and most pixels of an image.
    pub fn train(corpus: &[String], vocab_size: usize, pixels: (usize, usize)) -> Result<Self, EncodeError> {
        let (min_pixels, max_pixels) = pixels;
        Ok(Self {
            tokenizer: train_tokenizer(corpus, vocab_size)?,
            template: PLAIN_TEMPLATE.into(),
            images: ImageConfig { min_pixels, max_pixels, ..ImageConfig::default() },
        })
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja` and `preprocessor_config.json`.
    pub fn write(&self, model_dir: &Path) -> Result<(), FsError> {
        let settings = json!({
            "add_bos_token": false,
            "add_prefix_space": false,
            "clean_up_tokenization_spaces": false,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "tokenizer_class": "PreTrainedTokenizerFast",
        });
        fs::write(&model_dir.join("tokenizer.json"), self.tokenizer.as_bytes())?;
        fs::write(&model_dir.join("tokenizer_config.json"), format!("{settings:#}\n").as_bytes())?;
        fs::write(&model_dir.join("chat_template.jinja"), self.template.as_bytes())?;
        fs::write(&model_dir.join("preprocessor_config.json"), format!("{:#}\n", self.images.to_json()).as_bytes())
    }
}

/// Trains a byte-level BPE with Qwen2.5's normaliser, split and added tokens, and returns `tokenizer.json`.
///
/// The vocabulary has at most `vocab_size` tokens, fewer when the corpus has no more pairs to merge; it depends on the
/// corpus alone. Text that holds special tokens is cut at them first.
pub fn train_tokenizer(corpus: &[String], vocab_size: usize) -> Result<String, EncodeError> {
    let fail = |error: &dyn std::fmt::Display| EncodeError::Tokenizer(error.to_string());
    if vocab_size < MIN_VOCABULARY {
        let added = MIN_VOCABULARY - 256;
        return Err(fail(&format!(
            "a vocabulary of {vocab_size} is too small: 256 bytes and {added} added tokens need {MIN_VOCABULARY}"
        )));
    }
    let pattern = SplitPattern::Regex(SPLIT.into());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(|error| fail(&error))?;
    let bytes = ByteLevel::new(false, false, false);
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(Some(NFC))
        .with_pre_tokenizer(Some(Sequence::new(vec![split.into(), bytes.into()])))
        .with_post_processor(Some(bytes))
        .with_decoder(Some(bytes))
        .build()
        .map_err(|error| fail(&error))?;
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(vocab_size - (MIN_VOCABULARY - 256))
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let added = SPECIAL.iter().chain(&VISIBLE);
    let cut = |text: &String| added.clone().fold(text.clone(), |text, token| text.replace(token, "\n"));
    tokenizer.train(&mut trainer, corpus.iter().map(cut)).map_err(|error| fail(&error))?;
    let mut tokenizer: Tokenizer = tokenizer.into();
    let token = |special: bool| move |text: &&str| AddedToken::from(*text, special).normalized(false);
    tokenizer.add_special_tokens(&SPECIAL.iter().map(token(true)).collect::<Vec<_>>());
    tokenizer.add_tokens(&VISIBLE.iter().map(token(false)).collect::<Vec<_>>());
    tokenizer.to_string(true).map_err(|error| fail(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Vec<String> {
        (0..50)
            .map(|i| format!("<|im_start|>user\nhow many red circles? {i}<|im_end|>\n<think>2+{i}</think>"))
            .collect()
    }

    #[test]
    fn the_same_corpus_gives_the_same_bytes() {
        let first = train_tokenizer(&corpus(), 400).unwrap();
        assert_eq!(train_tokenizer(&corpus(), 400).unwrap(), first);
    }

    #[test]
    fn words_become_tokens_and_digits_stay_apart() {
        let tokenizer: Tokenizer = train_tokenizer(&corpus(), 600).unwrap().parse().unwrap();
        let tokens = |text: &str| tokenizer.encode(text, false).unwrap().get_tokens().to_vec();
        assert_eq!(tokens("how many red circles?"), ["how", "Ġmany", "Ġred", "Ġcircles", "?"]);
        assert_eq!(tokens("12<think>3<|im_end|>"), ["1", "2", "<think>", "3", "<|im_end|>"]);
        assert!(tokenizer.token_to_id("|im").is_none(), "special tokens are no text to merge");
        let text = "naïve 日本 \\boxed{7}\n";
        assert_eq!(tokenizer.decode(tokenizer.encode(text, false).unwrap().get_ids(), false).unwrap(), text);
    }

    #[test]
    fn a_vocabulary_smaller_than_the_bytes_is_refused() {
        let error = train_tokenizer(&corpus(), 100).unwrap_err().to_string();
        assert_eq!(error, "tokenizer: a vocabulary of 100 is too small: 256 bytes and 24 added tokens need 280");
    }
}
