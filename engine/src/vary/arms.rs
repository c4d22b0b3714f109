//! [`Variation`] → arms, in the order in which a run takes them: every variant with the first seed, then with the next, so
//! that an interrupted run has whole sets. Within a seed the recipe as written comes first.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Ablation, Chain, Label, Setting, edit, names, rewire};
use crate::diagnostic::Diagnostic;
use crate::recipe::{At, Change, Node, Recipe, Reseed, Span, Table};

/// An arm before it is made.
pub(crate) struct Spec<'a> {
    /// What it is called and what it changes.
    pub label: Label,
    /// Where the recipe asks for it; none for the recipe as written.
    pub place: Option<Span>,
    /// Was it thought up by an arrangement, and not written out by hand?
    pub arranged: bool,
    /// Stages that vary with the seed; none: all.
    from: Option<&'a [At<String>]>,
    /// `[seeds]` gives the seed.
    seeded: bool,
    settings: Vec<&'a Setting>,
    order: Option<(&'a Chain, &'a [usize])>,
    /// Stages and gates that it has not because others are left out.
    without: Vec<String>,
}

/// An ablation's arm, a cell, or nothing.
struct Part<'a> {
    ablation: &'a str,
    name: String,
    place: Option<Span>,
    settings: Vec<&'a Setting>,
    order: Option<(&'a Chain, &'a [usize])>,
}

/// Every arm; empty for a recipe without variation.
pub(crate) fn arms(recipe: &Recipe) -> Vec<Spec<'_>> {
    let variation = &*recipe.variation;
    if variation.is_empty() {
        return Vec::new();
    }
    let written = &recipe.origin.table;
    let mut parts = vec![Part { ablation: "", name: String::new(), place: None, settings: Vec::new(), order: None }];
    for ablation in &variation.ablations {
        parts.extend(of_ablation(ablation));
    }
    distinct(&mut parts);
    let cells = cells(&variation.cells, written);
    let seeds: Vec<Option<u64>> = match &variation.seeds {
        Some(seeds) => seeds.values.iter().copied().map(Some).collect(),
        None => vec![None],
    };
    let from = variation.seeds.as_ref().and_then(|seeds| seeds.from.as_deref());
    let mut specs = Vec::with_capacity(seeds.len() * cells.len() * parts.len());
    for (turn, &seed) in seeds.iter().enumerate() {
        for (cell_names, cell, cell_place) in &cells {
            for part in &parts {
                let variant = names::variant(&part.name, cell_names);
                let settings: Vec<&Setting> = part.settings.iter().chain(cell).copied().collect();
                let label = Label {
                    name: names::arm(&variant, seed.filter(|_| turn > 0)),
                    ablation: part.ablation.to_owned(),
                    variant,
                    seed: seed.unwrap_or(recipe.seed),
                    settings: told(&settings, part.order),
                };
                specs.push(Spec {
                    label,
                    place: part.place.or(*cell_place),
                    arranged: part.order.is_some(),
                    from,
                    seeded: seed.is_some(),
                    settings,
                    order: part.order,
                    without: Vec::new(),
                });
            }
        }
    }
    specs
}

fn of_ablation<'a>(ablation: &'a Ablation) -> Vec<Part<'a>> {
    let name = &ablation.name.value;
    let common = || ablation.settings.iter().collect::<Vec<_>>();
    let part = |name: String, settings, order: Option<(&'a Chain, &'a [usize])>| {
        let place = order.map_or(ablation.name.span, |(chain, _)| chain.span);
        Part { ablation: &ablation.name.value, name, place: Some(place), settings, order }
    };
    let mut parts = Vec::new();
    for (name, setting) in &ablation.each {
        parts.push(part(name.clone(), common().into_iter().chain([setting]).collect(), None));
    }
    if let Some(chain) = &ablation.chain {
        for order in &chain.orders {
            let whole = order.len() == chain.members.len() && order.is_sorted();
            if whole && ablation.settings.is_empty() {
                continue; // the recipe as written
            }
            let members: Vec<_> = order.iter().map(|&member| chain.members[member].value.as_str()).collect();
            parts.push(part(members.join("+"), common(), Some((chain, order))));
        }
    }
    if parts.is_empty() && ablation.each.is_empty() && ablation.chain.is_none() {
        parts.push(part(name.clone(), common(), None));
    }
    parts
}

/// Gives arrangements that another part is called like the name of their ablation too.
fn distinct(parts: &mut [Part<'_>]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for part in parts.iter() {
        *counts.entry(part.name.clone()).or_default() += 1;
    }
    for part in parts.iter_mut().filter(|part| part.order.is_some() && counts[&part.name] > 1) {
        part.name = format!("{}.{}", part.ablation, part.name);
    }
}

/// Parts of the name, settings and place of a cell; without a matrix, one that changes nothing.
type Named<'a> = (Vec<String>, Vec<&'a Setting>, Option<Span>);

/// Cells with their names, which list what differs from the recipe as written.
fn cells<'a>(cells: &'a [Vec<Setting>], written: &Table) -> Vec<Named<'a>> {
    if cells.is_empty() {
        return vec![(Vec::new(), Vec::new(), None)];
    }
    let paths: BTreeSet<&str> = cells.iter().flatten().map(|setting| setting.path.value.as_str()).collect();
    let paths: Vec<&str> = paths.into_iter().collect();
    // Values without a short form are called by their place among the values of their path.
    let mut values: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for setting in cells.iter().flatten() {
        let known = values.entry(&setting.path.value).or_default();
        let value = json_of(setting);
        if !known.contains(&value) {
            known.push(value);
        }
    }
    let name = |setting: &Setting| {
        let keys: Vec<_> = setting.path.value.split('.').collect();
        let now = names::json(written.descend(&keys).map(|entry| &entry.value.value));
        if now == json_of(setting) {
            return None;
        }
        let place = values[setting.path.value.as_str()].iter().position(|value| *value == json_of(setting))? + 1;
        let value = names::value(&setting.value.as_ref()?.value, place);
        Some(format!("{}={value}", names::key(&setting.path.value, &paths)))
    };
    let one = |cell: &'a Vec<Setting>| {
        let place = cell.first().and_then(|setting| setting.value.as_ref()).map(|value| value.span);
        (cell.iter().filter_map(name).collect(), cell.iter().collect(), place)
    };
    cells.iter().map(one).collect()
}

fn json_of(setting: &Setting) -> Value {
    names::json(setting.value.as_ref().map(|at| &at.value))
}

fn told(settings: &[&Setting], order: Option<(&Chain, &[usize])>) -> BTreeMap<String, Value> {
    let mut told: BTreeMap<_, _> =
        settings.iter().map(|setting| (setting.path.value.clone(), json_of(setting))).collect();
    if let Some((chain, order)) = order {
        let members: Vec<_> = order.iter().map(|&member| chain.members[member].value.as_str()).collect();
        told.insert("chain".into(), json!(members));
    }
    told
}

impl Spec<'_> {
    /// Names of stages and gates that this arm has not because what they need is left out.
    pub fn without(&self) -> &[String] {
        &self.without
    }

    /// The arm as a recipe.
    pub fn recipe(&mut self, recipe: &Recipe) -> Recipe {
        recipe.changed(self)
    }

    /// `[seeds] from`.
    pub fn from(&self) -> &[At<String>] {
        self.from.unwrap_or_default()
    }
}

impl Change for Spec<'_> {
    fn edit(&self, table: &mut Table, mistakes: &mut Vec<Diagnostic>) {
        for setting in &self.settings {
            edit::apply(table, setting, mistakes);
        }
    }

    fn rewire(&mut self, table: &mut Table, mistakes: &mut Vec<Diagnostic>) {
        let unset = self.settings.iter().filter(|setting| setting.value.is_none());
        let mut gone: Vec<String> =
            unset.filter_map(|setting| setting.path.value.strip_prefix("stages.")).map(str::to_owned).collect();
        gone.retain(|name| !name.contains('.'));
        if let Some((chain, order)) = self.order
            && let Some(Node::Table(stages)) = table.0.get_mut("stages").map(|entry| &mut entry.value.value)
        {
            gone.extend(rewire::arrange(stages, chain, order, mistakes).unwrap_or_default());
        }
        if !gone.is_empty() {
            self.without = rewire::leave_out(table, &gone);
        }
    }

    fn seed(&self) -> Option<u64> {
        (self.seeded && self.from.is_none()).then_some(self.label.seed)
    }

    fn reseed(&self) -> Option<Reseed> {
        let from = self.from.filter(|_| self.seeded)?;
        Some(Reseed { seed: self.label.seed, from: from.iter().map(|name| name.value.clone()).collect() })
    }
}
