//! Rows → fewer rows, or others, and why: the algorithms of curation. Each is a pure function of rows, or of what it keeps of
//! each row, so that a set of any size passes row by row; what they keep per row is said in each file.
//!
//! | file | question | reads |
//! | --- | --- | --- |
//! | [`filter`] | can this row be used at all? | one row |
//! | [`dedupe`] (with `near`) | was this row there before? | all rows, in order |
//! | [`decontaminate`] | is this row in a set that is kept for measuring? | one row, and that set |
//! | [`mix`] | how many rows of which set, and which? | all rows of all sets |
//! | [`group`] | which rows must stay together? | all rows |
//! | [`level`] | how hard is this row? | the answers to one row |
//! | [`cluster`] | which rows are alike? | a vector of each row |
//! | [`terms`] | what sets a group of rows apart? | all rows |
//! | [`balance`] | how many rows of which kind, and which? | all rows |
//!
//! [`keep`] says what went and why. Nothing here knows stages, models or what an answer means.

pub mod balance;
pub mod cluster;
pub mod decontaminate;
pub mod dedupe;
pub mod filter;
pub mod group;
pub mod keep;
pub mod level;
pub mod mix;
mod near;
pub mod terms;
mod text;

/// A row's place in an order that is as good as random and does not depend on the other rows: equal names, equal places.
pub fn rank(seed: u64, parts: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    u64::from_le_bytes(hasher.finalize().as_bytes()[..8].try_into().expect("eight bytes"))
}

/// Shares a whole number out by weights: largest remainders get what rounding leaves, the first of equals first.
fn apportion(total: usize, weights: &[f64]) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 {
        return vec![0; weights.len()];
    }
    let exact: Vec<f64> = weights.iter().map(|weight| total as f64 * weight / sum).collect();
    let mut parts: Vec<usize> = exact.iter().map(|part| part.floor() as usize).collect();
    let mut order: Vec<usize> = (0..parts.len()).filter(|at| weights[*at] > 0.0).collect();
    order.sort_by(|a, b| (exact[*b] - exact[*b].floor()).total_cmp(&(exact[*a] - exact[*a].floor())).then(a.cmp(b)));
    let left = total.saturating_sub(parts.iter().sum());
    for at in order.iter().cycle().take(left) {
        parts[*at] += 1;
    }
    parts
}

/// Shares a whole number out by weights among those who can take only so much: what one can't take goes to the others.
fn fill(total: usize, weights: &[f64], most: &[usize]) -> Vec<usize> {
    let mut full = vec![false; most.len()];
    loop {
        let taken: usize = most.iter().zip(&full).filter(|(_, full)| **full).map(|(most, _)| most).sum();
        let open: Vec<f64> =
            weights.iter().zip(&full).map(|(weight, full)| if *full { 0.0 } else { *weight }).collect();
        let wanted = apportion(total.saturating_sub(taken), &open);
        let over: Vec<usize> = (0..most.len()).filter(|at| !full[*at] && wanted[*at] > most[*at]).collect();
        if over.is_empty() {
            let given = |at: usize| if full[at] { most[at] } else { wanted[at] };
            return (0..most.len()).map(given).collect();
        }
        for at in over {
            full[at] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_cannot_take_goes_to_the_others() {
        assert_eq!(apportion(10, &[1.0, 1.0, 1.0]), [4, 3, 3]);
        assert_eq!(apportion(5, &[0.0, 1.0, 3.0]), [0, 1, 4]);
        assert_eq!(apportion(5, &[0.0, 0.0]), [0, 0]);
        assert_eq!(fill(10, &[1.0, 1.0], &[100, 100]), [5, 5]);
        assert_eq!(fill(10, &[1.0, 1.0, 1.0], &[1, 100, 100]), [1, 5, 4]);
        assert_eq!(fill(10, &[1.0, 1.0, 2.0], &[1, 100, 4]), [1, 5, 4]);
        assert_eq!(fill(100, &[1.0, 2.0], &[3, 4]), [3, 4], "there is no more");
        assert_eq!(fill(0, &[1.0], &[3]), [0]);
    }

    #[test]
    fn a_rank_depends_on_nothing_but_the_names() {
        assert_eq!(rank(1, &["a", "b"]), rank(1, &["a", "b"]));
        let others = [rank(2, &["a", "b"]), rank(1, &["ab"]), rank(1, &["a", "", "b"]), rank(1, &["b", "a"])];
        assert!(others.iter().all(|other| *other != rank(1, &["a", "b"])));
    }
}
