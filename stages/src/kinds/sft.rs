//! `sft`: a model and rows with targets → the model after supervised fine-tuning. Text or images is a question of the
//! rows. Refuses to know how rows are read or how a step is computed; see [`crate::train`].

use std::sync::Arc;

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Fact, Facts, ModelType, PortTypes, Ports, Problems, StageContext, StageError,
    StageKind, Tokenizer,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fit;
use crate::health::SftHealth;
use crate::model::lora::{self, Lora};
use crate::prompt::Instruction;
use crate::train::carry::{Carry, OptimizerState};
use crate::train::freeze::{self, Part};
use crate::train::precision::Precision;
use crate::train::schedule::Shape;
use crate::train::stop::{self, Keep, Metric, Stop};

/// The kind `sft`.
pub struct Sft;

/// What to do with a row that has more tokens than `max_length`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TooLong {
    /// Stop before training, and name the row.
    #[default]
    Refuse,
    /// Leave the row out, and say how many.
    Drop,
    /// Cut the end of its text off; a row whose image would be cut is left out.
    Truncate,
}

/// Which parameters weight decay pulls on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Tensors of two or more dimensions: no norms, no biases.
    #[default]
    Matrices,
    /// Every tensor, as `torch.optim.AdamW` given `model.parameters()`.
    All,
}

/// A number of `sft` that a rule may watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Watched {
    /// Mean loss over the rows of `val`, at every look (see `look_every`).
    ValLoss,
    /// Mean training loss since the last look.
    Loss,
    /// Share of right answers to the rows of `watch`, whenever they are asked (see `health.image_accuracy`).
    ImageAccuracy,
}

impl Metric for Watched {
    fn name(self) -> &'static str {
        match self {
            Self::ValLoss => "val_loss",
            Self::Loss => "loss",
            Self::ImageAccuracy => "image_accuracy",
        }
    }

    fn higher_is_better(self) -> bool {
        self == Self::ImageAccuracy
    }

    fn measured_on(self) -> Option<&'static str> {
        match self {
            Self::ValLoss => Some("val"),
            Self::Loss => None,
            Self::ImageAccuracy => Some("watch"),
        }
    }
}

/// Parameters of `sft`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Text added to every prompt: the same that the later stages ask with.
    pub instruction: Option<Instruction>,
    /// Passes over the rows; an unfinished last batch is trained as it is. Give `epochs` or `steps`, not both; neither is one epoch.
    pub epochs: Option<usize>,
    /// Optimizer steps.
    pub steps: Option<usize>,
    /// Rows per optimizer step.
    pub batch: usize,
    /// Rows per forward and backward pass; their gradients add up in order, so this is part of what is computed.
    pub micro_batch: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// How the learning rate moves after the warm-up.
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
    /// Number format of weights and activations; what the optimizer moves stays in 32 bits, in checkpoints and results too.
    pub precision: Precision,
    /// Tokens that the tokenizer shall have, such as `<think>`. Each that it lacks gets the next free id; the embedding (and an
    /// untied head) gets rows for them where it has none to spare, each the mean of the rows that were there.
    pub add_tokens: Vec<String>,
    /// Longest row in tokens; left out: the model's own limit.
    pub max_length: Option<usize>,
    /// What to do with a longer row.
    pub too_long: TooLong,
    /// Steps between looks at `val` and at what `stop` and `keep` watch; 0 looks once per epoch.
    pub look_every: usize,
    /// Ends training before its last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop<Watched>>,
    /// Keeps states of the model beside the last.
    #[serde(skip_serializing_if = "Keep::is_empty")]
    pub keep: Keep<Watched>,
    /// What the model is asked before and while it trains, and what follows when something is wrong.
    pub health: SftHealth,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            instruction: None,
            epochs: None,
            steps: None,
            batch: 32,
            micro_batch: 4,
            lr: 1e-4,
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
            add_tokens: Vec::new(),
            max_length: None,
            too_long: TooLong::Refuse,
            look_every: 0,
            stop: None,
            keep: Keep::default(),
            health: SftHealth::default(),
        }
    }
}

impl Params {
    /// Steps, where rows, if they are not left out, say how many.
    fn known_steps(&self, inputs: &PortTypes) -> Option<usize> {
        let rows = || inputs.data("data").and_then(|data| data.rows.get().copied());
        self.steps.or_else(|| Some(rows()?.div_ceil(self.batch.max(1)) * self.epochs.unwrap_or(1)))
    }

    fn carry(&self) -> Carry<'_> {
        Carry { state: self.optimizer_state, save: self.save_optimizer, frozen: &self.freeze }
    }
}

impl StageKind for Sft {
    const NAME: &'static str = "sft";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "supervised fine-tuning: next-token loss on the answer only";
    type Params = Params;

    fn ports(params: &Params) -> Ports {
        let ports = Ports::new()
            .input("model", ArtifactKind::Model)
            .trains_on("data")
            .optional("val", ArtifactKind::Data)
            .measures()
            .optional("watch", ArtifactKind::Data)
            .measures()
            .output("model", ArtifactKind::Model);
        params.keep.ports(params.carry().ports(ports))
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.epochs.is_some() && params.steps.is_some() {
            problems.param("steps", "`epochs` and `steps` both say how long to train", "remove one of them");
        }
        for (name, value) in [("epochs", params.epochs), ("steps", params.steps), ("max_length", params.max_length)] {
            if value == Some(0) {
                problems.param(name, "must be at least 1", "");
            }
        }
        for (name, value) in [("batch", params.batch), ("micro_batch", params.micro_batch)] {
            if value == 0 {
                problems.param(name, "must be at least 1", "");
            }
        }
        if params.micro_batch > params.batch {
            problems.param(
                "micro_batch",
                format!("{} rows do not fit in a batch of {}", params.micro_batch, params.batch),
                "make `micro_batch` at most `batch`",
            );
        }
        if params.lr <= 0.0 {
            problems.param("lr", "must be above 0", "");
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
        validate_tokens(params, problems);
        if let Some(stop) = &params.stop {
            stop.report(problems);
        }
        params.health.report(problems);
    }

    fn types(params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        let model = inputs.model("model").cloned().unwrap_or_default();
        fit::readable("model", inputs, problems);
        fit::speaks("model", inputs, problems);
        for port in ["data", "val"] {
            let Some(data) = inputs.data(port) else { continue };
            fit::images(port, inputs, problems);
            fit::lacks(data, port, &["prompt"], "to answer", problems);
            fit::lacks(data, port, &["answer", "response"], "to learn from", problems);
            fit::length(port, params.max_length, params.too_long == TooLong::Refuse, inputs, problems);
        }
        fit::frozen(&params.freeze, inputs, problems);
        params.keep.report(params.known_steps(inputs), problems);
        stop::check(params.stop.as_ref(), &params.keep, inputs, problems);
        params.health.image_accuracy.asked(stop::asks(params.stop.as_ref(), &params.keep), problems);
        if !params.add_tokens.is_empty() && matches!(model.adapter.get(), Some(Some(_))) {
            problems.param(
                "add_tokens",
                "can't be added to a model with an adapter: their rows would never learn",
                "make the adapter part of the weights with a `merge` stage before this one",
            );
            problems.see(&model.adapter, "the adapter that it has");
        }
        params.health.image_accuracy.check(inputs, problems);
        let model = lora::flow(params.lora.as_ref(), with_tokens(model, &params.add_tokens), problems);
        let model = model.made_from(inputs.data("data"));
        let types = params.carry().types(&model, inputs, problems);
        params.keep.types(&model, types).with("model", ArtifactType::Model(model))
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::sft::estimate(params, facts)
    }

    fn tiny(params: &mut Params) {
        crate::tiny::sft(params);
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

/// The model with more tokens, and an embedding that has a row for each.
fn with_tokens(model: ModelType, tokens: &[String]) -> ModelType {
    if tokens.is_empty() {
        return model;
    }
    let more = model.tokenizer.get().map_or_else(|| Tokenizer::default().with(tokens), |known| known.with(tokens));
    let embedding = match (model.embedding.get(), more.size) {
        (Some(rows), Some(size)) if size <= *rows => model.embedding,
        (Some(_), Some(size)) => Fact::param(size, "add_tokens"),
        _ => Fact::default(),
    };
    ModelType { tokenizer: Fact::param(Arc::new(more), "add_tokens"), embedding, ..model }
}

/// New tokens whose rows would stay what they began as are told from each other by nothing.
fn validate_tokens(params: &Params, problems: &mut Problems) {
    let tokens = &params.add_tokens;
    for (index, token) in tokens.iter().enumerate() {
        if token.trim().is_empty() {
            problems.param(format!("add_tokens[{index}]"), "is blank", "name the token's text: `<think>`");
        } else if tokens[..index].contains(token) {
            problems.param(format!("add_tokens[{index}]"), format!("`{token}` is there twice"), "");
        }
    }
    let stay = if params.lora.is_some() { Some("with `lora` the embedding stays as it is") } else { None };
    let stay = stay.or(params.freeze.contains(&Part::Embed).then_some("the embedding is frozen"));
    if let Some(why) = stay.filter(|_| !tokens.is_empty()) {
        let help = "add the tokens in a stage before, which trains the embedding";
        problems.param("add_tokens", format!("their rows would never learn: {why}"), help);
    }
}

#[cfg(feature = "compute")]
mod run {
    use std::sync::Arc;

    use curricle_engine::stage::{StageContext, StageError};

    use super::{Decay, Params, TooLong};
    use crate::health::{Action, Asker, Guard, Questioned};
    use crate::inputs;
    use crate::model::ModelConfig;
    use crate::model::tape::Keep;
    use crate::phases::Phases;
    use crate::prompt::Instruction;
    use crate::train::batch::Walk;
    use crate::train::checkpoint::Checkpoints;
    use crate::train::course::Course;
    use crate::train::kept::Keeper;
    use crate::train::lanes::Lanes;
    use crate::train::meter::{Session, Shown, conduct};
    use crate::train::optimizer::AdamWConfig;
    use crate::train::schedule::Schedule;
    use crate::train::start::{self, Change, Start};
    use crate::train::supervised::{Longer, Plan, Rows};

    /// What a step reports.
    fn shown(params: &Params) -> Vec<Shown> {
        let mut shown: Vec<_> = ["loss", "lr", "grad_norm"].map(Shown::lower).into();
        shown.extend([Shown::higher("tokens_per_s"), Shown::lower("wait_share")]);
        shown.extend(["memory_gib", "not_finite"].map(Shown::lower));
        if params.health.image_accuracy.action != Action::Off {
            shown.push(Shown::higher("image_accuracy"));
        }
        shown
    }

    pub(super) fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let failed = |error: &dyn std::fmt::Display| StageError::Failed(error.to_string());
        let runtime = context.runtime().clone();
        let lanes = Lanes::of(&runtime)?;
        let folder = &context.input("model")?.path;
        let config = ModelConfig::read(folder).map_err(|error| failed(&error))?;
        let processor = start::processor(folder, &params.add_tokens)?;
        let limit = params.max_length.unwrap_or(config.text.max_position_embeddings);
        let longer = match params.too_long {
            TooLong::Refuse => Longer::Refuse,
            TooLong::Drop => Longer::Drop,
            TooLong::Truncate => Longer::Truncate,
        };
        let host = Lanes::of_host(runtime.threads).map_err(|error| failed(&error))?;
        let mut rows = |port: &str| -> Result<Option<Arc<Rows>>, StageError> {
            let Some(input) = context.optional(port) else { return Ok(None) };
            let rows = inputs::instructed(inputs::rows(input)?, params.instruction.as_ref().map(Instruction::text));
            let (rows, left_out) = Rows::measure(rows, &processor, &host, limit, longer)?;
            if left_out > 0 {
                context.log(format!("`{port}`: left out {left_out} rows with more than {limit} tokens"));
            }
            if rows.is_empty() {
                return Err(StageError::Failed(format!("`{port}` has no row to learn from")));
            }
            Ok(Some(Arc::new(rows)))
        };
        let (data, val) = (rows("data")?, rows("val")?);
        drop(host);
        let data = data.ok_or_else(|| StageError::Failed("input `data` is not connected".to_owned()))?;

        let walk = Walk::new(context.seed(), data.len(), params.batch, params.micro_batch);
        let steps = params.steps.unwrap_or_else(|| walk.steps_per_epoch() * params.epochs.unwrap_or(1));
        let look_every = if params.look_every > 0 { params.look_every } else { walk.steps_per_epoch() };
        let session = Session {
            steps,
            rounds: steps.div_ceil(look_every),
            by_step: shown(params),
            by_look: if val.is_some() { vec![Shown::lower("val_loss")] } else { Vec::new() },
        };
        let change = Change {
            lora: params.lora.as_ref(),
            frozen: &params.freeze,
            tokens: &params.add_tokens,
            precision: params.precision,
            seed: context.seed(),
        };
        let Start { model, config, end } = Start::open(folder, change, lanes.first().device)?;
        let with = Questioned {
            folder,
            tokens: &params.add_tokens,
            config: &config,
            instruction: params.instruction.as_ref().map(Instruction::text),
            precision: params.precision,
            seed: context.seed(),
        };
        let guard = guard(params, context, with)?;
        let (output, end) = (context.output("model")?, Arc::new(end));
        let plan = Plan {
            guard,
            course: Course::new(params.stop.as_ref(), &params.keep),
            keeper: Keeper::new(&params.keep, Arc::clone(&end), context.work_dir(), |port| context.output(port))?,
            moments: context.optional("optimizer").map(|input| input.path.clone()),
            notes: output.clone(),
            leaves: params.save_optimizer.then(|| context.output("optimizer")).transpose()?,
            config,
            processor: Arc::new(processor),
            data,
            val,
            walk,
            steps,
            look_every,
            schedule: Schedule::new(params.lr, params.schedule, params.warmup, steps),
            adamw: AdamWConfig {
                betas: params.betas,
                eps: params.eps,
                weight_decay: params.weight_decay,
                decay_matrices_only: params.decay == Decay::Matrices,
            },
            max_grad_norm: params.max_grad_norm,
            freeze: params.freeze.clone(),
            precision: params.precision,
            keep: Keep::when(runtime.gradient_checkpointing),
            seed: context.seed(),
            phases: Phases::on(lanes.devices()),
            lanes,
            threads: runtime.threads,
            checkpoints: Checkpoints::below(context.work_dir()),
            checkpoint_every: runtime.checkpoint_every,
        };
        let model = conduct(context, session, model, move |model, meter| plan.run(model, meter))?;
        end.write(&model, &output)
    }

    /// The questions that are asked of the model beside its training.
    fn guard(params: &Params, context: &mut StageContext<'_>, with: Questioned<'_>) -> Result<Guard, StageError> {
        let mut guard = Guard::default();
        let (solved, watch) = (params.health.solved, params.health.image_accuracy);
        if solved.action != Action::Off {
            match Asker::of_some(inputs::rows(context.input("data")?)?, &solved, with)? {
                Some(asker) => guard = guard.with_solved(solved, asker),
                None => context.log("`solved` has nothing to ask: no row of `data` has an `answer`"),
            }
        }
        match context.optional("watch") {
            Some(input) if watch.action != Action::Off => {
                Ok(guard.with_watch(watch, Asker::of_images(inputs::rows(input)?, &watch, with)?))
            }
            _ => Ok(guard),
        }
    }
}

#[cfg(test)]
#[cfg(feature = "compute")]
mod tests;
