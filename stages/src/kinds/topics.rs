//! `topics`: rows in clusters → the same rows, each with a name of its cluster as its topic: the words that set it apart, or
//! what a model calls it. Refuses to know how clusters were found.
//!
//! A part of the fourth step of GRAMMAR (arXiv 2506.04207, §3.2): topics are named by Qwen2.5-7B-Instruct. Its prompt is not
//! stated there; ours is the default of `question`.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Facts, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::curation::with_topic;
use crate::fit;

/// The kind `topics`.
pub struct Topics;

/// Who names a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The words of its prompts that set it apart from the other clusters.
    #[default]
    Terms,
    /// A model, on the port `model`, that reads some of its prompts.
    Model,
}

/// Parameters of `topics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Who names a cluster.
    pub by: By,
    /// Words of a name; for `terms`.
    pub terms: usize,
    /// Topic of rows that lie in no cluster.
    pub other: String,
    /// Prompts of a cluster that the model reads.
    pub examples: usize,
    /// Most characters of such a prompt; the rest is cut off.
    pub characters: usize,
    /// What the model is asked before it reads the prompts.
    pub question: String,
    /// Longest name in tokens; for `model`.
    pub max_new_tokens: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            by: By::Terms,
            terms: 3,
            other: "other".into(),
            examples: 10,
            characters: 300,
            question:
                "Name the topic that these questions have in common, in at most four words. Answer with the name only."
                    .into(),
            max_new_tokens: 16,
        }
    }
}

impl StageKind for Topics {
    const NAME: &'static str = "topics";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "names of clusters: the words that set them apart, or what a model calls them";
    type Params = Params;

    fn ports(params: &Params) -> Ports {
        let ports = Ports::new().input("data", ArtifactKind::Data);
        let ports = if params.by == By::Model { ports.input("model", ArtifactKind::Model) } else { ports };
        ports.output("rows", ArtifactKind::Data)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        for (name, value) in [
            ("terms", params.terms),
            ("examples", params.examples),
            ("characters", params.characters),
            ("max_new_tokens", params.max_new_tokens),
        ] {
            if value == 0 {
                problems.param(name, "must be at least 1", "");
            }
        }
        for (name, text) in [("other", &params.other), ("question", &params.question)] {
            if text.trim().is_empty() {
                problems.param(name, "is blank", "");
            }
        }
    }

    fn types(params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        if params.by == By::Model {
            fit::readable("model", inputs, problems);
            fit::speaks("model", inputs, problems);
        }
        if let Some(data) = inputs.data("data") {
            fit::lacks(data, "data", &["topic"], "to be named: clusters", problems);
        }
        let data = inputs.data("data").map(|data| with_topic(data, "by")).unwrap_or_default();
        PortTypes::default().with("rows", ArtifactType::Data(data))
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        let mut found = crate::estimate::rows::all(facts);
        if params.by == By::Model {
            found.notes.push("what the model costs is not counted: one answer for each cluster".to_owned());
        }
        found
    }

    #[cfg(not(feature = "rows"))]
    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(crate::no_rows())
    }

    #[cfg(feature = "rows")]
    fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        crate::curation::topics::run(params, context)
    }
}
