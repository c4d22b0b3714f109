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
    phases: Phases,
}

impl Case {
    fn new() -> Self {
        let lanes = Lanes::of_host(1).unwrap();
        let phases = Phases::on(&[]);
        Self { config: fixture::config(), model: fixture::model(), rows: fixture::rows(), lanes, phases }
    }

    fn samples(&self) -> Vec<Chosen<'_>> {
        let sample = |(row, &advantage): (&'_ Encoded, &f32)| (row.target.iter().filter(|t| **t).count(), advantage);
        let each = self.rows.iter().zip(&[1.5, -0.5, 0.75]);
        each.map(|pair| (pair.0, sample(pair)))
            .map(|(sequence, (tokens, advantage))| Chosen { sequence, tokens, advantage, old: None })
            .collect()
    }

    fn models(&self) -> Copies<Qwen2_5Vl> {
        self.lanes.copies(self.model.clone())
    }

    fn updater<'a>(&'a self, params: &'a Params) -> Updater<'a> {
        let Self { config, lanes, phases, .. } = self;
        Updater { params, config, reference: None, pad: 0, seed: 3, lanes, phases, keep: Keep::All }
    }
}

fn norm(gradients: Gradients) -> f64 {
    global_norm(gradients, Told::default(), 0.0).1
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
                let now = updater.logprobs(&case.models(), &samples);
                let prepared = prepared(&samples, &now);
                let all = prepared.iter().collect();
                let (gradients, told) = updater.gradients([0; 3], &case.models(), all, &params.terms(0.05));
                (gradients, Report::told(&told.read()))
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
    let now = updater.logprobs(&case.models(), &samples);
    let fresh = updater.run(0, 1e-2, learner(), &samples).1;
    samples[1].old = Some(now[1].clone());
    let same = updater.run(0, 1e-2, learner(), &samples).1;
    assert!((fresh.grad_norm - same.grad_norm).abs() < 1e-5 * fresh.grad_norm, "a ratio of 1 changes nothing");
    samples[0].old = Some(now[0].iter().map(|logp| logp + 0.5).collect());
    let moved = updater.run(0, 1e-2, learner(), &samples).1;
    assert!((fresh.grad_norm - moved.grad_norm).abs() > 1e-3 * fresh.grad_norm, "the ratio counts");
}

/// Text and images in one micro-batch have the gradient of each kind alone, and both kinds move the weights.
#[test]
fn rows_of_both_kinds_share_a_micro_batch() {
    let case = Case::new();
    let samples = case.samples();
    let images = |kept: &Prepared<'_>| !kept.sample.sequence.images.is_empty();
    let params = Params { micro_batch: 3, ..Params::default() };
    let updater = case.updater(&params);
    let now = updater.logprobs(&case.models(), &samples);
    let all = prepared(&samples, &now);
    let (shown, text): (Vec<_>, Vec<_>) = all.iter().partition(|kept| images(kept));
    assert!(!shown.is_empty() && !text.is_empty());
    // The share of a token does not depend on who is beside it.
    let lengths: Vec<usize> = all.iter().map(|kept| kept.sample.tokens).collect();
    let weights = token_weights(params.mean, &lengths, params.max_new_tokens);
    let share = 1.0 / lengths.iter().sum::<usize>() as f64;
    let terms = params.terms(0.0);
    let of = |wanted: &dyn Fn(&Prepared<'_>) -> bool| {
        let (micro, weights): (Vec<_>, Vec<f32>) =
            all.iter().zip(&weights).filter(|(kept, _)| wanted(kept)).map(|(kept, weight)| (kept, *weight)).unzip();
        let (gradients, told) =
            updater.backward((&case.model, case.lanes.first().device), &micro, &weights, share, &terms);
        (gradients, Report::told(&told.read()))
    };
    let (mixed, report) = of(&|_| true);
    let ((pictures, first), (words, second)) = (of(&images), of(&|kept| !images(kept)));
    assert!(norm(pictures.clone()) > 1e-3 && norm(words.clone()) > 1e-3);
    let apart = norm(pictures.plus(words).times(-1.0).plus(mixed.clone())) / norm(mixed);
    assert!(apart < 1e-5, "{apart:e}");
    let (apart, both) = (report.ratios, first.ratios.plus(second.ratios));
    assert!((apart.mean() - both.mean()).abs() < 1e-6 && apart.tokens == both.tokens);
}

#[test]
fn an_update_that_is_not_finite_is_left_out_and_counted() {
    let case = Case::new();
    for bad in [f32::NAN, f32::INFINITY] {
        let params = Params { updates: 3, epochs: 1, ..Params::default() };
        let updater = case.updater(&params);
        let mut samples = case.samples();
        samples[1].advantage = bad;
        let optimizer = AdamW::new(AdamWConfig::default());
        let learner = Learner { model: case.model.clone(), optimizer, entropy: Controller::new(&params.entropy) };
        let (learner, report) = updater.run(0, 1e-3, learner, &samples);
        assert_eq!((report.not_finite, report.taken), (1, 2));
        assert!(report.loss.is_finite() && report.grad_norm > 0.0);
        let names =
            crate::train::checkpoint::weights(&learner.model, &crate::train::freeze::Learns::of(&case.model, &[]));
        assert!(names.iter().all(|(_, data)| data.iter::<f32>().all(f32::is_finite)), "the weights are spoilt");
    }
}
