use burn::tensor::Tensor;
use curricle_datasets::rows::{RowsView, load};

use super::*;
use crate::model::weights;
use crate::testing::Bench;
use crate::train::start::{Change, Start};

/// A plan over every row of `bench`, drawings included, in one step.
fn plan(bench: &Bench, devices: &str, micro_batch: usize) -> Plan {
    let folder = bench.model("base");
    let lanes = Lanes::new(2, crate::device::all(devices).unwrap()).unwrap();
    let processor = Processor::open(&folder).unwrap();
    let rows = load(&bench.rows(), &RowsView::default()).unwrap();
    let (data, _) = Rows::measure(rows, &processor, &lanes, 4096, Longer::Refuse).unwrap();
    let change = Change { lora: None, frozen: &[], tokens: &[], precision: Precision::F32, seed: 7 };
    let end = Arc::new(Start::open(&folder, change, lanes.first().device).unwrap().end);
    let keep = crate::train::stop::Keep::<Watched>::default();
    Plan {
        course: Course::new(None, &keep),
        keeper: Keeper::new(&keep, end, &folder, |_| unreachable!("nothing is kept")).unwrap(),
        config: ModelConfig::read(&folder).unwrap(),
        processor: Arc::new(processor),
        walk: Walk::new(7, data.len(), data.len(), micro_batch),
        data: Arc::new(data),
        val: None,
        steps: 1,
        look_every: 1,
        schedule: Schedule::new(1e-3, crate::train::schedule::Shape::Constant, 0.0, 1),
        adamw: AdamWConfig::default(),
        max_grad_norm: 0.0,
        freeze: Vec::new(),
        precision: Precision::F32,
        keep: Keep::All,
        seed: 7,
        phases: Phases::on(&[]),
        lanes,
        threads: 2,
        checkpoints: Checkpoints::below(&folder),
        checkpoint_every: 0,
        guard: Guard::default(),
        moments: None,
        notes: folder,
        leaves: None,
    }
}

/// Gradients of the one step, one after the other, and its loss.
fn step(bench: &Bench, devices: &str, micro_batch: usize) -> (Vec<f32>, f64) {
    let plan = plan(bench, devices, micro_batch);
    let model = weights::load(&bench.model("base"), &plan.config, plan.lanes.first().device).unwrap();
    let mut steps = plan.steps_from(0).unwrap();
    let pieces = steps.walk.step(0, &plan.data.lengths);
    assert_eq!(pieces[0].len(), micro_batch);
    let lengths: Vec<usize> = pieces.iter().flatten().map(|row| plan.data.targets[*row]).collect();
    assert!(lengths.iter().any(|length| *length != lengths[0]), "rows of one length can't tell means apart");
    let (gradients, told) = plan.gradients(&plan.lanes.copies(model), 0, &pieces, &mut steps).unwrap();
    let values = |grad: Option<Tensor<1>>| grad.expect("every parameter learns").into_data().iter::<f32>().collect();
    let gradients = gradients.0.into_iter().map(values).collect::<Vec<Vec<f32>>>().concat();
    (gradients, total(&told.read()) / plan.targets(&pieces) as f64)
}

fn only_rounded((ours, loss): &(Vec<f32>, f64), (theirs, other): &(Vec<f32>, f64)) {
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let apart = norm(&mut ours.iter().zip(theirs).map(|(a, b)| a - b));
    let whole = norm(&mut ours.iter().copied());
    assert!(whole > 0.0 && apart <= 1e-6 * whole, "gradients are {:e} apart", apart / whole);
    assert!((loss - other).abs() <= 1e-6 * loss, "losses are {loss} and {other}");
}

#[test]
fn the_size_of_a_micro_batch_changes_rounding_only() {
    let bench = Bench::drawn();
    let two = step(&bench, "cpu", 2);
    for micro_batch in [1, 4] {
        only_rounded(&two, &step(&bench, "cpu", micro_batch));
    }
}

#[test]
fn the_number_of_devices_changes_rounding_only() {
    let bench = Bench::drawn();
    let one = step(&bench, "cpu", 1);
    for devices in ["cpu*2", "cpu*3"] {
        let several = step(&bench, devices, 1);
        only_rounded(&one, &several);
        assert_ne!(one.0, several.0, "{devices} adds up in an order of its own");
        assert_eq!(several.0, step(&bench, devices, 1).0, "{devices} adds up in one order");
    }
}
