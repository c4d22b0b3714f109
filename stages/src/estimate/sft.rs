//! What `sft` would cost.

use curricle_engine::stage::{Estimate, Extent, Facts, Length};

use super::activations::Micro;
use super::learning::Learning;
use super::operations::{Way, head, text, vision};
use super::questions::Questions;
use super::training::Training;
use super::{PROCESS, model, whole};
use crate::kinds::sft::Params;
use crate::train::stop::port;

/// As [`curricle_engine::stage::StageKind::estimate`].
pub fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
    let (sizes, input) = match model(facts, "model") {
        Ok(found) => found,
        Err(note) => return Estimate::unknown(note),
    };
    let limit = limit(params, input);
    let data = Questions::of(facts.input("data"), input, params.instruction.as_ref());
    let learning = Learning {
        frozen: &params.freeze,
        lora: params.lora.as_ref(),
        adapter: input.adapter.unwrap_or(0),
        images: data.patches > 0.0,
    };
    let batch = params.batch as f64;
    let steps = match (params.steps, data.rows) {
        (Some(steps), _) => Some(steps as f64),
        (None, Some(rows)) => Some((rows / batch).ceil() * params.epochs.unwrap_or(1) as f64),
        (None, None) => None,
    };
    let mut notes = data.notes.clone();
    if steps.is_none() {
        notes.push("how many rows there are is unknown, and so is the number of steps".to_owned());
    }
    let examples = data.examples(limit);
    let read = steps.unwrap_or(1.0) * batch;
    // Where lengths are unknown, a row may be as long as it is allowed to.
    let lengths = examples.unwrap_or(Length::always(limit));
    let longest = if data.rows.is_none_or(|rows| read >= rows) { lengths.longest() } else { lengths.longest_of(read) };
    if examples.is_none() {
        notes.push(format!("memory is at most this, that of rows of {limit} tokens, the longest allowed"));
    }
    let micro = Micro { rows: params.micro_batch as f64, width: longest, patches: data.patches, image: data.image };
    let answer = data.answer.map_or(longest, |answer| answer.longest_of(read).min(longest));
    let training = Training {
        sizes: &sizes,
        learning: &learning,
        precision: params.precision,
        micro,
        lengths,
        scored: micro.rows * answer,
        entropies: false,
        micros: (batch / micro.rows).ceil(),
        steps: steps.unwrap_or(2.0),
        reference: 0,
        // Every row is read once to learn how long it is.
        other: PROCESS + whole(data.cached(data.rows.unwrap_or(read))),
    };
    let way = Way::Training(&learning, facts.runtime.gradient_checkpointing);
    let cost = |rows: f64, questions: &Questions, way: Way<'_>| -> Option<(f64, f64)> {
        let length = questions.examples(limit)?.mean;
        let tokens = rows * length;
        let flops = text(&sizes, tokens, length, way)
            + head(&sizes, rows * questions.answer?.mean, way)
            + vision(&sizes, rows * questions.patches, questions.image, way);
        Some((flops, tokens))
    };
    let mut costs = steps.and_then(|steps| cost(rows_of(steps, batch, params, &data), &data, way));
    if facts.input("val").is_some() {
        let val = Questions::of(facts.input("val"), input, params.instruction.as_ref());
        let looks = match (params.look_every, data.rows, steps) {
            (0, Some(rows), Some(steps)) => Some(steps / (rows / batch).ceil().max(1.0)),
            (0, ..) | (_, _, None) => None,
            (every, _, Some(steps)) => Some(steps / every as f64),
        };
        let more = looks.zip(val.rows).and_then(|(looks, rows)| cost(looks.ceil() * rows, &val, Way::Forward));
        costs = costs.zip(more).map(|((flops, tokens), (more, tokens_more))| (flops + more, tokens + tokens_more));
    }
    if params.stop.is_some() {
        notes.push("at most: it may stop early".to_owned());
    }
    let trained = learning.trained(&sizes);
    let states: Vec<String> = params.keep.states().collect();
    let made = Extent { adapter: Some(training.adapters()), ..input.clone() };
    let estimate = Estimate {
        parameters: Some(sizes.parameters() + training.adapters()),
        trained: Some(trained),
        phases: training.phases(facts),
        bound: examples.is_none(),
        flops: costs.map(|(flops, _)| flops),
        tokens: costs.map(|(_, tokens)| tokens),
        output_bytes: Some(training.output_bytes(states.len(), params.save_optimizer)),
        checkpoint_bytes: steps
            .map(|steps| training.checkpoint_bytes(facts, steps, (states.len(), params.keep.best.is_some()))),
        notes,
        ..Estimate::default()
    };
    let estimate = states.iter().fold(estimate, |all, state| all.making(&port(state), made.clone()));
    estimate.making("model", made)
}

/// Rows that are trained on: the last step of an epoch may hold fewer.
fn rows_of(steps: f64, batch: f64, params: &Params, data: &Questions) -> f64 {
    match (params.steps, data.rows) {
        (None, Some(rows)) => rows * params.epochs.unwrap_or(1) as f64,
        (_, Some(rows)) => {
            let per_epoch = (rows / batch).ceil().max(1.0);
            let whole = (steps / per_epoch).floor();
            whole * rows + ((steps - whole * per_epoch) * batch).min(rows)
        }
        (_, None) => steps * batch,
    }
}

/// Most tokens of a row: what the stage allows, else what the model does.
fn limit(params: &Params, model: &Extent) -> f64 {
    let config = model.config.as_deref();
    let positions = config.and_then(|config| {
        let text = config.get("text_config").filter(|text| text.is_object()).unwrap_or(config);
        text.get("max_position_embeddings")?.as_u64()
    });
    params.max_length.map_or(positions.map_or(32_768.0, |length| length as f64), |length| length as f64)
}
