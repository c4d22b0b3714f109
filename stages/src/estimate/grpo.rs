//! What `grpo` would cost: a rollout, and the updates on what is selected of it.

use curricle_engine::stage::{Estimate, Extent, Facts, Length, Memory, Phase};

use super::activations::{self, Form, Micro};
use super::learning::Learning;
use super::operations::{Way, head, text, vision};
use super::questions::Questions;
use super::sizes::Sizes;
use super::training::Training;
use super::{PROCESS, WIDE, bytes_of, model, whole};
use crate::kinds::grpo::Params;
use crate::rl::objective::entropy::EntropyKind;
use crate::rl::objective::kl::Place;
use crate::rl::select::SelectKind;
use crate::train::precision::Precision;
use crate::train::stop::port;

/// Queues that a rollout on a CPU is cut into, at most; see [`crate::rl`].
const QUEUES: f64 = 32.0;

/// What is said where prompts are of unknown length.
pub const PROMPTS_LEFT_OUT: &str = "prompts are left out";

/// Completions of some prompts.
#[derive(Debug, Clone, Copy)]
pub struct Rollout {
    /// Different prompts.
    pub prompts: f64,
    /// Completions of each.
    pub group: f64,
    /// Completions written at the same time in a lane.
    pub slots: f64,
    /// Tokens of a completion, at most.
    pub completion: f64,
}

impl Rollout {
    /// Operations: each prompt is read once for its whole group, then every token sees on average half of a completion.
    pub fn flops(&self, sizes: &Sizes, prompt: f64, questions: &Questions) -> f64 {
        let written = self.prompts * self.group * self.completion;
        let read = text(sizes, self.prompts * prompt, prompt, Way::Forward) + head(sizes, self.prompts, Way::Forward);
        let images = vision(sizes, self.prompts * questions.patches, questions.image, Way::Forward);
        let write =
            text(sizes, written, prompt + self.completion / 2.0, Way::Forward) + head(sizes, written, Way::Forward);
        read + images + write
    }

    /// Lanes that write at the same time, and rows in each.
    pub fn lanes(&self, facts: &Facts<'_>) -> (f64, f64) {
        let all = self.prompts * self.group;
        let queues = if facts.gpu { 1.0 } else { QUEUES };
        let each = (all / queues).ceil().max(self.slots);
        let lanes = if facts.gpu { 1.0 } else { (facts.threads as f64).min((all / each).ceil()).max(1.0) };
        (lanes, self.slots.min(all))
    }

    /// Bytes of keys and values `2 · layers · K · w` a token and row, of scores, and of reading the prompts.
    ///
    /// Room for all of a completion is taken at once, and while rows come and go one layer is there twice.
    pub fn memory(&self, sizes: &Sizes, facts: &Facts<'_>, prompt: f64, questions: &Questions, form: Form) -> Memory {
        let ((lanes, rows), w) = (self.lanes(facts), form.width());
        let layers = sizes.layers as f64;
        let cache = 2.0 * (layers + 1.0) * sizes.kv_width() as f64 * w * rows * (prompt + self.completion);
        // On the device, and read back to be drawn from.
        let scores = 2.0 * rows * sizes.vocabulary as f64 * WIDE as f64;
        // The head is made wide, or a table turned for a product with more than a row.
        let turned = form == Form::Fused && sizes.tied && rows > 1.0;
        let wide = if turned || w < WIDE as f64 { sizes.table() as f64 * WIDE as f64 } else { 0.0 };
        let (patches, image) = (questions.patches, questions.image);
        let reading = Micro { rows: (rows / self.group).ceil(), width: prompt, patches, image };
        Memory {
            kv_cache: whole(lanes * cache),
            logits: whole(lanes * (scores + wide)),
            activations: whole(lanes * activations::passing(sizes, &reading, form)),
            ..Memory::default()
        }
    }
}

/// As [`curricle_engine::stage::StageKind::estimate`].
pub fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
    let (sizes, input) = match model(facts, "model") {
        Ok(found) => found,
        Err(note) => return Estimate::unknown(note),
    };
    let data = Questions::of(facts.input("data"), input, params.instruction.as_ref());
    let learning = Learning {
        frozen: &params.freeze,
        lora: params.lora.as_ref(),
        adapter: input.adapter.unwrap_or(0),
        images: data.patches > 0.0,
    };
    let mut notes = data.notes.clone();
    if data.prompt.is_none() {
        notes.push(PROMPTS_LEFT_OUT.to_owned());
    }
    notes.push(format!(
        "operations are at most these: every completion of {} tokens, and all samples that may be selected",
        params.max_new_tokens
    ));
    if params.stop.is_some() {
        notes.push("at most: it may stop early".to_owned());
    }
    if facts.input("watch").is_some() {
        notes.push("looks at the rows on `watch` are left out".to_owned());
    }
    let (steps, completion) = (params.steps as f64, params.max_new_tokens as f64);
    let prompt = data.prompt.unwrap_or_default();
    let longest = prompt.longest_of(steps * params.prompts as f64);
    let rollout = Rollout {
        prompts: params.prompts as f64,
        group: params.group as f64,
        slots: params.rollout_batch as f64,
        completion,
    };
    let samples = rollout.prompts * rollout.group;
    let selected = (samples * share(params)).ceil();
    let micro = Micro {
        rows: (params.micro_batch as f64).min(selected),
        width: longest + completion,
        patches: data.patches,
        image: data.image,
    };
    let mut training = Training {
        sizes: &sizes,
        learning: &learning,
        precision: params.precision,
        micro,
        lengths: prompt.plus(Length::always(completion)),
        scored: micro.rows * completion,
        entropies: params.entropy.coef != 0.0 && params.entropy.kind == EntropyKind::Full,
        micros: (selected / params.updates as f64 / micro.rows).ceil().max(1.0),
        steps: steps * (params.updates * params.epochs) as f64,
        reference: 0,
        other: PROCESS + whole(data.cached(steps * rollout.prompts)),
    };
    training.reference = reference(params, facts, &training);
    let (held, view) = training.weights();
    let rolling = rollout.memory(&sizes, facts, longest, &data, Form::of(params.precision, facts.gpu));
    let weights = held + view + training.reference;
    let rolling = Memory { weights, optimizer: training.moments(), other: training.other, ..rolling };
    let mut phases = vec![Phase { name: "rollout".to_owned(), memory: rolling }];
    phases.extend(training.phases(facts));

    let way = Way::Training(&learning, facts.runtime.gradient_checkpointing);
    let mean = prompt.mean;
    let costs = {
        let pass = |rows: f64, way: Way<'_>| {
            let tokens = rows * (mean + completion);
            let flops = text(&sizes, tokens, mean + completion, way)
                + head(&sizes, rows * completion, way)
                + vision(&sizes, rows * data.patches, data.image, way);
            (flops, tokens)
        };
        let (update, trained) = pass(selected * params.epochs as f64, way);
        let (look, looked) = pass(looks(params, samples, selected), Way::Forward);
        let read = rollout.prompts * (mean + rollout.group * completion);
        (steps * (rollout.flops(&sizes, mean, &data) + update + look), steps * (read + trained + looked))
    };
    let trained = learning.trained(&sizes);
    let states: Vec<String> = params.keep.states().collect();
    let made = Extent { adapter: Some(training.adapters()), ..input.clone() };
    let estimate = Estimate {
        parameters: Some(sizes.parameters() + training.adapters()),
        trained: Some(trained),
        phases,
        flops: Some(costs.0),
        tokens: Some(costs.1),
        output_bytes: Some(training.output_bytes(states.len(), params.save_optimizer)),
        checkpoint_bytes: Some(training.checkpoint_bytes(facts, steps, (states.len(), params.keep.best.is_some()))),
        notes,
        ..Estimate::default()
    };
    let estimate = states.iter().fold(estimate, |all, state| all.making(&port(state), made.clone()));
    estimate.making("model", made)
}

/// Samples that are trained on, at most, as a share of those of a rollout.
fn share(params: &Params) -> f64 {
    let select = &params.select;
    match select.kind {
        SelectKind::Pad | SelectKind::Random => select.ratio,
        SelectKind::PadReleased => select.released.ratio,
        SelectKind::Ssr => 1.0 + select.replay.share,
        SelectKind::None | SelectKind::Filter | SelectKind::Dapo | SelectKind::Greso => 1.0,
    }
}

/// Rows of forward passes that only score: old log-probabilities, and the reference's.
fn looks(params: &Params, samples: f64, selected: f64) -> f64 {
    let old = if params.updates * params.epochs > 1 || params.select.kind == SelectKind::Ssr { selected } else { 0.0 };
    let reference = match (params.kl.coef != 0.0, params.kl.place) {
        (false, _) => 0.0,
        (true, Place::Loss) => selected,
        (true, Place::Reward) => 2.0 * samples,
    };
    old + reference
}

/// Bytes of the model that KL pulls towards: one of its own, or what the stage began with, which differs from its model in
/// what has learnt since.
fn reference(params: &Params, facts: &Facts<'_>, training: &Training<'_>) -> u64 {
    if params.kl.coef == 0.0 {
        return 0;
    }
    let w = bytes_of(params.precision);
    match facts.input("reference") {
        Some(_) => model(facts, "reference").map_or(0, |(sizes, _)| w * sizes.parameters()),
        None if params.precision == Precision::F32 => WIDE * training.learning.reached(training.sizes),
        None => w * training.learning.trained(training.sizes),
    }
}
