//! A model folder and what a stage trains → the model that training starts from, and where its result goes. Refuses to know
//! how it is trained.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use curricle_engine::stage::StageError;

use super::freeze::{self, Part};
use crate::inputs::copy_companions;
use crate::model::lora::Lora;
use crate::model::peft::{self, Peft};
use crate::model::{ModelConfig, Qwen2_5Vl, weights};

/// What training starts from.
pub struct Start {
    /// Plain weights, with an adapter if that is what learns.
    pub model: Qwen2_5Vl,
    /// Its dimensions.
    pub config: ModelConfig,
    /// How the result is written.
    pub end: End,
}

/// What a trained model's folder is made of, besides what was trained.
pub struct End {
    folder: PathBuf,
    config: ModelConfig,
    adapter: Option<Peft>,
}

impl Start {
    /// Reads a model. With `lora` it gets fresh adapters, drawn from `seed`; an adapter that it has goes on learning.
    ///
    /// # Errors
    ///
    /// Where the folder can't be read, nothing would learn, or `lora` meets a model that has an adapter.
    pub fn open(
        folder: &Path,
        lora: Option<&Lora>,
        frozen: &[Part],
        seed: u64,
        device: &Device,
    ) -> Result<Self, StageError> {
        let reading = |error: &dyn std::fmt::Display| StageError::while_doing("reading the model", error);
        let config = ModelConfig::read(folder).map_err(|error| reading(&error))?;
        let mut model = weights::load(folder, &config, device).map_err(|error| reading(&error))?;
        let mut adapter = peft::read(folder).map_err(|error| reading(&error))?;
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
        let end = End { folder: folder.to_owned(), config: config.clone(), adapter };
        Ok(Self { model, config, end })
    }
}

impl End {
    /// Writes the trained model into a folder: its weights, or the weights that training began with and the adapter.
    pub fn write(&self, model: &Qwen2_5Vl, output: &Path) -> Result<(), StageError> {
        let written = match &self.adapter {
            None => weights::save(model, &self.config, output),
            Some(adapter) => weights::copy_base(&self.folder, output).and_then(|()| peft::save(model, adapter, output)),
        };
        written.map_err(|error| StageError::while_doing("writing the model", error))?;
        copy_companions(&self.folder, output)
    }
}

#[cfg(test)]
mod tests;
