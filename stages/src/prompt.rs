//! The text that a stage adds to every prompt: the recipe's own words, or a named wording of ReVisual-R1. Refuses to know
//! where in a chat it goes; all kinds add it to the user's turn, as the released training does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Text added to every prompt: `instruction = "…"`, or `instruction = { template = "revisual-paper" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Instruction {
    /// These words.
    Text(String),
    /// A wording by name.
    Named(Named),
}

/// A wording by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name.
    pub template: Template,
}

/// The three wordings of ReVisual-R1 (arXiv 2506.04207), which differ in half a sentence. All ask for thinking within
/// `<think> </think>` tags and a final answer in `\boxed{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// v1, figure 5, "in both inference and training stages"; drawn there as a system prompt.
    RevisualPaper,
    /// The release's `examples/format_prompt/math_format.jinja`: added to the user's turn in RL training.
    RevisualTraining,
    /// The release's `eval/src/main.py`: its system prompt in evaluation.
    RevisualEvaluation,
}

impl Instruction {
    /// The words.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Named(Named { template }) => template.text(),
        }
    }
}

impl Template {
    /// The words.
    pub fn text(self) -> &'static str {
        match self {
            Self::RevisualPaper => {
                "You FIRST think about the reasoning process as an internal monologue step by step and then provide the \
                 final answer. The reasoning process MUST BE enclosed within <think> </think> tags. The final answer MUST \
                 BE put in \\boxed{}."
            }
            Self::RevisualTraining => {
                "You FIRST think about the reasoning process step by step as an internal monologue and then provide the \
                 final answer. The reasoning process MUST BE enclosed within <think> </think> tags. The final answer MUST \
                 BE put in \\boxed{}."
            }
            Self::RevisualEvaluation => {
                "You FIRST think about the reasoning process as an internal monologue and then provide the final answer. \
                 The reasoning process MUST BE enclosed within <think> </think> tags. The final answer MUST BE put in \
                 \\boxed{}."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        serde_json::from_str::<Instruction>(json).unwrap().text().to_owned()
    }

    #[test]
    fn a_recipe_has_its_own_words_or_names_some() {
        assert_eq!(text(r#""Think.""#), "Think.");
        let paper = text(r#"{"template":"revisual-paper"}"#);
        let training = text(r#"{"template":"revisual-training"}"#);
        let evaluation = text(r#"{"template":"revisual-evaluation"}"#);
        assert_eq!(paper.replace(" step by step", ""), evaluation);
        assert_eq!(training.replace(" step by step", ""), evaluation);
        assert_ne!(paper, training);
        for text in [&paper, &training, &evaluation] {
            assert!(text.starts_with("You FIRST think") && text.ends_with(r"MUST BE put in \boxed{}."), "{text}");
            assert!(
                text.contains("enclosed within <think> </think> tags. The final") && !text.contains("  "),
                "{text}"
            );
        }
        assert!(serde_json::from_str::<Instruction>(r#"{"template":"revisual"}"#).is_err());
    }

    /// The recipes of the paper spell the words out, so that they can be read there.
    #[test]
    fn the_recipe_of_the_paper_has_the_words_of_the_paper() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/base/revisual-r1.toml");
        let recipe = curricle_engine::fs::read_to_string(&path).unwrap().replace("\\\n", "").replace("\\\\", "\\");
        assert!(recipe.contains(Template::RevisualPaper.text()));
    }
}
