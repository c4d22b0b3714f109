//! The arms of a graph → a tree: what arms have in common stands once, above what sets them apart. The seeds of an arm stand
//! together. Knows nothing of decisions.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, StageId};

/// Stages that some arms have in common, and the arms' ways from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Variants that take this way, in the order of the graph; the recipe as written has an empty name.
    pub variants: Vec<String>,
    /// Their common stages, producers first.
    pub stages: Vec<Bundle>,
    /// Where they part; a variant in none of these ends here.
    pub branches: Vec<Branch>,
}

/// A stage for every seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its name for the first seed.
    pub name: String,
    /// One place per seed, each once.
    pub stages: Vec<StageId>,
}

/// Places of one stage of a variant, one per seed.
type Places = Vec<StageId>;

/// The tree of a graph with arms.
pub fn tree(graph: &Graph) -> Branch {
    let variants: Vec<String> = graph.variants().into_iter().map(str::to_owned).collect();
    let index: BTreeMap<&str, usize> =
        variants.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let mut stages: Vec<BTreeMap<&str, Places>> = vec![BTreeMap::new(); variants.len()];
    for arm in graph.arms() {
        let own = &mut stages[index[arm.label.variant.as_str()]];
        for (name, id) in &arm.stages {
            let places = own.entry(name).or_default();
            if !places.contains(id) {
                places.push(*id);
            }
        }
    }
    let ways = stages.into_iter().map(|stages| stages.into_values().collect()).collect();
    let mut planter = Planter { graph, variants: &variants, ways, shown: BTreeSet::new() };
    planter.branch(&(0..variants.len()).collect::<Vec<_>>())
}

struct Planter<'a> {
    graph: &'a Graph,
    variants: &'a [String],
    /// What every variant still has to show.
    ways: Vec<BTreeSet<Places>>,
    shown: BTreeSet<Places>,
}

impl Planter<'_> {
    fn branch(&mut self, set: &[usize]) -> Branch {
        let mut common = self.ways[set[0]].clone();
        for &variant in &set[1..] {
            common.retain(|places| self.ways[variant].contains(places));
        }
        for &variant in set {
            self.ways[variant].retain(|places| !common.contains(places));
        }
        let mut stages = Vec::new();
        for places in common {
            if self.shown.insert(places.clone()) {
                stages.push(Bundle { name: self.graph.stage(places[0]).name.clone(), stages: places });
            }
        }
        let branches = self.parts(set).into_iter().map(|part| self.branch(&part)).collect();
        Branch { variants: set.iter().map(|&variant| self.variants[variant].clone()).collect(), stages, branches }
    }

    /// Groups of variants that go on together: each with those that share the most wanted of its stages.
    fn parts(&self, set: &[usize]) -> Vec<Vec<usize>> {
        let mut takers: BTreeMap<&Places, Vec<usize>> = BTreeMap::new();
        for &variant in set {
            self.ways[variant].iter().for_each(|places| takers.entry(places).or_default().push(variant));
        }
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let mut parts = Vec::new();
        for &variant in set {
            if taken.contains(&variant) {
                continue;
            }
            let wanted = self.ways[variant].iter().rev().max_by_key(|places| takers[places].len());
            let Some(wanted) = wanted else { continue };
            let part: Vec<usize> = takers[wanted].iter().copied().filter(|other| !taken.contains(other)).collect();
            taken.extend(&part);
            parts.push(part);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Arm, Label};
    use crate::testing::Sketch;

    /// Arms that are made of these stages of `a … f`, by first letter.
    fn graph(arms: &[(&str, u64, &[usize])]) -> Graph {
        let mut sketch = Sketch::new();
        for name in ["a", "b", "c", "d", "e", "f"] {
            sketch = sketch.stage(name, &serde_json::json!({}), &[]);
        }
        let mut graph = sketch.graph();
        for (variant, seed, stages) in arms {
            let label = Label {
                name: (*variant).to_owned(),
                ablation: String::new(),
                variant: (*variant).to_owned(),
                seed: *seed,
                settings: BTreeMap::new(),
            };
            // Within an arm, stages are called by what they do.
            let stages = stages.iter().enumerate().map(|(place, &id)| (format!("s{place}"), StageId(id))).collect();
            graph.arms.push(Arm { label, also: Vec::new(), stages, gates: Vec::new(), without: Vec::new() });
        }
        graph
    }

    fn drawn(branch: &Branch) -> String {
        let stages: String = branch.stages.iter().map(|bundle| bundle.name.repeat(bundle.stages.len())).collect();
        let below: Vec<_> = branch.branches.iter().map(drawn).collect();
        if below.is_empty() { stages } else { format!("{stages}({})", below.join(" ")) }
    }

    #[test]
    fn what_is_common_stands_above_what_is_not() {
        let tree = tree(&graph(&[("", 1, &[0, 1, 2]), ("x", 1, &[0, 1]), ("y", 1, &[0, 3, 4]), ("z", 1, &[0, 3, 5])]));
        assert_eq!(drawn(&tree), "a(b(c) d(e f))");
        assert_eq!(tree.branches[0].variants, ["", "x"], "`x` ends where the other goes on");
    }

    #[test]
    fn seeds_of_an_arm_stand_together() {
        let arms: [(&str, u64, &[usize]); 4] =
            [("", 1, &[0, 1]), ("x", 1, &[0, 2]), ("", 2, &[0, 3]), ("x", 2, &[0, 4])];
        assert_eq!(drawn(&tree(&graph(&arms))), "a(bb cc)");
    }
}
