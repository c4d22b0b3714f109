use super::*;

fn near(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance, "{a} is not {b} to {tolerance}");
}

fn sd(values: &[f64]) -> f64 {
    let centre = mean(values);
    (values.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Numbers with mean 0 and variance 1 that are near enough to normal: twelve uniform ones.
fn normal(draws: &mut Draws) -> f64 {
    (0..12).map(|_| draws.unit()).sum::<f64>() - 6.0
}

#[test]
fn binomial_by_hand() {
    // n = 3, p = 0.25: 27/64, 27/64, 9/64, 1/64.
    let table = binomial(3, 0.25);
    for (value, expected) in table.iter().zip([27.0, 54.0, 63.0, 64.0]) {
        near(*value, expected / 64.0, 1e-15);
    }
    // Tails that underflow leave a distribution all the same.
    let large = binomial(100_000, 0.5);
    near(large[50_000] - large[49_999], 1.0 / (std::f64::consts::PI * 50_000.0).sqrt(), 1e-6);
    near(large[100_000], 1.0, 1e-9);
}

#[test]
fn one_sided_ends_by_hand() {
    // 5 of 100 items lose: how many lose in a resample is binomial (100, 0.05), at most 1 in 3.7 %, at most 2 in 11.8 %, at
    // most 8 in 93.7 %, at most 9 in 97.2 % of cases. The 5 % and 95 % quantiles are 2 and 9 items.
    let values: Vec<f64> = (0..100).map(|i| if i % 20 == 0 { -1.0 } else { 0.0 }).collect();
    let ends = bounds(&values, 0.95).unwrap();
    near(ends.low, -0.09, 1e-12);
    near(ends.high, -0.02, 1e-12);
    // 97.5 % on each side leave out 5 % in all.
    let two_sided = estimate(std::slice::from_ref(&values), false).unwrap().interval;
    assert_eq!(bounds(&values, 0.975), Some(two_sided));
    assert_eq!(bounds(&[], 0.95), None);
    assert_eq!(bounds(&[0.25; 7], 0.95), Some(Interval { low: 0.25, high: 0.25 }), "nothing varies");
}

/// Counts of few values and draws of single items are the same law: mean p, variance of a mean p (1 − p) / n.
#[test]
fn counting_and_drawing_items_agree() {
    let values: Vec<f64> =
        (0..60).map(|i| [0.0, 1.0, -1.0][usize::from(i % 4 == 0) + usize::from(i % 6 == 0)]).collect();
    let few = nested(&[&values], 20_000);
    let mut pool = Pool { values: &values, counts: Vec::new(), tables: BTreeMap::new() };
    let mut draws = Draws::new();
    let items: Vec<f64> = (0..20_000).map(|_| pool.mean(&mut draws)).collect();
    near(mean(&few), mean(&values), 0.003);
    near(mean(&items), mean(&values), 0.003);
    let expected = sd(&values) / 60_f64.sqrt();
    near(sd(&few), expected, 0.02 * expected);
    near(sd(&items), expected, 0.02 * expected);
}

/// Two stages by hand: drawing S seeds gives the sample variance of their means (over S − 1) / S, and items within them the
/// mean over seeds of (variance of its items / n), / S again.
#[test]
fn the_variance_of_two_stages_is_the_sum_of_both() {
    let seeds: Vec<Vec<f64>> =
        [0.0, 0.2, 0.6, 1.0].iter().map(|at| (0..50).map(|i| at + f64::from(i % 10) / 10.0).collect()).collect();
    let slices: Vec<&[f64]> = seeds.iter().map(Vec::as_slice).collect();
    let means: Vec<f64> = seeds.iter().map(|values| mean(values)).collect();
    let between = sd(&means).powi(2) / 3.0;
    let within = seeds.iter().map(|values| sd(values).powi(2) / 50.0).sum::<f64>() / 4.0 / 4.0;
    let variance = sd(&nested(&slices, 40_000)).powi(2);
    near(variance, between + within, 0.03 * (between + within));
}

/// With the same items under every seed an item's share does not shrink with the number of seeds: three seeds that answer
/// alike are as sure as one.
#[test]
fn items_that_seeds_share_do_not_count_again() {
    let values: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
    let seeds = [values.clone(), values.clone(), values.clone()];
    let alone = sd(&values) / 10.0;
    let slices: Vec<&[f64]> = seeds.iter().map(Vec::as_slice).collect();
    near(sd(&crossed(&slices, 20_000)), alone, 0.02 * alone);
    near(sd(&nested(&slices, 20_000)), alone / 3_f64.sqrt(), 0.02 * alone);
    assert_eq!(estimate(&seeds, true).unwrap().design, Design::SeedsTimesItems);
    assert_eq!(estimate(&seeds, false).unwrap().design, Design::ItemsWithinSeeds);
}

#[test]
fn one_seed_is_its_items_alone() {
    let values: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i % 2 == 0))).collect();
    let one = estimate(&[values, Vec::new()], true).unwrap();
    assert_eq!((one.design, one.seeds, one.items, one.mean), (Design::Items, 1, 200, 0.5));
    near(one.interval.low, 0.5 - 0.0693, 0.006);
    near(one.interval.high, 0.5 + 0.0693, 0.006);
    assert_eq!(estimate(&[], true), None);
    assert_eq!(estimate(&[Vec::new()], false), None);
}

#[test]
fn equal_items_leave_no_doubt_and_no_difference() {
    let none = estimate(&[vec![0.0; 40], vec![0.0; 40]], false).unwrap();
    assert_eq!((none.mean, none.interval, none.p), (0.0, Interval { low: 0.0, high: 0.0 }, 1.0));
    let all = estimate(&[vec![1.0; 40], vec![1.0; 40]], true).unwrap();
    assert_eq!(all.interval, Interval { low: 1.0, high: 1.0 });
    near(all.p, 2.0 / 10_001.0, 1e-12);
}

/// Seeds count alike however many items each has, and a seed with another number of items can't share them.
#[test]
fn seeds_count_alike() {
    let seeds = [vec![1.0; 10], vec![0.0; 90]];
    let two = estimate(&seeds, true).unwrap();
    assert_eq!((two.mean, two.items, two.design), (0.5, 100, Design::ItemsWithinSeeds));
}

#[test]
fn the_same_values_give_the_same_bits() {
    let seeds: Vec<Vec<f64>> = (0..4).map(|s| (0..30).map(|i| f64::from((i * 7 + s * 3) % 5)).collect()).collect();
    for shared in [false, true] {
        assert_eq!(estimate(&seeds, shared), estimate(&seeds, shared));
    }
}

/// Holm 1979 by hand: 0.01 × 4; max(0.04, 0.02 × 3) = 0.06; max(0.06, 0.03 × 2) = 0.06; max(0.06, 0.4) = 0.4.
#[test]
fn holm_by_hand() {
    let adjusted = holm(&[0.03, 0.01, 0.4, 0.02]);
    for (value, expected) in adjusted.iter().zip([0.06, 0.04, 0.4, 0.06]) {
        near(*value, expected, 1e-15);
    }
    assert_eq!(holm(&[0.7, 0.9]), [1.0, 1.0]);
    assert!(holm(&[]).is_empty());
}

/// How often a 95 % interval holds the truth: `seeds` trainings whose true effects have standard deviation `between`, each
/// asked 40 items of standard deviation 1 (so an item's share of a seed's variance is 1 / 40 = 0.158²).
fn coverage(seeds: usize, between: f64, shared: bool, draws: &mut Draws) -> f64 {
    const SETS: usize = 400;
    let mut held = 0;
    for _ in 0..SETS {
        let of_items: Vec<f64> = (0..40).map(|_| normal(draws)).collect();
        let one = |draws: &mut Draws| {
            let effect = between * normal(draws);
            let noise = |item: &f64| if shared { *item } else { normal(draws) };
            of_items.iter().map(noise).map(|noise| effect + noise).collect::<Vec<f64>>()
        };
        let sample: Vec<Vec<f64>> = (0..seeds).map(|_| one(draws)).collect();
        let Interval { low, high } = resampled(&sample, shared, 400).unwrap().interval;
        held += usize::from(low <= 0.0 && 0.0 <= high);
    }
    held as f64 / SETS as f64
}

#[test]
fn coverage_is_what_the_report_says_it_is() {
    let mut draws = Draws::new();
    let mut within = |seeds, between, shared, low: f64, high: f64| {
        let held = coverage(seeds, between, shared, &mut draws);
        assert!((low..=high).contains(&held), "{seeds} seeds, {between} between, shared {shared}: {held}");
    };
    // Binomial standard deviations for 400 sets: 0.011 at 0.95, 0.017 at 0.87, 0.024 at 0.64.
    within(5, 0.0, false, 0.95, 1.0);
    within(5, 0.0, true, 0.89, 0.98);
    within(5, 0.16, false, 0.92, 1.0);
    within(5, 0.16, true, 0.89, 0.98);
    within(2, 2.0, false, 0.56, 0.72);
    within(5, 2.0, false, 0.82, 0.92);
    within(5, 2.0, true, 0.82, 0.92);
    within(10, 2.0, false, 0.86, 0.96);
    // One seed says nothing about another training.
    within(1, 0.5, false, 0.3, 0.6);
}
