//! `merge`: a model with a low-rank adapter → the same model with the adapter in its weights. Refuses to know how the adapter
//! was trained.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Fact, Facts, ModelType, PortTypes, Ports, Problems, StageContext, StageError,
    StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fit;

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
        fit::readable("model", inputs, problems);
        if model.adapter.is(&None) {
            let help = "take the stage out, or merge after a stage with `lora`";
            problems.input("model", "has no adapter to merge", help);
            problems.see(&model.adapter, "the model has no adapter");
        }
        let model = ModelType {
            adapter: Fact::known(None),
            precision: Fact::known("F32".to_owned()),
            trained: Fact::known(true),
            ..model
        };
        PortTypes::default().with("model", ArtifactType::Model(model))
    }

    fn estimate(_params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::folder::merge(facts)
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
    use curricle_engine::stage::Adapter;

    use super::*;

    #[test]
    fn only_a_model_with_an_adapter_can_be_merged() {
        let flow = |adapter| {
            let mut problems = Problems::default();
            let model = ModelType { adapter, max_length: Fact::known(64), ..ModelType::default() };
            let inputs = PortTypes::default().with("model", ArtifactType::Model(model));
            let made = Merge::types(&Params {}, &inputs, &mut problems);
            let made = made.model("model").unwrap();
            assert!(made.adapter.is(&None) && made.max_length.is(&64) && made.trained.is(&true));
            problems.into_vec().len()
        };
        assert_eq!(flow(Fact::known(Some(Adapter::default()))), 0);
        assert_eq!(flow(Fact::default()), 0);
        assert_eq!(flow(Fact::known(None)), 1);
    }
}
