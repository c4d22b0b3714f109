//! `grpo`: a model and rows with answers → the model after reinforcement learning from verifiable rewards. Multimodal RL
//! and text RL are this one kind: images or text is a question of the rows. Refuses to know how a step is computed; see
//! [`crate::rl`].

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evaluate::{check_length, check_question_data, check_sampling};
use super::sft::Decay;
use crate::model::lora::{self, Lora};
use crate::prompt::Instruction;
use crate::rl::reward::Rewards;
use crate::rl::select::{Select, SelectKind};
use crate::train::freeze::{self, Part};
use crate::train::precision::Precision;
use crate::train::schedule::Shape;

/// The kind `grpo`.
pub struct Grpo;

/// Bounds of the probability ratio in the clipped objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clip {
    /// ε below: the ratio counts from `1 − low`.
    pub low: f64,
    /// ε above: the ratio counts up to `1 + high`.
    pub high: f64,
    /// Largest ratio that counts for a negative advantage (two-sided clip); left out, there is none.
    pub dual: Option<f64>,
}

impl Default for Clip {
    fn default() -> Self {
        Self { low: 0.2, high: 0.2, dual: None }
    }
}

/// The pull towards a frozen copy of the model that the stage starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kl {
    /// Weight of the KL estimate (k3) in the loss; 0 also saves the copy and its forward passes.
    pub coef: f64,
}

/// What the loss is a mean of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mean {
    /// Every token of the optimizer step's batch counts the same.
    #[default]
    Token,
    /// Every completion counts the same, however long.
    Sequence,
}

/// Parameters of `grpo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Rollouts, each followed by its updates.
    pub steps: usize,
    /// Prompts per rollout.
    pub prompts: usize,
    /// Completions per prompt (G).
    pub group: usize,
    /// Longest completion in tokens; a longer one is cut, and gets the reward of what is there.
    pub max_new_tokens: usize,
    /// Sampling temperature.
    pub temperature: f64,
    /// Samples from the likeliest tokens that together have this probability; 1 takes all.
    pub top_p: f64,
    /// Samples from this many likeliest tokens; 0 takes all.
    pub top_k: usize,
    /// Completions generated together.
    pub rollout_batch: usize,
    /// Text added to every prompt: the paper's template asks for thinking and a boxed answer.
    pub instruction: Option<Instruction>,
    /// What is rewarded: a weight for each reward, and its settings.
    pub reward: Rewards,
    /// Which samples are trained on.
    pub select: Select,
    /// Bounds of the probability ratio.
    pub clip: Clip,
    /// The pull towards the stage's start.
    pub kl: Kl,
    /// What the loss is a mean of.
    pub mean: Mean,
    /// Optimizer steps that the selected samples of a rollout are split over.
    pub updates: usize,
    /// Passes over the selected samples of a rollout.
    pub epochs: usize,
    /// Completions per forward and backward pass; their gradients add up in order, so this is part of what is computed.
    pub micro_batch: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// How the learning rate moves after the warm-up, over the steps of the stage.
    pub schedule: Shape,
    /// Below 1: share of the steps that warm up. From 1: their number.
    pub warmup: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Which parameters weight decay pulls on.
    pub decay: Decay,
    /// AdamW's decay rates of the two moments.
    pub betas: [f64; 2],
    /// AdamW's epsilon.
    pub eps: f64,
    /// Largest global norm of the gradient; 0 does not clip.
    pub max_grad_norm: f64,
    /// Parts of the model that stay as they are.
    pub freeze: Vec<Part>,
    /// Trains low-rank adapters, and leaves the weights as they are. A model that has an adapter goes on training it.
    pub lora: Option<Lora>,
    /// Number format of weights and activations, of rollouts too; what the optimizer moves stays in 32 bits, in
    /// checkpoints and results too.
    pub precision: Precision,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            steps: 100,
            prompts: 16,
            group: 8,
            max_new_tokens: 256,
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            rollout_batch: 32,
            instruction: None,
            reward: Rewards::default(),
            select: Select::default(),
            clip: Clip::default(),
            kl: Kl::default(),
            mean: Mean::Token,
            updates: 1,
            epochs: 1,
            micro_batch: 8,
            lr: 1e-6,
            schedule: Shape::Constant,
            warmup: 0.0,
            weight_decay: 0.0,
            decay: Decay::Matrices,
            betas: [0.9, 0.999],
            eps: 1e-8,
            max_grad_norm: 1.0,
            freeze: Vec::new(),
            lora: None,
            precision: Precision::F32,
        }
    }
}

impl StageKind for Grpo {
    const NAME: &'static str = "grpo";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str =
        "reinforcement learning from verifiable rewards: group advantages, clipped objective, PAD";
    type Params = Params;

    fn ports(params: &Params) -> Ports {
        let ports = Ports::new().input("model", ArtifactKind::Model).trains_on("data");
        // A file like any other from outside: its bytes are part of the stage's identity, its path is not.
        let ports = if params.reward.command.is_some() { ports.input("program", ArtifactKind::Data) } else { ports };
        ports.output("model", ArtifactKind::Model)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        for (name, value) in [
            ("steps", params.steps),
            ("prompts", params.prompts),
            ("max_new_tokens", params.max_new_tokens),
            ("rollout_batch", params.rollout_batch),
            ("updates", params.updates),
            ("epochs", params.epochs),
            ("micro_batch", params.micro_batch),
        ] {
            if value == 0 {
                problems.param(name, "must be at least 1", "");
            }
        }
        if params.group < 2 {
            problems.param("group", "one completion per prompt has nothing to be compared with", "use at least 2");
        }
        if params.temperature == 0.0 {
            problems.param("temperature", "at 0 all completions of a prompt are the same", "the paper samples at 1.0");
        }
        check_sampling(params.temperature, params.top_p, problems);
        validate_objective(params, problems);
        validate_optimizer(params, problems);
        for (path, message, help) in params.select.problems() {
            problems.param(format!("select.{path}"), message, help);
        }
    }

    fn types(params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        check_question_data(inputs, problems);
        check_length(params.max_new_tokens, inputs, problems);
        let model = inputs.model("model").cloned().unwrap_or_default();
        PortTypes::default().with("model", ArtifactType::Model(lora::flow(params.lora.as_ref(), model, problems)))
    }

    #[cfg(feature = "compute")]
    fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        crate::rl::run::run(params, context)
    }

    #[cfg(not(feature = "compute"))]
    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::NoCompute)
    }
}

fn validate_objective(params: &Params, problems: &mut Problems) {
    let Clip { low, high, dual } = params.clip;
    if !(0.0..=1.0).contains(&low) {
        problems.param("clip.low", "must be from 0 to 1: the ratio counts from `1 − low`", "the usual value is 0.2");
    }
    if high < 0.0 {
        problems.param("clip.high", "must not be negative", "the usual value is 0.2, DAPO's is 0.28");
    }
    if dual.is_some_and(|dual| dual <= 1.0 + high) {
        problems.param("clip.dual", "must be above `1 + high`, where the ordinary clip ends", "the usual value is 3.0");
    }
    if params.kl.coef < 0.0 {
        problems.param("kl.coef", "must not be negative", "0 turns the KL term and its reference off");
    }
    for (path, message, help) in params.reward.problems() {
        problems.param(format!("reward.{path}").trim_end_matches('.'), message, help);
    }
    if params.select.kind != SelectKind::None && !params.reward.weighs_answers() {
        problems.param(
            "select.kind",
            "it looks at rewards that say whether an answer is right, and none has a weight",
            "set `reward.accuracy` above 0, or `select.kind = \"none\"`",
        );
    }
}

fn validate_optimizer(params: &Params, problems: &mut Problems) {
    if params.lr <= 0.0 {
        problems.param("lr", "must be above 0", "the paper trains with 1e-6");
    }
    for (name, value) in [
        ("warmup", params.warmup),
        ("weight_decay", params.weight_decay),
        ("eps", params.eps),
        ("max_grad_norm", params.max_grad_norm),
    ] {
        if value < 0.0 {
            problems.param(name, "must not be negative", "");
        }
    }
    if params.betas.iter().any(|beta| !(0.0..1.0).contains(beta)) {
        problems.param("betas", "each must be at least 0 and below 1", "usual values are [0.9, 0.999]");
    }
    freeze::validate(&params.freeze, problems);
    if let Some(lora) = &params.lora {
        lora.validate(&params.freeze, problems);
    }
}

#[cfg(test)]
mod tests {
    use curricle_engine::stage::{DataType, ModelType, ProblemAt};

    use super::*;

    fn paths(params: &str) -> Vec<String> {
        let mut problems = Problems::default();
        Grpo::validate(&serde_json::from_str(params).unwrap(), &mut problems);
        let path = |at| match at {
            ProblemAt::Param(path) => path,
            other => format!("{other:?}"),
        };
        problems.into_vec().into_iter().map(|problem| path(problem.at)).collect()
    }

    #[test]
    fn defaults_and_the_paper_are_sound() {
        assert!(paths("{}").is_empty());
        let paper =
            r#"{"kl":{"coef":2e-3},"select":{"kind":"pad","temperature":{"from":1.0,"to":0.3}},"freeze":["vision"]}"#;
        assert!(paths(paper).is_empty());
    }

    #[test]
    fn the_program_of_a_reward_is_an_input() {
        let ports = |params: &str| {
            let ports = Grpo::ports(&serde_json::from_str(params).unwrap());
            ports.inputs.iter().map(|port| port.name).collect::<Vec<_>>()
        };
        assert_eq!(ports("{}"), ["model", "data"]);
        assert_eq!(ports(r#"{"reward":{"command":{"weight":0.5}}}"#), ["model", "data", "program"]);
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let bad = r#"{"steps":0,"group":1,"temperature":0.0,"top_p":0.0,"clip":{"low":2.0,"dual":1.1},"kl":{"coef":-1.0},
            "reward":{"accuracy":0.0},"select":{"kind":"pad","ratio":2.0},"lr":0.0,"betas":[0.9,1.0]}"#;
        let expected = [
            "steps",
            "group",
            "temperature",
            "top_p",
            "clip.low",
            "clip.dual",
            "kl.coef",
            "reward",
            "select.kind",
            "lr",
            "betas",
            "select.ratio",
        ];
        assert_eq!(paths(bad), expected);
    }

    #[test]
    fn rows_without_answers_and_images_for_a_text_model_do_not_fit() {
        let columns = Some(["prompt".to_owned()].into_iter().collect());
        let inputs = PortTypes::default()
            .with(
                "model",
                ArtifactType::Model(ModelType { images: Some(false), max_length: Some(64), ..ModelType::default() }),
            )
            .with("data", ArtifactType::Data(DataType { images: Some(true), columns, ..DataType::default() }));
        let mut problems = Problems::default();
        let outputs = Grpo::types(&Params::default(), &inputs, &mut problems);
        let at: Vec<_> = problems.into_vec().into_iter().map(|problem| problem.at).collect();
        let data = || ProblemAt::Input("data".into());
        assert_eq!(at, [data(), data(), ProblemAt::Param("max_new_tokens".into())]);
        assert_eq!(outputs.model("model").unwrap().max_length, Some(64));
    }
}
