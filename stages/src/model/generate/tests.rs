use burn::tensor::DType;
use curricle_datasets::Encoded;

use std::ops::ControlFlow;

use super::{Completion, Manner, Queue, complete, generate, generate_with};
use crate::model::dtype::cast;
use crate::model::sizes::Sizes;
use crate::model::{Batch, Padding, Qwen2_5Vl, Sampling, fixture};

const TOKENS: usize = 9;

fn sampled() -> Sampling {
    Sampling { temperature: 1.0, top_p: 0.95, top_k: 30, ..Sampling::greedy(TOKENS, vec![5]) }
}

/// Without a cache: the whole row again for every token.
fn slowly(model: &Qwen2_5Vl, row: &Encoded, tokens: usize) -> Vec<u32> {
    let (config, device) = (fixture::config(), fixture::device());
    let mut row = row.clone();
    for _ in 0..tokens {
        let batch = Batch::new(&[&row], Padding::Right, 0, &config, &device);
        let h = model.hidden(&batch).narrow(1, batch.width - 1, 1);
        let id = model.logits(h).argmax(2).into_scalar::<i32>() as u32;
        row.ids.push(id);
        row.target.push(true);
    }
    row.ids[row.ids.len() - tokens..].to_vec()
}

#[test]
fn the_cache_changes_nothing() {
    for dtype in [DType::F32, DType::BF16] {
        the_cache_changes_nothing_in(dtype);
    }
}

fn the_cache_changes_nothing_in(dtype: DType) {
    let (config, device, rows) = (fixture::config(), fixture::device(), fixture::rows());
    let model = cast(config.init(3, &device), dtype);
    let prompts: Vec<&Encoded> = rows.iter().collect();
    // Image pads among the new tokens would ask the slow way for pictures.
    let rules = Sampling { banned: vec![3], ..Sampling::greedy(TOKENS, vec![]) };
    let found = generate(&model, &config, &prompts, &rules, &[0; 3], &device);
    for (row, found) in rows.iter().zip(found) {
        assert_eq!(found.ids, slowly(&model, row, TOKENS));
        assert!(!found.finished);
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let (config, device, rows) = (fixture::config(), fixture::device(), fixture::rows());
    let model = config.init(3, &device);
    for rules in [Sampling::greedy(TOKENS, vec![5, 6, 7, 8, 9, 10, 11, 12, 13]), sampled()] {
        let seeds: Vec<u64> = (0..9).collect();
        let prompts: Vec<&Encoded> = (0..9).map(|i| &rows[i % 3]).collect();
        let together = generate(&model, &config, &prompts, &rules, &seeds, &device);
        let alone: Vec<Completion> =
            (0..9).flat_map(|i| generate(&model, &config, &prompts[i..=i], &rules, &seeds[i..=i], &device)).collect();
        assert_eq!(together, alone);
        assert_eq!(together, generate(&model, &config, &prompts, &rules, &seeds, &device));
    }
}

#[test]
fn seeds_differ_and_stop_tokens_end() {
    let (config, device, rows) = (fixture::config(), fixture::device(), fixture::rows());
    let model = config.init(3, &device);
    let prompts = [&rows[1]; 16];
    let seeds: Vec<u64> = (0..16).collect();
    let found = generate(&model, &config, &prompts, &sampled(), &seeds, &device);
    assert!(found.iter().any(|c| c.ids != found[0].ids));
    for completion in &found {
        assert_eq!(completion.finished, completion.ids.last() == Some(&5));
        assert!(completion.ids.iter().rev().skip(1).all(|&id| id != 5));
        assert!(completion.finished || completion.ids.len() == TOKENS);
    }
    assert!(generate(&model, &config, &[], &sampled(), &[], &device).is_empty());
}

#[test]
fn waiting_prompts_take_the_places_of_finished_rows() {
    let (config, device, rows) = (fixture::config(), fixture::device(), fixture::rows());
    let model = config.init(3, &device);
    // Groups of four, of prompts of different lengths, with and without images; nearly any token may end a row.
    let prompts: Vec<&Encoded> = (0..24).map(|i| &rows[i / 4 % 3]).collect();
    let seeds: Vec<u64> = (0..24).collect();
    let rules = Sampling { stop: (5..20).collect(), banned: vec![3], ..sampled() };
    let together = generate(&model, &config, &prompts, &rules, &seeds, &device);
    let lengths: Vec<usize> = together.iter().map(|completion| completion.ids.len()).collect();
    assert!(lengths.iter().min() < lengths.iter().max(), "{lengths:?}");
    for slots in [1, 3, 4, 8, 13] {
        let queue = Queue { prompts: &prompts, seeds: &seeds, sampling: &rules, slots };
        let (mut order, mut open, mut most) = (Vec::new(), std::collections::BTreeSet::new(), 0);
        let mut seen = |row: usize, id: u32| {
            order.push(row);
            open.insert(row);
            most = most.max(open.len());
            if rules.stop.contains(&id) || order.iter().filter(|&&other| other == row).count() == TOKENS {
                open.remove(&row);
            }
            ControlFlow::Continue(())
        };
        assert_eq!(generate_with(&model, &config, queue, &device, &mut seen), together, "{slots} slots");
        assert!(most <= slots, "{most} rows in {slots} slots");
        assert_eq!(order.len(), lengths.iter().sum::<usize>());
        if slots == 8 {
            let end = |row: usize| order.iter().rposition(|&other| other == row);
            let ninth = order.iter().position(|&row| row == 8);
            assert!((0..8).any(|row| end(row) > ninth), "nobody waits for the slowest row: {order:?}");
        }
    }
}

/// Every way to serve a device: the one of a CPU, and what others are spared, one by one and together.
const MANNERS: [Manner; 4] = [
    Manner { sizes: Sizes::Exact, there: false },
    Manner { sizes: Sizes::Exact, there: true },
    Manner { sizes: Sizes::Few, there: false },
    Manner { sizes: Sizes::Few, there: true },
];

#[test]
fn every_manner_gives_the_same_tokens() {
    let (config, device, rows) = (fixture::config(), fixture::device(), fixture::rows());
    let prompts: Vec<&Encoded> = (0..24).map(|i| &rows[i / 4 % 3]).collect();
    let seeds: Vec<u64> = (0..24).collect();
    let drawn = Sampling { temperature: 0.8, stop: vec![5, 6], banned: vec![3], ..Sampling::greedy(37, vec![]) };
    let best = Sampling { temperature: 0.0, ..drawn.clone() };
    let filtered = Sampling { top_k: 12, repetition_penalty: 1.2, ..drawn.clone() };
    for dtype in [DType::F32, DType::BF16] {
        let model = cast(config.init(3, &device), dtype);
        for rules in [&drawn, &best, &filtered] {
            for slots in [3, 8, 24] {
                let queue = Queue { prompts: &prompts, seeds: &seeds, sampling: rules, slots };
                let found = MANNERS.map(|manner| {
                    complete(&model, &config, queue, manner, &device, &mut |_, _| ControlFlow::Continue(()))
                });
                let lengths: Vec<usize> = found[0].iter().map(|completion| completion.ids.len()).collect();
                // Columns of more than one size, and rows that end at different times.
                let [least, most] = [lengths.iter().min(), lengths.iter().max()];
                assert!(most > Some(&16) && (rules == &best || least < Some(&16)), "{lengths:?}");
                for (manner, completions) in MANNERS.iter().zip(&found).skip(1) {
                    assert_eq!(completions, &found[0], "{manner:?}, {dtype:?}, {slots} slots, {rules:?}");
                }
            }
        }
    }
}

#[test]
fn whoever_listens_may_end_all_rows_in_every_manner() {
    let (config, device, rows) = (fixture::config(), fixture::device(), fixture::rows());
    let model = config.init(3, &device);
    let rules = Sampling::greedy(TOKENS, vec![]);
    for manner in MANNERS {
        let queue = Queue { prompts: &[&rows[0], &rows[1], &rows[2]], seeds: &[0; 3], sampling: &rules, slots: 3 };
        let mut heard = 0;
        let found = complete(&model, &config, queue, manner, &device, &mut |_, _| {
            heard += 1;
            if heard == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let lengths: Vec<usize> = found.iter().map(|completion| completion.ids.len()).collect();
        assert_eq!(lengths, [3, 2, 2], "{manner:?}");
    }
}
