//! `[seeds]`, `[matrix]` and `[ablations]` → arms: what each changes of the recipe as written, in which order, under which
//! name. An arm is an ordinary recipe, read again with its edits, so that a mistake in it is found and placed like any
//! other. This room knows nothing of kinds, types or keys; the graph checks arms and joins what they share.

mod arms;
mod chain;
mod edit;
mod matrix;
mod names;
mod read;
mod rewire;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use arms::{Spec, arms};

use crate::recipe::{At, Node, Span};

/// The sections on variation.
#[derive(Debug, Default)]
pub(crate) struct Variation {
    seeds: Option<Seeds>,
    /// One per combination that `[matrix]` leaves; empty without one.
    cells: Vec<Vec<Setting>>,
    ablations: Vec<Ablation>,
}

/// `[seeds]`
#[derive(Debug)]
struct Seeds {
    /// Each once, in the order of the text.
    values: Vec<u64>,
    /// Stages from which on a seed counts; none: all.
    from: Option<Vec<At<String>>>,
}

/// A value for a path, or its removal.
#[derive(Debug, Clone)]
struct Setting {
    /// Dotted.
    path: At<String>,
    /// None: what stands there is removed.
    value: Option<At<Node>>,
}

/// `[ablations.x]`
#[derive(Debug)]
struct Ablation {
    name: At<String>,
    /// What all its arms set and remove.
    settings: Vec<Setting>,
    /// One arm per value, with its name.
    each: Vec<(String, Setting)>,
    chain: Option<Chain>,
}

/// Stages whose models follow each other, and other ways to arrange them.
#[derive(Debug)]
struct Chain {
    /// In the order of the recipe as written.
    members: Vec<At<String>>,
    /// Place of the list.
    span: Span,
    /// Indices of members, one list per arm.
    orders: Vec<Vec<usize>>,
}

/// What an arm is called and what it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Full name: the variant, and the seed where it is not the first; empty for the recipe as written.
    pub name: String,
    /// `[ablations.x]` that it is an arm of; empty for the recipe as written.
    pub ablation: String,
    /// Its name without the seed.
    pub variant: String,
    /// The seed of the stages that vary with it.
    pub seed: u64,
    /// What it sets, by dotted path; `null` for what it removes.
    pub settings: BTreeMap<String, Value>,
}

impl Variation {
    /// Keys of a recipe that this room reads.
    pub const SECTIONS: [&str; 3] = ["seeds", "matrix", "ablations"];

    /// Does the recipe have a single arm, itself?
    pub fn is_empty(&self) -> bool {
        self.seeds.is_none() && self.cells.is_empty() && self.ablations.is_empty()
    }
}
