//! `merge`: a model with a low-rank adapter → the same model with the adapter in its weights. Refuses to know how the adapter
//! was trained.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, ModelType, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind `merge`.
pub struct Merge;

/// Parameters of `merge`: it has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {}

impl StageKind for Merge {
    const NAME: &'static str = "merge";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "a model with a low-rank adapter becomes one without: W + s AB in every adapted layer";
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        Ports::new().input("model", ArtifactKind::Model).output("model", ArtifactKind::Model)
    }

    fn validate(_params: &Params, _problems: &mut Problems) {}

    fn types(_params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        let model = inputs.model("model").cloned().unwrap_or_default();
        if model.adapter == Some(false) {
            problems.input(
                "model",
                "has no adapter to merge",
                "take the stage out, or merge after a stage with `lora`",
            );
        }
        PortTypes::default().with("model", ArtifactType::Model(ModelType { adapter: Some(false), ..model }))
    }

    #[cfg(not(feature = "compute"))]
    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::NoCompute)
    }

    #[cfg(feature = "compute")]
    fn run(_params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        use crate::inputs::copy_companions;
        use crate::model::{ModelConfig, weights};

        let failed = |error: &dyn std::fmt::Display| StageError::Failed(error.to_string());
        let folder = &context.input("model")?.path;
        let device = crate::device::resolve(&context.runtime().device).map_err(|error| failed(&error))?;
        let config = ModelConfig::read(folder).map_err(|error| failed(&error))?;
        let mut model = weights::load(folder, &config, &device).map_err(|error| failed(&error))?;
        if !model.is_adapted() {
            return Err(StageError::Failed("the model has no adapter to merge".to_owned()));
        }
        let output = context.output("model")?;
        weights::save(&model.merged(), &config, &output).map_err(|error| failed(&error))?;
        copy_companions(folder, &output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_model_with_an_adapter_can_be_merged() {
        let flow = |adapter| {
            let mut problems = Problems::default();
            let model = ModelType { adapter, max_length: Some(64), ..ModelType::default() };
            let inputs = PortTypes::default().with("model", ArtifactType::Model(model));
            let made = Merge::types(&Params {}, &inputs, &mut problems);
            (made.model("model").cloned().unwrap(), problems.into_vec().len())
        };
        let full = ModelType { adapter: Some(false), max_length: Some(64), ..ModelType::default() };
        assert_eq!(flow(Some(true)), (full.clone(), 0));
        assert_eq!(flow(None), (full.clone(), 0));
        assert_eq!(flow(Some(false)), (full, 1));
    }
}
