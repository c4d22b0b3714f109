//! A row → token ids, targets and image patches, by the tokenizer, chat template and image values of a model folder.
//! Knows nothing of batches or tensors.

mod added;
mod cache;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokenizers::Tokenizer;

use self::cache::{Cache, Use};
use crate::chat::{self, ChatError, ChatTemplate, Message};
use crate::fs::{self, FsError};
use crate::image::{ImageConfig, ImageError, ImagePatches};
use crate::rows::Row;

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

impl Encoded {
    /// Bytes of memory that it holds, its images' included.
    pub fn bytes(&self) -> usize {
        let images = self.images.iter().map(|image| size_of_val(&image.patches[..])).sum::<usize>();
        size_of_val(&self.ids[..]) + size_of_val(&self.target[..]) + images
    }
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
    /// A template that writes a turn differently when others follow.
    #[error(
        "the chat template writes an earlier answer of row `{0}` differently once turns follow it, so that it is not what the \
         model says; give each answer a row of its own, or mark it in the template with `{{% generation %}}`"
    )]
    EarlierTurns(String),
    /// Tokens that can't be added.
    #[error("cannot add the token `{token}` to the tokenizer: {why}")]
    AddedToken {
        /// The token.
        token: String,
        /// Why not.
        why: String,
    },
    /// A template that writes the same prompt differently when an answer follows, or does not end the answer's turn.
    #[error("the chat template does not put the answer of row `{0}` right after its prompt and end its turn")]
    Template(String),
}

/// Turns rows into token ids the way one model folder says.
///
/// Special tokens that stand in a row's text count as such, as in transformers: `<|im_end|>` in a prompt ends the turn.
///
/// What it has encoded it keeps in memory, up to half a gigabyte, and gives again for equal content.
#[derive(Debug)]
pub struct Processor {
    tokenizer: Tokenizer,
    /// `tokenizer_config.json`, or null.
    settings: Value,
    chat: ChatTemplate,
    images: ImageConfig,
    special: SpecialTokens,
    control: Vec<u32>,
    cache: Cache,
}

impl Processor {
    /// Opens a model folder: `tokenizer.json`, the chat template, and `preprocessor_config.json` or `processor_config.json`.
    pub fn open(model_dir: &Path) -> Result<Self, EncodeError> {
        let file = model_dir.join("tokenizer.json");
        let bytes = fs::read(&file)?;
        let tokenizer = Tokenizer::from_bytes(bytes)
            .map_err(|error| EncodeError::Tokenizer(format!("`{}`: {error}", file.display())))?;
        let settings = json(&model_dir.join("tokenizer_config.json"))?;
        let special = special_tokens(&tokenizer, &file, &settings)?;
        Ok(Self {
            chat: ChatTemplate::open(model_dir)?,
            images: image_config(model_dir)?,
            control: control(&tokenizer, special),
            tokenizer,
            settings,
            special,
            cache: Cache::default(),
        })
    }

    /// What the model is shown before it answers; no targets.
    pub fn prompt(&self, row: &Row) -> Result<Encoded, EncodeError> {
        let messages = chat::turns(row)?;
        self.kept(Use::Prompt, row, &messages, || {
            let ids = self.encode(&self.chat.render(&messages, true)?)?;
            let target = vec![false; ids.len()];
            Ok((ids, target))
        })
    }

    /// A row to learn from: its prompt, then what the assistant should say up to the end of its turn. The targets are all that
    /// the assistant says, in earlier turns, too.
    ///
    /// Where the template marks with `{% generation %}` what the assistant says, ids and targets are those of transformers'
    /// `return_assistant_tokens_mask`. Where it does not, prompt and answer are tokenised apart, so that the model learns from
    /// the same prompt tokens that it will be shown, and a turn's targets end with the stop token. What the template writes
    /// after the last target is left out.
    pub fn example(&self, row: &Row) -> Result<Encoded, EncodeError> {
        let target = row.target().ok_or_else(|| EncodeError::NoTarget(row.id.clone()))?;
        let mut messages = chat::turns(row)?;
        messages.push(chat::reply(&target));
        self.kept(Use::Example, row, &messages, || self.learnt(row, &messages))
    }

    /// Token ids of turns that end with the assistant's, and which are targets.
    fn learnt(&self, row: &Row, messages: &[Message]) -> Result<(Vec<u32>, Vec<bool>), EncodeError> {
        let fail = || EncodeError::Template(row.id.clone());
        if self.chat.marked() {
            let whole = self.chat.rendered(messages, false)?;
            let (mut ids, mut target) = self.spans(&whole.text, &whole.generated)?;
            let end = target.iter().rposition(|&target| target).ok_or_else(fail)?;
            ids.truncate(end + 1);
            target.truncate(end + 1);
            return Ok((ids, target));
        }
        let before = self.chat.render(&messages[..messages.len() - 1], true)?;
        let whole = self.chat.render(messages, false)?;
        let (mut ids, mut target) = self.spans(&before, &self.earlier(row, messages, &before)?)?;
        let mut answer = self.encode(whole.strip_prefix(&before).ok_or_else(fail)?)?;
        let end = answer.iter().rposition(|&id| id == self.special.eos).ok_or_else(fail)?;
        answer.truncate(end + 1);
        target.resize(ids.len() + answer.len(), true);
        ids.extend(answer);
        Ok((ids, target))
    }

    /// A row whose images are prepared and whose tokens are those of `encode`, each image token repeated; kept for the next
    /// time.
    fn kept(
        &self,
        usage: Use,
        row: &Row,
        messages: &[Message],
        encode: impl FnOnce() -> Result<(Vec<u32>, Vec<bool>), EncodeError>,
    ) -> Result<Encoded, EncodeError> {
        let found = row.images.iter().map(|image| self.cache.image(image, &self.images));
        let (digests, images): (Vec<_>, Vec<_>) = found.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let tokens = self.cache.tokens(Cache::key(usage, messages, &digests), || {
            let (ids, target) = encode()?;
            self.expand(row, ids.into_iter().zip(target), &images)
        })?;
        let (ids, target) = (*tokens).clone();
        Ok(Encoded { ids, target, images })
    }

    /// Where the assistant's earlier turns stand in the text before its last, in characters, each with its stop token.
    fn earlier(&self, row: &Row, messages: &[Message], before: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        let fail = || EncodeError::EarlierTurns(row.id.clone());
        let stop = self.tokenizer.id_to_token(self.special.eos).unwrap_or_default();
        let mut spans = Vec::new();
        for turn in (0..messages.len() - 1).filter(|&turn| messages[turn].role == "assistant") {
            let opened = self.chat.render(&messages[..turn], true)?;
            let closed = self.chat.render(&messages[..=turn], false)?;
            let said = before.strip_prefix(&opened).filter(|_| before.starts_with(&closed)).ok_or_else(fail)?;
            let said = &said[..closed.len().checked_sub(opened.len()).ok_or_else(fail)?];
            let said = &said[..said.rfind(&stop).ok_or_else(fail)? + stop.len()];
            let start = opened.chars().count();
            spans.push(start..start + said.chars().count());
        }
        Ok(spans)
    }

    /// Token ids of a text, and which of them stand for characters of the spans.
    ///
    /// Source: the end of `apply_chat_template` in transformers' `tokenization_utils_base.py`.
    fn spans(&self, text: &str, spans: &[Range<usize>]) -> Result<(Vec<u32>, Vec<bool>), EncodeError> {
        let encoding = self.tokenizer.encode_char_offsets(text, false);
        let encoding = encoding.map_err(|error| EncodeError::Tokenizer(error.to_string()))?;
        let ids = encoding.get_ids().to_vec();
        let mut inside = vec![false; ids.len()];
        for span in spans {
            let Some(start) = encoding.char_to_token(span.start, 0) else { break };
            let last = span.end.checked_sub(1).and_then(|last| encoding.char_to_token(last, 0));
            let end = last.filter(|&last| last > 0).map_or(ids.len(), |last| last + 1);
            inside[start..end.max(start)].fill(true);
        }
        Ok((ids, inside))
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

    /// Repeats each image token as often as its image has merged patches.
    fn expand(
        &self,
        row: &Row,
        tokens: impl Iterator<Item = (u32, bool)> + Clone,
        images: &[Arc<ImagePatches>],
    ) -> Result<(Vec<u32>, Vec<bool>), EncodeError> {
        let pad = self.special.image_pad;
        let pads = tokens.clone().filter(|&(id, _)| id == pad).count();
        if pads != images.len() {
            return Err(EncodeError::ImageTokens { row: row.id.clone(), images: images.len(), pads });
        }
        let mut sizes = images.iter().map(|image| image.tokens());
        let repeats = |token: (u32, bool)| (token, if token.0 == pad { sizes.next().unwrap_or(0) } else { 1 });
        Ok(tokens.map(repeats).flat_map(|(token, times)| std::iter::repeat_n(token, times)).unzip())
    }
}

/// Special tokens other than the stop token, sorted.
fn control(tokenizer: &Tokenizer, special: SpecialTokens) -> Vec<u32> {
    let added = tokenizer.get_added_tokens_decoder();
    let mut control: Vec<u32> = added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id).collect();
    control.extend([special.image_pad, special.video_pad, special.vision_start, special.vision_end, special.pad]);
    control.sort_unstable();
    control.dedup();
    control.retain(|&id| id != special.eos);
    control
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
mod golden;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing;
