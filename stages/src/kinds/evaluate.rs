//! `evaluate`: a model and rows with answers → accuracy, overall and by group and task, and every item's completion.
//! Refuses to know how a completion is made or judged; see [`crate::eval`].

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Facts, Metric, PortTypes, Ports, Problems, StageContext, StageError,
    StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fit;
use crate::prompt::Instruction;
use crate::train::precision::Precision;

/// The kind `evaluate`.
pub struct Evaluate;

/// Parameters of `evaluate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Longest completion in tokens; a longer one is cut, and counted as `truncated`.
    pub max_new_tokens: usize,
    /// Sampling temperature; 0 takes the likeliest token.
    pub temperature: f64,
    /// Samples from the likeliest tokens that together have this probability; 1 takes all.
    pub top_p: f64,
    /// Samples from this many likeliest tokens; 0 takes all.
    pub top_k: usize,
    /// Completions per item.
    pub samples: usize,
    /// Takes at most this many items, from the first.
    pub limit: Option<usize>,
    /// Completions generated together.
    pub batch: usize,
    /// Text added to every prompt: the paper's template asks for thinking and a boxed answer.
    pub instruction: Option<Instruction>,
    /// Number format of weights and activations; scores of tokens are computed in 32 bits in any case.
    pub precision: Precision,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            samples: 1,
            limit: None,
            batch: 32,
            instruction: None,
            precision: Precision::F32,
        }
    }
}

impl StageKind for Evaluate {
    const NAME: &'static str = "evaluate";
    const VERSION: u32 = 3;
    const SUMMARY: &'static str =
        "accuracy on held-out rows: pass@1, avg@n, pass@k, by group and task; keeps every item";
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        Ports::new()
            .input("model", ArtifactKind::Model)
            .input("data", ArtifactKind::Data)
            .measures()
            .output("metrics", ArtifactKind::Metrics)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        for (name, value) in
            [("max_new_tokens", params.max_new_tokens), ("samples", params.samples), ("batch", params.batch)]
        {
            if value == 0 {
                problems.param(name, "must be at least 1", "");
            }
        }
        if params.limit == Some(0) {
            problems.param("limit", "must be at least 1", "leave `limit` out to take every item");
        }
        if params.samples > 1 && params.temperature == 0.0 {
            let message = format!("at temperature 0 all {} samples of an item are the same", params.samples);
            problems.param("samples", message, "set `temperature` above 0, or `samples = 1`");
        }
        check_sampling(params.temperature, params.top_p, problems);
    }

    fn types(params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        fit::readable("model", inputs, problems);
        fit::speaks("model", inputs, problems);
        fit::images("data", inputs, problems);
        fit::questions(inputs, problems);
        fit::completion(params.max_new_tokens, inputs, problems);
        PortTypes::default().with("metrics", ArtifactType::Metrics)
    }

    fn metrics(params: &Params) -> Vec<Metric> {
        crate::eval::score::names(params.samples)
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::evaluate::estimate(params, facts)
    }

    fn tiny(params: &mut Params) {
        crate::tiny::evaluate(params);
    }

    #[cfg(feature = "compute")]
    fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        crate::eval::run::run(params, context)
    }

    #[cfg(not(feature = "compute"))]
    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::NoCompute)
    }
}

/// Rules on sampling that every kind with completions shares.
pub(super) fn check_sampling(temperature: f64, top_p: f64, problems: &mut Problems) {
    if temperature < 0.0 {
        problems.param("temperature", "must not be negative", "0 takes the likeliest token");
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        problems.param("top_p", format!("`{top_p}` is no probability above 0"), "1 takes all tokens");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(params: &Params) -> Vec<String> {
        let mut problems = Problems::default();
        Evaluate::validate(params, &mut problems);
        problems.into_vec().into_iter().map(|problem| format!("{:?}", problem.at)).collect()
    }

    #[test]
    fn defaults_are_greedy_and_sound() {
        assert!(paths(&Params::default()).is_empty());
        assert_eq!(Params::default(), serde_json::from_str("{}").unwrap());
    }

    #[test]
    fn equal_samples_are_refused() {
        assert_eq!(paths(&Params { samples: 4, ..Params::default() }), [r#"Param("samples")"#]);
        assert!(paths(&Params { samples: 4, temperature: 0.3, ..Params::default() }).is_empty());
    }
}
