//! Greedy completions of the prompts: with the cache of keys and values, and from the whole row at every token.

use std::path::Path;

use curricle_datasets::Encoded;

use super::VerifyError;
use super::inputs::Inputs;
use super::report::Quantity;
use super::sheet::{Difference, Sheet, Stop, Subject, host};
use crate::model::sampling::stream;
use crate::model::{Batch, Padding, Sampling, generate};

/// Compares both ways of generating with the reference, which generates with its cache.
pub(super) fn compare(subject: &Subject, folder: &Path, sheet: &mut Sheet) -> Result<(), VerifyError> {
    let task = match Task::read(subject, folder) {
        Ok(task) => Ok(task),
        Err(Stop::Absent(missing)) => Err(missing),
        Err(Stop::Fatal(error)) => return Err(error),
    };
    let task = task.as_ref().map_err(String::as_str);
    let cached = || {
        let task = task?;
        let prompts: Vec<&Encoded> = task.inputs.rows.iter().collect();
        let seeds = vec![0; prompts.len()];
        let found = generate(&subject.model, &subject.config, &prompts, &task.rules, &seeds, &subject.device);
        Ok(task.compare(&found.into_iter().map(|completion| completion.ids).collect::<Vec<_>>()))
    };
    sheet.enter(Quantity::Greedy, cached())?;
    let uncached = || {
        let task = task?;
        if task.expected.iter().flatten().any(|&id| id == subject.config.tokens.image) {
            return Err("completions without image tokens, which a whole row would take for an image".into());
        }
        Ok(task.compare(&task.without_cache(subject)))
    };
    sheet.enter(Quantity::GreedyUncached, uncached())
}

/// Prompts, and what the reference wrote after them.
struct Task {
    inputs: Inputs,
    expected: Vec<Vec<u32>>,
    rules: Sampling,
}

impl Task {
    fn read(subject: &Subject, folder: &Path) -> Result<Self, Stop> {
        let inputs = Inputs::read(subject, "gen")?;
        let name = "gen.output_ids";
        let (shape, ids) = subject.fixtures.ints(name)?;
        if shape.len() != 2 || shape[0] != inputs.rows.len() || shape[1] <= inputs.width {
            return Err(subject.fixtures.wrong(name, "is not `gen.input_ids` with new tokens").into());
        }
        let new: Vec<Vec<u32>> =
            ids.chunks_exact(shape[1]).map(|row| row[inputs.width..].iter().map(|&id| id as u32).collect()).collect();
        let stop = stops(subject, folder);
        // After a stop the reference fills up; one that goes on was told not to stop.
        let pad = |id: &u32| subject.config.tokens.pad.is_none_or(|pad| pad == *id) || stop.contains(id);
        let end = |row: &[u32]| row.iter().position(|id| stop.contains(id)).map_or(row.len(), |at| at + 1);
        let stopped = new.iter().all(|row| row[end(row)..].iter().all(pad));
        let expected = new.into_iter().map(|row| if stopped { row[..end(&row)].to_vec() } else { row }).collect();
        let rules = Sampling::greedy(shape[1] - inputs.width, if stopped { stop } else { Vec::new() });
        Ok(Self { inputs, expected, rules })
    }

    fn compare(&self, found: &[Vec<u32>]) -> Difference {
        self.expected.iter().zip(found).enumerate().fold(Difference::none(), |sum, (row, (theirs, ours))| {
            sum.and(Difference::unequal(ours, theirs, |token| format!("row {row}, new token {token}")))
        })
    }

    /// Every token from a forward pass over the whole rows so far.
    fn without_cache(&self, subject: &Subject) -> Vec<Vec<u32>> {
        let mut rows = self.inputs.rows.clone();
        let mut new = vec![Vec::new(); rows.len()];
        let mut rng = stream(0);
        for _ in 0..self.rules.max_new_tokens {
            let (refs, pad) = (rows.iter().collect::<Vec<_>>(), subject.config.tokens.pad.unwrap_or(0));
            let batch = Batch::new(&refs, Padding::Left, pad, &subject.config, &subject.device);
            let h_btd = subject.model.hidden(&batch);
            let [b, t, d] = h_btd.dims();
            let mut scores = host(subject.model.logits_of(h_btd.narrow(1, t - 1, 1).reshape([b, d])));
            let width = scores.len() / b;
            for (row, scores) in scores.chunks_exact_mut(width).enumerate() {
                let Some(id) = self.rules.choose(scores, &mut rng) else { continue };
                rows[row].ids.push(id);
                rows[row].target.push(false);
                new[row].push(id);
            }
        }
        for row in &mut new {
            let end = row.iter().position(|id| self.rules.stop.contains(id)).map_or(row.len(), |at| at + 1);
            row.truncate(end);
        }
        new
    }
}

/// Tokens at which the reference stops: those of `generation_config.json`, or the configuration's end of a turn.
fn stops(subject: &Subject, folder: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(folder.join("generation_config.json")).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let ids = match &json["eos_token_id"] {
        serde_json::Value::Array(ids) => ids.iter().filter_map(serde_json::Value::as_u64).collect(),
        one => one.as_u64().into_iter().collect::<Vec<_>>(),
    };
    if ids.is_empty() {
        subject.config.tokens.eos.into_iter().collect()
    } else {
        ids.iter().map(|&id| id as u32).collect()
    }
}
