//! A model folder and what a stage trains → the model that training starts from, and where its result goes. Refuses to know
//! how it is trained.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use curricle_datasets::Processor;
use curricle_engine::stage::StageError;

use super::checkpoint::names;
use super::freeze::{self, Learns, Part};
use super::precision::Precision;
use crate::inputs::copy_companions;
use crate::model::lora::Lora;
use crate::model::peft::{self, Peft};
use crate::model::weights::{self, WeightsError, Width};
use crate::model::{ModelConfig, Qwen2_5Vl};

/// What training starts from.
pub struct Start {
    /// Plain weights, with an adapter if that is what learns, as [`Precision::hold`] holds them.
    pub model: Qwen2_5Vl,
    /// Its dimensions.
    pub config: ModelConfig,
    /// How the result is written.
    pub end: End,
}

/// What a stage makes of the model that it reads, before it trains.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Fresh adapters, which learn in place of the weights.
    pub lora: Option<&'a Lora>,
    /// Parts that stay as they are.
    pub frozen: &'a [Part],
    /// Tokens that the tokenizer may lack.
    pub tokens: &'a [String],
    /// Number format of weights and activations.
    pub precision: Precision,
    /// Root of what is drawn at random.
    pub seed: u64,
}

/// What a trained model's folder is made of, besides what was trained.
pub struct End {
    folder: PathBuf,
    config: ModelConfig,
    adapter: Option<Peft>,
    tokens: Vec<String>,
    /// Rows of the embedding before tokens were added.
    rows: usize,
    precision: Precision,
    learns: Learns,
    device: Device,
}

impl Start {
    /// Reads a model and changes it. An adapter that it has goes on learning.
    ///
    /// # Errors
    ///
    /// Where the folder can't be read, the device lacks the number format, nothing would learn, or new adapters or tokens meet
    /// a model that has an adapter.
    pub fn open(folder: &Path, change: Change<'_>, device: &Device) -> Result<Self, StageError> {
        change.precision.check(device)?;
        let reading = |error: &dyn std::fmt::Display| StageError::while_doing("reading the model", error);
        let Change { lora, frozen, tokens, precision, seed } = change;
        let mut config = ModelConfig::read(folder).map_err(|error| reading(&error))?;
        let rows = config.text.vocab_size;
        let mut adapter = peft::read(folder).map_err(|error| reading(&error))?;
        let learns = Learns::among(frozen, adapter.is_some() || lora.is_some());
        // Rows to be added are means, which narrow rows would make other ones.
        let grows = |path: &str| !tokens.is_empty() && matches!(Part::of(path), Part::Embed | Part::Head);
        let width = |path: &str| if learns.at(path) || grows(path) { Width::Wide } else { precision.width() };
        let mut model = weights::load_as(folder, &config, device, width).map_err(|error| reading(&error))?;
        if !tokens.is_empty() {
            if adapter.is_some() {
                return Err(StageError::Failed(
                    "`add_tokens`: the model has an adapter, beside which no row learns; `merge` it first".to_owned(),
                ));
            }
            let wanted = processor(folder, tokens)?.vocab_size();
            (model, config) = model.with_tokens(config, wanted);
        }
        if let Some(lora) = lora {
            let refuse = |why: &str| Err(StageError::Failed(format!("`lora`: {why}")));
            if adapter.is_some() {
                return refuse("the model has an adapter already; leave `lora` out and it goes on learning");
            }
            if model.attach(lora, frozen, seed, device) == 0 {
                return refuse("no layer of this model fits `targets` outside of frozen parts");
            }
            adapter = Some(Peft { lora: lora.clone(), base: None });
        }
        freeze::check(&model, frozen)?;
        let (learns, device) = (Learns::of(&model, frozen), device.clone());
        let model = precision.hold(model, |path| learns.at(path));
        let (folder, tokens) = (folder.to_owned(), tokens.to_vec());
        let end = End { folder, config: config.clone(), adapter, tokens, rows, precision, learns, device };
        Ok(Self { model, config, end })
    }
}

impl End {
    /// Writes the trained model into a folder: its weights, or the weights that training began with and the adapter.
    pub fn write(&self, model: &Qwen2_5Vl, output: &Path) -> Result<(), StageError> {
        let written = match &self.adapter {
            None => self.whole(model).and_then(|model| weights::save(&model, &self.config, output)),
            Some(adapter) => weights::copy_base(&self.folder, output).and_then(|()| peft::save(model, adapter, output)),
        };
        written.map_err(|error| StageError::while_doing("writing the model", error))?;
        copy_companions(&self.folder, output)?;
        if self.tokens.is_empty() {
            return Ok(());
        }
        let tokenizer = processor(&self.folder, &self.tokens)?;
        tokenizer.write_tokenizer(output).map_err(|error| StageError::while_doing("writing the tokenizer", error))
    }

    /// The trained model with frozen weights as they came, not as they were computed with.
    fn whole(&self, model: &Qwen2_5Vl) -> Result<Qwen2_5Vl, WeightsError> {
        let learns = |path: &str| self.learns.at(path);
        if self.precision == Precision::F32 || names(model).iter().all(|path| learns(path)) {
            return Ok(model.clone());
        }
        let mut config = self.config.clone();
        config.text.vocab_size = self.rows;
        // What has learnt is read to be passed over.
        let width = |path: &str| if learns(path) { Width::Narrow } else { Width::Wide };
        let origin = weights::load_as(&self.folder, &config, &self.device, width)?;
        let (origin, _) = origin.with_tokens(config, self.config.text.vocab_size);
        Ok(self.precision.whole(model.clone(), &origin, learns))
    }
}

/// The processor of a model folder, whose tokenizer has these tokens too.
pub fn processor(folder: &Path, tokens: &[String]) -> Result<Processor, StageError> {
    let opened = Processor::open(folder).and_then(|processor| processor.with_added_tokens(tokens));
    opened.map_err(|error| StageError::while_doing("reading the tokenizer", error))
}

#[cfg(test)]
mod tests;
