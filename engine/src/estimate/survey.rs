//! The walk: for each stage that would run, in order: what is known of its inputs → what its kind says → how long that took
//! before. Looks at files only where a stage that would run reads them.

use std::collections::BTreeMap;

use super::history::History;
use super::{Estimates, Machine, StageEstimate, rows};
use crate::graph::{Graph, Input, Origin, StageId};
use crate::plan::{Decision, Plan};
use crate::stage::{ArtifactKind, ArtifactType, DataView, Extent, Fact, Facts, Length, Runtime};
use crate::store::{Store, StoreError};

/// Estimates every stage that `plan` would run; `on_gpu` says whether a stage with these settings computes on a GPU.
///
/// # Errors
/// The store can't be read.
pub fn estimate(
    graph: &Graph,
    plan: &Plan,
    store: &Store,
    machine: &Machine,
    on_gpu: &dyn Fn(&Runtime) -> bool,
) -> Result<Estimates, StoreError> {
    if plan.to_run().next().is_none() {
        return Ok(Estimates::default());
    }
    let history = History::read(store, &store.index()?);
    let mut survey = Survey { graph, plan, made: BTreeMap::new(), seen: BTreeMap::new() };
    let mut stages = Vec::new();
    // A recipe has few different settings, and asking for a GPU may mean asking a driver.
    let mut devices: Vec<(&Runtime, bool)> = Vec::new();
    for step in plan.to_run() {
        let node = graph.stage(step.stage);
        let known = devices.iter().find(|(runtime, _)| runtime.device == node.runtime.device);
        let gpu = known.map_or_else(|| on_gpu(&node.runtime), |(_, gpu)| *gpu);
        if known.is_none() {
            devices.push((&node.runtime, gpu));
        }
        let inputs: BTreeMap<_, _> =
            node.inputs.iter().map(|(port, input)| (port.clone(), survey.input(input))).collect();
        let threads = machine.threads(&node.runtime);
        let mut estimate = node.stage.estimate(&Facts { inputs: &inputs, runtime: &node.runtime, threads, gpu });
        survey.made.insert(step.stage, std::mem::take(&mut estimate.makes));
        let device = machine.device(&node.runtime, gpu);
        let kind = node.kind.name();
        let time = estimate.work().and_then(|work| history.time(&step.name, kind, &device, work));
        stages.push(StageEstimate { stage: step.stage, name: step.name.clone(), kind, device, gpu, estimate, time });
    }
    Ok(Estimates { stages })
}

struct Survey<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    /// Outputs of stages that would run.
    made: BTreeMap<StageId, BTreeMap<String, Extent>>,
    /// Outputs of stages that were run.
    seen: BTreeMap<(StageId, String), Extent>,
}

impl Survey<'_> {
    fn input(&mut self, input: &Input) -> Extent {
        match &input.origin {
            Origin::Stage { stage, port } => self.output(*stage, port),
            Origin::File { .. } | Origin::Remote { .. } => match input.origin.files() {
                Some((path, view)) if crate::fs::exists(path) => rows::known(path, input.ty.kind(), view),
                _ => assumed(input),
            },
        }
    }

    fn output(&mut self, stage: StageId, port: &str) -> Extent {
        let step = self.plan.step(stage);
        match (&step.decision, &step.artifact) {
            (Decision::Run(_), _) => self.made.get(&stage).and_then(|made| made.get(port)).cloned().unwrap_or_default(),
            (Decision::Share(twin), _) => self.output(*twin, port),
            (_, None) => Extent::default(),
            (_, Some(artifact)) => {
                let kind = self.graph.stage(stage).ports.outputs.iter().find(|output| output.name == port);
                let kind = kind.map_or(ArtifactKind::Metrics, |output| output.kind);
                let look = || rows::known(&artifact.output(port), kind, &DataView::default());
                self.seen.entry((stage, port.to_owned())).or_insert_with(look).clone()
            }
        }
    }
}

/// What the recipe says of a model or of rows that are not here.
fn assumed(input: &Input) -> Extent {
    let said = input.assumed.as_deref().cloned().unwrap_or_default();
    let ArtifactType::Data(ty) = &input.ty else { return said };
    let number = |fact: &Fact<usize>| fact.get().map(|number| *number as f64);
    let images = ty.images.get().map(|images| f64::from(u8::from(*images)));
    Extent {
        rows: number(&ty.rows),
        prompt: number(&ty.prompt_tokens).map(Length::always),
        images: said.images.or(images),
        pixels: said.pixels.or(number(&ty.image_pixels)),
        ..said
    }
}
