//! Equality with Hugging Face transformers, stage by stage.
//!
//! The first tests read a checkpoint and its activations, gradients and tokens as transformers 5.23.0 computed them
//! (`shared/golden/tiny` in a folder above this one; float32, eager attention), and are skipped loudly where it is absent.
//! The last one needs no file: its model has weights from a formula, and its expected numbers were written by this
//! implementation on a day when all tests above held.

#![expect(clippy::print_stderr, reason = "skipped comparisons and measured differences must be seen")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Gradients, Int, Tensor, TensorData};
use curricle_datasets::{Encoded, ImagePatches};
use safetensors::{Dtype, SafeTensors};

use super::config::PATCH_VALUES;
use super::weights::{Pick, export_with, load};
use super::{Batch, ModelConfig, Padding, Qwen2_5Vl, Sampling, fixture, generate};

/// The reference's tensors: floats as they are, integers as floats.
struct Golden {
    dir: PathBuf,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Golden {
    fn open() -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let Some(dir) = root.ancestors().map(|d| d.join("shared/golden/tiny")).find(|d| d.is_dir()) else {
            eprintln!("SKIPPED: no `shared/golden/tiny` above {}", root.display());
            return None;
        };
        let bytes = std::fs::read(dir.join("golden.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let read = |name: &str| {
            let view = file.tensor(name).unwrap();
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
                Dtype::I64 => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32).collect(),
                other => panic!("{name}: {other:?}"),
            };
            (name.to_owned(), (view.shape().to_vec(), values))
        };
        Some(Self { dir, tensors: file.names().into_iter().map(read).collect() })
    }

    fn values(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }

    fn config(&self) -> ModelConfig {
        ModelConfig::read(&self.dir.join("model")).unwrap()
    }

    fn model(&self) -> Qwen2_5Vl {
        load(&self.dir.join("model"), &self.config(), &fixture::device()).unwrap()
    }

    /// The rows of `{prefix}.input_ids` without their padding, with the images of the batch.
    fn rows(&self, prefix: &str) -> Vec<Encoded> {
        let (shape, ids) = &self.tensors[&format!("{prefix}.input_ids")];
        let mask = self.values(&format!("{prefix}.attention_mask"));
        let config = self.config();
        let mut pixels = self.values("batch.pixel_values");
        let mut images = self.values("batch.image_grid_thw").chunks_exact(3).map(|grid| {
            let grid = [grid[0] as usize, grid[1] as usize, grid[2] as usize];
            let (patches, rest) = pixels.split_at(grid.iter().product::<usize>() * PATCH_VALUES);
            pixels = rest;
            Arc::new(ImagePatches { grid, patches: patches.to_vec() })
        });
        let mut rows = Vec::new();
        for (ids, mask) in ids.chunks_exact(shape[1]).zip(mask.chunks_exact(shape[1])) {
            let ids: Vec<u32> = ids.iter().zip(mask).filter(|(_, m)| **m > 0.5).map(|(id, _)| *id as u32).collect();
            let count = ids.iter().filter(|&&id| id == config.tokens.vision_start).count();
            let hidden = [config.tokens.image, config.tokens.vision_start, config.tokens.vision_end];
            let target = ids.iter().map(|id| !hidden.contains(id)).collect();
            rows.push(Encoded { ids, target, images: images.by_ref().take(count).collect() });
        }
        rows
    }

    fn batch(&self, padding: Padding) -> Batch {
        let (rows, config) = (self.rows("batch"), self.config());
        Batch::new(&rows.iter().collect::<Vec<_>>(), padding, config.tokens.pad.unwrap(), &config, &fixture::device())
    }
}

/// Lets a token of the padding see every token alike, as the reference's mask does where all is hidden: its loss counts the
/// first token of a left-padded row, which is predicted from there. We never ask for that prediction.
fn blind_padding(mut batch: Batch) -> Batch {
    let (rows, width) = (batch.rows, batch.width);
    let mut bias = host(batch.bias.take().unwrap());
    for (query, _) in batch.real.iter().enumerate().filter(|(_, real)| !**real) {
        bias[query * width..(query + 1) * width].fill(super::attention::HIDDEN);
    }
    batch.bias = Some(Tensor::from_data(TensorData::new(bias, [rows, 1, width * width]), &fixture::device()));
    batch
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data_as::<f32>().iter::<f32>().collect()
}

/// Largest difference, at the rows that `real` names.
fn distance(ours: &[f32], theirs: &[f32], real: &[bool]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let width = ours.len() / real.len();
    (0..ours.len()).filter(|i| real[i / width]).map(|i| (ours[i] - theirs[i]).abs()).fold(0.0, f32::max)
}

/// Mean negative log-probability of the targets, as transformers' loss.
fn loss(model: &Qwen2_5Vl, batch: &Batch) -> Tensor<1> {
    let picked: Vec<i32> =
        (0..batch.ids.len()).filter(|&i| i % batch.width > 0 && batch.target[i]).map(|i| i as i32).collect();
    let (count, device) = (picked.len(), fixture::device());
    let ids: Vec<i32> = picked.iter().map(|&i| batch.ids[i as usize] as i32).collect();
    let before: Vec<i32> = picked.iter().map(|i| i - 1).collect();
    let before = Tensor::<1, Int>::from_data(TensorData::new(before, [count]), &device);
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [count, 1]), &device);
    let h_btd = model.hidden(batch);
    let [b, t, d] = h_btd.dims();
    let logits = model.logits_of(h_btd.reshape([b * t, d]).select(0, before));
    log_softmax(logits, 1).gather(1, ids).mean().neg()
}

struct GradientOf<'a>(&'a Gradients);

impl Pick for GradientOf<'_> {
    fn pick<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
        param.val().grad(self.0)
    }
}

#[test]
fn positions_are_the_references() {
    let Some(golden) = Golden::open() else { return };
    let batch = golden.batch(Padding::Left);
    assert_eq!(batch.ids.iter().map(|&id| id as f32).collect::<Vec<_>>(), golden.values("batch.input_ids"));
    let theirs = golden.values("batch.position_ids");
    for (axis, theirs) in theirs.chunks_exact(batch.ids.len()).enumerate() {
        let ours: Vec<f32> = batch.positions.iter().map(|position| position[axis] as f32).collect();
        assert_eq!(ours, theirs, "axis {axis}");
    }
    assert_eq!(batch.deltas.iter().map(|&d| d as f32).collect::<Vec<_>>(), golden.values("batch.rope_deltas"));
}

#[test]
fn every_stage_of_the_forward_pass_is_equal() {
    let Some(golden) = Golden::open() else { return };
    let (model, batch) = (golden.model(), golden.batch(Padding::Left));
    let vision = batch.vision.as_ref().unwrap();
    let states = model.visual().states(vision);
    let all = vec![true; vision.order.len()];
    let mut worst = BTreeMap::new();
    // The reference permutes after the patch embedding; we upload permuted.
    let embedded = golden.values("act.vis.patch_embed");
    let unit = embedded.len() / vision.order.len();
    let embedded: Vec<f32> =
        vision.order.iter().flat_map(|&at| &embedded[at * unit..(at + 1) * unit]).copied().collect();
    worst.insert("0 patch_embed".to_owned(), distance(&host(states.blocks[0].clone()), &embedded, &all));
    for (i, state) in states.blocks.iter().skip(1).enumerate() {
        let theirs = golden.values(&format!("act.vis.block{i}"));
        worst.insert(format!("1 vision block {i}"), distance(&host(state.clone()), theirs, &all));
    }
    let merged = golden.values("act.vis.merger_windowed_order");
    worst.insert("2 merger".to_owned(), distance(&host(states.merged), merged, &all));
    for (i, state) in model.text().states(model.embed(&batch), batch.context()).into_iter().enumerate() {
        let theirs = golden.values(&format!("act.txt.layer{i}"));
        worst.insert(format!("3 text layer {i}"), distance(&host(state), theirs, &batch.real));
    }
    let logits = host(model.logits(model.hidden(&batch)));
    worst.insert("4 logits".to_owned(), distance(&logits, golden.values("out.logits"), &batch.real));
    eprintln!("largest differences: {worst:#?}");
    for (stage, difference) in &worst {
        assert!(*difference <= 1e-4, "{stage}: {difference}");
    }
    let batch = blind_padding(batch);
    let difference = (loss(&model, &batch).into_scalar::<f32>() - golden.values("out.loss")[0]).abs();
    eprintln!("loss: {difference:e}");
    assert!(difference <= 1e-5);
}

#[test]
fn every_gradient_is_equal() {
    let Some(golden) = Golden::open() else { return };
    let (config, model) = (golden.config(), golden.model().train());
    let gradients = loss(&model, &blind_padding(golden.batch(Padding::Left))).backward();
    let ours = export_with(&model, &mut GradientOf(&gradients));
    let mut differences = Vec::new();
    for (name, (shape, theirs)) in golden.tensors.iter().filter(|(name, _)| name.starts_with("grad.")) {
        let (_, ours) = &ours[&super::names::hub_name(&name["grad.".len()..])];
        let mut counted = vec![true; shape[0]];
        if name.ends_with("embed_tokens.weight") {
            // PyTorch drops the gradient of the padding's own embedding, which only padding before a row ever gets.
            counted[config.tokens.pad.unwrap() as usize] = false;
        }
        let scale = theirs.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
        differences.push((distance(ours, theirs, &counted) / scale, name));
    }
    differences.sort_by(|a, b| b.0.total_cmp(&a.0));
    eprintln!("{} gradients, worst relative differences {:?}", differences.len(), &differences[..3]);
    assert_eq!(differences.len(), ours.len());
    assert!(differences[0].0 < 1e-4);
}

#[test]
fn greedy_tokens_are_the_references() {
    let Some(golden) = Golden::open() else { return };
    let (model, config, rows) = (golden.model(), golden.config(), golden.rows("gen"));
    let (shape, ids) = &golden.tensors["gen.output_ids"];
    let prompt = golden.tensors["gen.input_ids"].0[1];
    let rules = Sampling::greedy(shape[1] - prompt, vec![]);
    let prompts: Vec<&Encoded> = rows.iter().collect();
    let found = generate(&model, &config, &prompts, &rules, &vec![0; rows.len()], &fixture::device());
    for (found, theirs) in found.iter().zip(ids.chunks_exact(shape[1])) {
        assert_eq!(found.ids, theirs[prompt..].iter().map(|&id| id as u32).collect::<Vec<_>>());
    }
}

#[test]
fn padding_may_stand_on_either_side() {
    let (config, device, rows) = (fixture::config(), fixture::device(), fixture::rows());
    let model = fixture::model();
    let rows: Vec<&Encoded> = rows.iter().collect();
    let alone: Vec<Vec<f32>> = rows
        .iter()
        .map(|row| host(model.logits(model.hidden(&Batch::new(&[row], Padding::Right, 0, &config, &device)))))
        .collect();
    for padding in [Padding::Left, Padding::Right] {
        let batch = Batch::new(&rows, padding, 0, &config, &device);
        let logits = host(model.logits(model.hidden(&batch)));
        for (row, alone) in alone.iter().enumerate() {
            let start = (row * batch.width + batch.start(row)) * config.text.vocab_size;
            assert_eq!(batch.length(row), rows[row].ids.len());
            assert!(distance(&logits[start..start + alone.len()], alone, &[true]) < 1e-4, "{padding:?} row {row}");
        }
    }
}

#[test]
fn text_alone_needs_no_vision_tower() {
    let (config, device, rows) = (fixture::config(), fixture::device(), fixture::rows());
    let model = fixture::model().train();
    let gradients = loss(&model, &Batch::new(&[&rows[0]], Padding::Right, 0, &config, &device)).backward();
    let found = export_with(&model, &mut GradientOf(&gradients));
    assert!(found.keys().all(|name| name.starts_with("model.")), "{:?}", found.keys());
}

/// Logits after each row's last token, the loss, and the length of every gradient of the model by formula.
fn numbers() -> BTreeMap<String, Vec<f32>> {
    let (config, device, rows) = (fixture::config(), fixture::device(), fixture::rows());
    let model = fixture::model().train();
    let batch = Batch::new(&rows.iter().collect::<Vec<_>>(), Padding::Right, 0, &config, &device);
    let mut numbers = BTreeMap::new();
    let logits = host(model.logits(model.hidden(&batch)));
    for row in 0..batch.rows {
        let end = (row * batch.width + batch.length(row)) * config.text.vocab_size;
        numbers.insert(format!("logits of row {row}"), logits[end - config.text.vocab_size..end].to_vec());
    }
    let loss = loss(&model, &batch);
    let gradients = loss.backward();
    numbers.insert("loss".to_owned(), host(loss));
    for (name, (_, values)) in export_with(&model, &mut GradientOf(&gradients)) {
        numbers.insert(format!("gradient of {name}"), vec![values.iter().map(|g| g * g).sum::<f32>().sqrt()]);
    }
    numbers
}

/// After a wanted change of the numbers: `CURRICLE_BLESS=1 cargo test model::golden`, with the reference's tests passing.
#[test]
fn the_model_by_formula_gives_the_numbers_it_gave() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/model/golden/formula.json");
    let ours = numbers();
    if std::env::var_os("CURRICLE_BLESS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&ours).unwrap() + "\n").unwrap();
    }
    let theirs: BTreeMap<String, Vec<f32>> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, theirs) in &theirs {
        let scale = theirs.iter().fold(1e-3_f32, |most, value| most.max(value.abs()));
        assert!(distance(&ours[name], theirs, &[true]) <= 2e-4 * scale, "{name}: {:?}, was {theirs:?}", ours[name]);
    }
}
