//! A step of supervised training, as `sft` takes it (`Plan::step` in stages/src/train/supervised.rs): batches, forward and backward
//! passes over lanes, clipping by the global norm, AdamW.

use curricle_datasets::Encoded;
use curricle_stages::device::resolve;
use curricle_stages::model::tape::Keep;
use curricle_stages::model::{Batch, Padding};
use curricle_stages::train::clip::global_norm;
use curricle_stages::train::gradients::Gradients;
use curricle_stages::train::lanes::{Lanes, Seat};
use curricle_stages::train::learn::Pass;
use curricle_stages::train::logprob::{Entropies, Positions};
use curricle_stages::train::loss::nll_sum;
use curricle_stages::train::optimizer::{AdamW, AdamWConfig};
use curricle_stages::train::precision::Precision;
use curricle_stages::train::told::Told;

use crate::case::{Answer, Case, Figure, Size};

/// bfloat16 products of an H100 (SXM) per second, dense, by its data sheet.
const H100: f64 = 989e12;

pub fn cases() -> Vec<Case> {
    let decoder = decoder();
    let images = Case {
        name: "quickstart's size, 32 × 80 tokens with an image each".into(),
        rows: 32,
        length: 80,
        patches: 6,
        micro_batch: 16,
        ..Case::default()
    };
    let smollm2 = Case {
        name: "SmolLM2-135M's size, 4 × 256 tokens".into(),
        size: Size::SMOLLM2,
        warm: 1,
        repeats: 5,
        rows: 4,
        length: 256,
        micro_batch: 4_usize.div_ceil(decoder.threads),
        ..Case::default()
    };
    vec![decoder, images, smollm2]
}

pub fn compiled() -> Vec<Case> {
    vec![Case { compile: true, ..decoder() }]
}

fn decoder() -> Case {
    let case = Case {
        name: "decoder of 3.67 million, 16 × 128 tokens".into(),
        peer: "torch".into(),
        size: Size::DECODER,
        warm: 3,
        repeats: 15,
        rows: 16,
        length: 128,
        ..Case::default()
    };
    Case { micro_batch: case.rows.div_ceil(case.threads), ..case }
}

pub fn on_gpu() -> Vec<Case> {
    let half = Case {
        name: "0.5B's size, 4 × 4,096 tokens".into(),
        device: "cuda".into(),
        dtype: "bf16".into(),
        size: Size::HALF_BILLION,
        repeats: 5,
        rows: 4,
        length: 4096,
        micro_batch: 1,
        recompute: true,
        ..Case::default()
    };
    let three =
        Case { name: "3B's size, 1 × 4,096 tokens".into(), size: Size::THREE_BILLION, rows: 1, ..half.clone() };
    vec![half, three]
}

pub fn growth() -> Vec<Case> {
    let [half, _]: [Case; 2] = on_gpu().try_into().unwrap();
    let few = Case { name: "0.5B's size, 1 × 1,024 tokens, 10 steps".into(), rows: 1, length: 1024, warm: 0, ..half };
    let many = Case { name: "0.5B's size, 1 × 1,024 tokens, 500 steps".into(), repeats: 500, ..few.clone() };
    vec![Case { repeats: 10, ..few }, many]
}

pub fn measure(case: &Case) -> Answer {
    let device = resolve(&case.device).unwrap();
    let (config, lanes) = (case.size.config(), Lanes::new(case.threads, vec![device.clone()]).unwrap());
    let precision = if case.dtype == "bf16" { Precision::Bf16 } else { Precision::F32 };
    let rows = case.examples();
    let targets: usize = rows.iter().map(|row| row.ids.len() - 1).sum();
    let pieces: Vec<&[Encoded]> = rows.chunks(case.micro_batch).collect();
    let mut adamw = AdamW::new(AdamWConfig::default());
    let mut held = Some(config.init(1, &device));
    let mut step = || {
        let model = held.take().unwrap();
        let view = lanes.copies(precision.view(&model));
        let backward = |seat: Seat<'_>, piece: &[Encoded]| {
            let (view, rows): (_, Vec<&Encoded>) = (view.at(seat), piece.iter().collect());
            let batch = Batch::new(&rows, Padding::Right, 0, &config, seat.device);
            let positions = Positions::new(batch.width, rows.iter().map(|row| (&row.ids[..], &row.target[..], 0)));
            let pass = Pass {
                model: view,
                freeze: &[],
                batch: &batch,
                positions: &positions,
                temperature: 1.0,
                entropies: Entropies::Off,
                keep: Keep::when(case.recompute),
            };
            let (raw, nll) = pass.run(|scores| {
                let sum = nll_sum(scores.logp_n);
                (sum.clone() * (1.0 / targets as f64), Told::from(sum))
            });
            (Gradients::take(view, raw), nll)
        };
        let (gradients, told) = lanes.sum(pieces.iter().copied(), backward).unwrap();
        let (gradients, norm, nll) = global_norm(gradients, told, 1.0);
        assert!(norm.is_finite() && nll.iter().flatten().all(|nll| nll.is_finite()), "norm {norm}, loss {nll:?}");
        drop(view);
        held = Some(adamw.step(model, gradients, 1e-5));
        device.sync().unwrap();
    };
    let seconds = case.median(&mut step);
    let rate = (case.rows * case.length) as f64 / seconds;
    let mut figures = vec![Figure::new("step", rate, "tokens/s")];
    if case.device != "cpu" {
        let share = 100.0 * rate * case.size.operations(case.length) / H100;
        figures.push(Figure::new("model FLOPs of an H100's 989 T/s", share, "%"));
    }
    case.answer(figures)
}
