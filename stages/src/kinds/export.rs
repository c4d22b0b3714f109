//! `export`: a model → a folder in Hugging Face's layout that transformers and vLLM load unchanged, with a card that says
//! where it comes from. Refuses to know how the model was made.

use curricle_engine::diagnostic::Severity;
use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Facts, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fit;

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

/// What becomes of a model's low-rank adapter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Adapter {
    /// It becomes part of the exported weights.
    #[default]
    Merge,
    /// It is exported alone, in PEFT's format, to be loaded on top of its base.
    Peft,
}

/// Parameters of `export`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Type of the numbers.
    pub dtype: Dtype,
    /// Largest file of weights, as Hugging Face spells sizes: `5GB`, `500MiB`; left out: one file. No tensor is cut.
    pub max_shard_size: Option<String>,
    /// What becomes of a low-rank adapter.
    pub adapter: Adapter,
    /// Name of the adapter's base on the hub, or its folder: `base_model_name_or_path` for PEFT.
    pub base: Option<String>,
}

impl StageKind for Export {
    const NAME: &'static str = "export";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "a folder that transformers and vLLM load unchanged, or an adapter for PEFT";
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        Ports::new().input("model", ArtifactKind::Model).output("export", ArtifactKind::Export)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if let Some(size) = &params.max_shard_size
            && bytes(size).is_none()
        {
            problems.param(
                "max_shard_size",
                format!("`{size}` is no size"),
                "a whole number above 0 and KB, MB, GB (of 1000), KiB, MiB or GiB (of 1024): `5GB`",
            );
        }
        let alone = params.adapter == Adapter::Peft;
        if alone && (params.dtype != Dtype::F32 || params.max_shard_size.is_some()) {
            let help = "leave out `dtype` and `max_shard_size`";
            problems.param("adapter", "an adapter alone is one file of 32-bit floats", help);
        }
        if !alone && params.base.is_some() {
            problems.param("base", "names the base of an adapter that is exported alone", "add `adapter = \"peft\"`");
        }
    }

    fn types(params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        fit::readable("model", inputs, problems);
        let Some(model) = inputs.model("model") else {
            return PortTypes::default().with("export", ArtifactType::Export);
        };
        if params.adapter == Adapter::Peft && model.adapter.is(&None) {
            problems.input("model", "has no adapter to export", "take out `adapter = \"peft\"`");
            problems.see(&model.adapter, "the model has no adapter");
            problems.see_param("adapter", "asked for here");
        } else if params.adapter == Adapter::Peft && model.trained.is(&true) {
            let help = "export the whole model, or train the adapter alone from the base on";
            let message = "exports the adapter alone, and under it lie weights that no base outside of this run has";
            problems.warn("adapter", message, help);
            problems.see(&model.trained, "these weights are made here");
        }
        for licence in model.licences.iter().filter(|licence| restricts(&licence.name)) {
            let message = format!("comes from what is licensed `{}`, which restricts its use", licence.name);
            problems.input("model", message, "read the licence before the export leaves the house");
            problems.only(Severity::Note);
            problems.see_said(&licence.said, "licensed so");
        }
        PortTypes::default().with("export", ArtifactType::Export)
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::folder::export(params, facts)
    }

    fn tiny(params: &mut Params) {
        crate::tiny::export(params);
    }

    #[cfg(not(feature = "compute"))]
    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::NoCompute)
    }

    #[cfg(feature = "compute")]
    fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        run::run(params, context)
    }
}

/// Does a licence, by its name on the hub, forbid commercial use, changes, or anything that only reading it tells?
fn restricts(licence: &str) -> bool {
    let licence = licence.to_lowercase();
    let words: Vec<_> = licence.split(['-', '_', ' ']).collect();
    words.iter().any(|word| ["nc", "nd", "noncommercial", "research", "other", "unknown"].contains(word))
}

/// A size as Hugging Face spells it, in bytes; none if it is no size.
fn bytes(size: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
    let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((size.strip_suffix(name)?, unit)))?;
    number.trim().parse::<u64>().ok()?.checked_mul(*unit).filter(|bytes| *bytes > 0)
}

#[cfg(feature = "compute")]
mod run {
    use std::path::Path;

    use curricle_datasets::fs;
    use curricle_engine::stage::{ArtifactType, Source, StageContext, StageError};

    use super::{Adapter, Dtype, Params, bytes};
    use crate::inputs::copy_companions;
    use crate::model::ModelConfig;
    use crate::model::peft::{self, Peft};
    use crate::model::weights::{self, Format, Precision};

    pub(super) fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let failed = |error: &dyn std::fmt::Display| StageError::Failed(error.to_string());
        let input = context.input("model")?;
        let output = context.output("export")?;
        let device = crate::device::resolve(&context.runtime().device).map_err(|error| failed(&error))?;
        let config = ModelConfig::read(&input.path).map_err(|error| failed(&error))?;
        let model = weights::load(&input.path, &config, &device).map_err(|error| failed(&error))?;
        copy_companions(&input.path, &output)?;
        let (head, what, number_format) = match params.adapter {
            Adapter::Peft => {
                let Some(adapter) = peft::read(&input.path).map_err(|error| failed(&error))? else {
                    return Err(StageError::Failed("the model has no adapter to export".to_owned()));
                };
                let adapter = Peft { base: params.base.clone().or(adapter.base), ..adapter };
                peft::save(&model, &adapter, &output).map_err(|error| failed(&error))?;
                let base = adapter.base.map(|base| format!("base_model: {base}\n")).unwrap_or_default();
                (format!("library_name: peft\n{base}"), "A low-rank adapter of a Qwen2.5-VL model", "float32")
            }
            Adapter::Merge => {
                let format = format(params);
                weights::save_as(&model.merged(), &config, &output, format).map_err(|error| failed(&error))?;
                generation(&config, &output)?;
                let head = "library_name: transformers\npipeline_tag: image-text-to-text\n";
                (head.to_owned(), "A Qwen2.5-VL model", format.precision.torch())
            }
        };
        let sources = match &input.ty {
            ArtifactType::Model(model) => model.sources.as_slice(),
            _ => &[],
        };
        let card = format!(
            "---\n{head}{}---\n\n# {}\n\n{what}, exported by curricle.\n\n- from: `{}`\n- stage key: `{}`\n- number format: \
             {number_format}\n{}",
            front(sources),
            context.stage(),
            input.reference,
            context.key(),
            made_from(sources),
        );
        fs::write(&output.join("README.md"), card.as_bytes()).map_err(|error| failed(&error))
    }

    /// Lines of the card's head that name repositories of the hub.
    fn front(sources: &[Source]) -> String {
        let of = |section: &str, key: &str| {
            let of_section = sources.iter().filter(|source| source.name.starts_with(section));
            let names = of_section.filter_map(|source| source.address.as_deref()?.strip_prefix("hf:"));
            let lines: Vec<_> = names.map(|name| format!("- {}\n", name.split('@').next().unwrap_or(name))).collect();
            if lines.is_empty() { String::new() } else { format!("{key}:\n{}", lines.concat()) }
        };
        of("models.", "base_model") + &of("data.", "datasets")
    }

    /// Everything from outside that the model was made from: where it is, at which commit, under which licence.
    fn made_from(sources: &[Source]) -> String {
        let line = |source: &Source| {
            let address = source.address.as_ref().map_or_else(|| "files".to_owned(), |address| format!("`{address}`"));
            let licence = source.licence.as_deref().unwrap_or("not stated");
            format!("- `{}`: {address}, licence: {licence}\n", source.name)
        };
        let lines: Vec<_> = sources.iter().map(line).collect();
        if lines.is_empty() { String::new() } else { format!("\n## Made from\n\n{}", lines.concat()) }
    }

    fn format(params: &Params) -> Format {
        let precision = match params.dtype {
            Dtype::F32 => Precision::F32,
            Dtype::Bf16 => Precision::Bf16,
            Dtype::F16 => Precision::F16,
        };
        Format { precision, max_shard: params.max_shard_size.as_deref().and_then(bytes) }
    }

    /// Settings of generation, where the model has none.
    fn generation(config: &ModelConfig, output: &Path) -> Result<(), StageError> {
        let (path, tokens) = (output.join("generation_config.json"), config.tokens);
        if path.is_file() {
            return Ok(());
        }
        let text = serde_json::json!({
            "bos_token_id": tokens.bos,
            "do_sample": false,
            "eos_token_id": tokens.eos,
            "pad_token_id": tokens.pad,
        });
        fs::write(&path, format!("{text:#}\n").as_bytes()).map_err(|error| StageError::Failed(error.to_string()))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_card_names_what_the_model_was_made_from() {
            let source = |name: &str, address: Option<&str>, licence: Option<&str>| Source {
                name: name.to_owned(),
                address: address.map(str::to_owned),
                licence: licence.map(str::to_owned),
            };
            let sources = [
                source("models.base", Some("hf:Qwen/Qwen2.5-VL-3B-Instruct@66285546d2b8"), Some("other")),
                source("data.gsm8k", None, Some("mit")),
                source("data.mm", Some("hf:csfufu/mmrl"), None),
            ];
            assert_eq!(front(&sources), "base_model:\n- Qwen/Qwen2.5-VL-3B-Instruct\ndatasets:\n- csfufu/mmrl\n");
            let lines = "- `models.base`: `hf:Qwen/Qwen2.5-VL-3B-Instruct@66285546d2b8`, licence: other\n\
                         - `data.gsm8k`: files, licence: mit\n- `data.mm`: `hf:csfufu/mmrl`, licence: not stated\n";
            assert_eq!(made_from(&sources), format!("\n## Made from\n\n{lines}"));
            assert_eq!((front(&[]), made_from(&[])), (String::new(), String::new()));
        }
    }
}

#[cfg(test)]
mod tests {
    use curricle_engine::stage::Fact;

    use super::*;

    #[test]
    fn licences_that_restrict_are_known_by_their_names() {
        let names = [
            "cc-by-nc-4.0",
            "CC-BY-NC-SA-4.0",
            "qwen-research",
            "other",
            "apache-2.0",
            "mit",
            "cc-by-sa-4.0",
            "odc-by",
        ];
        assert_eq!(names.map(restricts), [true, true, true, true, false, false, false, false]);
    }

    #[test]
    fn sizes_are_spelled_as_on_the_hub() {
        assert_eq!([bytes("5GB"), bytes("500 MiB"), bytes("1KB")], [Some(5_000_000_000), Some(500 << 20), Some(1000)]);
        for no in ["5", "GB", "-1GB", "0MB", "5gb", "1.5GB", "99999999999GB"] {
            assert_eq!(bytes(no), None, "{no}");
        }
    }

    #[test]
    fn an_adapter_alone_is_one_file_of_an_adapted_model() {
        let problems = |params: &str, adapter| {
            let params: Params = serde_json::from_str(params).unwrap();
            let mut problems = Problems::default();
            Export::validate(&params, &mut problems);
            let adapter = Fact::known(adapter);
            let model = curricle_engine::stage::ModelType { adapter, ..Default::default() };
            Export::types(&params, &PortTypes::default().with("model", ArtifactType::Model(model)), &mut problems);
            problems.into_vec().len()
        };
        let adapter = Some(curricle_engine::stage::Adapter::default());
        assert_eq!(problems(r#"{ "adapter": "peft", "base": "Qwen/Qwen2.5-VL-3B-Instruct" }"#, adapter.clone()), 0);
        assert_eq!(problems(r#"{ "dtype": "bf16", "max_shard_size": "5GB" }"#, adapter), 0);
        assert_eq!(problems(r#"{ "adapter": "peft", "dtype": "bf16" }"#, None), 2);
        assert_eq!(problems(r#"{ "base": "x", "max_shard_size": "5 apples" }"#, None), 2);
    }
}
