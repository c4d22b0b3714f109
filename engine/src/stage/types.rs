//! What is known of the models and rows that flow along the edges of a graph. Every [`Fact`] remembers its cause; an absent
//! one means that `check` could not see it. Names of architectures, tokens and formats are text here: what they mean is for
//! the kinds to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fact::{Fact, Said};
use super::port::ArtifactKind;
use super::tokenizer::Tokenizer;
use crate::recipe::Span;

/// May rows be trained on, or only evaluated on?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May be trained on.
    #[default]
    Train,
    /// May never reach a training stage.
    Eval,
}

/// What `check` knows of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelType {
    /// `model_type` of its `config.json`.
    pub architecture: Fact<String>,
    /// Can it read images?
    pub images: Fact<bool>,
    /// Longest sequence in tokens (`max_position_embeddings`).
    pub max_length: Fact<usize>,
    /// Texts of tokens and their ids.
    #[serde(skip)]
    pub tokenizer: Fact<Arc<Tokenizer>>,
    /// Rows of the embedding; at least as many as the tokenizer has ids.
    pub embedding: Fact<usize>,
    /// Is the embedding the head, too?
    pub tied: Fact<bool>,
    /// Has it a chat template?
    pub template: Fact<bool>,
    /// Bounds on the size of images; known to be none where it has no settings for images.
    pub pixels: Fact<Option<Pixels>>,
    /// The low-rank adapter beside its weights; known to be none for a model without.
    pub adapter: Fact<Option<Adapter>>,
    /// Number format of the weights as stored, as safetensors spells it: `BF16`.
    pub precision: Fact<String>,
    /// Have its weights been trained, or made, by a stage? Then no base outside of the run fits its adapter.
    pub trained: Fact<bool>,
    /// Licences of everything that it was made from.
    pub licences: Vec<Licence>,
    /// Everything from outside that it was made from, in the order in which it came in.
    pub sources: Vec<Source>,
}

/// Bounds between which images are resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pixels {
    /// Fewest pixels; smaller images are enlarged.
    pub min: usize,
    /// Most pixels; larger images are reduced.
    pub max: usize,
}

/// A low-rank adapter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// Its rank, where known.
    pub rank: Option<usize>,
    /// Patterns of the layers that have it; empty where unknown.
    pub targets: Vec<String>,
}

/// A licence and who named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// As on the hub: `apache-2.0`, `cc-by-nc-4.0`.
    pub name: String,
    /// The place.
    #[serde(skip)]
    pub said: Said,
}

/// A model or rows from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// As recipes name it: `models.base`, `data.gsm8k`.
    pub name: String,
    /// Its repository on a hub with the commit, `hf:org/name@…`; none for files of this machine.
    pub address: Option<String>,
    /// Its licence, as the recipe or its card names it.
    pub licence: Option<String>,
}

/// Adds what is not there yet.
pub fn add_sources(known: &mut Vec<Source>, more: &[Source]) {
    for source in more {
        if !known.contains(source) {
            known.push(source.clone());
        }
    }
}

impl ModelType {
    /// This model, made from these rows, too.
    #[must_use]
    pub fn made_from(mut self, data: Option<&DataType>) -> Self {
        add_sources(&mut self.sources, data.map_or(&[], |data| &data.sources));
        if let Some((name, said)) = data.and_then(|data| Some((data.licence.get()?, data.licence.said()))) {
            let licence = Licence { name: name.clone(), said: said.clone() };
            if !self.licences.contains(&licence) {
                self.licences.push(licence);
            }
        }
        self
    }
}

/// What answers look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// Each is a number.
    Number,
    /// Each is the letter of an option.
    Letter,
    /// None is a number or a letter.
    Text,
    /// Some of each.
    Mixed,
}

/// What `check` knows of a set of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataType {
    /// Do its rows carry images?
    pub images: Fact<bool>,
    /// May it be trained on?
    pub role: Role,
    /// Row fields that are present: `prompt`, `answer`, `reasoning`, `response`, `images`, `choices`, ….
    pub columns: Fact<BTreeSet<String>>,
    /// How many rows there are.
    pub rows: Fact<usize>,
    /// Column whose equal values never part.
    pub group_by: Fact<String>,
    /// What answers look like.
    pub answers: Fact<Answers>,
    /// Pixels of the largest image.
    pub image_pixels: Fact<usize>,
    /// Tokens of the longest prompt.
    pub prompt_tokens: Fact<usize>,
    /// Its licence, as on the hub.
    pub licence: Fact<String>,
    /// Everything from outside that its rows come from.
    pub sources: Vec<Source>,
}

/// What `check` knows of an optimizer's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptimizerType {
    /// Is it of a low-rank adapter, rather than of the weights?
    pub adapter: Fact<bool>,
    /// Parts of the model that were frozen, so that it holds nothing for them.
    pub frozen: Fact<BTreeSet<String>>,
}

/// What `check` knows of vectors of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingsType {
    /// Everything from outside that the rows come from; empty for rows that a stage made.
    pub sources: Vec<Source>,
}

/// The type of what flows along one edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactType {
    /// See [`ArtifactKind::Model`].
    Model(ModelType),
    /// See [`ArtifactKind::Data`].
    Data(DataType),
    /// See [`ArtifactKind::Metrics`].
    Metrics,
    /// See [`ArtifactKind::Export`].
    Export,
    /// See [`ArtifactKind::Embeddings`].
    Embeddings(EmbeddingsType),
    /// See [`ArtifactKind::Optimizer`].
    Optimizer(OptimizerType),
}

impl ArtifactType {
    /// The kind of artifact this is a type of.
    pub fn kind(&self) -> ArtifactKind {
        match self {
            Self::Model(_) => ArtifactKind::Model,
            Self::Data(_) => ArtifactKind::Data,
            Self::Metrics => ArtifactKind::Metrics,
            Self::Export => ArtifactKind::Export,
            Self::Embeddings(_) => ArtifactKind::Embeddings,
            Self::Optimizer(_) => ArtifactKind::Optimizer,
        }
    }

    /// Gives every fact that a kind has stated its place: of the parameter, or of the stage.
    pub(crate) fn place(&mut self, place: impl Fn(Option<&str>) -> Span) {
        let place = &place;
        match self {
            Self::Model(model) => {
                model.architecture.place(place);
                model.images.place(place);
                model.max_length.place(place);
                model.tokenizer.place(place);
                model.embedding.place(place);
                model.tied.place(place);
                model.template.place(place);
                model.pixels.place(place);
                model.adapter.place(place);
                model.precision.place(place);
                model.trained.place(place);
            }
            Self::Data(data) => {
                data.images.place(place);
                data.columns.place(place);
                data.rows.place(place);
                data.group_by.place(place);
                data.answers.place(place);
                data.image_pixels.place(place);
                data.prompt_tokens.place(place);
                data.licence.place(place);
            }
            Self::Optimizer(optimizer) => {
                optimizer.adapter.place(place);
                optimizer.frozen.place(place);
            }
            Self::Embeddings(_) | Self::Metrics | Self::Export => {}
        }
    }
}

/// Types by port name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortTypes(pub BTreeMap<String, ArtifactType>);

impl PortTypes {
    /// The model on a port, if that port is connected to one.
    pub fn model(&self, port: &str) -> Option<&ModelType> {
        match self.0.get(port) {
            Some(ArtifactType::Model(model)) => Some(model),
            _ => None,
        }
    }

    /// The data on a port, if that port is connected to some.
    pub fn data(&self, port: &str) -> Option<&DataType> {
        match self.0.get(port) {
            Some(ArtifactType::Data(data)) => Some(data),
            _ => None,
        }
    }

    /// The vectors on a port, if that port is connected to some.
    pub fn embeddings(&self, port: &str) -> Option<&EmbeddingsType> {
        match self.0.get(port) {
            Some(ArtifactType::Embeddings(embeddings)) => Some(embeddings),
            _ => None,
        }
    }

    /// The optimizer's state on a port, if that port is connected to one.
    pub fn optimizer(&self, port: &str) -> Option<&OptimizerType> {
        match self.0.get(port) {
            Some(ArtifactType::Optimizer(optimizer)) => Some(optimizer),
            _ => None,
        }
    }

    /// These types and one more.
    #[must_use]
    pub fn with(mut self, port: &str, ty: ArtifactType) -> Self {
        self.0.insert(port.to_owned(), ty);
        self
    }
}
