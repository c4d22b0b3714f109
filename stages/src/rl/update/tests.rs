//! Updates of a small model on rows with pictures.

use super::*;
use crate::model::fixture;
use crate::rl::objective::ObjectiveKind;
use crate::rl::objective::mean::Mean;
use crate::train::optimizer::AdamWConfig;

struct Case {
    config: ModelConfig,
    model: Qwen2_5Vl,
    rows: Vec<Encoded>,
    lanes: Lanes,
    device: Device,
}

impl Case {
    fn new() -> Self {
        let (device, rows) = (fixture::device(), fixture::rows());
        let lanes = Lanes::new(1, &device).unwrap();
        Self { config: fixture::config(), model: fixture::model(), rows, lanes, device }
    }

    fn samples(&self) -> Vec<Chosen<'_>> {
        let sample = |(row, &advantage): (&'_ Encoded, &f32)| (row.target.iter().filter(|t| **t).count(), advantage);
        let each = self.rows.iter().zip(&[1.5, -0.5, 0.75]);
        each.map(|pair| (pair.0, sample(pair)))
            .map(|(sequence, (tokens, advantage))| Chosen { sequence, tokens, advantage, old: None })
            .collect()
    }

    fn updater<'a>(&'a self, params: &'a Params) -> Updater<'a> {
        let Self { config, lanes, device, .. } = self;
        Updater { params, config, reference: None, pad: 0, seed: 3, lanes, device, keep: Keep::All }
    }
}

fn norm(gradients: Gradients) -> f64 {
    global_norm(gradients, 0.0).1
}

/// Old log-probabilities and a reference that differ from the model's, so that every ratio counts.
fn prepared<'a>(samples: &'a [Chosen<'a>], now: &[Vec<f32>]) -> Vec<Prepared<'a>> {
    let moved = |row: &[f32], by: f32| row.iter().enumerate().map(|(i, p)| p + by * ((i % 3) as f32 - 1.0)).collect();
    let each = samples.iter().zip(now);
    each.map(|(sample, row)| Prepared { sample, old: Some(moved(row, 0.15)), reference: Some(moved(row, -0.2)) })
        .collect()
}

#[test]
fn micro_batches_change_no_gradient_of_any_objective_or_mean() {
    let (case, samples) = (Case::new(), Case::new());
    let samples = samples.samples();
    for kind in ["clip", "gspo", "cispo", "sapo", "reinforce"] {
        for mean in [Mean::Token, Mean::Sequence, Mean::Constant] {
            let objective: ObjectiveKind = serde_json::from_value(kind.into()).unwrap();
            let found = [1, 2, 3].map(|micro_batch| {
                let mut params = Params { objective, mean, micro_batch, ..Params::default() };
                (params.kl.coef, params.entropy.coef, params.gspo.low, params.gspo.high) = (0.1, 0.05, 0.2, 0.2);
                let updater = case.updater(&params);
                let now = updater.logprobs(&case.model, &samples);
                let prepared = prepared(&samples, &now);
                updater.gradients([0; 3], &case.model, prepared.iter().collect(), &params.terms(0.05))
            });
            let [(whole, report), others @ ..] = found;
            for (gradients, other) in others {
                let apart = norm(gradients.times(-1.0).plus(whole.clone())) / norm(whole.clone());
                assert!(apart < 1e-5, "{kind}, {mean:?}: {apart:e}");
                assert!((report.loss - other.loss).abs() < 1e-5 && (report.kl - other.kl).abs() < 1e-5);
                assert!((report.entropy - other.entropy).abs() < 1e-5 && report.entropy > 0.1);
            }
        }
    }
}

#[test]
fn a_sample_brings_its_own_old_log_probabilities() {
    let case = Case::new();
    let params = Params { lr: 1e-2, ..Params::default() };
    let updater = case.updater(&params);
    let learner = || Learner {
        model: case.model.clone(),
        optimizer: AdamW::new(AdamWConfig {
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            decay_matrices_only: true,
        }),
        entropy: Controller::new(&params.entropy),
    };
    let mut samples = case.samples();
    let now = updater.logprobs(&case.model, &samples);
    let fresh = updater.run(0, 1e-2, learner(), &samples).1;
    samples[1].old = Some(now[1].clone());
    let same = updater.run(0, 1e-2, learner(), &samples).1;
    assert!((fresh.grad_norm - same.grad_norm).abs() < 1e-5 * fresh.grad_norm, "a ratio of 1 changes nothing");
    samples[0].old = Some(now[0].iter().map(|logp| logp + 0.5).collect());
    let moved = updater.run(0, 1e-2, learner(), &samples).1;
    assert!((fresh.grad_norm - moved.grad_norm).abs() > 1e-3 * fresh.grad_norm, "the ratio counts");
}
