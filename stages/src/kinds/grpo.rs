//! `grpo`: a model and rows with answers → the model after reinforcement learning from verifiable rewards. Multimodal RL
//! and text RL are this one kind: images or text is a question of the rows. Refuses to know how a step is computed; see
//! [`crate::rl`].

mod reference;

use curricle_engine::diagnostic::Severity;
use curricle_engine::stage::{
    Answers, ArtifactKind, ArtifactType, Estimate, Facts, PortTypes, Ports, Problems, StageContext, StageError,
    StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evaluate::check_sampling;
use super::sft::Decay;
use crate::fit;
use crate::health::Health;
use crate::model::lora::{self, Lora};
use crate::prompt::Instruction;
use crate::rl::advantage::Advantage;
#[cfg(feature = "compute")]
use crate::rl::objective::Terms;
use crate::rl::objective::cispo::Cispo;
use crate::rl::objective::clip::Clip;
use crate::rl::objective::entropy::Entropy;
use crate::rl::objective::gspo::Gspo;
use crate::rl::objective::kl::Kl;
use crate::rl::objective::mean::Mean;
use crate::rl::objective::sapo::Sapo;
use crate::rl::objective::{ObjectiveKind, problems as objective};
use crate::rl::reward::Rewards;
use crate::rl::select::{Select, SelectKind};
use crate::train::carry::{Carry, OptimizerState};
use crate::train::freeze::{self, Part};
use crate::train::precision::Precision;
use crate::train::schedule::Shape;
use crate::train::stop::{self, Keep, Metric, Stop};

/// The kind `grpo`.
pub struct Grpo;

/// A number of `grpo` that a rule may watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Watched {
    /// Mean reward over the last `health.window` rollouts: a look at every step from the first full window on. The state that
    /// earned it is that before the step's updates.
    Reward,
    /// Share of right answers over the last `health.window` rollouts, likewise.
    Accuracy,
    /// Share of right answers to the rows of `watch`, whenever they are asked (see `health.image_accuracy`).
    ImageAccuracy,
}

impl Metric for Watched {
    fn name(self) -> &'static str {
        match self {
            Self::Reward => "reward",
            Self::Accuracy => "accuracy",
            Self::ImageAccuracy => "image_accuracy",
        }
    }

    fn higher_is_better(self) -> bool {
        true
    }

    fn measured_on(self) -> Option<&'static str> {
        (self == Self::ImageAccuracy).then_some("watch")
    }
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
    /// How rewards become advantages.
    pub advantage: Advantage,
    /// Which samples are trained on.
    pub select: Select,
    /// What an update makes likelier; settings of other objectives than this one are ignored.
    pub objective: ObjectiveKind,
    /// `clip`: bounds of a token's probability ratio.
    pub clip: Clip,
    /// `gspo`: bounds of a completion's probability ratio.
    pub gspo: Gspo,
    /// `cispo`: bound of the weights.
    pub cispo: Cispo,
    /// `sapo`: temperatures of the gate.
    pub sapo: Sapo,
    /// The pull towards a reference: the model on the port `reference`, or else the stage's start.
    pub kl: Kl,
    /// The reward for staying undecided.
    pub entropy: Entropy,
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
    /// Does the optimizer begin anew, or with the state on the port `optimizer`? Schedules begin anew either way.
    pub optimizer_state: OptimizerState,
    /// Leaves the optimizer's state after the last step on the port `optimizer`; after a rollback, that of the model it went back to.
    pub save_optimizer: bool,
    /// Parts of the model that stay as they are.
    pub freeze: Vec<Part>,
    /// Trains low-rank adapters, and leaves the weights as they are. A model that has an adapter goes on training it.
    pub lora: Option<Lora>,
    /// Number format of weights and activations, of rollouts too; what the optimizer moves stays in 32 bits, in
    /// checkpoints and results too.
    pub precision: Precision,
    /// What is watched while it trains, and what follows when something is wrong.
    pub health: Health,
    /// Ends training before its last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop<Watched>>,
    /// Keeps states of the model beside the last.
    #[serde(skip_serializing_if = "Keep::is_empty")]
    pub keep: Keep<Watched>,
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
            advantage: Advantage::default(),
            select: Select::default(),
            objective: ObjectiveKind::Clip,
            clip: Clip::default(),
            gspo: Gspo::default(),
            cispo: Cispo::default(),
            sapo: Sapo::default(),
            kl: Kl::default(),
            entropy: Entropy::default(),
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
            optimizer_state: OptimizerState::Restart,
            save_optimizer: false,
            freeze: Vec::new(),
            lora: None,
            precision: Precision::F32,
            health: Health::default(),
            stop: None,
            keep: Keep::default(),
        }
    }
}

#[cfg(feature = "compute")]
impl Params {
    /// The loss of an update whose entropy bonus has this weight.
    pub fn terms(&self, entropy_coef: f64) -> Terms {
        let &Self { objective: kind, clip, gspo, cispo, sapo, kl, entropy, .. } = self;
        Terms { kind, clip, gspo, cispo, sapo, kl, entropy: entropy.kind, entropy_coef }
    }
}

impl Params {
    fn carry(&self) -> Carry<'_> {
        Carry { state: self.optimizer_state, save: self.save_optimizer, frozen: &self.freeze }
    }
}

impl StageKind for Grpo {
    const NAME: &'static str = "grpo";
    const VERSION: u32 = 3;
    const SUMMARY: &'static str =
        "reinforcement learning from verifiable rewards: group advantages, clipped objective, PAD";
    type Params = Params;

    fn ports(params: &Params) -> Ports {
        let ports = Ports::new().input("model", ArtifactKind::Model).trains_on("data");
        // A file like any other from outside: its bytes are part of the stage's identity, its path is not.
        let ports =
            if params.reward.command.is_some() { ports.input("program", ArtifactKind::Data).verbatim() } else { ports };
        let ports = ports.optional("reference", ArtifactKind::Model).optional("watch", ArtifactKind::Data).measures();
        params.keep.ports(params.carry().ports(ports.output("model", ArtifactKind::Model)))
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
        objective::report(params, problems);
        validate_reward(params, problems);
        validate_optimizer(params, problems);
        for (path, message, help) in params.select.problems() {
            problems.param(format!("select.{path}"), message, help);
        }
        params.health.report(problems);
        validate_ends(params, problems);
    }

    fn types(params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        fit::readable("model", inputs, problems);
        fit::speaks("model", inputs, problems);
        fit::images("data", inputs, problems);
        fit::questions(inputs, problems);
        fit::completion(params.max_new_tokens, inputs, problems);
        fit::frozen(&params.freeze, inputs, problems);
        check_rewards(params, inputs, problems);
        reference::check(params, inputs, problems);
        params.health.image_accuracy.check(inputs, problems);
        stop::check(params.stop.as_ref(), &params.keep, inputs, problems);
        params.health.image_accuracy.asked(stop::asks(params.stop.as_ref(), &params.keep), problems);
        let model = inputs.model("model").cloned().unwrap_or_default();
        let model = lora::flow(params.lora.as_ref(), model, problems).made_from(inputs.data("data"));
        let types = params.carry().types(&model, inputs, problems);
        params.keep.types(&model, types).with("model", ArtifactType::Model(model))
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::grpo::estimate(params, facts)
    }

    fn tiny(params: &mut Params) {
        crate::tiny::grpo(params);
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

/// Rules that would never be asked, and states that would never be reached.
fn validate_ends(params: &Params, problems: &mut Problems) {
    if let Some(stop) = &params.stop {
        stop.report(problems);
    }
    params.keep.report(Some(params.steps), problems);
    let by_rollouts = [Watched::Reward, Watched::Accuracy].into_iter().find(|metric| params.keep.best == Some(*metric));
    if let (Some(metric), window) = (by_rollouts, params.health.window)
        && window > params.steps
    {
        let (name, steps) = (metric.name(), params.steps);
        let message =
            format!("is `{name}`, a mean over {window} steps, and the stage has {steps}: there would be no look");
        problems.param("keep.best", message, "set a smaller `health.window`, or train longer");
    }
}

/// Rewards that no row, or only luck, could earn.
fn check_rewards(params: &Params, inputs: &PortTypes, problems: &mut Problems) {
    let Some(data) = inputs.data("data") else { return };
    let answers = data.answers.get().copied();
    let (reward, counts) = (&params.reward, |answers| matches!(answers, Answers::Text | Answers::Letter));
    if let (Some(numeric), Some(answers)) = (&reward.numeric, answers.filter(|answers| counts(*answers)))
        && numeric.weight > 0.0
    {
        let looks = if answers == Answers::Text { "text" } else { "letters of options" };
        let help = "take `accuracy`, which compares any answers, or `multiple_choice`";
        problems.param("reward.numeric", format!("rewards numbers, and the answers are {looks}: it is always 0"), help);
        problems.see(&data.answers, format!("answers are {looks}"));
    }
    let no_choices = data.columns.get().is_some_and(|columns| !columns.contains("choices"));
    if reward.multiple_choice > 0.0 && no_choices && answers != Some(Answers::Letter) {
        let help = "name the column of the options: `columns = { choices = \"…\" }`, or take `accuracy`";
        let message = "rewards the right option, and rows have no `choices` to know it by";
        problems.param("reward.multiple_choice", message, help);
        // A letter needs no options, and nobody saw the answers.
        if answers.is_none() || answers == Some(Answers::Mixed) {
            problems.only(Severity::Warning);
        }
        problems.see(&data.columns, "rows without `choices`");
    }
}

fn validate_reward(params: &Params, problems: &mut Problems) {
    for (path, message, help) in params.reward.problems() {
        problems.param(format!("reward.{path}").trim_end_matches('.'), message, help);
    }
    if !matches!(params.select.kind, SelectKind::None | SelectKind::Random) && !params.reward.weighs_answers() {
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
    use curricle_engine::stage::{DataType, Fact, ModelType, ProblemAt};

    use super::*;

    fn found(params: &str, warning: bool) -> Vec<String> {
        let mut problems = Problems::default();
        Grpo::validate(&serde_json::from_str(params).unwrap(), &mut problems);
        let path = |at| match at {
            ProblemAt::Param(path) => path,
            other => format!("{other:?}"),
        };
        let found =
            problems.into_vec().into_iter().filter(|problem| (problem.severity == Severity::Warning) == warning);
        found.map(|problem| path(problem.at)).collect()
    }

    fn paths(params: &str) -> Vec<String> {
        found(params, false)
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
            ports.inputs.iter().map(|port| port.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ports("{}"), ["model", "data", "reference", "watch"]);
        assert_eq!(
            ports(r#"{"reward":{"command":{"weight":0.5}}}"#),
            ["model", "data", "program", "reference", "watch"]
        );
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
    fn mistakes_of_the_loss_are_found() {
        let bad = r#"{"advantage":{"epsilon":-1.0,"kind":"per-reward"},"gspo":{"low":2.0,"high":-1.0},"cispo":{"cap":0.0},
            "sapo":{"positive":0.0},"entropy":{"coef":-1.0},"kl":{"coef":0.1,"in":"reward","estimator":"k3-corrected"}}"#;
        let expected = [
            "gspo.low",
            "gspo.high",
            "cispo.cap",
            "sapo.positive",
            "advantage.epsilon",
            "entropy.coef",
            "kl.estimator",
            "kl.in",
        ];
        assert_eq!(paths(bad), expected);
    }

    #[test]
    fn odd_choices_are_warned_of() {
        for (params, path) in [
            (r#"{"entropy":{"coef":0.02,"kind":"sampled"}}"#, "entropy.kind"),
            (r#"{"kl":{"coef":0.1,"estimator":"k1"}}"#, "kl.estimator"),
            (r#"{"objective":"reinforce","updates":2}"#, "objective"),
            (r#"{"objective":"gspo"}"#, "mean"),
        ] {
            assert!(paths(params).is_empty());
            assert_eq!(found(params, true), [path]);
        }
        assert!(found(r#"{"kl":{"coef":0.1,"estimator":"k1","in":"reward"},"entropy":{"coef":0.1}}"#, true).is_empty());
    }

    #[test]
    fn rows_without_answers_and_images_for_a_text_model_do_not_fit() {
        let columns = Fact::known(["prompt".to_owned()].into_iter().collect());
        let inputs = PortTypes::default()
            .with(
                "model",
                ArtifactType::Model(ModelType {
                    images: Fact::known(false),
                    max_length: Fact::known(64),
                    ..ModelType::default()
                }),
            )
            .with("data", ArtifactType::Data(DataType { images: Fact::known(true), columns, ..DataType::default() }));
        let mut problems = Problems::default();
        let outputs = Grpo::types(&Params::default(), &inputs, &mut problems);
        let at: Vec<_> = problems.into_vec().into_iter().map(|problem| problem.at).collect();
        let data = || ProblemAt::Input("data".into());
        assert_eq!(at, [data(), data(), ProblemAt::Param("max_new_tokens".into())]);
        assert_eq!(outputs.model("model").unwrap().max_length, Fact::known(64));
    }
}
