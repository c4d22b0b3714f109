//! One batch forward: states after every part of the model, scores, log-probabilities.

use super::VerifyError;
use super::inputs::Inputs;
use super::report::Quantity;
use super::sheet::{Difference, Sheet, Stop, Subject, host, plain, scaled};
use crate::model::{Batch, VisionBatch};
use crate::train::logprob::Positions;

/// Compares everything on the way from patches and words to scores.
pub(super) fn compare(subject: &Subject, inputs: Result<&Inputs, &str>, sheet: &mut Sheet) -> Result<(), VerifyError> {
    let batch = inputs.map(|inputs| inputs.batch(subject));
    let batch = batch.as_ref().map_err(|missing| *missing);
    vision(subject, batch.and_then(|batch| batch.vision.as_ref().ok_or("a batch with images")), sheet)?;

    let inputs_and_batch = || inputs.and_then(|inputs| batch.map(|batch| (inputs, batch)));
    let states = batch.map(|batch| subject.model.text().states(subject.model.embed(batch), batch.context()));
    for layer in 0..subject.config.text.num_hidden_layers {
        let found = || {
            let (inputs, batch) = inputs_and_batch()?;
            let ours = host(states.as_ref().map_err(|missing| *missing)?[layer].clone());
            let theirs = subject.fixtures.shaped(
                &format!("act.txt.layer{layer}"),
                &[batch.rows, batch.width, subject.config.text.hidden_size],
            )?;
            Ok(at_tokens(inputs, &ours, theirs, scaled(theirs, subject.config.text.hidden_size)))
        };
        sheet.enter(Quantity::TextLayer(layer), found())?;
    }
    drop(states);
    let logits = || {
        let (inputs, batch) = inputs_and_batch()?;
        let shape = [batch.rows, batch.width, subject.config.text.vocab_size];
        let theirs = subject.fixtures.shaped("out.logits", &shape)?;
        let ours = host(subject.model.logits(subject.model.hidden(batch)));
        Ok(at_tokens(inputs, &ours, theirs, plain))
    };
    sheet.enter(Quantity::Logits, logits())?;
    let logprobs = || {
        let (inputs, batch) = inputs_and_batch()?;
        log_probabilities(subject, inputs, batch)
    };
    sheet.enter(Quantity::LogProbabilities, logprobs())
}

fn vision(subject: &Subject, batch: Result<&VisionBatch, &str>, sheet: &mut Sheet) -> Result<(), VerifyError> {
    let states = batch.map(|batch| subject.model.visual().states(batch));
    let states = states.as_ref().map_err(|missing| *missing);
    let config = &subject.config.vision;
    let patches = |width: usize| move |index: usize| format!("patch {}", index / width);
    let embedded = || {
        let (batch, states) = (batch?, states?);
        let ours = host(states.blocks[0].clone());
        let [count, width] = states.blocks[0].dims();
        let theirs = subject.fixtures.shaped("act.vis.patch_embed", &[count, width])?;
        // The reference permutes after the patch embedding; we upload permuted.
        let unit = theirs.len() / batch.order.len();
        let theirs: Vec<f32> =
            batch.order.iter().flat_map(|&at| &theirs[at * unit..(at + 1) * unit]).copied().collect();
        Ok(Difference::of(&ours, &theirs, scaled(&theirs, width), |_| true, patches(width)))
    };
    sheet.enter(Quantity::PatchEmbedding, embedded())?;
    for block in 0..config.depth {
        let found = || {
            let state = &states?.blocks[block + 1];
            let theirs = subject.fixtures.shaped(&format!("act.vis.block{block}"), &state.dims())?;
            let width = config.hidden_size;
            Ok(Difference::of(&host(state.clone()), theirs, scaled(theirs, width), |_| true, patches(width)))
        };
        sheet.enter(Quantity::VisionBlock(block), found())?;
    }
    let merged = || {
        let merged = &states?.merged;
        let theirs = subject.fixtures.shaped("act.vis.merger_windowed_order", &merged.dims())?;
        let width = config.out_hidden_size;
        let name = |index: usize| format!("image token {} in window order", index / width);
        Ok(Difference::of(&host(merged.clone()), theirs, scaled(theirs, width), |_| true, name))
    };
    sheet.enter(Quantity::Merger, merged())
}

/// The largest difference at a token that is not padding; lists are `[B·T, …]`.
fn at_tokens(inputs: &Inputs, ours: &[f32], theirs: &[f32], unit: impl Fn(usize) -> f64) -> Difference {
    let width = ours.len() / inputs.real.len();
    Difference::of(ours, theirs, unit, |index| inputs.real[index / width], |index| inputs.token(index / width))
}

/// Log-probability of every token after a token that is not padding.
fn log_probabilities(subject: &Subject, inputs: &Inputs, batch: &Batch) -> Result<Difference, Stop> {
    let width = batch.width;
    let theirs = subject.fixtures.shaped("out.token_logps", &[batch.rows, width.saturating_sub(1)])?;
    let wanted: Vec<bool> =
        (0..batch.ids.len()).map(|token| token % width > 0 && inputs.real[token] && inputs.real[token - 1]).collect();
    let rows = batch.ids.chunks_exact(width).zip(wanted.chunks_exact(width)).map(|(ids, wanted)| (ids, wanted, 0));
    let positions = Positions::new(width, rows);
    if positions.is_empty() {
        return Ok(Difference::none());
    }
    let model = &subject.model;
    let states_nd = positions.states(model.hidden(batch).flatten(0, 1));
    let ours = host(positions.logprobs(&states_nd, model.text().vocabulary(), |h_nd| model.logits_of(h_nd)));
    let chosen: Vec<usize> = (0..wanted.len()).filter(|&token| wanted[token]).collect();
    let theirs: Vec<f32> = chosen.iter().map(|token| theirs[token / width * (width - 1) + token % width - 1]).collect();
    Ok(Difference::of(&ours, &theirs, plain, |_| true, |index| inputs.token(chosen[index])))
}
