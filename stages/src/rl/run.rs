//! The work of a `grpo` stage: model and rows in, steps with checkpoints and reports, model out. Refuses to know what a
//! step does ([`super::step`]).

use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{StageContext, StageError};
use serde_json::json;

use super::questions::Questions;
use super::reward::Rewards;
use super::select::Selection;
use super::step::{Step, Trainer};
use super::update::Learner;
use crate::kinds::grpo::Params;
use crate::model::Qwen2_5Vl;
use crate::model::tape::Keep;
use crate::prompt::Instruction;
use crate::train::checkpoint::{self, Checkpoint, CheckpointError, Checkpoints};
use crate::train::freeze::Learns;
use crate::train::lanes::Lanes;
use crate::train::meter::{Meter, Numbers, Session, Shown, conduct};
use crate::train::optimizer::{AdamW, AdamWConfig};
use crate::train::start::{Change, Start};

/// Runs the stage.
///
/// # Errors
/// Where inputs can't be read or outputs not written; [`StageError::Interrupted`] after a checkpoint when asked to stop.
pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
    let device = crate::device::resolve(&context.runtime().device)
        .map_err(|error| StageError::while_doing("finding the device", error))?;
    let (model_dir, data) = (&context.input("model")?.path, context.input("data")?);
    let change = Change {
        lora: params.lora.as_ref(),
        frozen: &params.freeze,
        tokens: &[],
        precision: params.precision,
        seed: context.seed(),
    };
    let Start { model: start, config, end } = Start::open(model_dir, change, &device)?;
    let instruction = params.instruction.as_ref().map(Instruction::text);
    let questions = Questions::open(data, model_dir, &config, params.max_new_tokens, instruction)?;
    let trainer = Trainer {
        params: params.clone(),
        seed: context.seed(),
        reference: (params.kl.coef > 0.0).then(|| params.precision.view(&start)),
        lanes: Lanes::new(context.runtime().threads, &device)
            .map_err(|error| StageError::while_doing("starting threads", error))?,
        config,
        program: context.optional("program").map(|program| program.path.clone()),
        questions,
        device,
        keep: Keep::when(context.runtime().gradient_checkpointing),
    };
    let checkpoints = Checkpoints::below(context.work_dir());
    let every = context.runtime().checkpoint_every;
    let session =
        Session { steps: params.steps, rounds: 1, by_step: shown(&params.reward), by_look: Vec::new(), patience: None };
    let body = move |start: Qwen2_5Vl, meter: &mut Meter| train(&trainer, &checkpoints, every, start, meter);
    let model = conduct(context, session, start, body)?;
    end.write(&model, &context.output("model")?)
}

/// The loop: from the newest checkpoint, or the start, to the last step.
fn train(
    trainer: &Trainer,
    checkpoints: &Checkpoints,
    every: usize,
    model: Qwen2_5Vl,
    meter: &mut Meter,
) -> Result<Qwen2_5Vl, StageError> {
    let trouble = |error: CheckpointError| StageError::while_doing("checkpointing", error);
    let mut learner = Learner { model, optimizer: AdamW::new(adamw(&trainer.params)) };
    let mut done = 0;
    if let Some(found) = checkpoints.latest(|message| meter.log(message)) {
        learner = restore(&found, learner, &trainer.params).map_err(trouble)?;
        done = found.step;
        meter.resume(done, meter.history().clone());
    }
    while done < trainer.params.steps {
        let step;
        (learner, step) = trainer.step(done, learner)?;
        done += 1;
        meter.log(describe(done, &step.selection));
        meter.step(done, numbers(&step, &trainer.params.reward));
        let stop = meter.should_stop() && done < trainer.params.steps;
        if stop || (every > 0 && done % every == 0) {
            save(checkpoints, done, &learner, &trainer.params).map_err(trouble)?;
            meter.report(StageEvent::Checkpoint { step: done });
        }
        if stop {
            return Err(StageError::Interrupted { step: done });
        }
    }
    Ok(learner.model)
}

fn save(checkpoints: &Checkpoints, step: usize, learner: &Learner, params: &Params) -> Result<(), CheckpointError> {
    let mut tensors = checkpoint::weights(&learner.model, &Learns::of(&learner.model, &params.freeze));
    tensors.extend(learner.optimizer.save(&learner.model));
    checkpoints.save(step, &tensors, json!({}))
}

fn restore(found: &Checkpoint, learner: Learner, params: &Params) -> Result<Learner, CheckpointError> {
    let learns = Learns::of(&learner.model, &params.freeze);
    let model = found.restore(learner.model, &learns)?;
    let optimizer = AdamW::restore(adamw(params), &model, |name| found.tensor(name));
    Ok(Learner { model, optimizer })
}

fn adamw(params: &Params) -> AdamWConfig {
    let Params { betas, eps, weight_decay, decay, .. } = *params;
    AdamWConfig { betas, eps, weight_decay, decay_matrices_only: decay == crate::kinds::sft::Decay::Matrices }
}

/// What a step reports, in the order of the dashboard.
fn shown(rewards: &Rewards) -> Vec<Shown> {
    let mut shown = vec![Shown::higher("reward")];
    shown.extend(rewards.asked_for().map(|(reward, _)| Shown::higher(reward.name)));
    shown.extend([Shown::higher("effective_share"), Shown::higher("selected"), Shown::higher("tokens_per_s")]);
    let lower = ["length", "truncated", "loss", "kl", "clip_fraction", "grad_norm", "not_finite", "lr"];
    shown.extend(lower.map(Shown::lower));
    shown
}

fn numbers(step: &Step, rewards: &Rewards) -> Numbers {
    let count = step.samples.len().max(1) as f64;
    let mean = |value: &dyn Fn(usize) -> f64| (0..step.samples.len()).map(value).sum::<f64>() / count;
    let mut numbers = vec![("reward", mean(&|i| f64::from(step.scores[i].total)))];
    let each = rewards.asked_for().enumerate();
    numbers.extend(each.map(|(at, (reward, _))| (reward.name, mean(&|i| f64::from(step.scores[i].each[at])))));
    numbers.extend([
        ("effective_share", step.selection.effective_share),
        ("selected", step.selection.indices.len() as f64),
        ("length", mean(&|i| step.samples[i].tokens as f64)),
        ("truncated", mean(&|i| f64::from(u8::from(!step.samples[i].finished)))),
        ("lr", step.lr),
        ("tokens_per_s", step.tokens_per_s),
    ]);
    if let Some(report) = &step.report {
        numbers.extend([
            ("loss", report.loss),
            ("kl", report.kl),
            ("clip_fraction", report.clipped),
            ("grad_norm", report.grad_norm),
            ("not_finite", report.not_finite as f64),
        ]);
    }
    Numbers(numbers)
}

/// One line of the log: how many samples had which |advantage|, and what became of it.
fn describe(step: usize, selection: &Selection) -> String {
    let [zero, bins @ ..] = selection.histogram;
    let bins = bins.map(|count| count.to_string()).join(" ");
    let outcome = match selection.indices.len() {
        0 => "nothing informative, no update".to_owned(),
        count => format!("{count} selected"),
    };
    format!("step {step}: |accuracy advantage| 0: {zero}, then by 0.5: {bins}; {outcome}")
}

#[cfg(test)]
mod tests;
