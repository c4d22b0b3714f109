use curricle_datasets::rows::{RowsView, load};

use super::*;
use crate::model::weights;
use crate::testing::Bench;
use crate::train::start::{Change, Start};

/// A plan over every row of `bench`, drawings included, in one step.
fn plan(bench: &Bench, micro_batch: usize) -> Plan {
    let folder = bench.model("base");
    let device = crate::device::resolve("cpu").unwrap();
    let lanes = Lanes::new(2, &device).unwrap();
    let processor = Processor::open(&folder).unwrap();
    let rows = load(&bench.rows(), &RowsView::default()).unwrap();
    let (data, _) = Rows::measure(rows, &processor, &lanes, 4096, Longer::Refuse).unwrap();
    let change = Change { lora: None, frozen: &[], tokens: &[], precision: Precision::F32, seed: 7 };
    let end = Arc::new(Start::open(&folder, change, &device).unwrap().end);
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
        device,
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

#[test]
fn the_size_of_a_micro_batch_changes_rounding_only() {
    let bench = Bench::drawn();
    let gradients = |micro_batch| {
        let plan = plan(&bench, micro_batch);
        let model = weights::load(&bench.model("base"), &plan.config, &plan.device).unwrap();
        let mut steps = plan.steps_from(0).unwrap();
        let pieces = steps.walk.step(0, &plan.data.lengths);
        assert_eq!(pieces[0].len(), micro_batch);
        let lengths: Vec<usize> = pieces.iter().flatten().map(|row| plan.data.targets[*row]).collect();
        assert!(lengths.iter().any(|length| *length != lengths[0]), "rows of one length can't tell means apart");
        let (gradients, loss) = plan.gradients(&model, 0, &pieces, &mut steps).unwrap();
        let values =
            |grad: Option<Tensor<1>>| grad.expect("every parameter learns").into_data().iter::<f32>().collect();
        (gradients.0.into_iter().map(values).collect::<Vec<Vec<f32>>>().concat(), loss)
    };
    let (one, two, four) = (gradients(1), gradients(2), gradients(4));
    for other in [&one, &four] {
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let apart = norm(&mut two.0.iter().zip(&other.0).map(|(a, b)| a - b));
        let whole = norm(&mut two.0.iter().copied());
        assert!(whole > 0.0 && apart <= 1e-6 * whole, "gradients are {:e} apart", apart / whole);
        assert!((two.1 - other.1).abs() <= 1e-6 * two.1, "losses are {} and {}", two.1, other.1);
    }
}
