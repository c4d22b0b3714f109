//! Prompts → completions of one length, greedily, as rollouts and evaluations write them (`rl::rollout::Generator`).

use curricle_stages::device::resolve;
use curricle_stages::model::Sampling;
use curricle_stages::rl::rollout::Generator;
use curricle_stages::train::lanes::Lanes;
use curricle_stages::train::precision::Precision;

use crate::case::{Answer, Case, Figure, Size};

/// Prompts of different lengths, 30 to 60 tokens.
pub fn lengths(count: usize) -> Vec<usize> {
    (0..count).map(|i| 30 + i * 7 % 31).collect()
}

pub fn cases() -> Vec<Case> {
    let single = Case {
        name: "quickstart's size, a prompt of 40, 48 new".into(),
        prompts: vec![40],
        new: 48,
        ..Case::default()
    };
    let batch =
        Case { name: "quickstart's size, 160 prompts, 48 new each".into(), prompts: lengths(160), ..single.clone() };
    let smollm2 = Case {
        name: "SmolLM2-135M's size, a prompt of 40, 64 new".into(),
        size: Size::SMOLLM2,
        warm: 1,
        repeats: 3,
        new: 64,
        ..single.clone()
    };
    let many = Case {
        name: "SmolLM2-135M's size, 32 prompts, 32 new each".into(),
        prompts: lengths(32),
        new: 32,
        ..smollm2.clone()
    };
    vec![single, batch, smollm2, many]
}

pub fn on_gpu() -> Vec<Case> {
    let half = Case {
        name: "0.5B's size, 64 prompts, 1,024 new each".into(),
        device: "cuda".into(),
        dtype: "bf16".into(),
        size: Size::HALF_BILLION,
        warm: 1,
        repeats: 1,
        prompts: lengths(64),
        new: 1024,
        ..Case::default()
    };
    let three =
        Case { name: "3B's size, 64 prompts, 1,024 new each".into(), size: Size::THREE_BILLION, ..half.clone() };
    vec![half, three]
}

pub fn measure(case: &Case) -> Answer {
    let device = resolve(&case.device).unwrap();
    let (config, lanes) = (case.size.config(), Lanes::new(case.threads, vec![device.clone()]).unwrap());
    let model = config.init(1, &device);
    let model = if case.dtype == "bf16" { Precision::Bf16.view(&model) } else { model };
    let model = lanes.copies(model);
    let prompts = case.questions();
    let (prompts, seeds): (Vec<_>, Vec<u64>) = prompts.iter().zip(0..).unzip();
    let sampling = Sampling::greedy(case.new, Vec::new());
    let batch = prompts.len().div_ceil(lanes.count());
    let generator = Generator { model: &model, config: &config, sampling: &sampling, batch, lanes: &lanes };
    let seconds = case.median(|| {
        let completions = generator.complete(&prompts, &seeds);
        assert!(completions.iter().all(|completion| completion.ids.len() == case.new));
    });
    case.answer(vec![Figure::new("new tokens", (prompts.len() * case.new) as f64 / seconds, "tokens/s")])
}
