//! `embed`: a model and rows → a vector for each row, from the model's hidden states. Refuses to know what vectors are for.
//!
//! GRAMMAR (arXiv 2506.04207, §3.2) takes vectors of NV-Embedding-V2, a text encoder of another architecture. Vectors that
//! another program made come in by `curricle adopt`: a folder with `embeddings.safetensors` (tensor `embeddings`, float32,
//! `[rows, width]`) and `ids.json`, the ids of the rows in order.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, EmbeddingsType, Estimate, Facts, PortTypes, Ports, Problems, StageContext, StageError,
    StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fit;
use crate::prompt::Instruction;
use crate::train::precision::Precision;

/// The kind `embed`.
pub struct Embed;

/// How the hidden states of a row's tokens become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// Their mean.
    #[default]
    Mean,
    /// That of the last token, which has seen all others.
    Last,
}

/// Parameters of `embed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// How hidden states after the last layer and its norm become one vector.
    pub pool: Pool,
    /// Rows per forward pass.
    pub batch: usize,
    /// Text added to every prompt.
    pub instruction: Option<Instruction>,
    /// Number format of weights and activations; vectors are 32-bit floats.
    pub precision: Precision,
}

impl Default for Params {
    fn default() -> Self {
        Self { pool: Pool::Mean, batch: 16, instruction: None, precision: Precision::F32 }
    }
}

impl StageKind for Embed {
    const NAME: &'static str = "embed";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "a vector for each row, from a model's hidden states";
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        let ports = Ports::new().input("model", ArtifactKind::Model).input("data", ArtifactKind::Data);
        ports.output("embeddings", ArtifactKind::Embeddings)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.batch == 0 {
            problems.param("batch", "must be at least 1", "");
        }
    }

    fn types(_params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        fit::readable("model", inputs, problems);
        fit::speaks("model", inputs, problems);
        fit::images("data", inputs, problems);
        if let Some(data) = inputs.data("data") {
            fit::lacks(data, "data", &["prompt"], "to read", problems);
        }
        let sources = inputs.data("data").map(|data| data.sources.clone()).unwrap_or_default();
        PortTypes::default().with("embeddings", ArtifactType::Embeddings(EmbeddingsType { sources }))
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::embed::estimate(params, facts)
    }

    #[cfg(feature = "compute")]
    fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        crate::curation::embed::run(params, context)
    }

    #[cfg(not(feature = "compute"))]
    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::NoCompute)
    }
}
