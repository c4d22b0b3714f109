//! The work of an `evaluate` stage: every item asked, answered and judged. Refuses to know how ([`crate::rl`]).

use std::path::Path;
use std::sync::Arc;

use curricle_datasets::Encoded;
use curricle_engine::stage::{StageContext, StageError};

use super::score::{Item, Metrics, Question, Sample, summarise};
use crate::kinds::evaluate::Params;
use crate::model::{Completion, ModelConfig};
use crate::phases::{Phase, Phases};
use crate::prompt::Instruction;
use crate::rl::questions::{Draws, Questions};
use crate::rl::reward::accuracy;
use crate::rl::rollout::Generator;
use crate::rl::seed::{Purpose, derive};
use crate::train::lanes::Lanes;

/// Runs the stage.
///
/// # Errors
/// Where inputs can't be read or outputs not written; [`StageError::Interrupted`] when asked to stop.
pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
    let lanes = Lanes::of(context.runtime())?;
    let device = lanes.first().device;
    let (model_dir, data) = (&context.input("model")?.path, context.input("data")?);
    let reading = |error: &dyn std::fmt::Display| StageError::while_doing("reading the model", error);
    let config = ModelConfig::read(model_dir).map_err(|error| reading(&error))?;
    params.precision.check(device)?;
    let model = params.precision.read(model_dir, &config, device).map_err(|error| reading(&error))?;
    let model = lanes.copies(model);
    let instruction = params.instruction.as_ref().map(Instruction::text);
    let mut questions = Questions::open(data, model_dir, &config, params.max_new_tokens, instruction)?;
    questions.truncate(params.limit.unwrap_or(usize::MAX));
    let Params { temperature, top_p, top_k, max_new_tokens, .. } = *params;
    let questions = Arc::new(questions);
    let sampling = questions.sampling(&config, Draws { temperature, top_p, top_k, max_new_tokens });
    let (batch, phases) = (params.batch, Phases::on(lanes.devices()));
    let generator = Generator { model: &model, config: &config, sampling: &sampling, batch, lanes: &lanes };

    let total = questions.rows().len();
    let mut items = Vec::with_capacity(total);
    let ahead = questions.ahead(context.runtime().threads, 0..total)?;
    // Enough batches for every lane at a time: which items share a batch does not depend on the number of lanes.
    let wave = batch * lanes.count();
    while items.len() < total {
        let rows: Vec<usize> = (items.len()..total.min(items.len() + wave)).collect();
        let encoded = ahead.take_all(items.len()..items.len() + rows.len())?;
        let answer = || answer(&questions, &generator, (&rows, &encoded), params.samples, context.seed());
        items.extend(phases.during(Phase::Answering, answer));
        let right = items.iter().map(|item: &Item| item.score).sum::<f64>() / items.len() as f64;
        context.progress(items.len(), total, &[("accuracy", right)]);
        if context.interrupted() && items.len() < total {
            return Err(StageError::Interrupted { step: items.len() });
        }
    }
    phases.told().into_iter().for_each(|event| context.emit(event));
    write(&context.output("metrics")?, &items, &summarise(&items, params.samples))
}

/// Asks some rows, `samples` times each.
fn answer(
    questions: &Questions,
    generator: &Generator<'_>,
    (rows, encoded): (&[usize], &[Encoded]),
    samples: usize,
    seed: u64,
) -> Vec<Item> {
    let asked: Vec<&Encoded> = encoded.iter().flat_map(|prompt| std::iter::repeat_n(prompt, samples)).collect();
    let each = rows.iter().flat_map(|&row| (0..samples).map(move |sample| (row as u64, sample as u64)));
    let seeds: Vec<u64> = each.map(|(row, sample)| derive(seed, Purpose::Evaluate, &[row, sample])).collect();
    let completions = generator.complete(&asked, &seeds);
    let judged = |row: usize, completion: &Completion| {
        let text = questions.decode(&completion.ids);
        let right = accuracy(&questions.answered(row, &text, completion.ids.len())) > 0.5;
        Sample { text, right, tokens: completion.ids.len(), finished: completion.finished }
    };
    rows.iter()
        .zip(completions.chunks(samples))
        .map(|(&row, completions)| {
            let samples: Vec<Sample> = completions.iter().map(|completion| judged(row, completion)).collect();
            Item::new(&question(questions, row), &samples)
        })
        .collect()
}

fn question(questions: &Questions, row: usize) -> Question {
    let row = &questions.rows()[row];
    Question {
        id: row.id.clone(),
        images: !row.images.is_empty(),
        task: row.task.clone(),
        answer: row.answer.clone().unwrap_or_default(),
    }
}

fn write(dir: &Path, items: &[Item], metrics: &Metrics) -> Result<(), StageError> {
    let failed = |error: &dyn std::fmt::Display| StageError::while_doing("writing the results", error);
    let mut lines = String::new();
    for item in items {
        lines += &serde_json::to_string(item).map_err(|error| failed(&error))?;
        lines.push('\n');
    }
    let metrics = serde_json::to_string_pretty(metrics).map_err(|error| failed(&error))? + "\n";
    curricle_engine::fs::write(&dir.join("items.jsonl"), lines).map_err(|error| failed(&error))?;
    curricle_engine::fs::write(&dir.join("metrics.json"), metrics).map_err(|error| failed(&error))
}
