//! A model whose weights follow from a formula, held in place.
//!
//! Equality with transformers is [`crate::verify`]'s; here are two properties that need no reference, and numbers that this
//! implementation wrote on a day when all comparisons held.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Gradients, Int, Tensor, TensorData};
use curricle_datasets::Encoded;

use super::sizes::Sizes;
use super::weights::{Pick, export_with};
use super::{Batch, Padding, Qwen2_5Vl, fixture};

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

/// Batches of one, two and three rows: logits, loss and gradients, with the width as it is and as one of few.
#[test]
fn columns_in_vain_change_nothing() {
    let (config, device, rows) = (fixture::config(), fixture::device(), fixture::rows());
    let model = fixture::model().train();
    for padding in [Padding::Left, Padding::Right] {
        for rows in [&rows[..1], &rows[1..], &rows[..]] {
            let rows: Vec<&Encoded> = rows.iter().collect();
            let [exact, few] =
                [Sizes::Exact, Sizes::Few].map(|sizes| Batch::sized(&rows, padding, 0, sizes, &config, &device));
            assert!(few.width > exact.width && few.width.is_multiple_of(16), "{} for {}", few.width, exact.width);
            let real = |batch: &Batch| {
                let logits = host(model.logits(model.hidden(batch)));
                let tokens = logits.chunks_exact(config.text.vocab_size).zip(&batch.real);
                tokens.filter(|(_, real)| **real).flat_map(|(logits, _)| logits.to_vec()).collect::<Vec<_>>()
            };
            let apart = distance(&real(&few), &real(&exact), &[true]);
            assert!(apart < 1e-5, "{padding:?}: logits differ by {apart}");
            let losses = [&exact, &few].map(|batch| loss(&model, batch));
            let gradients = losses.clone().map(|loss| export_with(&model, &mut GradientOf(&loss.backward())));
            let [theirs, ours] = losses.map(host);
            assert!(distance(&ours, &theirs, &[true]) < 1e-5, "{padding:?}: loss {ours:?} instead of {theirs:?}");
            let [theirs, ours] = gradients;
            assert!(ours.len() > 10 && ours.len() == theirs.len());
            for (name, (_, values)) in &theirs {
                let apart = distance(&ours[name].1, values, &[true]);
                assert!(apart < 1e-5, "{padding:?}: the gradient of {name} differs by {apart}");
            }
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
