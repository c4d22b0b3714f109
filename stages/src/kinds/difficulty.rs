//! `difficulty`: a model and rows → the same rows with levels, by how often the model answers them right; rows that are too
//! easy or too hard go. Refuses to know how a completion is made or judged; see [`crate::rl`].
//!
//! The second and the third step of GRAMMAR (arXiv 2506.04207, §3.2): one model for the "initial pruning of overly simple or
//! complex questions", a larger one "to classify them into ten difficulty levels". Pass rates, tries per question and bounds
//! are not stated there.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Fact, Facts, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evaluate::{self, check_sampling};
use crate::curation::some_of;
use crate::fit;
use crate::prompt::Instruction;
use crate::train::precision::Precision;

/// The kind `difficulty`.
pub struct Difficulty;

/// Parameters of `difficulty`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Completions per row; fewer where no further one can change its level.
    pub tries: usize,
    /// Levels of equal width: with ten, level 1 is answered right in 90 % of the tries or more, level 10 in less than 10 %.
    pub levels: usize,
    /// Instead of `levels`: the shares of right answers between neighbouring levels, from the highest to the lowest.
    pub bounds: Option<Vec<f64>>,
    /// Rows with a smaller share of right answers are dropped as too hard.
    pub least: f64,
    /// Rows with a larger share of right answers are dropped as too easy.
    pub most: f64,
    /// Longest completion in tokens.
    pub max_new_tokens: usize,
    /// Sampling temperature.
    pub temperature: f64,
    /// Samples from the likeliest tokens that together have this probability; 1 takes all.
    pub top_p: f64,
    /// Samples from this many likeliest tokens; 0 takes all.
    pub top_k: usize,
    /// Completions generated together.
    pub batch: usize,
    /// Text added to every prompt.
    pub instruction: Option<Instruction>,
    /// Number format of weights and activations; scores of tokens are computed in 32 bits in any case.
    pub precision: Precision,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            tries: 8,
            levels: 10,
            bounds: None,
            least: 0.0,
            most: 1.0,
            max_new_tokens: 256,
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            batch: 32,
            instruction: None,
            precision: Precision::F32,
        }
    }
}

impl StageKind for Difficulty {
    const NAME: &'static str = "difficulty";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str =
        "levels of rows by how often a model answers them right; drops the too easy and too hard";
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        let ports = Ports::new().input("model", ArtifactKind::Model).input("data", ArtifactKind::Data);
        ports.output("rows", ArtifactKind::Data)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        for (name, value) in
            [("tries", params.tries), ("max_new_tokens", params.max_new_tokens), ("batch", params.batch)]
        {
            if value == 0 {
                problems.param(name, "must be at least 1", "");
            }
        }
        if !(1..=100).contains(&params.levels) {
            problems.param("levels", "must be from 1 to 100", "the paper has ten");
        }
        if let Some(bounds) = &params.bounds {
            let falling = bounds.windows(2).all(|pair| pair[0] > pair[1]);
            if !falling || bounds.iter().any(|bound| !(0.0..=1.0).contains(bound)) || bounds.len() > 99 {
                let help = "two bounds make three levels: `bounds = [0.7, 0.3]`";
                problems.param("bounds", "must be shares from 0 to 1, each smaller than the one before", help);
            }
        }
        for (index, bound) in params.bounds.iter().flatten().enumerate() {
            // Of the levels that the bound parts, one is left without a row.
            let inside = *bound > params.least && *bound <= params.most;
            if !inside && (0.0..=1.0).contains(bound) && params.least <= params.most {
                let (end, level) = if *bound <= params.least { ("least", index + 2) } else { ("most", index + 1) };
                let message = format!("leaves level {level} without a row: `{end}` drops all that it could hold");
                problems.warn(format!("bounds[{index}]"), message, "leave it out, or let more rows stay");
                problems.see_param(end, "the bound of the rows that stay");
            }
        }
        for (name, value) in [("least", params.least), ("most", params.most)] {
            if !(0.0..=1.0).contains(&value) {
                problems.param(name, "must be a share from 0 to 1", "");
            }
        }
        if params.least > params.most {
            problems.param("least", format!("is more than `most` {}", params.most), "no row would be left");
            problems.see_param("most", "the most");
        }
        if params.tries > 1 && params.temperature == 0.0 {
            let message = format!("at temperature 0 all {} completions of a row are the same", params.tries);
            problems.param("tries", message, "set `temperature` above 0, or `tries = 1`");
        }
        check_sampling(params.temperature, params.top_p, problems);
    }

    fn types(params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        fit::readable("model", inputs, problems);
        fit::speaks("model", inputs, problems);
        fit::images("data", inputs, problems);
        fit::questions(inputs, problems);
        fit::completion(params.max_new_tokens, inputs, problems);
        let mut data = inputs.data("data").map(some_of).unwrap_or_default();
        if let Some(columns) = data.columns.get() {
            let mut columns = columns.clone();
            columns.insert("level".to_owned());
            data.columns = Fact::param(columns, "levels");
        }
        PortTypes::default().with("rows", ArtifactType::Data(data))
    }

    fn tiny(params: &mut Params) {
        crate::tiny::difficulty(params);
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        let asked = evaluate::Params {
            max_new_tokens: params.max_new_tokens,
            temperature: params.temperature,
            top_p: params.top_p,
            top_k: params.top_k,
            samples: params.tries,
            limit: None,
            batch: params.batch,
            instruction: params.instruction.clone(),
            precision: params.precision,
        };
        let notes = "fewer completions where some leave no doubt of a row's level".to_owned();
        let found = crate::estimate::evaluate::estimate(&asked, facts);
        let rows = crate::estimate::rows::some(facts, None);
        let notes = found.notes.iter().cloned().chain([notes]).collect();
        Estimate { output_bytes: rows.output_bytes, notes, makes: rows.makes, ..found }
    }

    #[cfg(feature = "compute")]
    fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        crate::curation::difficulty::run(params, context)
    }

    #[cfg(not(feature = "compute"))]
    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::NoCompute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(params: &Params) -> Vec<String> {
        let mut problems = Problems::default();
        Difficulty::validate(params, &mut problems);
        problems.into_vec().into_iter().map(|problem| format!("{:?}", problem.at)).collect()
    }

    #[test]
    fn bounds_fall_and_are_shares() {
        assert!(paths(&Params::default()).is_empty());
        let bounds = |bounds: &[f64]| paths(&Params { bounds: Some(bounds.to_vec()), ..Params::default() }).len();
        assert_eq!([&[0.7, 0.3][..], &[], &[0.3, 0.7], &[0.5, 0.5], &[1.5]].map(bounds), [0, 0, 1, 1, 1]);
        assert_eq!(paths(&Params { least: 0.9, most: 0.1, ..Params::default() }), [r#"Param("least")"#]);
        let cut = Params { bounds: Some(vec![0.9, 0.5, 0.1]), least: 0.1, most: 0.8, ..Params::default() };
        assert_eq!(paths(&cut), [r#"Param("bounds[0]")"#, r#"Param("bounds[2]")"#]);
        assert_eq!(paths(&Params { temperature: 0.0, ..Params::default() }), [r#"Param("tries")"#]);
    }

    #[test]
    fn what_comes_out_has_levels() {
        let columns = ["prompt", "answer"].map(str::to_owned).into();
        let data = curricle_engine::stage::DataType { columns: Fact::known(columns), ..Default::default() };
        let inputs = PortTypes::default().with("data", ArtifactType::Data(data));
        let types = Difficulty::types(&Params::default(), &inputs, &mut Problems::default());
        assert!(types.data("rows").unwrap().columns.get().unwrap().contains("level"));
    }
}
