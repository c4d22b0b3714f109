//! One step of reinforcement learning, from prompts to new weights. Everything random in it follows from the stage's seed
//! and the number of the step, so a resumed run goes on as it would have. Refuses to know checkpoints and reports.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use curricle_datasets::Encoded;
use curricle_engine::stage::StageError;

use super::advantage::Rewarded;
use super::gather::{Gathered, Prompts};
use super::memory::Memory;
use super::objective::kl::Place;
use super::questions::{Draws, Questions};
use super::reward::{Answered, Asked, Scored, score};
use super::rollout::Sample;
use super::seed::{Purpose, stream};
use super::select::ssr::Kept;
use super::select::{Pool, SelectKind, Selection};
use super::update::{Chosen, Learner, Report, Updater};
use crate::kinds::grpo::Params;
use crate::model::tape::Keep;
use crate::model::{Completion, ModelConfig, Qwen2_5Vl};
use crate::phases::Phases;
use crate::train::lanes::{Copies, Lanes};
use crate::train::schedule::Schedule;

/// What does not change during a stage.
pub struct Trainer {
    /// Parameters of the stage.
    pub params: Params,
    /// Root of its randomness.
    pub seed: u64,
    /// Sizes of the model.
    pub config: ModelConfig,
    /// What is asked.
    pub questions: Arc<Questions>,
    /// The program behind the reward `command`, if that is asked for.
    pub program: Option<PathBuf>,
    /// Views of what the KL term pulls towards, if it is on.
    pub reference: Option<Copies<Qwen2_5Vl>>,
    /// Devices and threads.
    pub lanes: Lanes,
    /// Threads that encode rows; 0: one per core.
    pub threads: usize,
    /// What its phases have in memory.
    pub phases: Phases,
    /// What a forward pass keeps for its backward pass.
    pub keep: Keep,
}

/// What happened in a step.
pub struct Step {
    /// Every completion, of all rounds.
    pub samples: Vec<Sample>,
    /// Their rewards.
    pub scores: Vec<Scored>,
    /// KL to the reference per token, where it counts in the reward.
    pub penalty: Option<f64>,
    /// Which of them were trained on.
    pub selection: Selection,
    /// Earlier samples that were trained on again.
    pub replayed: usize,
    /// Times that prompts were asked.
    pub rounds: usize,
    /// Prompts passed over since the stage began.
    pub skipped: usize,
    /// Numbers of the optimizer steps; `None` when nothing was selected, and the model stayed.
    pub report: Option<Report>,
    /// Learning rate of the step.
    pub lr: f64,
    /// Sampled tokens per second of the whole step.
    pub tokens_per_s: f64,
    /// Share of the step in which it waited for rows.
    pub wait_share: f64,
    /// The most that its phases had in memory, in GiB, where somebody counts.
    pub memory_gib: Option<f64>,
}

impl Trainer {
    /// Runs step number `step`, from 0.
    ///
    /// # Errors
    /// Where a row can't be encoded.
    pub fn step(
        &self,
        step: usize,
        learner: Learner,
        memory: &mut Memory,
        known: &mut Prompts,
    ) -> Result<(Learner, Step), StageError> {
        let started = Instant::now();
        let view = self.lanes.copies(self.params.precision.view(&learner.model));
        let gathered = self.gather(step, &view, &mut memory.history, known)?; //    y ~ π_old(· | x), eq. 1
        let Gathered { samples, scores, rounds, waited, .. } = gathered;
        let penalties = self.penalties(&view, &samples); //                          KL in the reward
        let (params, group) = (&self.params, self.params.group);
        let advantages = params.advantage.of(&self.rewarded(&scores, penalties.as_deref()), group); // eq. 3
        let correct = Rewarded::alone(scores.iter().map(|scored| scored.correct).collect());
        let informative = params.advantage.of(&correct, group);
        let selection = self.select(step, &informative); //                          eq. 4
        let again = self.replayed(step, samples.len(), memory)?;
        let mut chosen: Vec<Chosen<'_>> = selection
            .indices
            .iter()
            .map(|&i| Chosen {
                sequence: &samples[i].sequence,
                tokens: samples[i].tokens,
                advantage: advantages[i],
                old: None,
            })
            .collect();
        if params.select.kind == SelectKind::Ssr {
            self.keep_for_replay(&view, &selection, &samples, &mut chosen, &informative, memory);
        }
        chosen.extend(again.iter().map(|(sequence, kept)| Chosen {
            sequence,
            tokens: kept.ids.len(),
            advantage: kept.advantage,
            old: Some(kept.old.clone()),
        }));
        drop(view);
        let lr = self.schedule().at(step);
        let (learner, report) = if chosen.is_empty() {
            (learner, None)
        } else {
            let (learner, report) = self.updater().run(step, lr, learner, &chosen); // eq. 2
            (learner, Some(report))
        };
        let (replayed, skipped) = (again.len(), memory.history.skipped);
        let tokens: usize = samples.iter().map(|sample| sample.tokens).sum();
        let time = started.elapsed().as_secs_f64();
        let (tokens_per_s, wait_share) = (tokens as f64 / time, waited.as_secs_f64() / time);
        let penalty = penalties.map(|penalties| penalties.iter().sum::<f64>() / tokens.max(1) as f64);
        let step = Step {
            samples,
            scores,
            penalty,
            selection,
            replayed,
            rounds,
            skipped,
            report,
            lr,
            tokens_per_s,
            wait_share,
            memory_gib: self.phases.step(),
        };
        Ok((learner, step))
    }

    /// Each reward of every sample, and their sum less the KL penalty.
    fn rewarded(&self, scores: &[Scored], penalties: Option<&[f64]>) -> Rewarded {
        let less = |i: usize| penalties.map_or(0.0, |penalties| self.params.kl.coef * penalties[i]);
        let total = scores.iter().enumerate().map(|(i, scored)| (f64::from(scored.total) - less(i)) as f32).collect();
        let each = self.params.reward.asked_for().enumerate();
        let each = each.map(|(at, (_, weight))| (weight, scores.iter().map(|scored| scored.each[at]).collect()));
        Rewarded { total, each: each.collect() }
    }

    /// KL estimate of each whole sample, where it counts in the reward.
    fn penalties(&self, model: &Copies<Qwen2_5Vl>, samples: &[Sample]) -> Option<Vec<f64>> {
        let reference = self.reference.as_ref().filter(|_| self.params.kl.place == Place::Reward)?;
        let sequences: Vec<&Encoded> = samples.iter().map(|sample| &sample.sequence).collect();
        let updater = self.updater();
        let (ours, theirs) = (updater.logprobs_of(model, &sequences), updater.logprobs_of(reference, &sequences));
        let estimator = self.params.kl.estimator;
        let of = |(ours, theirs): (&Vec<f32>, &Vec<f32>)| {
            ours.iter().zip(theirs).map(|(&logp, &reference)| estimator.value(logp, reference)).sum()
        };
        Some(ours.iter().zip(&theirs).map(of).collect())
    }

    pub(super) fn scores(&self, samples: &[Sample]) -> Result<Vec<Scored>, StageError> {
        let each = samples.iter().map(|sample| self.questions.answered(sample.row, &sample.text, sample.tokens));
        let answered: Vec<Answered<'_>> = each.collect();
        let asked = Asked { answered: &answered, rewards: &self.params.reward, program: self.program.as_deref() };
        score(&asked).map_err(|error| StageError::while_doing("rewarding completions", error))
    }

    fn select(&self, step: usize, advantages: &[f32]) -> Selection {
        let Params { prompts, group, steps, select, .. } = &self.params;
        let pool =
            Pool { advantages, group: *group, prompts: *prompts, temperature: select.temperature.at(step, *steps) };
        select.pick(&pool, &mut stream(self.seed, Purpose::Select, &[step as u64]))
    }

    /// Earlier samples that this step trains on again, with their prompts.
    fn replayed(&self, step: usize, sampled: usize, memory: &Memory) -> Result<Vec<(Encoded, Kept)>, StageError> {
        if self.params.select.kind != SelectKind::Ssr {
            return Ok(Vec::new());
        }
        let rng = &mut stream(self.seed, Purpose::Replay, &[step as u64]);
        let back = memory.replay.draw(&self.params.select.replay, sampled, rng);
        let join = |kept: &Kept| {
            let completion = Completion { ids: kept.ids.clone(), finished: true };
            let prompt = self.questions.encode(kept.row)?;
            Ok((Sample::new(kept.row, &prompt, &completion, String::new()).sequence, kept.clone()))
        };
        back.into_iter().map(join).collect()
    }

    /// Fills the buffer with the fresh samples, and gives them the log-probabilities that it needs anyhow.
    fn keep_for_replay(
        &self,
        model: &Copies<Qwen2_5Vl>,
        selection: &Selection,
        samples: &[Sample],
        chosen: &mut [Chosen<'_>],
        informative: &[f32],
        memory: &mut Memory,
    ) {
        if chosen.is_empty() {
            return;
        }
        let sequences: Vec<&Encoded> = chosen.iter().map(|chosen| chosen.sequence).collect();
        let old = self.updater().logprobs_of(model, &sequences);
        let mut fresh = Vec::with_capacity(chosen.len());
        for ((chosen, &i), old) in chosen.iter_mut().zip(&selection.indices).zip(old) {
            let sample = &samples[i];
            let ids = sample.sequence.ids[sample.sequence.ids.len() - sample.tokens..].to_vec();
            let (advantage, priority) = (chosen.advantage, informative[i].abs());
            fresh.push(Kept { row: sample.row, ids, advantage, priority, old: old.clone() });
            chosen.old = Some(old);
        }
        memory.replay.extend(&self.params.select.replay, fresh);
    }

    pub(super) fn draws(&self) -> Draws {
        let Params { temperature, top_p, top_k, max_new_tokens, .. } = self.params;
        Draws { temperature, top_p, top_k, max_new_tokens }
    }

    fn schedule(&self) -> Schedule {
        let Params { lr, schedule, warmup, steps, .. } = self.params;
        Schedule::new(lr, schedule, warmup, steps)
    }

    fn updater(&self) -> Updater<'_> {
        Updater {
            params: &self.params,
            config: &self.config,
            reference: self.reference.as_ref(),
            pad: self.questions.pad(),
            seed: self.seed,
            lanes: &self.lanes,
            phases: &self.phases,
            keep: self.keep,
        }
    }
}
