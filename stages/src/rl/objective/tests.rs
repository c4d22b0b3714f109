//! By hand, by finite differences, with padding, and cut in every way; TRL's numbers are in `trl`.

use burn::tensor::{Tensor, TensorData};

use super::kl::{Estimator, Kl};
use super::mean::{Mean, token_weights};
use super::*;
use crate::kinds::grpo::Params;

mod trl;

const ALL: [ObjectiveKind; 5] =
    [ObjectiveKind::Clip, ObjectiveKind::Gspo, ObjectiveKind::Cispo, ObjectiveKind::Sapo, ObjectiveKind::Reinforce];

pub(super) fn tensor(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::from(values), &crate::device::resolve("cpu").unwrap())
}

fn leaf(values: &[f32]) -> Tensor<1> {
    tensor(values).autodiff().require_grad()
}

pub(super) fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

fn gradient(leaf: &Tensor<1>, loss: &Tensor<1>) -> Vec<f32> {
    values(&leaf.grad_remove(&mut loss.backward()).unwrap())
}

fn scalar(tensor: &Tensor<1>) -> f32 {
    values(tensor)[0]
}

fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance);
    assert!(near, "{found:?}, not {expected:?}");
}

fn terms(kind: ObjectiveKind) -> Terms {
    Terms { kind, ..Params::default().terms(0.0) }
}

/// Ratios and advantages by name, one completion of equal weights; `log π_old` is −1 throughout.
fn tokens(ratios: &[f32], advantages: &[f32]) -> Tokens {
    let logp: Vec<f32> = ratios.iter().map(|ratio| ratio.ln() - 1.0).collect();
    let n = ratios.len();
    Tokens {
        logp_n: leaf(&logp),
        entropy_n: tensor(&vec![0.5; n]),
        old_n: Some(tensor(&vec![-1.0; n])),
        reference_n: None,
        advantage_n: tensor(advantages),
        weight_n: tensor(&vec![1.0 / n as f32; n]),
        lengths: vec![n],
        share: 1.0 / n as f64,
    }
}

/// ε = (.2, .28), equal weights ¼:
/// ρ = 1.5, A = 2:   min(3, 1.28 · 2 = 2.56) = 2.56, clipped
/// ρ = 1.5, A = −1:  min(−1.5, −1.28) = −1.5
/// ρ = 0.5, A = −2:  min(−1, .8 · −2 = −1.6) = −1.6, clipped
/// ρ = 0.5, A = 1:   min(.5, .8) = .5
/// L = −(2.56 − 1.5 − 1.6 + .5) / 4 = .01, clipped ½; d/d log π is −ρ A / 4 where the clip is not in force, else 0.
#[test]
fn the_clip_by_hand() {
    let tokens = tokens(&[1.5, 1.5, 0.5, 0.5], &[2.0, -1.0, -2.0, 1.0]);
    let clip = clip::Clip { low: 0.2, high: 0.28, dual: None };
    let found = tokens.loss(&Terms { clip, ..terms(ObjectiveKind::Clip) });
    close(&[scalar(&found.loss), scalar(&found.clipped), scalar(&found.entropy)], &[0.01, 0.5, 0.5], 1e-5);
    assert!(found.kl.is_none());
    close(&gradient(&tokens.logp_n, &found.loss), &[0.0, 0.375, 0.0, -0.125], 1e-5);
}

/// ρ = 5, A = −1 costs 5; capped at 3 it costs 3, and its gradient is gone. ρ = 5, A = 1 is clipped at 1.2 either way.
#[test]
fn dual_clip_caps_the_cost_of_a_negative_advantage() {
    for (dual, loss, slope) in [(None, 1.9, 2.5), (Some(3.0), 0.9, 0.0)] {
        let tokens = tokens(&[5.0, 5.0], &[-1.0, 1.0]);
        let clip = clip::Clip { dual, ..clip::Clip::default() };
        let found = tokens.loss(&Terms { clip, ..terms(ObjectiveKind::Clip) }).loss;
        close(&[scalar(&found)], &[loss], 1e-4);
        close(&gradient(&tokens.logp_n, &found), &[slope, 0.0], 1e-4);
    }
}

/// Two completions of 2 and 1 tokens, ρ = √(2 · ½) = 1 and 1.2. With A = 1, −2 and weights ¼, ¼, ½:
/// L = −1/2 + 1.2 = .7; d/d log π is −ρ A w summed over the completion's tokens, over its length.
#[test]
fn a_completions_ratio_is_the_geometric_mean() {
    let mut tokens = tokens(&[2.0, 0.5, 1.2], &[1.0, 1.0, -2.0]);
    (tokens.weight_n, tokens.lengths) = (tensor(&[0.25, 0.25, 0.5]), vec![2, 1]);
    let gspo = gspo::Gspo { low: 0.5, high: 0.5 };
    let found = tokens.loss(&Terms { gspo, ..terms(ObjectiveKind::Gspo) });
    close(&[scalar(&found.loss), scalar(&found.clipped)], &[0.7, 0.0], 1e-5);
    close(&gradient(&tokens.logp_n, &found.loss), &[-0.25, -0.25, 1.2], 1e-5);
    let found = tokens.loss(&terms(ObjectiveKind::Gspo));
    close(&[scalar(&found.clipped)], &[0.0], 1e-6);
    let raised = Tokens { advantage_n: tensor(&[1.0, 1.0, 2.0]), ..tokens.clone() };
    close(&[scalar(&raised.loss(&terms(ObjectiveKind::Gspo)).clipped)], &[1.0 / 3.0], 1e-6);
}

/// ρ = 2 counts as 1.5, ρ = ½ as itself: d/d log π = −min(ρ, cap) A w, nothing more.
#[test]
fn capped_weights_leave_every_token_its_gradient() {
    let tokens = tokens(&[2.0, 0.5], &[1.0, -3.0]);
    let cispo = cispo::Cispo { cap: 1.5 };
    let found = tokens.loss(&Terms { cispo, ..terms(ObjectiveKind::Cispo) });
    let logp = values(&tokens.logp_n.clone().inner());
    close(&[scalar(&found.loss), scalar(&found.clipped)], &[-0.75 * logp[0] + 0.75 * logp[1], 0.5], 1e-5);
    close(&gradient(&tokens.logp_n, &found.loss), &[-0.75, 0.75], 1e-5);
}

/// At ρ = 1 the gate is 2/τ with slope 1; at ρ = 2, A = 1: σ(1) · 4 = 2.924234.
#[test]
fn the_soft_gate_by_hand() {
    let tokens = tokens(&[1.0, 2.0], &[-1.0, 1.0]);
    let found = tokens.loss(&terms(ObjectiveKind::Sapo)).loss;
    close(&[scalar(&found)], &[0.5 * (2.0 / 1.05) - 0.5 * 2.924_234], 1e-5);
    // σ'(1) · 4 · ρ = .196612 · 8 = 1.572895.
    close(&gradient(&tokens.logp_n, &found), &[0.5, -0.5 * 1.572_895], 1e-5);
}

#[test]
fn reinforce_weighs_log_probabilities_by_the_advantage_alone() {
    let tokens = tokens(&[9.0, 0.1], &[2.0, -1.0]);
    let found = tokens.loss(&terms(ObjectiveKind::Reinforce)).loss;
    let logp = values(&tokens.logp_n.clone().inner());
    close(&[scalar(&found)], &[-logp[0] + 0.5 * logp[1]], 1e-5);
    close(&gradient(&tokens.logp_n, &found), &[-1.0, 0.5], 1e-6);
}

/// Where the model has not moved, every objective's gradient is REINFORCE's.
#[test]
fn without_old_log_probabilities_the_ratio_is_one_and_the_gradient_flows() {
    for kind in ALL {
        let mut tokens = tokens(&[1.5, 0.5], &[2.0, -1.0]);
        (tokens.old_n, tokens.lengths) = (None, vec![1, 1]);
        let found = tokens.loss(&terms(kind));
        assert!(scalar(&found.clipped).abs() < 1e-9, "{kind:?}");
        close(&gradient(&tokens.logp_n, &found.loss), &[-1.0, 0.5], 1e-5);
    }
}

/// Hidden tokens hold −inf and NaN everywhere: neither the loss nor any gradient changes.
#[test]
fn hidden_tokens_do_not_matter() {
    let estimators = [Estimator::K1, Estimator::K2, Estimator::K3, Estimator::K3Corrected];
    for (kind, estimator) in ALL.into_iter().flat_map(|kind| estimators.map(|estimator| (kind, estimator))) {
        let reference = tensor(&[-1.2, -1.0]);
        let mut plain = tokens(&[1.1, 0.9], &[1.0, -1.0]);
        plain.reference_n = Some(reference.clone());
        let bad = f32::NEG_INFINITY;
        let more = |tensor_n: &Tensor<1>, more: [f32; 2]| Tensor::cat(vec![tensor_n.clone(), tensor(&more)], 0);
        let padded = Tokens {
            logp_n: leaf(&values(&more(&plain.logp_n.clone().inner(), [bad; 2]))),
            entropy_n: tensor(&[0.5, 0.5, f32::NAN, f32::INFINITY]),
            old_n: plain.old_n.as_ref().map(|old_n| more(old_n, [bad, -1.0])),
            reference_n: Some(more(&reference, [bad, f32::NAN])),
            advantage_n: more(&plain.advantage_n, [f32::INFINITY, 3.0]),
            weight_n: more(&plain.weight_n, [0.0, 0.0]),
            lengths: vec![3, 1],
            share: 0.5,
        };
        let terms = Terms { kl: Kl { coef: 0.1, estimator, ..Kl::default() }, entropy_coef: 0.1, ..terms(kind) };
        let (expected, found) = (plain.loss(&terms), padded.loss(&terms));
        for (expected, found) in [(&expected.loss, &found.loss), (&expected.entropy, &found.entropy)] {
            close(&values(found), &values(expected), 1e-6);
        }
        let (expected, found) = (gradient(&plain.logp_n, &expected.loss), gradient(&padded.logp_n, &found.loss));
        assert_eq!(found[2..], [0.0, 0.0], "{kind:?}");
        close(&found[..2], &expected, 1e-6);
    }
}

/// Δ = ln 2, −ln 2, 0.
#[test]
fn estimates_of_the_divergence_by_hand() {
    let (ln2, k3) = (2_f32.ln(), [0.306_853, 0.193_147, 0.0]);
    for (estimator, expected) in [
        (Estimator::K1, [-ln2, ln2, 0.0]),
        (Estimator::K2, [0.5 * ln2 * ln2, 0.5 * ln2 * ln2, 0.0]),
        (Estimator::K3, k3),
        (Estimator::K3Corrected, k3.map(|value| value * 1.5)),
    ] {
        let (logp_n, reference_n) = (tensor(&[-2.0; 3]), tensor(&[-2.0 + ln2, -2.0 - ln2, -2.0]));
        let found = values(&estimator.of(&logp_n, &reference_n, &tensor(&[1.5_f32.ln(); 3])));
        close(&found, &expected, 1e-6);
        if estimator != Estimator::K3Corrected {
            let host = [-2.0 + ln2, -2.0 - ln2, -2.0].map(|reference| estimator.value(-2.0, reference) as f32);
            close(&host, &expected, 1e-6);
        }
        let far = estimator.of(&tensor(&[-1.0, -1000.0]), &tensor(&[-1000.0, -1.0]), &tensor(&[0.0, 0.0]));
        assert!(values(&far).iter().all(|value| value.is_finite()), "{estimator:?}");
    }
}

#[test]
fn terms_are_weighted_and_reported_alone() {
    let mut tokens = tokens(&[1.0], &[0.0]);
    tokens.reference_n = Some(tensor(&[-1.0 + 2_f32.ln()]));
    tokens.entropy_n = leaf(&[0.8]);
    let kl = Kl { coef: 0.5, ..Kl::default() };
    let found = tokens.loss(&Terms { kl, entropy_coef: 0.25, ..terms(ObjectiveKind::Clip) });
    close(&[scalar(found.kl.as_ref().unwrap()), scalar(&found.entropy)], &[0.306_853, 0.8], 1e-5);
    close(&[scalar(&found.loss)], &[0.153_426 - 0.2], 1e-5);
    close(&gradient(&tokens.entropy_n, &found.loss), &[-0.25], 1e-6);
}

/// The released estimator's gradient is that of −log π of the sampled tokens; the entropy itself has none.
#[test]
fn the_released_entropy_pushes_sampled_tokens_down() {
    let tokens = tokens(&[1.0, 1.0], &[0.0, 0.0]);
    let sampled = Terms { entropy: entropy::EntropyKind::Sampled, entropy_coef: 0.5, ..terms(ObjectiveKind::Clip) };
    let found = tokens.loss(&sampled).loss;
    close(&[scalar(&found)], &[-0.5], 1e-6);
    close(&gradient(&tokens.logp_n, &found), &[0.25, 0.25], 1e-6);
}

const LENGTHS: [usize; 4] = [2, 3, 1, 4];

/// Tokens of some of four completions, as an optimizer step over all of them cuts them out.
fn some(rows: std::ops::Range<usize>, mean: Mean, logp: &[f32]) -> Tokens {
    let start: usize = LENGTHS[..rows.start].iter().sum();
    let end: usize = LENGTHS[..rows.end].iter().sum();
    let wave = |scale: f32, shift: usize| (start..end).map(|i| ((i * 7 + shift) % 5) as f32 * scale - 1.0).collect();
    let spread = |values: &[f32]| rows.clone().flat_map(|row| vec![values[row]; LENGTHS[row]]).collect::<Vec<f32>>();
    let (old, reference, entropy): (Vec<f32>, Vec<f32>, Vec<f32>) = (wave(0.11, 0), wave(0.17, 2), wave(0.9, 1));
    Tokens {
        logp_n: leaf(&logp[start..end]),
        entropy_n: leaf(&entropy),
        old_n: Some(tensor(&old)),
        reference_n: Some(tensor(&reference)),
        advantage_n: tensor(&spread(&[1.5, -0.5, 0.7, -1.0])),
        weight_n: tensor(&spread(&token_weights(mean, &LENGTHS, 6))),
        lengths: LENGTHS[rows].to_vec(),
        share: 0.1,
    }
}

fn wide(kind: ObjectiveKind, estimator: Estimator) -> Terms {
    let gspo = gspo::Gspo { low: 0.05, high: 0.05 };
    Terms { gspo, kl: Kl { coef: 0.3, estimator, ..Kl::default() }, entropy_coef: 0.2, ..terms(kind) }
}

fn logp() -> Vec<f32> {
    (0..10).map(|i| ((i * 3) % 7) as f32 * 0.13 - 1.1).collect()
}

/// Every objective, mean and way of cutting four completions: one gradient, one loss.
#[test]
fn micro_batches_change_nothing() {
    let cuts: [&[std::ops::Range<usize>]; 3] = [&[0..1, 1..4], &[0..2, 2..3, 3..4], &[0..1, 1..2, 2..3, 3..4]];
    for kind in ALL {
        for mean in [Mean::Token, Mean::Sequence, Mean::Constant] {
            let terms = wide(kind, Estimator::K3);
            let of = |cut: &[std::ops::Range<usize>]| {
                let mut found = (0.0, Vec::new());
                for rows in cut {
                    let tokens = some(rows.clone(), mean, &logp());
                    let loss = tokens.loss(&terms).loss;
                    let mut raw = loss.backward();
                    found.0 += scalar(&loss);
                    found.1.extend(values(&tokens.logp_n.grad_remove(&mut raw).unwrap()));
                    found.1.extend(values(&tokens.entropy_n.grad_remove(&mut raw).unwrap()));
                }
                (found.0, found.1)
            };
            let whole = some(0..4, mean, &logp());
            let loss = whole.loss(&terms).loss;
            let mut raw = loss.backward();
            let (by_logp, by_entropy) =
                (whole.logp_n.grad_remove(&mut raw).unwrap(), whole.entropy_n.grad_remove(&mut raw).unwrap());
            let (by_logp, by_entropy) = (values(&by_logp), values(&by_entropy));
            assert!(by_logp.iter().any(|slope| slope.abs() > 1e-3), "{kind:?} {mean:?}");
            for cut in cuts {
                let (sum, parts) = of(cut);
                close(&[sum], &[scalar(&loss)], 1e-6);
                let mut rest = parts.as_slice();
                for rows in cut {
                    let (start, end): (usize, usize) =
                        (LENGTHS[..rows.start].iter().sum(), LENGTHS[..rows.end].iter().sum());
                    for whole in [&by_logp, &by_entropy] {
                        let (part, after) = rest.split_at(end - start);
                        close(part, &whole[start..end], 1e-6);
                        rest = after;
                    }
                }
            }
        }
    }
}

/// Slopes of the loss in each log-probability against differences of it. CISPO is left out: its gradient is not its
/// value's, by design; `capped_weights_leave_every_token_its_gradient` has it.
#[test]
fn gradients_are_slopes() {
    let estimators = [Estimator::K1, Estimator::K2, Estimator::K3, Estimator::K3Corrected];
    let kinds = [ObjectiveKind::Clip, ObjectiveKind::Gspo, ObjectiveKind::Sapo, ObjectiveKind::Reinforce];
    for (kind, estimator) in kinds.into_iter().flat_map(|kind| estimators.map(|estimator| (kind, estimator))) {
        let terms = wide(kind, estimator);
        let tokens = some(0..4, Mean::Sequence, &logp());
        let exact = gradient(&tokens.logp_n, &tokens.loss(&terms).loss);
        for at in 0..10 {
            let moved = |by: f32| {
                let mut logp = logp();
                logp[at] += by;
                f64::from(scalar(&some(0..4, Mean::Sequence, &logp).loss(&terms).loss))
            };
            let slope = ((moved(4e-3) - moved(-4e-3)) / 8e-3) as f32;
            assert!((slope - exact[at]).abs() < 1e-3, "{kind:?} {estimator:?} token {at}: {slope}, not {}", exact[at]);
        }
    }
}
