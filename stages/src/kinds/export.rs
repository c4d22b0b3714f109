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
    /// Half precision, 16-bit: more digits than `bf16`, and no weight beyond 65504.
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

    #[cfg(not(feature = "compute"))]
    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::NoCompute)
    }

    #[cfg(feature = "compute")]
    fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        use curricle_datasets::fs;

        use crate::model::weights::{self, Precision};
        use crate::model::{ModelConfig, weights::load};

        let failed = |error: &dyn std::fmt::Display| StageError::Failed(error.to_string());
        let input = context.input("model")?;
        let output = context.output("export")?;
        let device = crate::device::resolve(&context.runtime().device).map_err(|error| failed(&error))?;
        let config = ModelConfig::read(&input.path).map_err(|error| failed(&error))?;
        let model = load(&input.path, &config, &device).map_err(|error| failed(&error))?;
        let precision = match params.dtype {
            Dtype::F32 => Precision::F32,
            Dtype::Bf16 => Precision::Bf16,
            Dtype::F16 => Precision::F16,
        };
        weights::save_as(&model, &config, &output, precision).map_err(|error| failed(&error))?;
        crate::inputs::copy_companions(&input.path, &output)?;
        let generation = output.join("generation_config.json");
        if !generation.is_file() {
            let tokens = config.tokens;
            let text = serde_json::json!({
                "bos_token_id": tokens.bos,
                "do_sample": false,
                "eos_token_id": tokens.eos,
                "pad_token_id": tokens.pad,
            });
            fs::write(&generation, format!("{text:#}\n").as_bytes()).map_err(|error| failed(&error))?;
        }
        let dtype = match params.dtype {
            Dtype::F32 => "float32",
            Dtype::Bf16 => "bfloat16",
            Dtype::F16 => "float16",
        };
        let card = format!(
            "---\nlibrary_name: transformers\npipeline_tag: image-text-to-text\n---\n\n# {}\n\nA Qwen2.5-VL model, exported \
             by curricle.\n\n- from: `{}`\n- stage key: `{}`\n- number format: {dtype}\n",
            context.stage(),
            input.reference,
            context.key(),
        );
        fs::write(&output.join("README.md"), card.as_bytes()).map_err(|error| failed(&error))
    }
}
