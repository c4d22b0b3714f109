//! What `evaluate` would cost: a rollout that nobody learns from.

use curricle_engine::stage::{Estimate, Facts, Memory, Phase};

use super::activations::Form;
use super::grpo::{PROMPTS_LEFT_OUT, Rollout};
use super::questions::Questions;
use super::{PROCESS, WIDE, bytes_of, model, whole};
use crate::kinds::evaluate::Params;

/// Bytes of an item's record besides its completions: id, group, answer, scores.
const RECORD: f64 = 300.0;
/// Bytes of a token's text.
pub(super) const TEXT: f64 = 4.0;

/// As [`curricle_engine::stage::StageKind::estimate`].
pub fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
    let (sizes, input) = match model(facts, "model") {
        Ok(found) => found,
        Err(note) => return Estimate::unknown(note),
    };
    let data = Questions::of(facts.input("data"), input, params.instruction.as_ref());
    let limit = params.limit.map_or(f64::INFINITY, |limit| limit as f64);
    let items = data.rows.map(|rows| rows.min(limit)).or(params.limit.map(|_| limit));
    let mut notes = data.notes.clone();
    match items {
        None => notes.push("how many rows there are is unknown".to_owned()),
        Some(_) => {
            notes.push(format!("operations are at most these: every completion of {} tokens", params.max_new_tokens));
        }
    }
    let prompt = data.prompt.unwrap_or_default();
    let (samples, completion) = (params.samples as f64, params.max_new_tokens as f64);
    let (threads, batch) = (if facts.gpu { 1.0 } else { facts.threads as f64 }, params.batch as f64);
    // Items are asked in waves of a batch for each lane.
    let wave = Rollout {
        prompts: (batch * threads).min(items.unwrap_or(f64::INFINITY)),
        group: samples,
        slots: batch,
        completion,
    };
    let form = Form::of(params.precision, facts.gpu);
    let parameters = sizes.parameters() + input.adapter.unwrap_or(0);
    let held = bytes_of(params.precision) * parameters;
    let other = PROCESS + whole(data.cached(items.unwrap_or(0.0)));
    // The weights are read a tensor at a time, and stay until the end.
    let reading = Memory { weights: held, other: PROCESS + 2 * WIDE * sizes.table(), ..Memory::default() };
    let answering = Memory {
        weights: held,
        other,
        ..wave.memory(&sizes, facts, prompt.longest_of(items.unwrap_or(f64::INFINITY)), &data, form)
    };
    let phases = [("reading", reading), ("answering", answering)];
    if data.prompt.is_none() {
        notes.push(PROMPTS_LEFT_OUT.to_owned());
    }
    let all = items.map(|items| {
        let rollout = Rollout { prompts: items, ..wave };
        (rollout.flops(&sizes, prompt.mean, &data), items * (prompt.mean + samples * completion))
    });
    Estimate {
        parameters: Some(parameters),
        phases: phases.map(|(name, memory)| Phase { name: name.to_owned(), memory }).into(),
        flops: all.map(|(flops, _)| flops),
        tokens: all.map(|(_, tokens)| tokens),
        output_bytes: items.map(|items| whole(items * (RECORD + samples * completion * TEXT))),
        checkpoint_bytes: Some(0),
        notes,
        ..Estimate::default()
    }
}
