//! The laws: exact where they can be, and chi-square on 20,000 seeds where they are laws of chance.

use super::greso::{History, Outcome, next_round};
use super::ssr::{Buffer, Kept};
use super::*;
use crate::rl::advantage::{Advantage, Rewarded};
use crate::rl::seed::{Purpose, stream};

const SEEDS: u64 = 20_000;

fn pick(settings: &Select, advantages: &[f32], tau: f64, seed: u64) -> Vec<usize> {
    picked(settings, advantages, tau, seed).indices
}

fn picked(settings: &Select, advantages: &[f32], temperature: f64, seed: u64) -> Selection {
    let pool = Pool { advantages, group: 1, prompts: advantages.len(), temperature };
    settings.pick(&pool, &mut stream(seed, Purpose::Select, &[]))
}

fn of(kind: SelectKind) -> Select {
    Select { kind, ..Select::default() }
}

fn pad(low: f64, high: Option<f64>, ratio: f64) -> Select {
    Select { low, high, ratio, ..of(SelectKind::Pad) }
}

/// Σ (found − expected)² / expected against the 99.9 % quantile of chi-square.
fn chi_square(counts: &[u64], law: &[f64]) {
    let quantile = [10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12][counts.len() - 2];
    let (all, sum) = (counts.iter().sum::<u64>() as f64, law.iter().sum::<f64>());
    let expected = law.iter().map(|p| p / sum * all);
    let statistic: f64 = counts.iter().zip(expected).map(|(&n, e)| (n as f64 - e).powi(2) / e).sum();
    assert!(statistic < quantile, "chi-square {statistic} of {counts:?} for {law:?}");
}

#[test]
fn none_takes_everything_and_counts() {
    let found = picked(&Select::default(), &[0.0, 0.4, -0.6, 5.0], 0.3, 0);
    assert_eq!((&found.indices[..], found.duplicates), (&[0, 1, 2, 3][..], 0));
    assert!((found.effective_share - 0.75).abs() < 1e-12 && (found.ess - 4.0).abs() < 1e-12);
    assert_eq!(found.histogram, [1, 1, 1, 0, 0, 0, 1]);
    let pool = Pool { advantages: &[0.0, 0.0, 1.0, -1.0], group: 2, prompts: 2, temperature: 0.3 };
    let found = Select::default().pick(&pool, &mut stream(0, Purpose::Select, &[]));
    assert!((found.zero_variance - 0.5).abs() < 1e-12);
}

#[test]
fn bounds_are_inclusive_and_look_at_the_size() {
    let advantages = [0.0, 0.03, -0.03, 0.029, 1.0, -2.5];
    for kind in [SelectKind::Pad, SelectKind::Filter] {
        assert_eq!(pick(&Select { kind, ..pad(0.03, Some(1.0), 1.0) }, &advantages, 0.3, 0), [1, 2, 4]);
        assert_eq!(pick(&Select { kind, ..pad(0.03, None, 1.0) }, &advantages, 0.3, 0), [1, 2, 4, 5]);
    }
}

#[test]
fn pad_takes_the_ceiling_of_the_share_but_no_more_than_there_are() {
    let advantages = [1.0, 1.0, 1.0, 0.0, 0.0];
    assert_eq!(pick(&pad(0.03, None, 0.3), &advantages, 0.3, 0).len(), 2, "⌈0.3 · 5⌉");
    assert_eq!(pick(&pad(0.03, None, 1.0), &advantages, 0.3, 0).len(), 3, "|E|");
}

#[test]
fn nothing_informative_gives_an_empty_batch_but_in_the_release() {
    for kind in [SelectKind::Pad, SelectKind::Filter, SelectKind::Dapo, SelectKind::Greso, SelectKind::Ssr] {
        let found = picked(&of(kind), &[0.0; 8], 0.3, 0);
        assert!(found.indices.is_empty() && found.ess.abs() < 1e-12, "{kind:?}");
        assert!(pick(&of(kind), &[], 0.3, 0).is_empty(), "{kind:?}");
    }
    assert_eq!(pick(&of(SelectKind::PadReleased), &[0.0, 2.0, 0.0], 0.3, 0), [0, 1, 2]);
}

#[test]
fn pad_draws_each_sample_at_most_once_and_repeatably() {
    let advantages: Vec<f32> = (0..40).map(|i| (i as f32 - 20.0) / 10.0).collect();
    for seed in 0..50 {
        let found = picked(&pad(0.03, None, 0.5), &advantages, 0.3, seed);
        assert!(found.indices.windows(2).all(|pair| pair[0] < pair[1]) && found.duplicates == 0, "{found:?}");
        assert_eq!(found, picked(&pad(0.03, None, 0.5), &advantages, 0.3, seed));
    }
}

/// One of four, one of them not informative: weights e^0.5 : e^1 : e^1.5 at τ = 1, by the size of A.
#[test]
fn pad_follows_the_softmax_law() {
    let (mut counts, settings) = ([0; 3], pad(0.03, None, 0.25));
    for seed in 0..SEEDS {
        counts[pick(&settings, &[0.5, -1.0, 1.5, 0.0], 1.0, seed)[0]] += 1;
    }
    chi_square(&counts, &[0.5_f64.exp(), 1.0_f64.exp(), 1.5_f64.exp()]);
    let (mut counts, weights) = ([0; 3], [(0.5_f64 / 0.3).exp(), (1.0_f64 / 0.3).exp(), (1.5_f64 / 0.3).exp()]);
    for seed in 0..SEEDS {
        counts[pick(&settings, &[0.5, -1.0, 1.5, 0.0], 0.3, seed)[0]] += 1;
    }
    chi_square(&counts, &weights);
    let (sum, squares) = (weights.iter().sum::<f64>(), weights.iter().map(|w| w * w).sum::<f64>());
    assert!((picked(&settings, &[0.5, -1.0, 1.5, 0.0], 0.3, 0).ess - sum * sum / squares).abs() < 1e-9);
}

/// Without replacement: a set of two has the probability of both orders, `p q / (1 − p) + q p / (1 − q)`.
#[test]
fn pads_second_draw_is_over_what_is_left() {
    let weights = [0.5_f64.exp(), 1.0_f64.exp(), 1.5_f64.exp()];
    let p = weights.map(|w| w / weights.iter().sum::<f64>());
    let both = |a: usize, b: usize| p[a] * p[b] / (1.0 - p[a]) + p[a] * p[b] / (1.0 - p[b]);
    let (mut counts, settings) = ([0; 3], pad(0.03, None, 0.6));
    for seed in 0..SEEDS {
        let left_out = 3 - pick(&settings, &[0.5, -1.0, 1.5], 1.0, seed).iter().sum::<usize>();
        counts[left_out] += 1;
    }
    chi_square(&counts, &[both(1, 2), both(0, 2), both(0, 1)]);
}

#[test]
fn a_tiny_temperature_takes_the_largest_and_does_not_overflow() {
    assert_eq!(pick(&pad(0.03, None, 0.25), &[0.5, -2.4, 1.5, 0.1], 1e-9, 3), [1]);
    assert_eq!(pick(&pad(0.03, None, 1.0), &[0.5, -2.4, 1.5, 0.1], 1e-300, 3).len(), 4);
}

/// Six draws of four: weights .1^1.5 : .5^1.5 : .9^1.5, and 0.97 itself is out.
#[test]
fn the_released_pad_draws_by_a_power_with_replacement() {
    let (mut counts, settings) = ([0; 3], of(SelectKind::PadReleased));
    let mut duplicates = 0;
    for seed in 0..SEEDS / 4 {
        let found = picked(&settings, &[0.1, -0.5, 0.9, 0.97], 0.3, seed);
        assert_eq!(found.indices.len(), 6);
        for &i in &found.indices {
            counts[i] += 1;
        }
        duplicates += found.duplicates;
    }
    chi_square(&counts, &[0.1_f64.powf(1.5), 0.5_f64.powf(1.5), 0.9_f64.powf(1.5)]);
    assert!(duplicates as u64 > SEEDS / 2, "six draws of three repeat at least three times");
    assert_eq!(pick(&settings, &[0.03, 0.031], 0.3, 0), [1, 1, 1], "0.03 itself is out");
}

#[test]
fn random_draws_any_set_of_its_size() {
    let (mut counts, settings) = ([0; 6], Select { ratio: 0.5, ..of(SelectKind::Random) });
    let sets = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]];
    for seed in 0..SEEDS {
        let found = pick(&settings, &[0.0, 5.0, 0.0, 0.01], 0.3, seed);
        counts[sets.iter().position(|set| *set == found[..]).unwrap()] += 1;
    }
    chi_square(&counts, &[1.0; 6]);
    assert_eq!(pick(&settings, &[0.0; 5], 0.3, 0).len(), 3, "⌈0.5 · 5⌉");
}

/// Binary rewards of groups of 8 with 1 … 7 right ones: what the release's bounds leave of right and wrong samples.
#[test]
fn the_release_drops_the_right_answers_of_hard_prompts() {
    for correct in 1..8 {
        let rewards: Vec<f32> = (0..8).map(|i| if i < correct { 1.0 } else { 0.0 }).collect();
        let advantages = Advantage::default().of(&Rewarded::alone(rewards), 8);
        let mut reached = [false; 8];
        for seed in 0..200 {
            for i in pick(&of(SelectKind::PadReleased), &advantages, 0.3, seed) {
                reached[i] = true;
            }
        }
        let (right, wrong) = reached.split_at(correct);
        assert_eq!(right.iter().any(|&r| r), correct > 3, "right samples of {correct} in 8");
        assert_eq!(wrong.iter().any(|&w| w), correct < 5, "wrong samples of {correct} in 8");
        let printed = pick(&pad(0.03, None, 1.0), &advantages, 0.3, 0);
        assert_eq!(printed.len(), 8, "without an upper bound nothing of a group that differs is dropped");
    }
}

#[test]
fn dynamic_sampling_keeps_the_first_groups_that_differ() {
    let advantages = [0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.5, -0.5, 2.0, -2.0];
    let pool = Pool { advantages: &advantages, group: 2, prompts: 2, temperature: 0.3 };
    let found = of(SelectKind::Dapo).pick(&pool, &mut stream(0, Purpose::Select, &[]));
    assert_eq!(found.indices, [2, 3, 6, 7]);
    assert!((found.zero_variance - 0.4).abs() < 1e-12);
}

fn kept(row: usize, priority: f32) -> Kept {
    Kept { row, ids: vec![7], advantage: priority, priority, old: vec![-1.0] }
}

#[test]
fn replay_comes_back_by_its_advantage() {
    let (settings, mut buffer) = (Replay { capacity: 3, alpha: 2.0, share: 0.5 }, Buffer::default());
    assert!(buffer.draw(&settings, 8, &mut stream(0, Purpose::Replay, &[])).is_empty());
    buffer.extend(&settings, [kept(9, 9.0), kept(0, 0.5), kept(1, 1.0)]);
    buffer.extend(&settings, [kept(2, 1.5)]);
    let mut counts = [0; 3];
    for seed in 0..SEEDS / 4 {
        let back = buffer.draw(&settings, 7, &mut stream(seed, Purpose::Replay, &[]));
        assert_eq!(back.len(), 4, "⌈0.5 · 7⌉");
        for kept in back {
            counts[kept.row] += 1;
        }
    }
    chi_square(&counts, &[0.25, 1.0, 2.25]);
}

#[test]
fn greso_passes_over_prompts_in_proportion_to_their_streak() {
    let settings = Skip { step: 0.0, ..Skip::default() };
    let mut history = History::new(&settings);
    let outcomes = [(0, Outcome::Differs), (1, Outcome::Easy), (2, Outcome::Hard)];
    history.learn(&settings, &outcomes);
    history.learn(&settings, &[(2, Outcome::Hard)]);
    for (row, chance) in [1.0, 0.5, 0.25].into_iter().enumerate() {
        assert!((history.chance(&settings, row) - chance).abs() < 1e-12);
    }
    let rows = history.rows(&settings, 5, 7000, 3, |_| vec![0, 1, 2]);
    let mut counts = [0; 3];
    for row in rows {
        counts[row] += 1;
    }
    chi_square(&counts, &[1.0, 0.5, 0.25]);
    assert!(history.skipped > 3000);
    history.learn(&settings, &[(2, Outcome::Differs)]);
    assert!((history.chance(&settings, 2) - 1.0).abs() < 1e-12, "a difference ends the streak");
    for _ in 0..20 {
        history.learn(&settings, &[(1, Outcome::Easy)]);
    }
    assert!((history.chance(&settings, 1) - 0.01).abs() < 1e-12, "the floor");
}

/// target ¼: all-right groups may be 1/12, all-wrong ones 1/6 of a step's.
#[test]
fn greso_moves_its_probabilities_to_the_target() {
    let settings = Skip::default();
    let mut history = History::new(&settings);
    let outcomes: Vec<_> = (0..10).map(|row| (row, if row == 0 { Outcome::Easy } else { Outcome::Differs })).collect();
    history.learn(&settings, &outcomes);
    let told: serde_json::Value = serde_json::to_value(&history).unwrap();
    assert!(
        (told["easy"].as_f64().unwrap() - 0.49).abs() < 1e-12 && (told["hard"].as_f64().unwrap() - 0.51).abs() < 1e-12
    );
    let again: History = serde_json::from_value(told).unwrap();
    assert_eq!(again, history, "what a checkpoint keeps is all there is");
}

#[test]
fn greso_asks_what_it_would_have_after_a_pause_and_never_waits_for_ever() {
    let order = |pass: usize| if pass.is_multiple_of(2) { vec![0, 1, 2, 3] } else { vec![3, 2, 1, 0] };
    let settings = Skip { floor: 1e-9, ..Skip::default() };
    let mut history = History::new(&settings);
    for _ in 0..60 {
        history.learn(&settings, &[0, 1, 2, 3].map(|row| (row, Outcome::Hard)));
    }
    let mut resumed = history.clone();
    let whole = history.rows(&settings, 1, 6, 4, order);
    let parts = [resumed.rows(&settings, 1, 2, 4, order), resumed.rows(&settings, 1, 4, 4, order)].concat();
    assert_eq!((whole.len(), &whole), (6, &parts));
    assert_eq!(history, resumed);
}

#[test]
fn outcomes_of_groups() {
    assert_eq!(Outcome::of(&[1.0, 0.0]), Outcome::Differs);
    assert_eq!(Outcome::of(&[1.0, 1.0]), Outcome::Easy);
    assert_eq!(Outcome::of(&[0.0, 0.0]), Outcome::Hard);
    let settings = of(SelectKind::Greso);
    assert_eq!(next_round(&settings, 16, 4, 0.5), 10, "1.25 · 4 / 0.5");
    assert_eq!((next_round(&settings, 16, 4, 1.0), next_round(&settings, 16, 16, 0.0)), (16, 16));
}

/// Style rewards spread all-wrong groups; with accuracy in place of the sum, none of their samples is picked.
#[test]
fn rules_see_accuracy_alone() {
    let (accuracy, style) =
        (vec![0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0], vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
    let total: Vec<f32> = accuracy.iter().zip(&style).map(|(a, s)| 0.8 * a + 0.05 * s).collect();
    let of_total = Advantage::default().of(&Rewarded::alone(total), 4);
    assert!(of_total[..4].iter().all(|a| a.abs() > 0.5), "the sum alone would let the all-wrong group in");
    let informative = Advantage::default().of(&Rewarded::alone(accuracy), 4);
    assert_eq!(pick(&pad(0.03, None, 1.0), &informative, 0.3, 0), [4, 5, 6, 7]);
}

#[test]
fn temperature_is_a_line_over_the_steps() {
    let line = Temperature::Linear(Linear { from: 1.0, to: 0.3 });
    assert!((line.at(0, 8) - 1.0).abs() < 1e-12 && (line.at(7, 8) - 0.3).abs() < 1e-12);
    assert!((line.at(1, 8) - 0.9).abs() < 1e-12);
    assert!((line.at(0, 1) - 1.0).abs() < 1e-12);
    assert!((Temperature::Constant(0.3).at(5, 9) - 0.3).abs() < 1e-12);
}

#[test]
fn recipes_spell_every_rule() {
    let select: Select = serde_json::from_str(r#"{"kind":"pad","temperature":{"from":1.0,"to":0.3}}"#).unwrap();
    assert_eq!(select.temperature, Temperature::Linear(Linear { from: 1.0, to: 0.3 }));
    for kind in ["none", "filter", "random", "pad", "pad-released", "dapo", "ssr", "greso"] {
        let select: Select = serde_json::from_value(serde_json::json!({ "kind": kind })).unwrap();
        assert!(select.problems().is_empty(), "the defaults of {kind}");
    }
    assert!(serde_json::from_str::<Select>(r#"{"kind":"pda"}"#).unwrap_err().to_string().contains("`pad`"));
    assert!(serde_json::from_str::<Select>(r#"{"released":{"alpha":1}}"#).is_err());
}

#[test]
fn bad_settings_are_named_where_the_rule_has_them() {
    let bad = Select {
        low: 0.0,
        high: Some(-1.0),
        ratio: 1.5,
        temperature: Temperature::Constant(0.0),
        released: Released { power: -1.0, low: -1.0, high: -2.0, ratio: 0.0 },
        refill: Refill { rounds: 0 },
        replay: Replay { capacity: 0, alpha: -1.0, share: -1.0 },
        skip: Skip { start: 2.0, floor: 0.0, step: -1.0, reserve: 0.5, ..Skip::default() },
        ..Select::default()
    };
    let paths =
        |kind| Select { kind, ..bad.clone() }.problems().into_iter().map(|problem| problem.0).collect::<Vec<_>>();
    assert!(paths(SelectKind::None).is_empty());
    assert_eq!(paths(SelectKind::Pad), ["low", "high", "ratio", "temperature"]);
    assert_eq!(paths(SelectKind::Filter), ["low", "high"]);
    assert_eq!(paths(SelectKind::Random), ["ratio"]);
    assert_eq!(paths(SelectKind::PadReleased), ["released.power", "released.low", "released.high", "released.ratio"]);
    assert_eq!(paths(SelectKind::Dapo), ["refill.rounds"]);
    assert_eq!(paths(SelectKind::Ssr), ["replay.capacity", "replay.alpha", "replay.share"]);
    let greso = ["refill.rounds", "skip.start", "skip.start", "skip.floor", "skip.step", "skip.reserve"];
    assert_eq!(paths(SelectKind::Greso), greso);
}
