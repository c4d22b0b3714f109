//! What a stage reads and makes: named ports and the kind of thing that each takes. What is known of that thing is said by
//! the types beside this file.

use std::borrow::Cow;

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
    /// A vector for each row (`embeddings.safetensors`, `ids.json`).
    Embeddings,
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
            Self::Embeddings => "vectors of rows",
            Self::Optimizer => "an optimizer's state",
        }
    }
}

/// Something a stage reads. Its name may follow from a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub struct InputPort {
    /// Name under `inputs`.
    pub name: Cow<'static, str>,
    /// What it takes.
    pub kind: ArtifactKind,
    /// Must it be connected?
    pub required: bool,
    /// Does the stage learn from it? Rows with role `eval` may not reach such a port.
    pub trains: bool,
    /// Does the stage only measure on it? The same rows should then reach no port that learns.
    pub measures: bool,
    /// Is it a file that counts as it is, and not for the rows in it? Then nothing can stand in for it.
    pub verbatim: bool,
}

/// Something a stage makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutputPort {
    /// Name after the stage's: `cold_start.model`; with `@` and a choice, a state beside the last: `mrl.model@best`.
    pub name: Cow<'static, str>,
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

impl InputPort {
    fn new(name: impl Into<Cow<'static, str>>, kind: ArtifactKind) -> Self {
        Self { name: name.into(), kind, required: false, trains: false, measures: false, verbatim: false }
    }
}

impl Ports {
    /// No ports yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input that must be connected.
    #[must_use]
    pub fn input(self, name: impl Into<Cow<'static, str>>, kind: ArtifactKind) -> Self {
        self.push(InputPort { required: true, ..InputPort::new(name, kind) })
    }

    /// Adds an input that may be left out.
    #[must_use]
    pub fn optional(self, name: impl Into<Cow<'static, str>>, kind: ArtifactKind) -> Self {
        self.push(InputPort::new(name, kind))
    }

    /// Adds rows that the stage learns from.
    #[must_use]
    pub fn trains_on(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.push(InputPort { required: true, trains: true, ..InputPort::new(name, ArtifactKind::Data) })
    }

    /// Makes the input added last one that the stage measures on.
    #[must_use]
    pub fn measures(mut self) -> Self {
        if let Some(last) = self.inputs.last_mut() {
            last.measures = true;
        }
        self
    }

    /// Makes the input added last a file that counts as it is.
    #[must_use]
    pub fn verbatim(mut self) -> Self {
        if let Some(last) = self.inputs.last_mut() {
            last.verbatim = true;
        }
        self
    }

    /// Adds an output.
    #[must_use]
    pub fn output(mut self, name: impl Into<Cow<'static, str>>, kind: ArtifactKind) -> Self {
        self.outputs.push(OutputPort { name: name.into(), kind });
        self
    }

    fn push(mut self, port: InputPort) -> Self {
        self.inputs.push(port);
        self
    }
}
