//! A model folder and what a stage trains → the model that training starts from, and where its result goes. Refuses to know
//! how it is trained.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use curricle_engine::stage::StageError;

use super::checkpoint::names;
use super::freeze::{self, Learns, Part};
use super::precision::Precision;
use crate::inputs::copy_companions;
use crate::model::lora::Lora;
use crate::model::peft::{self, Peft};
use crate::model::weights::{self, WeightsError};
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

/// What a trained model's folder is made of, besides what was trained.
pub struct End {
    folder: PathBuf,
    config: ModelConfig,
    adapter: Option<Peft>,
    precision: Precision,
    learns: Learns,
    device: Device,
}

impl Start {
    /// Reads a model. With `lora` it gets fresh adapters, drawn from `seed`; an adapter that it has goes on learning.
    ///
    /// # Errors
    ///
    /// Where the folder can't be read, the device lacks the number format, nothing would learn, or `lora` meets a model that has an adapter.
    pub fn open(
        folder: &Path,
        lora: Option<&Lora>,
        frozen: &[Part],
        precision: Precision,
        seed: u64,
        device: &Device,
    ) -> Result<Self, StageError> {
        precision.check(device)?;
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
        let (learns, device) = (Learns::of(&model, frozen), device.clone());
        let model = precision.hold(model, |path| learns.at(path));
        let end = End { folder: folder.to_owned(), config: config.clone(), adapter, precision, learns, device };
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
        copy_companions(&self.folder, output)
    }

    /// The trained model with frozen weights as they came, not as they were computed with.
    fn whole(&self, model: &Qwen2_5Vl) -> Result<Qwen2_5Vl, WeightsError> {
        let learns = |path: &str| self.learns.at(path);
        if self.precision == Precision::F32 || names(model).iter().all(|path| learns(path)) {
            return Ok(model.clone());
        }
        let origin = weights::load(&self.folder, &self.config, &self.device)?;
        Ok(self.precision.whole(model.clone(), &origin, learns))
    }
}

#[cfg(test)]
mod tests;
