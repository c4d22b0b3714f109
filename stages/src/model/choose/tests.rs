use burn::tensor::{Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{BLOCK, Chooser};
use crate::model::Sampling;
use crate::model::fixture;
use crate::model::sampling::stream;

fn rules(temperature: f32, banned: &[u32]) -> Sampling {
    Sampling { temperature, banned: banned.to_vec(), ..Sampling::greedy(1, vec![2]) }
}

fn there(rules: &Sampling, rows: &[Vec<f32>], shares: &[f32]) -> Vec<Option<u32>> {
    let (device, width) = (fixture::device(), rows[0].len());
    let logits_bv = Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), width]), &device);
    Chooser::new(rules, width, &device).unwrap().choose(logits_bv, shares)
}

/// Sums of the weights before and with a token, as shares of all, in 64 bits.
fn span(rules: &Sampling, scores: &[f32], token: u32) -> [f64; 2] {
    let hidden = |id: usize| rules.never().any(|banned| banned as usize == id) || scores[id].is_nan();
    let score = |id: usize| if hidden(id) { f64::NEG_INFINITY } else { f64::from(scores[id]) };
    let peak = (0..scores.len()).map(score).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> =
        (0..scores.len()).map(|id| ((score(id) - peak) / f64::from(rules.temperature)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let token = token as usize;
    [weights[..token].iter().sum::<f64>() / total, weights[..=token].iter().sum::<f64>() / total]
}

/// Vocabularies around every border of the blocks; scores flat, peaked, and so far apart that most weights underflow.
#[test]
fn draws_are_those_of_the_host() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut all, mut other) = (0, 0);
    for v in [3, 40, BLOCK - 1, BLOCK, BLOCK + 1, 1000, BLOCK * BLOCK, BLOCK * BLOCK + 7, 9001] {
        for (spread, temperature) in [(1.0_f32, 1.0_f32), (6.0, 0.7), (300.0, 1.0)] {
            let rules = rules(temperature, &[0, 1, 2, v as u32 / 2, v as u32 - 1, 99_999]);
            let mut score = || match rng.random_range(0..20) {
                0 => f32::NEG_INFINITY,
                1 => f32::NAN,
                _ => (rng.random::<f32>() + rng.random::<f32>() - 1.0) * spread,
            };
            let rows: Vec<Vec<f32>> = (0..50).map(|_| (0..v).map(|_| score()).collect()).collect();
            for round in 0..4_u64 {
                let mut streams: Vec<ChaCha8Rng> = (0..50).map(|row| stream(round * 1000 + row)).collect();
                let shares: Vec<f64> = streams.iter().map(|rng| rng.clone().random()).collect();
                let narrow: Vec<f32> = shares.iter().map(|&share| share as f32).collect();
                let found = there(&rules, &rows, &narrow);
                for (row, scores) in rows.iter().enumerate() {
                    let expected = rules.choose(&mut scores.clone(), &mut streams[row]);
                    all += 1;
                    if found[row] != expected {
                        other += 1;
                        let (token, [start, end]) = (found[row].unwrap(), span(&rules, scores, found[row].unwrap()));
                        let near = (start - shares[row]).max(shares[row] - end);
                        assert!(near < 1e-6 && end > start, "{v} tokens, row {row}: {token} instead of {expected:?}");
                    }
                }
            }
        }
    }
    assert!(all > 5000 && other * 500 < all, "{other} of {all} draws fell on the other side of a border");
}

#[test]
fn a_token_without_weight_is_never_drawn() {
    let v = BLOCK * BLOCK + 100;
    // One token in the last block, two far apart, and blocks of weights that underflow around one that doesn't.
    let mut last = vec![f32::NEG_INFINITY; v];
    last[v - 1] = -3.0;
    let mut two = vec![f32::NEG_INFINITY; v];
    (two[BLOCK], two[v - 2]) = (1.0, 1.0);
    let mut low = vec![-1e30; v];
    low[5000 % v] = 1e30;
    for share in [0.0, f32::MIN_POSITIVE, 0.25, 0.5, 0.999_999, 1.0 - f32::EPSILON / 2.0, 1.0] {
        let found = there(&rules(1.0, &[]), &[last.clone(), two.clone(), low.clone()], &[share; 3]);
        let second = if share < 0.5 { BLOCK } else { v - 2 } as u32;
        assert_eq!(found, [Some(v as u32 - 1), Some(second), Some(5000 % v as u32)], "{share}");
    }
}

#[test]
fn the_best_is_the_first_of_the_best() {
    let v = BLOCK * 3 + 5;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let rules = rules(0.0, &[0, 2, 70]);
    // Few different scores: nearly every row has ties, often with a banned token.
    let mut score = || match rng.random_range(0..12) {
        0 => f32::NAN,
        1 => f32::NEG_INFINITY,
        other => other as f32 - 30.0,
    };
    let rows: Vec<Vec<f32>> = (0..2000).map(|_| (0..v).map(|_| score()).collect()).collect();
    let expected: Vec<_> = rows.iter().map(|row| rules.choose(&mut row.clone(), &mut stream(0))).collect();
    assert_eq!(there(&rules, &rows, &[0.0; 2000]), expected);
}

#[test]
fn a_row_with_nothing_to_choose_has_no_token() {
    let v = 3 * BLOCK;
    let rows = [vec![f32::NAN; v], vec![f32::NEG_INFINITY; v], vec![f32::MIN; v]];
    for temperature in [0.0, 1.0] {
        let rules = rules(temperature, &[]);
        let expected: Vec<_> = rows.iter().map(|row| rules.choose(&mut row.clone(), &mut stream(0))).collect();
        assert_eq!(expected[..2], [None, None]);
        assert_eq!(there(&rules, &rows, &[stream(0).random::<f64>() as f32; 3]), expected, "{temperature}");
    }
    // Beside an infinite score the others weigh nothing, and it is no share of itself.
    let mut high = vec![0.0; v];
    high[7] = f32::INFINITY;
    assert_eq!(there(&rules(0.0, &[]), &[high.clone()], &[0.0]), [Some(7)]);
    assert_eq!(there(&rules(1.0, &[]), &[high], &[0.5]), [None]);
    let banned: Vec<u32> = (0..v as u32).collect();
    let everything = Sampling { stop: vec![], ..rules(1.0, &banned) };
    assert_eq!(there(&everything, &[vec![1.0; v]], &[0.5]), [None]);
    // What stops is not banned.
    assert_eq!(there(&rules(1.0, &banned), &[vec![1.0; v]], &[0.5]), [Some(2)]);
}

#[test]
fn what_needs_an_order_or_a_memory_is_left_to_the_host() {
    let (device, drawn) = (fixture::device(), rules(1.0, &[]));
    let here = |rules: &Sampling| Chooser::new(rules, 40, &device).is_none();
    assert!(here(&Sampling { top_k: 5, ..drawn.clone() }));
    assert!(here(&Sampling { top_p: 0.9, ..drawn.clone() }));
    assert!(here(&Sampling { repetition_penalty: 1.1, ..drawn.clone() }));
    assert!(!here(&drawn));
    // The best token is among the best five.
    assert!(!here(&Sampling { top_k: 5, top_p: 0.9, temperature: 0.0, ..drawn }));
}
