use std::path::Path;

use burn::tensor::Device;
use safetensors::SafeTensors;

use super::*;
use crate::train::checkpoint::{Checkpoints, weights};
use crate::train::freeze::Learns;

#[derive(Module, Debug)]
struct Pair {
    matrix: Param<Tensor<2>>,
    vector: Param<Tensor<1>>,
}

fn device() -> Device {
    crate::device::resolve("cpu").unwrap()
}

fn pair(values: &[f32]) -> Pair {
    let data = |range: std::ops::Range<usize>| TensorData::from(&values[range]);
    let vector = Tensor::<1>::from_data(data(0..values.len()), &device());
    Pair { matrix: Param::from_tensor(vector.clone().unsqueeze()), vector: Param::from_tensor(vector) }
}

fn gradients(values: &[f32]) -> Gradients {
    let tensor = Tensor::from_data(TensorData::from(values), &device());
    Gradients(vec![Some(tensor.clone()), Some(tensor)])
}

fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
    param.val().to_data().iter::<f32>().collect()
}

fn near(got: &[f32], want: &[f64]) {
    for (got, want) in got.iter().zip(want) {
        assert!((f64::from(*got) - want).abs() < 1e-6, "{got} {want}");
    }
}

const CONFIG: AdamWConfig =
    AdamWConfig { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, decay_matrices_only: true };

#[test]
fn two_steps_equal_the_equation_in_f64() {
    // w, and gradients of two steps, at lr 0.1: computed with the header's equation in f64.
    let model = pair(&[1.0, -2.0, 0.5]);
    let mut adamw = AdamW::new(CONFIG);
    let model = adamw.step(model, gradients(&[0.5, 0.0, 1e-4]), 0.1);
    let model = adamw.step(model, gradients(&[-0.25, 1.0, 2e-4]), 0.1);
    near(&values(&model.matrix), &[0.871_467_3, -2.070_415_7, 0.302_598_4]);
    near(&values(&model.vector), &[0.873_366_3, -2.074_413_7, 0.303_497_9]);
}

#[test]
fn a_parameter_without_a_gradient_is_left_alone() {
    let mut adamw = AdamW::new(CONFIG);
    let mut only_vector = gradients(&[1.0]);
    only_vector.0[0] = None;
    let model = adamw.step(pair(&[1.0]), only_vector, 0.1);
    assert_eq!(values(&model.matrix), [1.0]);
    near(&values(&model.vector), &[0.9]);
}

#[test]
fn saved_and_restored_it_goes_on_bit_by_bit() {
    let dir = tempfile::tempdir().unwrap();
    let mut straight = AdamW::new(CONFIG);
    let model = straight.step(pair(&[1.0, -2.0]), gradients(&[0.3, 0.1]), 0.1);
    let mut tensors = weights(&model, &Learns::of(&model, &[]));
    tensors.extend(straight.save(&model));
    let checkpoints = Checkpoints::below(dir.path());
    checkpoints.save(1, &tensors, serde_json::Value::Null).unwrap();

    let found = checkpoints.latest(|said| panic!("{said}")).unwrap();
    let again = found.restore(pair(&[0.0, 0.0]), &Learns::of(&model, &[])).unwrap();
    let mut resumed = AdamW::restore(CONFIG, &again, |name| found.tensor(name));
    let again = resumed.step(again, gradients(&[-0.2, 0.7]), 0.1);
    let model = straight.step(model, gradients(&[-0.2, 0.7]), 0.1);
    assert_eq!(values(&again.matrix), values(&model.matrix));
    assert_eq!(values(&again.vector), values(&model.vector));
}

/// One clipped step of `torch.optim.AdamW` on real gradients, every entry of every tensor.
#[test]
fn one_step_equals_pytorch() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/tied");
    let bytes = std::fs::read(golden.join("golden.safetensors")).unwrap();
    let recorded = SafeTensors::deserialize(&bytes).unwrap();
    let model_bytes = std::fs::read(golden.join("model/model.safetensors")).unwrap();
    let model = SafeTensors::deserialize(&model_bytes).unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&std::fs::read(golden.join("golden.json")).unwrap()).unwrap();
    let norm = facts["grad_norm"].as_f64().unwrap();
    let read = |view: safetensors::tensor::TensorView<'_>| -> Vec<f32> {
        view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let mut compared = 0;
    for (name, after) in recorded.iter().filter_map(|(name, view)| Some((name.strip_prefix("adamw.")?, view))) {
        let Ok(grad) = recorded.tensor(&format!("grad.{name}")) else { continue };
        let stored = name.replace("model.visual.", "visual.").replace("model.language_model.", "model.");
        let before = read(model.tensor(&stored).or_else(|_| model.tensor(name)).unwrap());
        let clipped = gradients(&read(grad)).times((1.0 / (norm + 1e-6)).min(1.0));
        let config = AdamWConfig { betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.1, decay_matrices_only: false };
        let stepped = AdamW::new(config).step(pair(&before), clipped, 1e-3);
        for (got, want) in values(&stepped.vector).iter().zip(read(after)) {
            assert!((got - want).abs() < 1e-6, "{name}: {got} {want}");
        }
        compared += 1;
    }
    assert!(compared > 0, "no tensor with both a gradient and a result");
}
