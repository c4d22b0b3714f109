//! `export`: a model → a folder in Hugging Face's layout that transformers and vLLM load unchanged, with a card that says
//! where it comes from. Refuses to know how the model was made.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind `export`.
pub struct Export;

/// Type of the numbers in the exported safetensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit: what training used.
    #[default]
    F32,
    /// Brain float, 16-bit: what the hub's checkpoints use.
    Bf16,
    /// IEEE half, 16-bit; values beyond 65504 become infinite.
    F16,
}

/// Parameters of `export`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Type of the numbers.
    pub dtype: Dtype,
}

impl StageKind for Export {
    const NAME: &'static str = "export";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "a folder that transformers and vLLM load unchanged";
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        Ports::new().input("model", ArtifactKind::Model).output("export", ArtifactKind::Export)
    }

    fn validate(_params: &Params, _problems: &mut Problems) {}

    fn types(_params: &Params, _inputs: &PortTypes, _problems: &mut Problems) -> PortTypes {
        PortTypes::default().with("export", ArtifactType::Export)
    }

    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::NoCompute)
    }
}
