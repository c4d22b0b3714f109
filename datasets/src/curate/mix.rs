//! Sizes and weights of several sets → how much to take of each; and which rows, and in what order. Sizes are rows, or
//! tokens. Keeps twelve bytes of each row.

use super::fill;

/// How sets are mixed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Multiply every weight with the size of its set.
    pub by_size: bool,
    /// Weights are raised to one over this: 1 leaves them, more makes them more alike.
    pub temperature: f64,
    /// How much in all; without it, as much as there is without taking a row twice or leaving the shares.
    pub budget: Option<usize>,
    /// May rows be taken several times where a set is too small for its share? If not, the other sets make up for it.
    pub repeat: bool,
}

/// The share of each set.
pub fn shares(sizes: &[usize], weights: &[f64], rules: Rules) -> Vec<f64> {
    let weight = |(size, weight): (&usize, &f64)| {
        let sized = if rules.by_size { weight * *size as f64 } else { *weight };
        if *size == 0 { 0.0 } else { sized.powf(1.0 / rules.temperature) }
    };
    let weights: Vec<f64> = sizes.iter().zip(weights).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| if sum > 0.0 { weight / sum } else { 0.0 }).collect()
}

/// How much to take of each set.
pub fn targets(sizes: &[usize], weights: &[f64], rules: Rules) -> Vec<usize> {
    let shares = shares(sizes, weights, rules);
    let Some(budget) = rules.budget else {
        let open = sizes.iter().zip(&shares).filter(|(_, share)| **share > 0.0);
        let most = open.map(|(size, share)| *size as f64 / share).fold(f64::INFINITY, f64::min);
        let of = |(size, share): (&usize, &f64)| ((most * share).round() as usize).min(*size);
        return sizes.iter().zip(&shares).map(of).collect();
    };
    let most: Vec<usize> =
        sizes.iter().map(|size| if rules.repeat && *size > 0 { usize::MAX / 8 } else { *size }).collect();
    fill(budget, &shares, &most)
}

/// How often to take each row of one set, so that it comes to `target`: rows of the lowest rank first, whole rounds before any
/// row is taken once more. Costs are rows (1 each) or tokens; of tokens, at most one row more than fits.
pub fn choose(costs: &[u32], ranks: &[u64], target: usize) -> Vec<u32> {
    let all: usize = costs.iter().map(|cost| *cost as usize).sum();
    if all == 0 {
        return vec![0; costs.len()];
    }
    let mut times = vec![(target / all) as u32; costs.len()];
    let mut order: Vec<u32> = (0..costs.len() as u32).collect();
    order.sort_unstable_by_key(|at| (ranks[*at as usize], *at));
    let mut left = target % all;
    for at in order.into_iter().map(|at| at as usize) {
        if left == 0 {
            break;
        }
        times[at] += 1;
        left = left.saturating_sub(costs[at] as usize);
    }
    times
}

/// The order in which so many rows of each set follow each other, evenly: after any part of it, each set has had its share,
/// give or take a row.
pub fn interleave(counts: &[usize]) -> impl Iterator<Item = usize> {
    let counts = counts.to_vec();
    let mut done = vec![0_usize; counts.len()];
    std::iter::from_fn(move || {
        let open = (0..counts.len()).filter(|at| done[*at] < counts[*at]);
        // The middle of its next row's slot: (done + 1/2) / count. Compared as fractions, so that no rounding decides.
        let slot = |at: usize| ((2 * done[at] + 1) as u128, 2 * counts[at] as u128);
        let next = open.min_by(|a, b| {
            let ((n, d), (m, e)) = (slot(*a), slot(*b));
            (n * e).cmp(&(m * d)).then(a.cmp(b))
        })?;
        done[next] += 1;
        Some(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Rules = Rules { by_size: false, temperature: 1.0, budget: None, repeat: false };

    #[test]
    fn targets_by_hand() {
        assert_eq!(targets(&[100, 100], &[1.0, 3.0], PLAIN), [33, 100], "the second set is used up first");
        assert_eq!(targets(&[100, 100], &[1.0, 3.0], Rules { budget: Some(40), ..PLAIN }), [10, 30]);
        assert_eq!(targets(&[100, 20], &[1.0, 1.0], Rules { budget: Some(80), ..PLAIN }), [60, 20], "made up for");
        assert_eq!(targets(&[100, 20], &[1.0, 1.0], Rules { budget: Some(80), repeat: true, ..PLAIN }), [40, 40]);
        assert_eq!(targets(&[100, 20], &[1.0, 1.0], Rules { budget: Some(500), ..PLAIN }), [100, 20], "no more there");
        assert_eq!(targets(&[300, 100], &[1.0, 1.0], Rules { by_size: true, budget: Some(40), ..PLAIN }), [30, 10]);
        assert_eq!(targets(&[0, 100], &[1.0, 1.0], Rules { budget: Some(40), repeat: true, ..PLAIN }), [0, 40]);
        assert_eq!(targets(&[0], &[1.0], PLAIN), [0]);
    }

    #[test]
    fn temperature_makes_shares_more_alike() {
        let of = |temperature| shares(&[1, 1], &[1.0, 16.0], Rules { temperature, ..PLAIN })[0];
        assert!((of(1.0) - 1.0 / 17.0).abs() < 1e-12);
        assert!((of(2.0) - 1.0 / 5.0).abs() < 1e-12, "√16 is 4");
        assert!((of(1e9) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn rows_of_the_lowest_rank_come_first_and_none_twice_before_all_were_taken() {
        assert_eq!(choose(&[1, 1, 1], &[5, 1, 3], 2), [0, 1, 1]);
        assert_eq!(choose(&[1, 1, 1], &[5, 1, 3], 7), [2, 3, 2]);
        assert_eq!(choose(&[10, 10, 10], &[5, 1, 3], 15), [0, 1, 1], "a row more than fits, no less");
        assert_eq!(choose(&[], &[], 5), Vec::<u32>::new());
    }

    #[test]
    fn sets_follow_each_other_evenly() {
        assert_eq!(interleave(&[2, 4]).collect::<Vec<_>>(), [1, 0, 1, 1, 0, 1]);
        let order: Vec<usize> = interleave(&[10, 30, 0, 60]).collect();
        assert_eq!(order.len(), 100);
        for end in 1..=100 {
            let had = |set: usize| order[..end].iter().filter(|at| **at == set).count() as f64;
            for (set, share) in [(0, 0.1), (1, 0.3), (3, 0.6)] {
                assert!((had(set) - share * end as f64).abs() <= 1.0, "{set} after {end}");
            }
        }
    }
}
