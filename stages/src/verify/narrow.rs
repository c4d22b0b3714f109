//! The committed checkpoints in bfloat16, beside themselves in float32. The bounds are what transformers 5.23.0 itself shows
//! on these batches and weights (PyTorch 2.15 on a CPU, eager attention), rounded up: largest difference of a logit over the
//! root of their mean square 0.110 (tied) and 0.073 (untied), of a gradient by norm 0.038 and 0.033. In the mean loss errors
//! cancel as chance will have it: its bound is ours.

#![expect(clippy::print_stderr, reason = "the measured differences are worth seeing")]

use std::path::Path;

use burn::tensor::DType;
use curricle_datasets::Encoded;

use super::fixtures::Fixtures;
use super::inputs::Inputs;
use super::learn::GradientOf;
use super::sheet::{Subject, host};
use crate::model::dtype::cast;
use crate::model::tape::Keep;
use crate::model::weights::{self, export_with};
use crate::model::{Batch, ModelConfig, Padding, Qwen2_5Vl, fixture};
use crate::train::learn::Pass;
use crate::train::logprob::{Entropies, Positions};
use crate::train::loss::nll_sum;

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

/// Logits at the predicting tokens, the mean loss, and every gradient.
fn quantities(model: &Qwen2_5Vl, batch: &Batch, positions: &Positions) -> (Vec<f32>, f64, Vec<Vec<f32>>) {
    let logits = host(model.logits_of(positions.states(model.hidden(batch).flatten(0, 1))));
    let (entropies, keep) = (Entropies::Off, Keep::Inputs);
    let pass = Pass { model, freeze: &[], batch, positions, temperature: 1.0, entropies, keep };
    let (raw, loss) = pass.run(|scores| {
        let loss = nll_sum(scores.logp_n) / positions.len() as f64;
        (loss.clone(), f64::from(loss.into_scalar::<f32>()))
    });
    let gradients = export_with(model, &mut GradientOf(&raw)).into_values().map(|(_, values)| values).collect();
    (logits, loss, gradients)
}

/// Largest differences of a logit, the loss and a gradient between bfloat16 and float32.
fn differences(name: &str) -> [f64; 3] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name);
    let (device, config) = (fixture::device(), ModelConfig::read(&folder.join("model")).unwrap());
    let model = weights::load(&folder.join("model"), &config, &device).unwrap();
    let (narrow, fixtures) = (cast(model, DType::BF16), Fixtures::open(&folder).unwrap());
    let subject = Subject { fixtures, config, model: cast(narrow.clone(), DType::F32), device };
    let Ok(inputs) = Inputs::read(&subject, "batch") else { panic!("`{name}` has no batch") };
    let rows: Vec<&Encoded> = inputs.rows.iter().collect();
    let batch = Batch::new(&rows, Padding::Right, 0, &subject.config, &subject.device);
    let all: Vec<_> = rows.iter().map(|row| (&row.ids[..], vec![true; row.ids.len()])).collect();
    let positions = Positions::new(batch.width, all.iter().map(|(ids, wanted)| (*ids, &wanted[..], 0)));

    let (ours, loss, gradients) = quantities(&narrow, &batch, &positions);
    let (wide, expected, references) = quantities(&subject.model, &batch, &positions);
    let spread = norm(wide.iter().copied()) / (wide.len() as f64).sqrt();
    let logit = ours.iter().zip(&wide).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max) / spread;
    let apart = |(ours, wide): (&Vec<f32>, &Vec<f32>)| {
        norm(ours.iter().zip(wide).map(|(a, b)| a - b)) / norm(wide.iter().copied())
    };
    let gradient = gradients.iter().zip(&references).map(apart).fold(0.0, f64::max);
    let found = [logit, (loss / expected - 1.0).abs(), gradient];
    eprintln!("{name} in bfloat16: logits {:.1e}, loss {:.1e}, gradients {:.1e}", found[0], found[1], found[2]);
    found
}

#[test]
fn bfloat16_is_as_near_to_float32_as_the_references() {
    for (name, [logits, loss, gradients]) in [("tied", [0.11, 2e-3, 0.04]), ("untied", [0.08, 2e-3, 0.04])] {
        let found = differences(name);
        assert!(found[0] < logits && found[1] < loss && found[2] < gradients, "{name}: {found:?}");
    }
}
