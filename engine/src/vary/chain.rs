//! Arrangements of a chain as lists of indices: all orders, all subsets, one left out, two swapped. Knows no names.

use std::collections::BTreeSet;

/// Most arrangements that one ablation may make.
pub(super) const LIMIT: usize = 5000;

/// What to do with a chain of `count` members.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// Members in the chain.
    pub count: usize,
    /// Members that keep their place and are never left out.
    pub fixed: BTreeSet<usize>,
    /// Every order of the others.
    pub permute: bool,
    /// Every choice of the others.
    pub subsets: bool,
    /// Members to leave out, one at a time.
    pub drop: Vec<usize>,
    /// Pairs that change places.
    pub swap: Vec<(usize, usize)>,
}

/// Every arrangement once, shorter ones first, then in the order of the chain; `None` if there are more than [`LIMIT`].
/// The empty one is none.
pub(super) fn arrangements(wish: &Wish) -> Option<Vec<Vec<usize>>> {
    let whole: Vec<usize> = (0..wish.count).collect();
    let mut found = BTreeSet::new();
    let choices = if wish.subsets { subsets(wish)? } else { vec![whole.clone()] };
    for choice in choices {
        if wish.permute {
            permute(&choice, &wish.fixed, &mut found)?;
        } else if wish.subsets {
            found.insert(choice);
        }
    }
    for dropped in &wish.drop {
        found.insert(whole.iter().copied().filter(|member| member != dropped).collect());
    }
    for &(a, b) in &wish.swap {
        let mut order = whole.clone();
        order.swap(a, b);
        found.insert(order);
    }
    found.remove(&Vec::new());
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(Vec::len);
    (found.len() <= LIMIT).then_some(found)
}

fn subsets(wish: &Wish) -> Option<Vec<Vec<usize>>> {
    let free: Vec<usize> = (0..wish.count).filter(|member| !wish.fixed.contains(member)).collect();
    let count = 1_usize.checked_shl(u32::try_from(free.len()).ok()?).filter(|&count| count <= 2 * LIMIT)?;
    let taken = |mask: usize, member: usize| {
        free.iter().position(|&other| other == member).is_none_or(|position| mask >> position & 1 == 1)
    };
    Some((0..count).map(|mask| (0..wish.count).filter(|&member| taken(mask, member)).collect()).collect())
}

/// Every order of the members that may move, over the places that those have.
fn permute(choice: &[usize], fixed: &BTreeSet<usize>, found: &mut BTreeSet<Vec<usize>>) -> Option<()> {
    let places: Vec<usize> = (0..choice.len()).filter(|&place| !fixed.contains(&choice[place])).collect();
    let mut order = choice.to_vec();
    orders(&mut order, &places, 0, found)
}

fn orders(order: &mut Vec<usize>, places: &[usize], from: usize, found: &mut BTreeSet<Vec<usize>>) -> Option<()> {
    if from + 1 >= places.len() {
        found.insert(order.clone());
        return (found.len() <= LIMIT + 1).then_some(());
    }
    for other in from..places.len() {
        order.swap(places[from], places[other]);
        orders(order, places, from + 1, found)?;
        order.swap(places[from], places[other]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trainings by hand, and as a tree that trains every common prefix once.
    fn trainings(orders: &[Vec<usize>]) -> (usize, usize) {
        let prefixes: BTreeSet<&[usize]> =
            orders.iter().flat_map(|order| (1..=order.len()).map(move |length| &order[..length])).collect();
        (orders.iter().map(Vec::len).sum(), prefixes.len())
    }

    fn wish(count: usize, permute: bool, subsets: bool) -> Vec<Vec<usize>> {
        arrangements(&Wish { count, permute, subsets, ..Wish::default() }).unwrap()
    }

    #[test]
    fn a_tree_of_orders_trains_what_they_share_once() {
        assert_eq!(trainings(&wish(3, true, false)), (18, 15));
        assert_eq!(trainings(&wish(3, true, true)), (33, 15));
        assert_eq!(trainings(&wish(3, false, true)), (12, 7));
        assert_eq!(trainings(&wish(4, true, true)), (196, 64));
    }

    #[test]
    fn shorter_first_then_as_the_chain_has_it() {
        assert_eq!(wish(2, true, true), [vec![0], vec![1], vec![0, 1], vec![1, 0]]);
    }

    #[test]
    fn fixed_members_stay_where_they_are() {
        let fixed = BTreeSet::from([0]);
        let wish = |permute, subsets| Wish { count: 3, fixed: fixed.clone(), permute, subsets, ..Wish::default() };
        assert_eq!(arrangements(&wish(true, false)).unwrap(), [[0, 1, 2], [0, 2, 1]]);
        let both = arrangements(&wish(true, true)).unwrap();
        assert_eq!(both, [vec![0], vec![0, 1], vec![0, 2], vec![0, 1, 2], vec![0, 2, 1]]);
    }

    #[test]
    fn single_ones_are_dropped_and_pairs_swapped() {
        let wish = Wish { count: 3, drop: vec![1, 2], swap: vec![(1, 2)], ..Wish::default() };
        assert_eq!(arrangements(&wish).unwrap(), [vec![0, 1], vec![0, 2], vec![0, 2, 1]]);
    }

    #[test]
    fn too_many_are_refused_before_they_are_made() {
        assert_eq!(arrangements(&Wish { count: 12, permute: true, ..Wish::default() }), None);
        assert_eq!(arrangements(&Wish { count: 60, subsets: true, ..Wish::default() }), None);
        assert_eq!(wish(6, true, false).len(), 720);
    }
}
