//! Rows with answers and a model → which it answers rightly. Refuses to know what follows from that.

use std::path::Path;

use curricle_datasets::shuffle::Order;
use curricle_datasets::{Encoded, Processor, Row};
use curricle_engine::stage::StageError;

use super::params::{ImageAccuracy, SolvedRows};
use crate::model::{ModelConfig, Qwen2_5Vl};
use crate::rl::questions::{Draws, Questions};
use crate::rl::reward::accuracy;
use crate::rl::rollout::Generator;
use crate::rl::seed::{Purpose, derive};
use crate::train::lanes::Lanes;
use crate::train::precision::Precision;

/// Completions written at the same time.
const BATCH: usize = 32;

/// What all questions to a model have in common.
#[derive(Debug, Clone, Copy)]
pub struct Questioned<'a> {
    /// The model's folder.
    pub folder: &'a Path,
    /// Tokens that its tokenizer is given.
    pub tokens: &'a [String],
    /// Its dimensions, with those tokens.
    pub config: &'a ModelConfig,
    /// Added to every prompt.
    pub instruction: Option<&'a str>,
    /// In which format it answers.
    pub precision: Precision,
    /// Root of what is drawn at random.
    pub seed: u64,
}

/// Questions that a model is asked again and again.
#[derive(Debug)]
pub struct Asker {
    questions: Questions,
    config: ModelConfig,
    draws: Draws,
    samples: usize,
    precision: Precision,
    seed: u64,
}

impl Asker {
    /// The first questions with images among these rows.
    ///
    /// # Errors
    /// Where there is none, a row has no answer, or the tokenizer can't be read.
    pub fn of_images(rows: Vec<Row>, settings: &ImageAccuracy, with: Questioned<'_>) -> Result<Self, StageError> {
        let rows: Vec<Row> = rows.into_iter().filter(|row| !row.images.is_empty()).take(settings.rows).collect();
        if rows.is_empty() {
            return Err(StageError::Failed("`watch` holds no row with an image".to_owned()));
        }
        Self::new(rows, 1, settings.max_new_tokens, with)
    }

    /// Some of these rows, drawn from those with an answer; `None` where no row has one.
    ///
    /// # Errors
    /// Where the tokenizer can't be read.
    pub fn of_some(rows: Vec<Row>, settings: &SolvedRows, with: Questioned<'_>) -> Result<Option<Self>, StageError> {
        let mut rows: Vec<Option<Row>> = rows.into_iter().filter(|row| row.answer.is_some()).map(Some).collect();
        let order = Order::new(derive(with.seed, Purpose::Watch, &[]), rows.len()).epoch(0);
        let rows: Vec<Row> = order.iter().take(settings.rows).filter_map(|&row| rows[row].take()).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        Self::new(rows, settings.samples, settings.max_new_tokens, with).map(Some)
    }

    fn new(rows: Vec<Row>, samples: usize, max: usize, with: Questioned<'_>) -> Result<Self, StageError> {
        let Questioned { folder, tokens, config, instruction, precision, seed } = with;
        let opened = Processor::open(folder).and_then(|processor| processor.with_added_tokens(tokens));
        let processor = opened.map_err(|error| StageError::while_doing("opening the tokenizer", error))?;
        let rows = crate::inputs::instructed(rows, instruction);
        let temperature = if samples > 1 { 1.0 } else { 0.0 };
        Ok(Self {
            questions: Questions::of(rows, processor, config, max)?,
            config: config.clone(),
            draws: Draws { temperature, top_p: 1.0, top_k: 0, max_new_tokens: max },
            samples,
            precision,
            seed,
        })
    }

    /// Is each answer right? The answers to a question stand together; the same model answers the same every time.
    ///
    /// # Errors
    /// Where an image can't be read, or a prompt leaves no room for an answer.
    pub fn ask(&self, model: &Qwen2_5Vl, lanes: &Lanes) -> Result<Vec<bool>, StageError> {
        let Self { questions, config, samples, seed, .. } = self;
        let rows = 0..questions.rows().len();
        let encoded = rows.clone().map(|row| questions.encode(row)).collect::<Result<Vec<Encoded>, _>>()?;
        let asked: Vec<(usize, u64)> = rows.flat_map(|row| (0..*samples as u64).map(move |at| (row, at))).collect();
        let prompts: Vec<&Encoded> = asked.iter().map(|&(row, _)| &encoded[row]).collect();
        let seeds: Vec<u64> = asked.iter().map(|&(row, at)| derive(*seed, Purpose::Watch, &[row as u64, at])).collect();
        let (model, sampling) = (lanes.copies(self.precision.view(model)), questions.sampling(config, self.draws));
        let generator = Generator { model: &model, config, sampling: &sampling, batch: BATCH, lanes };
        let completions = generator.complete(&prompts, &seeds);
        let right = asked.iter().zip(&completions).map(|(&(row, _), completion)| {
            let text = questions.decode(&completion.ids);
            accuracy(&questions.answered(row, &text, completion.ids.len())) > 0.5
        });
        Ok(right.collect())
    }
}
