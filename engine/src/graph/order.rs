//! Edges → an order in which producers come first, or the circles that make one impossible.

use std::collections::BTreeSet;

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

/// Places in topological order, ties in the order given; the stages of circles and behind them are left out.
/// `needs[i]` lists what `i` needs.
pub(super) fn topological(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut followers = vec![Vec::new(); needs.len()];
    let mut waiting: Vec<usize> = vec![0; needs.len()];
    for (stage, needed) in needs.iter().enumerate() {
        let needed: BTreeSet<_> = needed.iter().copied().collect();
        waiting[stage] = needed.len();
        for producer in needed {
            followers[producer].push(stage);
        }
    }
    let mut ready: BTreeSet<usize> = (0..needs.len()).filter(|&stage| waiting[stage] == 0).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(stage) = ready.pop_first() {
        order.push(stage);
        for &follower in &followers[stage] {
            waiting[follower] -= 1;
            if waiting[follower] == 0 {
                ready.insert(follower);
            }
        }
    }
    order
}

/// One path `a, b, …` per knot of circles such that each needs the next and the last needs the first.
pub(super) fn circles(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut graph = DiGraph::<(), (), usize>::default();
    let nodes: Vec<_> = needs.iter().map(|_| graph.add_node(())).collect();
    for (stage, needed) in needs.iter().enumerate() {
        for &producer in needed {
            graph.add_edge(nodes[stage], nodes[producer], ());
        }
    }
    let knots = tarjan_scc(&graph).into_iter().filter_map(|knot| {
        let members: BTreeSet<usize> = knot.iter().map(|node| node.index()).collect();
        let first = *members.first()?;
        (members.len() > 1 || needs[first].contains(&first)).then(|| shortest_circle(needs, &members, first))
    });
    let mut circles: Vec<_> = knots.collect();
    circles.sort_unstable();
    circles
}

fn shortest_circle(needs: &[Vec<usize>], members: &BTreeSet<usize>, first: usize) -> Vec<usize> {
    let mut paths = std::collections::VecDeque::from([vec![first]]);
    let mut seen = BTreeSet::from([first]);
    while let Some(path) = paths.pop_front() {
        for &next in &needs[path[path.len() - 1]] {
            if next == first {
                return path;
            }
            if members.contains(&next) && seen.insert(next) {
                paths.push_back(path.iter().copied().chain([next]).collect());
            }
        }
    }
    vec![first]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_first_and_ties_as_given() {
        assert_eq!(topological(&[vec![2], vec![], vec![], vec![0, 1]]), [1, 2, 0, 3]);
    }

    #[test]
    fn what_waits_for_a_circle_is_left_out() {
        assert_eq!(topological(&[vec![], vec![2], vec![1], vec![2]]), [0]);
    }

    #[test]
    fn every_knot_gives_its_shortest_circle() {
        assert_eq!(circles(&[vec![1], vec![2, 0], vec![0], vec![3], vec![]]), [vec![0, 1], vec![3]]);
        assert!(circles(&[vec![], vec![0]]).is_empty());
    }
}
