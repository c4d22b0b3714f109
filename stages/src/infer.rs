//! A model folder → the model, opened to be asked: rows → completions. Refuses to know who asks and where answers go.
//!
//! How tokens are chosen is the folder's `generation_config.json` unless the caller says otherwise, and no token is
//! barred: what comes out is what transformers' `generate` gives for the same folder.

mod conversation;

use std::ops::ControlFlow;
use std::path::Path;

use curricle_datasets::{Encoded, Processor, Row, RowsError, RowsView, records, rows};
use serde_json::{Map, Value};

pub use self::conversation::Conversation;
use crate::model::{Completion, GenerationConfig, ModelConfig, Queue, Qwen2_5Vl, Sampling, generate_with};
use crate::rl::rollout::Generator;
use crate::rl::seed::{Purpose, derive};
use crate::train::lanes::{Copies, Lanes};
use crate::train::precision::Precision;

/// Longest completion where neither the caller nor the folder says one.
const MAX_NEW_TOKENS: usize = 512;

/// Why a model can't be opened, or can't be asked a row.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// A part of the model folder.
    #[error("{0}")]
    Open(String),
    /// A row.
    #[error("row `{row}`: {cause}")]
    Row {
        /// Its id.
        row: String,
        /// What is wrong with it.
        cause: String,
    },
}

fn open_error(error: impl std::fmt::Display) -> InferError {
    InferError::Open(error.to_string())
}

/// What the caller wants otherwise than `generation_config.json`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Wishes {
    /// Always the likeliest token.
    pub greedy: bool,
    /// Divides the scores; turns sampling on.
    pub temperature: Option<f64>,
    /// Probability kept; turns sampling on.
    pub top_p: Option<f64>,
    /// Tokens kept; turns sampling on.
    pub top_k: Option<usize>,
    /// See [`Sampling::repetition_penalty`].
    pub repetition_penalty: Option<f64>,
    /// Longest completion.
    pub max_new_tokens: Option<usize>,
}

/// A model that can be asked.
#[derive(Debug)]
pub struct Completer {
    model: Copies<Qwen2_5Vl>,
    config: ModelConfig,
    processor: Processor,
    defaults: GenerationConfig,
    lanes: Lanes,
}

impl Completer {
    /// Opens a model folder on a device, to compute in a number format with that many threads (0: one per core).
    ///
    /// # Errors
    /// Where the device is not there or lacks the format, or a file of the folder can't be read or does not fit the others.
    pub fn open(dir: &Path, device: &str, precision: Precision, threads: usize) -> Result<Self, InferError> {
        let devices = crate::device::all(device).map_err(open_error)?;
        let config = ModelConfig::read(dir).map_err(open_error)?;
        let processor = Processor::open(dir).map_err(open_error)?;
        let defaults = GenerationConfig::read(dir).map_err(open_error)?;
        let lanes = Lanes::new(threads, devices).map_err(open_error)?;
        precision.check(lanes.first().device).map_err(open_error)?;
        let model = precision.read(dir, &config, lanes.first().device).map_err(open_error)?;
        Ok(Self { model: lanes.copies(model), config, processor, defaults, lanes })
    }

    /// How tokens will be chosen.
    pub fn sampling(&self, wishes: &Wishes) -> Sampling {
        let defaults = &self.defaults;
        let wished = wishes.temperature.is_some() || wishes.top_p.is_some() || wishes.top_k.is_some();
        let draw = !wishes.greedy && (wished || defaults.do_sample);
        let stop = match &defaults.eos_token_id[..] {
            [] => vec![self.processor.special().eos],
            ids => ids.to_vec(),
        };
        Sampling {
            temperature: if draw { wishes.temperature.unwrap_or(defaults.temperature) as f32 } else { 0.0 },
            top_p: wishes.top_p.unwrap_or(defaults.top_p) as f32,
            top_k: wishes.top_k.unwrap_or(defaults.top_k),
            repetition_penalty: wishes.repetition_penalty.unwrap_or(defaults.repetition_penalty) as f32,
            max_new_tokens: wishes.max_new_tokens.or(defaults.max_new_tokens).unwrap_or(MAX_NEW_TOKENS),
            stop,
            banned: Vec::new(),
        }
    }

    /// Rows that [`Self::complete`] works on at the same time.
    pub fn wave(&self, batch: usize) -> usize {
        batch * self.lanes.count()
    }

    /// Text of a completion, without special tokens.
    pub fn text(&self, ids: &[u32]) -> String {
        self.processor.decode(ids, true)
    }

    /// Completes rows, `batch` at a time; the draws of a row follow from `seed` and its number, `first` being the first's.
    ///
    /// # Errors
    /// Where an image can't be read, or a row leaves no room for a completion.
    pub fn complete(
        &self,
        rows: &[Row],
        first: usize,
        sampling: &Sampling,
        batch: usize,
        seed: u64,
    ) -> Result<Vec<Completion>, InferError> {
        let encoded = self.lanes.map(rows, |_, row| self.encode(row, sampling.max_new_tokens));
        let encoded = encoded.into_iter().collect::<Result<Vec<Encoded>, _>>()?;
        let seeds: Vec<u64> = (first..).take(rows.len()).map(|row| row_seed(seed, row)).collect();
        let Self { model, config, lanes, .. } = self;
        let generator = Generator { model, config, sampling, batch, lanes };
        Ok(generator.complete(&encoded.iter().collect::<Vec<_>>(), &seeds))
    }

    /// Completes one row, telling `said` every token as it is chosen; `Break` ends it.
    ///
    /// # Errors
    /// As [`Self::complete`].
    pub fn stream(
        &self,
        row: &Row,
        number: usize,
        sampling: &Sampling,
        seed: u64,
        said: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Completion, InferError> {
        let encoded = self.encode(row, sampling.max_new_tokens)?;
        let seeds = [row_seed(seed, number)];
        let mut each = |_: usize, id: u32| said(id);
        let queue = Queue { prompts: &[&encoded], seeds: &seeds, sampling, slots: 1 };
        let (model, device) = (self.model.first(), self.lanes.first().device);
        let found = generate_with(model, &self.config, queue, device, &mut each);
        Ok(found.into_iter().next().unwrap_or_default())
    }

    fn encode(&self, row: &Row, room: usize) -> Result<Encoded, InferError> {
        let failed = |cause: String| InferError::Row { row: row.id.clone(), cause };
        let encoded = self.processor.prompt(row).map_err(|error| failed(error.to_string()))?;
        let (length, limit) = (encoded.ids.len(), self.config.text.max_position_embeddings);
        if length + room > limit {
            return Err(failed(format!(
                "its {length} tokens and {room} new ones are more than the model's {limit} positions; shorten the row, or \
                 ask for fewer new tokens"
            )));
        }
        Ok(encoded)
    }
}

/// A row's columns as they stand in its file.
pub type Columns = Map<String, Value>;

/// The rows of a file, and the columns of each.
///
/// # Errors
/// Where the file can't be read, or a row has no prompt.
pub fn read(file: &Path) -> Result<(Vec<Row>, Vec<Columns>), RowsError> {
    let rows = rows::load(file, &RowsView::default())?;
    let columns = records::open(file)?.map(|record| Ok(record?.columns)).collect::<Result<_, RowsError>>()?;
    Ok((rows, columns))
}

fn row_seed(seed: u64, row: usize) -> u64 {
    derive(seed, Purpose::Evaluate, &[row as u64, 0])
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::*;
    use crate::testing::Bench;

    fn rows(bench: &Bench) -> Vec<Row> {
        read(&bench.rows()).unwrap().0
    }

    #[test]
    fn waves_and_streams_say_the_same() {
        let bench = Bench::drawn();
        let completer = Completer::open(&bench.model("base"), "cpu", Precision::F32, 2).unwrap();
        let rows = rows(&bench);
        let sampling =
            completer.sampling(&Wishes { temperature: Some(1.0), max_new_tokens: Some(6), ..Wishes::default() });
        let together = completer.complete(&rows, 0, &sampling, 3, 5).unwrap();
        for (number, row) in rows.iter().enumerate() {
            let mut said = Vec::new();
            let mut listen = |id| {
                said.push(id);
                ControlFlow::Continue(())
            };
            assert_eq!(completer.stream(row, number, &sampling, 5, &mut listen).unwrap(), together[number]);
            assert_eq!(said, together[number].ids);
        }
        let tail = completer.complete(&rows[4..], 4, &sampling, 2, 5).unwrap();
        assert_eq!(tail, together[4..], "a row's draws don't depend on the wave it is in");
        let mut once = |_| ControlFlow::Break(());
        assert_eq!(completer.stream(&rows[0], 0, &sampling, 5, &mut once).unwrap().ids.len(), 1);
    }

    #[test]
    fn the_caller_wins_over_the_folder_over_the_defaults() {
        let bench = Bench::sums();
        let dir = bench.model("base");
        let config =
            r#"{ "do_sample": true, "temperature": 0.5, "top_k": 7, "repetition_penalty": 1.5, "eos_token_id": 9 }"#;
        std::fs::write(dir.join("generation_config.json"), config).unwrap();
        let completer = Completer::open(&dir, "cpu", Precision::F32, 1).unwrap();
        let folder = completer.sampling(&Wishes::default());
        assert_eq!((folder.temperature, folder.top_k, folder.top_p, folder.stop), (0.5, 7, 1.0, vec![9]));
        assert_eq!(folder.max_new_tokens, MAX_NEW_TOKENS);
        let wished = completer.sampling(&Wishes { temperature: Some(0.9), top_k: Some(0), ..Wishes::default() });
        assert_eq!((wished.temperature, wished.top_k), (0.9, 0));
        let greedy = completer.sampling(&Wishes { greedy: true, ..Wishes::default() });
        assert_eq!((greedy.temperature, greedy.repetition_penalty), (0.0, 1.5));
    }

    #[test]
    fn bfloat16_is_asked_for_and_computed_with() {
        let bench = Bench::sums();
        let open = |precision| Completer::open(&bench.model("base"), "cpu", precision, 1).unwrap();
        let (wide, narrow) = (open(Precision::F32), open(Precision::Bf16));
        assert_eq!((wide.model.first().dtype(), narrow.model.first().dtype()), (DType::F32, DType::BF16));
        let sampling = narrow.sampling(&Wishes { greedy: true, max_new_tokens: Some(4), ..Wishes::default() });
        let said = |completer: &Completer| completer.complete(&rows(&bench), 0, &sampling, 4, 0).unwrap();
        let view = wide.lanes.copies(Precision::Bf16.view(wide.model.first()));
        let view = Completer { model: view, ..open(Precision::F32) };
        assert_eq!(said(&narrow), said(&view));
    }

    #[test]
    fn a_row_without_room_is_named() {
        let bench = Bench::sums();
        let completer = Completer::open(&bench.model("base"), "cpu", Precision::F32, 1).unwrap();
        let sampling = completer.sampling(&Wishes { max_new_tokens: Some(1 << 20), ..Wishes::default() });
        let error = completer.complete(&rows(&bench), 0, &sampling, 4, 0).unwrap_err().to_string();
        assert!(error.starts_with("row `0`: its ") && error.contains("positions"), "{error}");
    }
}
