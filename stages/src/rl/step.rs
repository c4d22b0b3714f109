//! One step of reinforcement learning, from prompts to new weights. Everything random in it follows from the stage's seed
//! and the number of the step, so a resumed run goes on as it would have. Refuses to know checkpoints and reports.

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use curricle_datasets::shuffle::Order;
use curricle_engine::stage::StageError;

use super::advantage::group_advantages;
use super::questions::{Draws, Questions};
use super::reward::{Answered, Asked, Scored, score};
use super::rollout::{Generator, Sample};
use super::seed::{Purpose, derive, stream};
use super::select::Selection;
use super::update::{Chosen, Learner, Report, Updater};
use crate::kinds::grpo::Params;
use crate::model::tape::Keep;
use crate::model::{ModelConfig, Qwen2_5Vl};
use crate::train::lanes::Lanes;
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
    pub questions: Questions,
    /// The program behind the reward `command`, if that is asked for.
    pub program: Option<PathBuf>,
    /// A view of the stage's own start, if the KL term is on.
    pub reference: Option<Qwen2_5Vl>,
    /// Threads.
    pub lanes: Lanes,
    /// Where the model lies.
    pub device: Device,
    /// What a forward pass keeps for its backward pass.
    pub keep: Keep,
}

/// What happened in a step.
pub struct Step {
    /// Every completion of the rollout.
    pub samples: Vec<Sample>,
    /// Their rewards.
    pub scores: Vec<Scored>,
    /// Which of them were trained on.
    pub selection: Selection,
    /// Numbers of the optimizer steps; `None` when nothing was selected, and the model stayed.
    pub report: Option<Report>,
    /// Learning rate of the step.
    pub lr: f64,
    /// Sampled tokens per second of the whole step.
    pub tokens_per_s: f64,
}

impl Trainer {
    /// Runs step number `step`, from 0.
    pub fn step(&self, step: usize, learner: Learner) -> Result<(Learner, Step), StageError> {
        let started = Instant::now();
        let samples = self.rollout(step, &self.params.precision.view(&learner.model))?; // y ~ π_old(· | x)
        let scores = self.scores(&samples)?; //                                      eq. 1
        let advantages = self.advantages(&scores, |scored| scored.total); //         eq. 3
        let informative = self.advantages(&scores, |scored| scored.correct);
        let selection = self.select(step, &informative); //                          eq. 4
        let chosen: Vec<Chosen<'_>> = selection
            .indices
            .iter()
            .map(|&i| Chosen { sequence: &samples[i].sequence, tokens: samples[i].tokens, advantage: advantages[i] })
            .collect();
        let lr = self.schedule().at(step);
        let (learner, report) = if chosen.is_empty() {
            (learner, None)
        } else {
            let (learner, report) = self.updater().run(step, lr, learner, &chosen); // eq. 2
            (learner, Some(report))
        };
        let tokens: usize = samples.iter().map(|sample| sample.tokens).sum();
        let tokens_per_s = tokens as f64 / started.elapsed().as_secs_f64();
        Ok((learner, Step { samples, scores, selection, report, lr, tokens_per_s }))
    }

    fn rollout(&self, step: usize, model: &Qwen2_5Vl) -> Result<Vec<Sample>, StageError> {
        let Params { prompts, group, .. } = self.params;
        let rows = self.rows(step);
        let encoded = rows.iter().map(|&row| self.questions.encode(row)).collect::<Result<Vec<_>, _>>()?;
        let asked: Vec<_> = (0..prompts * group).map(|i| &encoded[i / group]).collect();
        let seed =
            |i: usize| derive(self.seed, Purpose::Sample, &[step as u64, (i / group) as u64, (i % group) as u64]);
        let seeds: Vec<u64> = (0..prompts * group).map(seed).collect();
        let sampling = self.questions.sampling(&self.config, self.draws());
        let Self { config, lanes, device, .. } = self;
        let generator =
            Generator { model, config, sampling: &sampling, batch: self.params.rollout_batch, lanes, device };
        let completions = generator.complete(&asked, &seeds);
        let join = |(i, completion): (usize, &_)| {
            let completion: &crate::model::Completion = completion;
            Sample::new(rows[i / group], asked[i], completion, self.questions.decode(&completion.ids))
        };
        Ok(completions.iter().enumerate().map(join).collect())
    }

    /// Rows of a step: the next ones in an order that is drawn anew for every pass over the data.
    fn rows(&self, step: usize) -> Vec<usize> {
        let (count, len) = (self.params.prompts, self.questions.rows().len());
        let order = Order::new(derive(self.seed, Purpose::Order, &[]), len);
        let mut rows = Vec::with_capacity(count);
        let (mut epoch, mut place) = ((step * count) / len, (step * count) % len);
        while rows.len() < count {
            let pass = order.epoch(epoch);
            rows.extend(pass[place..].iter().take(count - rows.len()));
            (epoch, place) = (epoch + 1, 0);
        }
        rows
    }

    fn scores(&self, samples: &[Sample]) -> Result<Vec<Scored>, StageError> {
        let each = samples.iter().map(|sample| self.questions.answered(sample.row, &sample.text, sample.tokens));
        let answered: Vec<Answered<'_>> = each.collect();
        let asked = Asked { answered: &answered, rewards: &self.params.reward, program: self.program.as_deref() };
        score(&asked).map_err(|error| StageError::while_doing("rewarding completions", error))
    }

    fn advantages(&self, scores: &[Scored], reward: impl Fn(&Scored) -> f32) -> Vec<f32> {
        group_advantages(&scores.iter().map(reward).collect::<Vec<_>>(), self.params.group)
    }

    fn select(&self, step: usize, advantages: &[f32]) -> Selection {
        let temperature = self.params.select.temperature.at(step, self.params.steps);
        self.params.select.pick(advantages, temperature, &mut stream(self.seed, Purpose::Select, &[step as u64]))
    }

    fn draws(&self) -> Draws {
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
            device: &self.device,
            keep: self.keep,
        }
    }
}
