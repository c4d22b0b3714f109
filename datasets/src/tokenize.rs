//! A row → token ids, targets and image patches, by the tokenizer, chat template and image values of a model folder.
//! Knows nothing of batches or tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokenizers::Tokenizer;

use crate::chat::{self, ChatError, ChatTemplate};
use crate::fs::{self, FsError};
use crate::image::{ImageConfig, ImageError, ImagePatches};
use crate::rows::Row;

/// Bytes of patches that a [`Processor`] keeps; images beyond it are prepared anew each time.
const CACHE_BYTES: usize = 384 << 20;

/// One row as a model reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoded {
    /// Token ids; each image stands as `t * h * w / 4` image-pad tokens.
    pub ids: Vec<u32>,
    /// Whether token `i` is to be learnt (as the successor of the tokens before it); as long as `ids`.
    pub target: Vec<bool>,
    /// The images, in the order of their pad tokens.
    pub images: Vec<Arc<ImagePatches>>,
}

/// Ids of the tokens with a meaning of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Stands for one merged image patch.
    pub image_pad: u32,
    /// Stands for one merged video patch.
    pub video_pad: u32,
    /// Opens an image.
    pub vision_start: u32,
    /// Closes an image.
    pub vision_end: u32,
    /// Ends the assistant's turn: the stop token.
    pub eos: u32,
    /// Fills up short rows of a batch.
    pub pad: u32,
    /// Opens written reasoning, where it is one token.
    pub think_start: Option<u32>,
    /// Closes written reasoning, where it is one token.
    pub think_end: Option<u32>,
}

/// Why a row could not be encoded, or a model folder not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A file that can't be read.
    #[error(transparent)]
    Io(#[from] FsError),
    /// See [`ChatError`].
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// See [`ImageError`].
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A tokenizer file that can't be understood, or text it can't encode.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A tokenizer without a token that the architecture needs.
    #[error("`{}` has no token `{token}`, which models of this architecture need", file.display())]
    MissingToken {
        /// The tokenizer's file.
        file: PathBuf,
        /// The token.
        token: String,
    },
    /// A file of settings with a wrong value.
    #[error("`{}`: {message}", file.display())]
    Settings {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Text that holds image tokens of its own.
    #[error(
        "row `{row}` has {images} images, but its text has {pads} image tokens; remove `<|image_pad|>` from the text"
    )]
    ImageTokens {
        /// The row's id.
        row: String,
        /// Images of the row.
        images: usize,
        /// Image tokens found.
        pads: usize,
    },
    /// A row to learn from without anything to learn.
    #[error("row `{0}` has neither `response` nor `answer`, so there is nothing to learn from it")]
    NoTarget(String),
    /// A template that writes the same prompt differently when an answer follows, or does not end the answer's turn.
    #[error("the chat template does not put the answer of row `{0}` right after its prompt and end its turn")]
    Template(String),
}

/// Turns rows into token ids the way one model folder says.
#[derive(Debug)]
pub struct Processor {
    tokenizer: Tokenizer,
    chat: ChatTemplate,
    images: ImageConfig,
    special: SpecialTokens,
    control: Vec<u32>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    images: BTreeMap<PathBuf, Arc<ImagePatches>>,
    bytes: usize,
}

impl Processor {
    /// Opens a model folder: `tokenizer.json`, the chat template, and `preprocessor_config.json` or `processor_config.json`.
    pub fn open(model_dir: &Path) -> Result<Self, EncodeError> {
        let file = model_dir.join("tokenizer.json");
        let bytes = fs::read(&file)?;
        let tokenizer = Tokenizer::from_bytes(bytes)
            .map_err(|error| EncodeError::Tokenizer(format!("`{}`: {error}", file.display())))?;
        let special = special_tokens(&tokenizer, &file, &json(&model_dir.join("tokenizer_config.json"))?)?;
        let added = tokenizer.get_added_tokens_decoder();
        let mut control: Vec<u32> = added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id).collect();
        control.extend([special.image_pad, special.video_pad, special.vision_start, special.vision_end, special.pad]);
        control.sort_unstable();
        control.dedup();
        control.retain(|&id| id != special.eos);
        Ok(Self {
            chat: ChatTemplate::open(model_dir)?,
            images: image_config(model_dir)?,
            tokenizer,
            special,
            control,
            cache: Mutex::default(),
        })
    }

    /// What the model is shown before it answers; no targets.
    pub fn prompt(&self, row: &Row) -> Result<Encoded, EncodeError> {
        let text = self.chat.render(&chat::turns(row)?, true)?;
        let images = row.images.iter().map(|path| self.image(path)).collect::<Result<Vec<_>, _>>()?;
        let ids = self.expand(row, &self.encode(&text)?, &images)?;
        Ok(Encoded { target: vec![false; ids.len()], ids, images })
    }

    /// A row to learn from: its prompt, then what the assistant should say up to the end of its turn, which are the targets.
    ///
    /// Prompt and answer are tokenised apart, so that the model learns from the same prompt tokens that it will be shown.
    /// What the template writes after the end of the turn is left out.
    pub fn example(&self, row: &Row) -> Result<Encoded, EncodeError> {
        let target = row.target().ok_or_else(|| EncodeError::NoTarget(row.id.clone()))?;
        let mut messages = chat::turns(row)?;
        let before = self.chat.render(&messages, true)?;
        messages.push(chat::reply(&target));
        let whole = self.chat.render(&messages, false)?;
        let fail = || EncodeError::Template(row.id.clone());
        let mut answer = self.encode(whole.strip_prefix(&before).ok_or_else(fail)?)?;
        let end = answer.iter().rposition(|&id| id == self.special.eos).ok_or_else(fail)?;
        answer.truncate(end + 1);
        let mut encoded = self.prompt(row)?;
        encoded.target.extend(answer.iter().map(|_| true));
        encoded.ids.extend(answer);
        Ok(encoded)
    }

    /// Token ids of plain text; special tokens in it count as such.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        let encoding = self.tokenizer.encode_fast(text, false);
        Ok(encoding.map_err(|error| EncodeError::Tokenizer(error.to_string()))?.get_ids().to_vec())
    }

    /// Text of token ids; ids that the tokenizer doesn't know leave nothing.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.tokenizer.decode(ids, skip_special).unwrap_or_default()
    }

    /// Ids of the tokens with a meaning of their own.
    pub fn special(&self) -> SpecialTokens {
        self.special
    }

    /// One more than the highest token id; a model may have more embedding rows.
    pub fn vocab_size(&self) -> usize {
        let highest = self.tokenizer.get_vocab(true).into_values().max();
        highest.map_or(0, |id| id as usize + 1)
    }

    /// Ids that an answer may never hold, sorted: special tokens other than the stop token.
    pub fn control_ids(&self) -> Vec<u32> {
        self.control.clone()
    }

    /// How images are prepared.
    pub fn image_config(&self) -> &ImageConfig {
        &self.images
    }

    /// One image, prepared; kept for the next time while there is room.
    fn image(&self, path: &Path) -> Result<Arc<ImagePatches>, EncodeError> {
        let lock = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = lock().images.get(path) {
            return Ok(Arc::clone(image));
        }
        // Prepared outside the lock, so that several threads can prepare different images.
        let image = Arc::new(self.images.open(path)?);
        let bytes = size_of_val(&image.patches[..]);
        let mut cache = lock();
        if cache.bytes + bytes <= CACHE_BYTES && cache.images.insert(path.to_owned(), Arc::clone(&image)).is_none() {
            cache.bytes += bytes;
        }
        Ok(image)
    }

    /// Repeats each image token as often as its image has merged patches.
    fn expand(&self, row: &Row, ids: &[u32], images: &[Arc<ImagePatches>]) -> Result<Vec<u32>, EncodeError> {
        let pad = self.special.image_pad;
        let pads = ids.iter().filter(|&&id| id == pad).count();
        if pads != images.len() {
            return Err(EncodeError::ImageTokens { row: row.id.clone(), images: images.len(), pads });
        }
        let mut tokens = images.iter().map(|image| image.tokens());
        let repeats = |&id: &u32| (id, if id == pad { tokens.next().unwrap_or(0) } else { 1 });
        Ok(ids.iter().map(repeats).flat_map(|(id, times)| std::iter::repeat_n(id, times)).collect())
    }
}

fn special_tokens(tokenizer: &Tokenizer, file: &Path, settings: &Value) -> Result<SpecialTokens, EncodeError> {
    let find = |token: &str| tokenizer.token_to_id(token);
    let need = |token: &str| {
        find(token).ok_or_else(|| EncodeError::MissingToken { file: file.to_owned(), token: token.to_owned() })
    };
    // A token is named by its text, or by an object that holds it.
    let named = |key: &str| settings[key].as_str().or_else(|| settings[key]["content"].as_str()).and_then(find);
    let eos = find("<|im_end|>").or_else(|| named("eos_token"));
    let eos = eos.map_or_else(|| need("<|im_end|>"), Ok)?;
    Ok(SpecialTokens {
        image_pad: need("<|image_pad|>")?,
        video_pad: need("<|video_pad|>")?,
        vision_start: need("<|vision_start|>")?,
        vision_end: need("<|vision_end|>")?,
        eos,
        pad: named("pad_token").or_else(|| find("<|endoftext|>")).unwrap_or(eos),
        think_start: find("<think>"),
        think_end: find("</think>"),
    })
}

/// A file of settings; an absent one reads as empty.
fn json(file: &Path) -> Result<Value, EncodeError> {
    if !file.is_file() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&fs::read_text(file)?)
        .map_err(|error| EncodeError::Settings { file: file.to_owned(), message: format!("not valid JSON: {error}") })
}

fn image_config(model_dir: &Path) -> Result<ImageConfig, EncodeError> {
    for name in ["preprocessor_config.json", "processor_config.json"] {
        let file = model_dir.join(name);
        if file.is_file() {
            let settings = json(&file)?;
            return ImageConfig::from_json(&settings).map_err(|message| EncodeError::Settings { file, message });
        }
    }
    Ok(ImageConfig::default())
}

#[cfg(test)]
mod tests;
