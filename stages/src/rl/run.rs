//! The work of a `grpo` stage: model and rows in, steps with checkpoints and reports, model out. Refuses to know what a
//! step does ([`super::step`]).

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{StageContext, StageError};

use super::memory::Memory;
use super::objective::entropy::Controller;
use super::questions::Questions;
use super::reward::{Rewards, Scored};
use super::select::{SelectKind, Selection};
use super::step::{Step, Trainer};
use super::update::Learner;
use crate::health::{Action, Asker, Guard, Held, Questioned, Reading};
use crate::kinds::grpo::{Params, Watched};
use crate::model::tape::Keep;
use crate::model::{ModelConfig, Qwen2_5Vl};
use crate::phases::Phases;
use crate::prompt::Instruction;
use crate::train::carry;
use crate::train::checkpoint::{self, Checkpoint, CheckpointError, Checkpoints};
use crate::train::course::Course;
use crate::train::freeze::Learns;
use crate::train::kept::Keeper;
use crate::train::lanes::Lanes;
use crate::train::meter::{Meter, Numbers, Session, Shown, conduct};
use crate::train::optimizer::{AdamW, AdamWConfig};
use crate::train::start::{Change, Start};

/// Runs the stage.
///
/// # Errors
/// Where inputs can't be read or outputs not written; [`StageError::Interrupted`] after a checkpoint when asked to stop.
pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
    let lanes = Lanes::of(context.runtime())?;
    let device = lanes.first().device;
    let (model_dir, data) = (&context.input("model")?.path, context.input("data")?);
    let change = Change {
        lora: params.lora.as_ref(),
        frozen: &params.freeze,
        tokens: &[],
        precision: params.precision,
        seed: context.seed(),
    };
    let Start { model: start, config, end } = Start::open(model_dir, change, device)?;
    let instruction = params.instruction.as_ref().map(Instruction::text);
    let questions = Questions::open(data, model_dir, &config, params.max_new_tokens, instruction)?;
    let mut guard = Guard::default().with_rules(params.health);
    let watch = params.health.image_accuracy;
    if let Some(input) = context.optional("watch").filter(|_| watch.action != Action::Off) {
        let with = Questioned {
            folder: model_dir,
            tokens: &[],
            config: &config,
            instruction,
            precision: params.precision,
            seed: context.seed(),
        };
        guard = guard.with_watch(watch, Asker::of_images(crate::inputs::rows(input)?, &watch, with)?);
    }
    let trainer = Trainer {
        params: params.clone(),
        seed: context.seed(),
        reference: reference(params, context, &start, &config, device)?.map(|reference| lanes.copies(reference)),
        phases: Phases::on(lanes.devices()),
        lanes,
        threads: context.runtime().threads,
        config,
        program: context.optional("program").map(|program| program.path.clone()),
        questions: Arc::new(questions),
        keep: Keep::when(context.runtime().gradient_checkpointing),
    };
    let folders = Folders {
        checkpoints: Checkpoints::below(context.work_dir()),
        every: context.runtime().checkpoint_every,
        moments: context.optional("optimizer").map(|input| input.path.clone()),
        model: context.output("model")?,
        optimizer: params.save_optimizer.then(|| context.output("optimizer")).transpose()?,
    };
    let end = Arc::new(end);
    let watch = Over {
        guard,
        course: Course::new(params.stop.as_ref(), &params.keep),
        keeper: Keeper::new(&params.keep, Arc::clone(&end), context.work_dir(), |port| context.output(port))?,
    };
    let session = Session { steps: params.steps, rounds: 1, by_step: shown(params), by_look: Vec::new() };
    let output = folders.model.clone();
    let body = move |start: Qwen2_5Vl, meter: &mut Meter| train(&trainer, &folders, watch, start, meter);
    let model = conduct(context, session, start, body)?;
    end.write(&model, &output)
}

/// Where a loop reads and writes.
struct Folders {
    checkpoints: Checkpoints,
    /// Steps between checkpoints.
    every: usize,
    /// What the optimizer begins with.
    moments: Option<PathBuf>,
    /// Notes beside the model.
    model: PathBuf,
    /// The optimizer's state at the end.
    optimizer: Option<PathBuf>,
}

/// What watches over a loop: detectors, rules that end it, and where states are kept.
struct Over {
    guard: Guard,
    course: Course<Watched>,
    keeper: Keeper,
}

impl Over {
    /// Does the stage end here, wherever its last step is?
    fn ends(&self) -> bool {
        self.guard.ends() || self.course.ended().is_some()
    }

    /// Shows the numbers of a step, by the `window` that detectors have, to the rules; keeps the state that is the best.
    ///
    /// A rollout is of the model as it was `before` the step's updates.
    fn judge(
        &mut self,
        (step, window): (usize, usize),
        rollout: &Reading,
        (before, after): (Option<&Qwen2_5Vl>, &Qwen2_5Vl),
        watched: Option<f64>,
        learns: &Learns,
    ) -> Result<(), StageError> {
        self.keeper.after(step, after, learns)?;
        for (metric, value) in [(Watched::Reward, rollout.reward), (Watched::Accuracy, rollout.right)] {
            let mean = self.course.collect(metric, value, window);
            let best = mean.is_some_and(|mean| self.course.look(step, step - 1, metric, mean));
            if let Some(before) = before.filter(|_| best) {
                self.keeper.best(step - 1, before, learns)?;
            }
        }
        if watched.is_some_and(|share| self.course.look(step, step, Watched::ImageAccuracy, share)) {
            self.keeper.best(step, after, learns)?;
        }
        Ok(())
    }
}

/// What the KL term pulls towards: the model on the port `reference`, or what the stage starts from.
fn reference(
    params: &Params,
    context: &StageContext<'_>,
    start: &Qwen2_5Vl,
    config: &ModelConfig,
    device: &Device,
) -> Result<Option<Qwen2_5Vl>, StageError> {
    if params.kl.coef == 0.0 {
        return Ok(None);
    }
    let Some(input) = context.optional("reference") else { return Ok(Some(params.precision.view(start))) };
    let reading = |error: &dyn std::fmt::Display| StageError::while_doing("reading the reference", error);
    let theirs = ModelConfig::read(&input.path).map_err(|error| reading(&error))?;
    if theirs.text.vocab_size != config.text.vocab_size {
        let (ours, theirs) = (config.text.vocab_size, theirs.text.vocab_size);
        let message = format!(
            "the reference has {theirs} tokens and the model {ours}: their log-probabilities can't be compared"
        );
        return Err(StageError::Failed(message));
    }
    params.precision.read(&input.path, &theirs, device).map(Some).map_err(|error| reading(&error))
}

/// The loop: from the newest checkpoint, or the start, to the last step or the one where a rule or a detector ends it.
fn train(
    trainer: &Trainer,
    folders: &Folders,
    mut over: Over,
    model: Qwen2_5Vl,
    meter: &mut Meter,
) -> Result<Qwen2_5Vl, StageError> {
    let trouble = |error: CheckpointError| StageError::while_doing("checkpointing", error);
    let (params, lanes) = (&trainer.params, &trainer.lanes);
    let leaves = folders.optimizer.is_some();
    let learns = Learns::of(&model, &params.freeze);
    let mut learner =
        Learner { model, optimizer: AdamW::new(adamw(params)), entropy: Controller::new(&params.entropy) };
    let mut memory = Memory::new(params);
    let mut done = 0;
    if let Some(found) = folders.checkpoints.latest(|message| meter.log(message)) {
        over.guard.restore(&found, &learner.model, leaves.then(|| adamw(params)), &learns)?;
        over.course.restore(&found)?;
        over.keeper.named(over.course.best());
        (learner, memory) = restore(&found, learner, params)?;
        done = found.step;
        meter.resume(done, 0);
    } else {
        if let Some(folder) = &folders.moments {
            let (optimizer, said) = carry::read(folder, adamw(params), &learner.model, &learns)?;
            learner.optimizer = optimizer;
            meter.log(said);
        }
        over.guard.begin(&learner.model, leaves.then_some(&learner.optimizer), lanes, meter)?;
    }
    let mut known = trainer.prompts(done)?;
    let earns = [Watched::Reward, Watched::Accuracy].into_iter().any(|metric| over.course.chooses_by(metric));
    while done < params.steps && !over.ends() {
        let before = (over.guard.keeps_models() || earns).then(|| learner.held(leaves));
        let step;
        (learner, step) = trainer.step(done, learner, &mut memory, &mut known)?;
        done += 1;
        meter.log(describe(done, &step));
        let reading = reading(&step, params);
        over.guard.learn(done, &reading, before.clone());
        let watched = over.guard.look(done, &learner.model, leaves.then_some(&learner.optimizer), lanes)?;
        over.course.step(done, step.samples.iter().map(|sample| sample.tokens).sum());
        let models = (before.as_ref().map(|before| &before.model), &learner.model);
        over.judge((done, params.health.window), &reading, models, watched, &learns)?;
        meter.step(done, numbers(&step, &params.reward, watched));
        over.guard.announce(meter);
        if let Some(report) = &step.report {
            over.guard.finite(done, report.taken > 0)?;
        }
        if over.ends() {
            break;
        }
        let stop = meter.should_stop() && done < params.steps;
        if stop || (folders.every > 0 && done % folders.every == 0) {
            save(&folders.checkpoints, done, &learner, &memory, &over, &learns).map_err(trouble)?;
            over.keeper.named(over.course.best());
            meter.report(StageEvent::Checkpoint { step: done });
        }
        if stop {
            return Err(StageError::Interrupted { step: done });
        }
    }
    let Over { guard, course, keeper } = over;
    course.tell(done, params.steps, &folders.model, meter)?;
    let held = guard.end(learner.held(leaves), done, params.steps, &folders.model)?;
    if let (Some(folder), Some(optimizer)) = (&folders.optimizer, &held.optimizer) {
        carry::write(optimizer, &held.model, folder)?;
    }
    keeper.finish((done, &held.model), course.best(), &learns, meter)?;
    trainer.phases.told().into_iter().for_each(|event| meter.report(event));
    Ok(held.model)
}

impl Learner {
    /// The model, and the optimizer's state if the stage leaves one.
    fn held(&self, leaves: bool) -> Held {
        Held { model: self.model.clone(), optimizer: leaves.then(|| self.optimizer.clone()) }
    }
}

fn save(
    checkpoints: &Checkpoints,
    step: usize,
    learner: &Learner,
    memory: &Memory,
    over: &Over,
    learns: &Learns,
) -> Result<(), CheckpointError> {
    let mut tensors = checkpoint::weights(&learner.model, learns);
    tensors.extend(learner.optimizer.save(&learner.model));
    let (kept, mut state) = memory.save(&learner.entropy);
    tensors.extend(kept);
    let (kept, health) = over.guard.save(learns);
    tensors.extend(kept);
    state["health"] = health;
    state["course"] = over.course.save();
    checkpoints.save(step, &tensors, state)
}

fn restore(found: &Checkpoint, learner: Learner, params: &Params) -> Result<(Learner, Memory), StageError> {
    let learns = Learns::of(&learner.model, &params.freeze);
    let restored = found.restore(learner.model, &learns);
    let model = restored.map_err(|error| StageError::while_doing("checkpointing", error))?;
    let optimizer = AdamW::restore(adamw(params), &model, |name| found.tensor(name));
    let (memory, entropy) = Memory::restore(found)
        .ok_or_else(|| StageError::Failed("the checkpoint is of another version; run the stage anew".to_owned()))?;
    Ok((Learner { model, optimizer, entropy }, memory))
}

fn adamw(params: &Params) -> AdamWConfig {
    let Params { betas, eps, weight_decay, decay, .. } = *params;
    AdamWConfig { betas, eps, weight_decay, decay_matrices_only: decay == crate::kinds::sft::Decay::Matrices }
}

/// What a step reports, in the order of the dashboard.
fn shown(params: &Params) -> Vec<Shown> {
    let mut shown = vec![Shown::higher("reward")];
    shown.extend(params.reward.asked_for().map(|(reward, _)| Shown::higher(reward.name)));
    if params.health.image_accuracy.action != Action::Off {
        shown.push(Shown::higher("image_accuracy"));
    }
    shown.extend(["effective_share", "ess", "selected", "tokens_per_s", "entropy"].map(Shown::higher));
    let lower = ["zero_variance", "duplicates", "replayed", "rounds", "skipped", "length", "truncated", "loss", "kl"];
    shown.extend(lower.map(Shown::lower));
    shown.extend(["wait_share", "memory_gib"].map(Shown::lower));
    shown.extend(["clip_fraction", "entropy_coef", "grad_norm", "not_finite", "lr"].map(Shown::lower));
    if params.updates * params.epochs > 1 || params.select.kind == SelectKind::Ssr {
        shown.push(Shown::higher("ratio_ess"));
        shown.extend(["ratio_mean", "ratio_max", "old_kl_k1", "old_kl_k3", "clip_low", "clip_high"].map(Shown::lower));
    }
    shown
}

fn numbers(step: &Step, rewards: &Rewards, watched: Option<f64>) -> Numbers {
    let mut numbers = vec![("reward", mean(step, &|i| f64::from(step.scores[i].total)))];
    let each = rewards.asked_for().enumerate();
    numbers.extend(each.map(|(at, (reward, _))| (reward.name, mean(step, &|i| f64::from(step.scores[i].each[at])))));
    numbers.extend(watched.map(|share| ("image_accuracy", share)));
    numbers.extend([
        ("effective_share", step.selection.effective_share),
        ("zero_variance", step.selection.zero_variance),
        ("selected", step.selection.indices.len() as f64),
        ("duplicates", step.selection.duplicates as f64),
        ("ess", step.selection.ess),
        ("replayed", step.replayed as f64),
        ("rounds", step.rounds as f64),
        ("skipped", step.skipped as f64),
        ("length", mean(step, &|i| step.samples[i].tokens as f64)),
        ("truncated", mean(step, &|i| f64::from(u8::from(!step.samples[i].finished)))),
        ("lr", step.lr),
        ("tokens_per_s", step.tokens_per_s),
        ("wait_share", step.wait_share),
    ]);
    numbers.extend(step.memory_gib.map(|gib| ("memory_gib", gib)));
    let Some(report) = &step.report else { return Numbers(numbers) };
    numbers.push(("not_finite", report.not_finite as f64));
    if report.taken > 0 {
        numbers.extend([
            ("loss", report.loss),
            ("kl", step.penalty.unwrap_or(report.kl)),
            ("clip_fraction", report.clipped),
            ("entropy", report.entropy),
            ("entropy_coef", report.entropy_coef),
            ("grad_norm", report.grad_norm),
        ]);
    }
    let ratios = &report.ratios;
    if ratios.tokens > 0 {
        numbers.extend([
            ("ratio_mean", ratios.mean()),
            ("ratio_max", ratios.max),
            ("ratio_ess", ratios.ess()),
            ("old_kl_k1", ratios.k1()),
            ("old_kl_k3", ratios.k3()),
            ("clip_low", ratios.low()),
            ("clip_high", ratios.high()),
        ]);
    }
    Numbers(numbers)
}

/// Mean of a number over the step's samples.
fn mean(step: &Step, value: &dyn Fn(usize) -> f64) -> f64 {
    (0..step.samples.len()).map(value).sum::<f64>() / step.samples.len().max(1) as f64
}

/// What detectors look at.
fn reading(step: &Step, params: &Params) -> Reading {
    let full = params.reward.full_marks();
    let groups: Vec<&[Scored]> = step.scores.chunks(params.group).collect();
    let alike = |right: bool| {
        let of = |group: &&&[Scored]| {
            let first = group[0].correct;
            group.iter().all(|scored| scored.correct.to_bits() == first.to_bits())
                && (f64::from(first) > 0.5 * full) == right
        };
        groups.iter().filter(of).count() as f64 / groups.len().max(1) as f64
    };
    let report = step.report.as_ref().filter(|report| report.taken > 0);
    Reading {
        reward: mean(step, &|i| f64::from(step.scores[i].total)),
        right: mean(step, &|i| f64::from(step.scores[i].correct) / full),
        all_right: alike(true),
        all_wrong: alike(false),
        length: mean(step, &|i| step.samples[i].tokens as f64),
        truncated: mean(step, &|i| f64::from(u8::from(!step.samples[i].finished))),
        entropy: report.map(|report| report.entropy),
        clipped: report.map(|report| report.clipped),
    }
}

/// One line of the log: how many samples had which |advantage|, and what became of it.
fn describe(step: usize, done: &Step) -> String {
    let Selection { histogram: [zero, bins @ ..], indices, duplicates, .. } = &done.selection;
    let bins = bins.map(|count| count.to_string()).join(" ");
    let outcome = match (indices.len() + done.replayed, done.replayed, duplicates) {
        (0, ..) => "nothing informative, no update".to_owned(),
        (count, 0, 0) => format!("{count} selected"),
        (count, 0, again) => format!("{count} selected, {again} of them again"),
        (count, earlier, _) => format!("{count} selected, {earlier} of them from earlier steps"),
    };
    let rounds = if done.rounds > 1 { format!(", asked in {} rounds", done.rounds) } else { String::new() };
    format!("step {step}: |accuracy advantage| 0: {zero}, then by 0.5: {bins}; {outcome}{rounds}")
}

#[cfg(test)]
mod health_tests;
#[cfg(test)]
mod tests;
