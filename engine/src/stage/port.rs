//! Ports and the types that flow along the edges of a graph. Facts are `Option`: `None` means that `check` could not
//! see it (a model or data set that is absent), never that it is false.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What kind of thing an artifact is; edges must agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// A folder with `config.json`, `model.safetensors`, `tokenizer.json`, … under hub names; with `adapter_config.json` and
    /// `adapter_model.safetensors` beside them, a model with an adapter.
    Model,
    /// Rows (`rows.jsonl`) and the images they name.
    Data,
    /// `metrics.json` and `items.jsonl`.
    Metrics,
    /// A folder for other programs; no stage reads it.
    Export,
    /// What an optimizer had learnt of the gradients (`optimizer.safetensors`, `optimizer.json`).
    Optimizer,
}

impl ArtifactKind {
    /// The word used in messages, with its article.
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Model => "a model",
            Self::Data => "data",
            Self::Metrics => "metrics",
            Self::Export => "an export",
            Self::Optimizer => "an optimizer's state",
        }
    }
}

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
pub struct ModelType {
    /// Can it read images?
    pub images: Option<bool>,
    /// Longest sequence in tokens (`max_position_embeddings`).
    pub max_length: Option<usize>,
    /// Number of tokens the tokenizer knows.
    pub vocabulary: Option<usize>,
    /// Does a low-rank adapter stand beside its weights?
    #[serde(default)]
    pub adapter: Option<bool>,
}

/// What `check` knows of a set of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataType {
    /// Do its rows carry images?
    pub images: Option<bool>,
    /// May it be trained on?
    pub role: Role,
    /// Row fields that are present: `prompt`, `answer`, `reasoning`, `response`, `images`.
    pub columns: Option<BTreeSet<String>>,
}

/// What `check` knows of an optimizer's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptimizerType {
    /// Is it of a low-rank adapter, rather than of the weights?
    pub adapter: Option<bool>,
    /// Parts of the model that were frozen, so that it holds nothing for them.
    pub frozen: Option<BTreeSet<String>>,
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
            Self::Optimizer(_) => ArtifactKind::Optimizer,
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

/// Something a stage reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputPort {
    /// Name under `inputs`.
    pub name: &'static str,
    /// What it takes.
    pub kind: ArtifactKind,
    /// Must it be connected?
    pub required: bool,
    /// Does the stage learn from it? Rows with role `eval` may not reach such a port.
    pub trains: bool,
}

/// Something a stage makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutputPort {
    /// Name after the stage's: `cold_start.model`.
    pub name: &'static str,
    /// What it is.
    pub kind: ArtifactKind,
}

/// All ports of a stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ports {
    /// What it reads.
    pub inputs: Vec<InputPort>,
    /// What it makes.
    pub outputs: Vec<OutputPort>,
}

impl Ports {
    /// No ports yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input that must be connected.
    #[must_use]
    pub fn input(self, name: &'static str, kind: ArtifactKind) -> Self {
        self.push(InputPort { name, kind, required: true, trains: false })
    }

    /// Adds an input that may be left out.
    #[must_use]
    pub fn optional(self, name: &'static str, kind: ArtifactKind) -> Self {
        self.push(InputPort { name, kind, required: false, trains: false })
    }

    /// Adds rows that the stage learns from.
    #[must_use]
    pub fn trains_on(self, name: &'static str) -> Self {
        self.push(InputPort { name, kind: ArtifactKind::Data, required: true, trains: true })
    }

    /// Adds an output.
    #[must_use]
    pub fn output(mut self, name: &'static str, kind: ArtifactKind) -> Self {
        self.outputs.push(OutputPort { name, kind });
        self
    }

    fn push(mut self, port: InputPort) -> Self {
        self.inputs.push(port);
        self
    }
}
