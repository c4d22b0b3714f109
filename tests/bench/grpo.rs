//! A step of GRPO, as `grpo` takes it (`Trainer::step` in stages/src/rl/step.rs) with every completion trained on and one update:
//! rollout, log-probabilities under the reference of the KL term, update.

use curricle_datasets::Encoded;
use curricle_stages::device::resolve;
use curricle_stages::kinds::grpo::Params;
use curricle_stages::model::Sampling;
use curricle_stages::model::tape::Keep;
use curricle_stages::phases::Phases;
use curricle_stages::rl::objective::entropy::Controller;
use curricle_stages::rl::objective::kl::Kl;
use curricle_stages::rl::rollout::{Generator, Sample};
use curricle_stages::rl::update::{Chosen, Learner, Updater};
use curricle_stages::train::freeze::Part;
use curricle_stages::train::lanes::Lanes;
use curricle_stages::train::optimizer::{AdamW, AdamWConfig};
use curricle_stages::train::precision::Precision;

use crate::case::{Answer, Case, Figure, Size, median, seconds};
use crate::generate::lengths;

pub fn cases() -> Vec<Case> {
    // The stage `trl` of recipes/quickstart.toml, without its selection. TRL once in as few passes as can be, once in the recipe's.
    let whole = Case {
        name: "quickstart's size, 20 prompts × 8, 48 new each; TRL in passes of 160".into(),
        warm: 1,
        repeats: 5,
        prompts: lengths(20),
        group: 8,
        new: 48,
        micro_batch: 16,
        peer_micro_batch: 160,
        kl: 2e-3,
        ..Case::default()
    };
    let images = Case {
        // The stage `mrl`, likewise.
        name: "quickstart's size, 20 prompts with an image × 8, 48 new each; TRL in passes of 160".into(),
        patches: 6,
        kl: 0.0,
        ..whole.clone()
    };
    let as_ours = Case { name: "the same; TRL in passes of 16".into(), peer_micro_batch: 16, ..whole.clone() };
    vec![whole, as_ours, images]
}

pub fn on_gpu() -> Vec<Case> {
    vec![Case {
        name: "0.5B's size, 8 prompts × 8, 256 new each".into(),
        device: "cuda".into(),
        dtype: "bf16".into(),
        size: Size::HALF_BILLION,
        warm: 1,
        repeats: 3,
        prompts: lengths(8),
        group: 8,
        new: 256,
        micro_batch: 16,
        peer_micro_batch: 16,
        kl: 2e-3,
        ..Case::default()
    }]
}

pub fn measure(case: &Case) -> Answer {
    let device = resolve(&case.device).unwrap();
    let (config, lanes) = (case.size.config(), Lanes::new(case.threads, vec![device.clone()]).unwrap());
    let mut params = Params {
        prompts: case.prompts.len(),
        group: case.group,
        max_new_tokens: case.new,
        micro_batch: case.micro_batch,
        freeze: if case.patches > 0 { Vec::new() } else { vec![Part::Vision] },
        kl: Kl { coef: case.kl, ..Kl::default() },
        precision: if case.dtype == "bf16" { Precision::Bf16 } else { Precision::F32 },
        ..Params::default()
    };
    if case.device != "cpu" {
        params.rollout_batch = case.prompts.len() * case.group;
    }
    let model = config.init(1, &device);
    let reference = lanes.copies(params.precision.view(&model));
    let phases = Phases::on(lanes.devices());
    let updater = Updater {
        params: &params,
        config: &config,
        reference: (case.kl > 0.0).then_some(&reference),
        pad: 0,
        seed: 1,
        lanes: &lanes,
        phases: &phases,
        keep: Keep::All,
    };
    // As in a stage, no token that stands for an image may be drawn.
    let banned = vec![1, 2, 3, 4];
    let sampling = Sampling { temperature: 1.0, banned, ..Sampling::greedy(case.new, Vec::new()) };
    let prompts = case.questions();
    let asked: Vec<&Encoded> = prompts.iter().flat_map(|prompt| vec![prompt; case.group]).collect();
    let mut learner = Some(Learner {
        model,
        optimizer: AdamW::new(AdamWConfig::default()),
        entropy: Controller::new(&params.entropy),
    });
    let (mut rollouts, mut passes, mut updates, mut steps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for step in 0..case.warm + case.repeats {
        let model = lanes.copies(params.precision.view(&learner.as_ref().unwrap().model));
        let seeds: Vec<u64> = (0..asked.len()).map(|i| (step * asked.len() + i) as u64).collect();
        let mut samples = Vec::new();
        let rollout = seconds(|| {
            let generator = Generator {
                model: &model,
                config: &config,
                sampling: &sampling,
                batch: params.rollout_batch,
                lanes: &lanes,
            };
            let completions = generator.complete(&asked, &seeds).into_iter().zip(&asked).enumerate();
            let join =
                completions.map(|(row, (completion, prompt))| Sample::new(row, prompt, &completion, String::new()));
            samples = join.collect();
        });
        drop(model);
        assert!(samples.iter().all(|sample| sample.tokens == case.new));
        let chosen: Vec<Chosen<'_>> = samples
            .iter()
            .enumerate()
            .map(|(i, sample)| Chosen {
                sequence: &sample.sequence,
                tokens: sample.tokens,
                advantage: if i % 2 == 0 { 1.0 } else { -1.0 },
                old: None,
            })
            .collect();
        let sequences: Vec<&Encoded> = samples.iter().map(|sample| &sample.sequence).collect();
        let pass = if case.kl > 0.0 {
            seconds(|| assert_eq!(updater.logprobs_of(&reference, &sequences).len(), sequences.len()))
        } else {
            0.0
        };
        // The update makes that pass itself.
        let both = seconds(|| {
            let (next, report) = updater.run(step, 1e-6, learner.take().unwrap(), &chosen);
            assert_eq!((report.taken, report.not_finite), (1, 0));
            device.sync().unwrap();
            learner = Some(next);
        });
        if step >= case.warm {
            rollouts.push(rollout);
            passes.push(pass);
            updates.push(both - pass);
            steps.push(rollout + both);
        }
    }
    let figure = |name, of| Figure::new(name, median(of), "s");
    let mut figures = vec![figure("step", steps), figure("rollout", rollouts), figure("update", updates)];
    if case.kl > 0.0 {
        figures.insert(2, figure("log-probabilities", passes));
    }
    case.answer(figures)
}
