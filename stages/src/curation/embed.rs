//! The work of an `embed` stage: rows through a model, hidden states into vectors. Refuses to know what vectors are for.
//!
//! Vectors go to a file of the work folder as they come, so that an attempt goes on where the one before ended.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use curricle_datasets::{Encoded, Processor, Row, fs};
use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{StageContext, StageError};

use super::vectors::Vectors;
use crate::inputs;
use crate::kinds::embed::{Params, Pool};
use crate::model::{Batch, ModelConfig, Padding, Qwen2_5Vl};
use crate::prompt::Instruction;
use crate::train::ahead::Ahead;
use crate::train::lanes::{Copies, Lanes, Seat};

/// Vectors so far, one after the other.
const SO_FAR: &str = "vectors.f32";

/// Runs the stage.
///
/// # Errors
/// Where inputs can't be read or outputs not written; [`StageError::Interrupted`] when asked to stop.
pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
    let failed = |error: fs::FsError| StageError::Failed(error.to_string());
    let lanes = Lanes::of(context.runtime())?;
    let device = lanes.first().device;
    let model_dir = &context.input("model")?.path;
    let reading = |error: &dyn std::fmt::Display| StageError::while_doing("reading the model", error);
    let config = ModelConfig::read(model_dir).map_err(|error| reading(&error))?;
    let processor = Processor::open(model_dir).map_err(|error| reading(&error))?;
    params.precision.check(device)?;
    let model = params.precision.read(model_dir, &config, device).map_err(|error| reading(&error))?;
    let pad = processor.special().pad;
    let reader = Reader { model: lanes.copies(model), config, pad, pool: params.pool };
    let rows = inputs::rows(context.input("data")?)?;
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let rows = inputs::instructed(rows, params.instruction.as_ref().map(Instruction::text));
    let (total, batch) = (rows.len(), params.batch);

    let (width, so_far) = (reader.config.text.hidden_size, context.work_dir().join(SO_FAR));
    let mut done = whole(&so_far, width, batch)?;
    if done > 0 {
        context.emit(StageEvent::Resumed { step: done });
    }
    let (before, most) = (done, reader.config.text.max_position_embeddings);
    let encode = move |first: usize| {
        let rows = &rows[first..rows.len().min(first + batch)];
        rows.iter().map(|row| encode(&processor, row, most)).collect()
    };
    let ahead = Ahead::new(context.runtime().threads, batch, (before..total).step_by(batch), encode)?;
    let wave = batch * lanes.count();
    while done < total {
        let first = done;
        if context.interrupted() {
            return Err(StageError::Interrupted { step: first });
        }
        let chunks = (first..total.min(first + wave)).step_by(batch);
        let read = |seat: Seat<'_>, row: usize| ahead.take((row - before) / batch).map(|rows| reader.read(seat, &rows));
        let found = lanes.map(chunks, read);
        for vectors in found {
            let vectors = vectors?;
            let more: Vec<u8> = vectors.iter().flat_map(|value| value.to_le_bytes()).collect();
            fs::append(&so_far, &more).map_err(failed)?;
            done += vectors.len() / width;
        }
        context.progress(done, total, &[]);
    }
    let all = fs::read(&so_far).map_err(failed)?;
    let values = all.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
    Vectors { ids, width, values }.write(&context.output("embeddings")?)
}

/// Rows whose vectors an attempt before this one left: whole batches, so that the others are what they would have been. What
/// is behind them is cut off.
fn whole(so_far: &Path, width: usize, batch: usize) -> Result<usize, StageError> {
    let mut bytes = fs::read(so_far).unwrap_or_default();
    let row = 4 * width;
    bytes.truncate(bytes.len() / (row * batch) * (row * batch));
    fs::write(so_far, &bytes).map_err(|error| StageError::Failed(error.to_string()))?;
    Ok(bytes.len() / row)
}

/// A model that reads.
struct Reader {
    model: Copies<Qwen2_5Vl>,
    config: ModelConfig,
    /// Fills up short rows of a batch.
    pad: u32,
    pool: Pool,
}

impl Reader {
    /// One vector per row, one after the other.
    fn read(&self, seat: Seat<'_>, rows: &[Encoded]) -> Vec<f32> {
        let rows: Vec<&Encoded> = rows.iter().collect();
        let batch = Batch::new(&rows, Padding::Right, self.pad, &self.config, seat.device);
        let h_btd = self.model.at(seat).hidden(&batch).cast(DType::F32);
        let weights_btt = self.weights(&batch, seat.device);
        let [b, _, d] = h_btd.dims();
        let pooled: Tensor<3> = weights_btt.matmul(h_btd);
        let pooled = pooled.reshape([b, d]);
        pooled.into_data().iter::<f32>().collect()
    }

    /// How much each token counts for its row, `[B, 1, T]`.
    fn weights(&self, batch: &Batch, device: &Device) -> Tensor<3> {
        let mut weights = vec![0.0_f32; batch.rows * batch.width];
        for row in 0..batch.rows {
            let length = batch.length(row);
            let tokens = &mut weights[row * batch.width..][..length];
            match self.pool {
                Pool::Mean => tokens.fill(1.0 / length as f32),
                Pool::Last => tokens[length - 1] = 1.0,
            }
        }
        Tensor::from_data(TensorData::new(weights, [batch.rows, 1, batch.width]), device)
    }
}

/// A row as the model reads it, of so many tokens at most.
fn encode(processor: &Processor, row: &Row, most: usize) -> Result<Encoded, StageError> {
    let failed = |cause: String| StageError::Failed(format!("row `{}`: {cause}", row.id));
    let encoded = processor.prompt(row).map_err(|error| failed(error.to_string()))?;
    let length = encoded.ids.len();
    if length > most {
        return Err(failed(format!("it has {length} tokens, and the model {most} positions; filter it out before")));
    }
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use curricle_engine::stage::{Kind, Runtime};
    use serde_json::json;

    use super::*;
    use crate::kinds::embed::Embed;
    use crate::testing::Bench;

    fn found(bench: &Bench, stage: &str) -> Vectors {
        Vectors::read(&bench.output(stage, "embeddings")).unwrap()
    }

    #[test]
    fn vectors_do_not_depend_on_their_neighbours() {
        let bench = Bench::drawn();
        for (pool, name) in [("mean", "m"), ("last", "l")] {
            let run = |batch: usize| {
                let stage = format!("{name}{batch}");
                let params = json!({ "pool": pool, "batch": batch });
                bench.run(&Kind::<Embed>::NEW, &params, &stage, &Runtime::default(), None).unwrap();
                found(&bench, &stage)
            };
            let (alone, together) = (run(1), run(5));
            assert_eq!((alone.ids.len(), alone.width), (12, 16));
            assert_eq!(alone.ids, together.ids);
            for (a, b) in alone.values.iter().zip(&together.values) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
            assert!(alone.values[..16] != alone.values[16..32]);
        }
        assert!(found(&bench, "m1").values != found(&bench, "l1").values);
    }

    #[test]
    fn an_attempt_goes_on_where_the_one_before_ended() {
        let bench = Bench::sums();
        let threads = |threads: usize| Runtime { threads, ..Runtime::default() };
        let params = json!({ "batch": 2 });
        let run = |name: &str, count, stop| bench.run(&Kind::<Embed>::NEW, &params, name, &threads(count), stop);
        run("whole", 1, None).unwrap();
        let stopped = run("cut", 2, Some(4));
        assert!(matches!(stopped, Err(StageError::Interrupted { step: 4 })), "{stopped:?}");
        let events = run("cut", 1, None).unwrap();
        assert!(events.contains(&StageEvent::Resumed { step: 4 }), "{events:?}");
        assert_eq!(found(&bench, "whole"), found(&bench, "cut"));
    }
}
