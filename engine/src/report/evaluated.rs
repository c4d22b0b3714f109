//! Receipt → its variants, what each evaluated, and the scored items of each evaluation, read once. Refuses to know what
//! is made of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ReportError;
use super::measure::{self, Item, Metrics, Part};
use crate::exec::{Receipt, StageReceipt};
use crate::stage::ArtifactKind;

/// A variation of the recipe, under all its seeds; the recipe as written is one too.
pub(super) struct Variant<'a> {
    /// Empty for the recipe as written.
    pub name: &'a str,
    pub ablation: &'a str,
    pub settings: BTreeMap<String, Value>,
    pub arms: Vec<Arm<'a>>,
}

/// A variant under one seed.
pub(super) struct Arm<'a> {
    pub seed: u64,
    /// Its stages under their names in the recipe, in the order of the receipt.
    pub stages: Vec<(&'a str, &'a StageReceipt)>,
}

/// The variants of a run, the recipe as written first; a run without variations is one variant under one seed.
pub(super) fn variants(receipt: &Receipt) -> Vec<Variant<'_>> {
    let place: BTreeMap<&str, usize> =
        receipt.stages.iter().enumerate().map(|(at, stage)| (stage.stage.as_str(), at)).collect();
    let mut variants: Vec<Variant<'_>> = Vec::new();
    for arm in &receipt.arms {
        let mut stages: Vec<(usize, &str)> =
            arm.stages.iter().filter_map(|(local, name)| Some((*place.get(name.as_str())?, local.as_str()))).collect();
        stages.sort_unstable();
        let stages = stages.into_iter().map(|(at, local)| (local, &receipt.stages[at])).collect();
        let view = Arm { seed: arm.seed, stages };
        match variants.iter_mut().find(|known| known.name == arm.variant) {
            Some(variant) => variant.arms.push(view),
            None => variants.push(Variant {
                name: &arm.variant,
                ablation: &arm.ablation,
                settings: arm.settings.clone(),
                arms: vec![view],
            }),
        }
    }
    if variants.is_empty() {
        let stages = receipt.stages.iter().map(|stage| (stage.stage.as_str(), stage)).collect();
        variants.push(Variant {
            name: "",
            ablation: "",
            settings: BTreeMap::new(),
            arms: vec![Arm { seed: 0, stages }],
        });
    }
    variants
}

/// One evaluation with its items.
pub(super) struct Scored<'a> {
    pub stage: &'a StageReceipt,
    pub metrics: Metrics,
    pub items: Vec<Item>,
}

impl Scored<'_> {
    pub fn references(&self, kind: ArtifactKind) -> Vec<&str> {
        let inputs = self.stage.inputs.values().filter(|input| input.kind == kind);
        inputs.map(|input| input.reference.as_str()).collect()
    }

    /// Equal for evaluations of the same rows.
    pub fn rows(&self) -> BTreeSet<&str> {
        let inputs = self.stage.inputs.values().filter(|input| input.kind == ArtifactKind::Data);
        inputs.map(|input| input.identity.as_str()).collect()
    }

    /// Scores of chosen items, by item.
    pub fn scores(&self, chosen: impl Fn(&Item) -> bool) -> BTreeMap<&str, f64> {
        let chosen = self.items.iter().filter(|item| chosen(item));
        chosen.map(|item| (item.id.as_str(), item.score)).collect()
    }

    /// How many items a metric is about.
    pub fn items_of(&self, metric: &str) -> usize {
        let part = Part::of(metric);
        self.items.iter().filter(|item| part.holds(item)).count()
    }

    /// See [`measure::is_mean_of_items`].
    pub fn is_mean_of_items(&self, metric: &str) -> bool {
        measure::is_mean_of_items(&self.metrics, &self.items, metric)
    }
}

/// Every evaluation of a run, by the stage that measured and its port.
pub(super) struct Pool<'a> {
    scored: BTreeMap<(&'a str, &'a str), Scored<'a>>,
}

impl<'a> Pool<'a> {
    /// Reads what the run's evaluations measured.
    pub fn read(receipt: &'a Receipt) -> Result<Self, ReportError> {
        let mut scored = BTreeMap::new();
        for stage in &receipt.stages {
            let Some(artifact) = &stage.artifact else { continue };
            for (port, _) in stage.outputs.iter().filter(|(_, kind)| **kind == ArtifactKind::Metrics) {
                let (metrics, items) = measure::read(&artifact.join("artifact").join(port))?;
                scored.insert((stage.stage.as_str(), port.as_str()), Scored { stage, metrics, items });
            }
        }
        Ok(Self { scored })
    }

    /// What is evaluated, over all variants: in the order of the first that evaluates it.
    pub fn columns(&self, variants: &[Variant<'a>]) -> Vec<Column> {
        let mut columns: Vec<Column> = Vec::new();
        for arm in variants.iter().flat_map(|variant| &variant.arms) {
            for (local, port, scored) in self.of_arm(arm) {
                let pick = Pick::Stage { stage: local.into(), port: port.into() };
                let subject = subject(arm, local, scored);
                match columns.iter_mut().find(|column| column.pick == pick) {
                    // Arms whose chains end differently are measured by one stage: its name is what they have in common.
                    Some(column) if column.subject != subject => local.clone_into(&mut column.subject),
                    Some(_) => {}
                    None => {
                        let data = scored.references(ArtifactKind::Data).join(", ");
                        columns.push(Column { pick, stage: local.to_owned(), subject, data });
                    }
                }
            }
        }
        columns
    }

    /// One more column per data set on which variants end with different stages: the last model of each.
    pub fn last_columns(&self, variants: &[Variant<'a>], columns: &[Column]) -> Vec<Column> {
        let data: BTreeSet<&str> = columns.iter().map(|column| column.data.as_str()).collect();
        let last = |data: &str| Column {
            pick: Pick::Last,
            stage: String::new(),
            subject: "(last)".into(),
            data: data.to_owned(),
        };
        let differs = |column: &Column| {
            let arms = variants.iter().filter_map(|variant| variant.arms.first());
            let ends: BTreeSet<&str> = arms.filter_map(|arm| Some(self.find(arm, column)?.0)).collect();
            ends.len() > 1
        };
        data.into_iter().map(last).filter(differs).collect()
    }

    /// A column's evaluations in a variant by seed. Seeds that share one evaluation (what they vary comes later) are one.
    pub fn cell(&self, variant: &Variant<'a>, column: &Column) -> Vec<(u64, &Scored<'a>)> {
        let mut cell: Vec<(u64, &Scored<'a>)> = Vec::new();
        for arm in &variant.arms {
            if let Some((_, scored)) = self.find(arm, column)
                && cell.iter().all(|(_, known)| known.stage.key != scored.stage.key)
            {
                cell.push((arm.seed, scored));
            }
        }
        cell
    }

    /// The evaluation that an arm has in a column, with the evaluating stage's name in the recipe.
    pub fn find(&self, arm: &Arm<'a>, column: &Column) -> Option<(&'a str, &Scored<'a>)> {
        match &column.pick {
            Pick::Stage { stage, port } => {
                let mut here = self.of_arm(arm).into_iter();
                here.find(|(local, of, _)| local == stage && of == port).map(|(local, _, scored)| (local, scored))
            }
            Pick::Last => {
                let here = self.of_arm(arm).into_iter();
                let here = here.filter(|(.., scored)| scored.references(ArtifactKind::Data).join(", ") == column.data);
                // Of equals the first: `max_by_key` would take the last.
                let deepest = here.rev().max_by_key(|(_, _, scored)| depth(arm, scored.stage));
                deepest.map(|(local, _, scored)| (local, scored))
            }
        }
    }

    fn of_arm(&self, arm: &Arm<'a>) -> Vec<(&'a str, &'a str, &Scored<'a>)> {
        let mut found = Vec::new();
        for (local, stage) in &arm.stages {
            for port in stage.outputs.keys() {
                if let Some(scored) = self.scored.get(&(stage.stage.as_str(), port.as_str())) {
                    found.push((*local, port.as_str(), scored));
                }
            }
        }
        found
    }
}

/// Something that is evaluated.
pub(super) struct Column {
    pick: Pick,
    /// The stage that measures; empty for the last of each variant.
    pub stage: String,
    /// The stage that made the model, or the reference where no stage did; where arms differ in that, the stage that measures.
    pub subject: String,
    /// The rows asked, as the recipe refers to them.
    pub data: String,
}

#[derive(PartialEq)]
enum Pick {
    Stage {
        stage: String,
        port: String,
    },
    /// The evaluation of the model with the most stages behind it.
    Last,
}

/// The stage behind a reference such as `mrl.model`: by its name in this arm, or in the whole run.
fn producer<'a>(arm: &Arm<'a>, reference: &str) -> Option<(&'a str, &'a StageReceipt)> {
    let name = reference.rsplit_once('.')?.0;
    let by_run = || arm.stages.iter().find(|(_, stage)| stage.stage == name);
    arm.stages.iter().find(|(local, _)| *local == name).or_else(by_run).copied()
}

fn subject(arm: &Arm<'_>, local: &str, scored: &Scored<'_>) -> String {
    match scored.references(ArtifactKind::Model).first() {
        None => local.to_owned(),
        Some(reference) => match producer(arm, reference) {
            Some((name, _)) => match reference.rsplit_once('.').map_or("model", |(_, port)| port) {
                "model" => name.to_owned(),
                // `mrl@best`: another state of its model.
                port => port
                    .strip_prefix("model@")
                    .map_or_else(|| format!("{name}.{port}"), |state| format!("{name}@{state}")),
            },
            None => reference.strip_suffix(".model").unwrap_or(reference).to_owned(),
        },
    }
}

/// Stages that made or changed the model which a stage reads, from the first on.
fn depth(arm: &Arm<'_>, stage: &StageReceipt) -> usize {
    let mut depth = 0;
    let mut at = stage;
    // A receipt of a graph has no cycle; one that was edited shall not hang a report.
    while depth <= arm.stages.len() {
        let mut models = at.inputs.values().filter(|input| input.kind == ArtifactKind::Model);
        let Some((_, next)) = models.find_map(|input| producer(arm, &input.reference)) else { break };
        depth += 1;
        at = next;
    }
    depth
}
