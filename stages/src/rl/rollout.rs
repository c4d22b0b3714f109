//! Prompts × group → completions, on every lane at once. Refuses to know rewards.
//!
//! Each completion has a seed of its own, made from (stage, step, prompt, sample), and on a CPU prompts are cut into queues
//! by their number alone; so the number of lanes changes the time and not one token. A GPU has one queue.

use std::ops::ControlFlow;

use curricle_datasets::Encoded;

use crate::model::{Completion, ModelConfig, Queue, Qwen2_5Vl, Sampling, generate_with};
use crate::train::lanes::{Copies, Lanes, Seat};

/// Most queues on a CPU: enough for its lanes, and few, because a queue's last rows leave its slots empty.
const QUEUES: usize = 32;

/// A plain (not tracked) model, ready to complete.
#[derive(Clone, Copy)]
pub struct Generator<'a> {
    /// The model, on every device.
    pub model: &'a Copies<Qwen2_5Vl>,
    /// Its sizes.
    pub config: &'a ModelConfig,
    /// How tokens are drawn.
    pub sampling: &'a Sampling,
    /// Completions written at the same time.
    pub batch: usize,
    /// Devices and threads.
    pub lanes: &'a Lanes,
}

impl Generator<'_> {
    /// One completion per prompt and seed, in order. Equal prompts next to each other are read once.
    ///
    /// # Panics
    /// Where there are not as many seeds as prompts.
    pub fn complete(&self, prompts: &[&Encoded], seeds: &[u64]) -> Vec<Completion> {
        assert_eq!(prompts.len(), seeds.len(), "one seed per prompt");
        let Self { model, config, sampling, batch: slots, lanes } = *self;
        let (devices, on_cpu) = (lanes.devices().len(), crate::device::on_cpu(lanes.first().device));
        let each =
            if on_cpu { prompts.len().div_ceil(QUEUES).max(slots) } else { prompts.len().div_ceil(devices).max(1) };
        let jobs = prompts.chunks(each).zip(seeds.chunks(each));
        let work = |seat: Seat<'_>, (prompts, seeds): (&[&Encoded], &[u64])| {
            let queue = Queue { prompts, seeds, sampling, slots };
            generate_with(model.at(seat), config, queue, seat.device, &mut |_, _| ControlFlow::Continue(()))
        };
        // What no lane can share is shared within each product; both give the same tokens.
        let together = on_cpu && prompts.len() <= each;
        let completions: Vec<_> = if together {
            lanes.together(|| jobs.map(|job| work(lanes.first(), job)).collect())
        } else {
            lanes.map(jobs, work)
        };
        completions.into_iter().flatten().collect()
    }
}

/// One completion of a rollout.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Row that was asked.
    pub row: usize,
    /// Prompt and completion; the completion's tokens are the targets.
    pub sequence: Encoded,
    /// Tokens of the completion, its stop token included.
    pub tokens: usize,
    /// Its text.
    pub text: String,
    /// Did it end by itself, rather than at the limit?
    pub finished: bool,
}

impl Sample {
    /// Joins a prompt with what was said to it.
    pub fn new(row: usize, prompt: &Encoded, completion: &Completion, text: String) -> Self {
        let tokens = completion.ids.len();
        let mut sequence = prompt.clone();
        sequence.target = vec![false; prompt.ids.len()];
        sequence.ids.extend(&completion.ids);
        sequence.target.resize(sequence.ids.len(), true);
        Self { row, sequence, tokens, text, finished: completion.finished }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_completion_is_learnt() {
        let prompt = Encoded { ids: vec![5, 6], target: vec![false; 2], images: Vec::new() };
        let completion = Completion { ids: vec![7, 8, 9], finished: true };
        let sample = Sample::new(3, &prompt, &completion, "text".into());
        assert_eq!(sample.sequence.ids, [5, 6, 7, 8, 9]);
        assert_eq!(sample.sequence.target, [false, false, true, true, true]);
        assert_eq!((sample.row, sample.tokens, sample.finished), (3, 3, true));
    }
}
