//! For this crate's tests: kinds that do what their parameters say, and graphs without a recipe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fs;
use crate::graph::{Graph, Input, Origin, StageId, StageNode};
use crate::stage::{
    AnyKind, ArtifactKind, ArtifactType, DataType, DataView, Kind, Metric, ModelType, PortTypes, Ports, Problems,
    Runtime, StageContext, StageError, StageKind,
};

/// Every fake kind.
pub static KINDS: &[&dyn AnyKind] = &[&Kind::<Fake<1>>::NEW, &Kind::<Probe>::NEW];
/// `fake`, version 1.
pub static FAKE: &dyn AnyKind = &Kind::<Fake<1>>::NEW;
/// `fake`, with another meaning.
pub static FAKE_V2: &dyn AnyKind = &Kind::<Fake<2>>::NEW;

/// A stage that copies its parameters to its output, or does something worse.
pub struct Fake<const V: u32>;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FakeParams {
    lr: f64,
    note: String,
    select: Select,
    act: Act,
    /// Folder where stages that `meet` leave a mark, and how many have to.
    dir: Option<PathBuf>,
    /// States of its model that it keeps beside the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keep: Vec<String>,
}

impl Default for FakeParams {
    fn default() -> Self {
        Self { lr: 1e-5, note: String::new(), select: Select::default(), act: Act::Write, dir: None, keep: Vec::new() }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Select {
    low: f64,
    kind: String,
}

impl Default for Select {
    fn default() -> Self {
        Self { low: 0.03, kind: "pad".into() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Act {
    /// Writes the output.
    Write,
    /// Fails.
    Fail,
    /// Panics.
    Panic,
    /// Ends well without the output.
    Nothing,
    /// Waits until another stage waits too.
    Meet,
    /// Works until somebody asks to stop; the next attempt ends well.
    UntilStopped,
}

impl<const V: u32> StageKind for Fake<V> {
    const NAME: &'static str = "fake";
    const VERSION: u32 = V;
    const SUMMARY: &'static str = "for tests";
    type Params = FakeParams;

    fn ports(params: &FakeParams) -> Ports {
        let mut ports = Ports::new().optional("model", ArtifactKind::Model).trains_on("data");
        ports.inputs[1].required = false;
        let states = params.keep.iter().map(|state| format!("model@{state}"));
        states.fold(ports.output("model", ArtifactKind::Model), |ports, state| ports.output(state, ArtifactKind::Model))
    }

    fn validate(_: &FakeParams, _: &mut Problems) {}

    fn types(params: &FakeParams, _: &PortTypes, _: &mut Problems) -> PortTypes {
        let model = || ArtifactType::Model(ModelType::default());
        let types = PortTypes::default().with("model", model());
        params.keep.iter().fold(types, |types, state| types.with(&format!("model@{state}"), model()))
    }

    fn run(params: &FakeParams, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let checkpoint = context.work_dir().join("step");
        let failed = |error: fs::FsError| StageError::Failed(error.to_string());
        match params.act {
            Act::Write => {}
            Act::Fail => return Err(StageError::Failed("it was asked to".into())),
            Act::Panic => panic!("it was asked to"),
            Act::Nothing => return Ok(()),
            Act::Meet => {
                let dir = params.dir.as_deref().unwrap();
                fs::write(&dir.join(context.stage()), "").map_err(failed)?;
                let start = Instant::now();
                while fs::list(dir).map_err(failed)?.len() < 2 {
                    if start.elapsed() > Duration::from_secs(20) {
                        return Err(StageError::Failed("nobody came".into()));
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            }
            Act::UntilStopped if fs::exists(&checkpoint) => {
                context.emit(crate::exec::StageEvent::Resumed { step: 3 });
            }
            Act::UntilStopped => {
                context.progress(3, 10, &[("loss", f64::NAN), ("reward", 0.5)]);
                while !context.interrupted() {
                    thread::sleep(Duration::from_millis(5));
                }
                fs::write(&checkpoint, "3").map_err(failed)?;
                return Err(StageError::Interrupted { step: 3 });
            }
        }
        let text = json!({ "params": params, "seed": context.seed() }).to_string();
        fs::write(&context.output("model")?.join("model.json"), text).map_err(failed)
    }
}

/// A stage that measures what its parameters say, whatever the model.
struct Probe;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ProbeParams {
    /// Items of which every one is right but the first `wrong`.
    items: usize,
    wrong: usize,
    act: Act,
}

impl Default for ProbeParams {
    fn default() -> Self {
        Self { items: 100, wrong: 0, act: Act::Write }
    }
}

impl StageKind for Probe {
    const NAME: &'static str = "probe";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "measures, for tests";
    type Params = ProbeParams;

    fn ports(_: &ProbeParams) -> Ports {
        let ports = Ports::new().optional("model", ArtifactKind::Model).optional("data", ArtifactKind::Data);
        ports.measures().output("metrics", ArtifactKind::Metrics)
    }

    fn validate(_: &ProbeParams, _: &mut Problems) {}

    fn types(_: &ProbeParams, _: &PortTypes, _: &mut Problems) -> PortTypes {
        PortTypes::default().with("metrics", ArtifactType::Metrics)
    }

    fn metrics(_: &ProbeParams) -> Vec<Metric> {
        vec![Metric::of_items("accuracy"), Metric::of_items("accuracy/*"), Metric::other("tokens")]
    }

    fn run(params: &ProbeParams, context: &mut StageContext<'_>) -> Result<(), StageError> {
        if params.act == Act::Fail {
            return Err(StageError::Failed("it was asked to".into()));
        }
        let scores: Vec<f64> = (0..params.items).map(|item| if item < params.wrong { 0.0 } else { 1.0 }).collect();
        measured(&context.output("metrics")?, &scores).map_err(|error| StageError::Failed(error.to_string()))
    }
}

/// Writes metrics of items `0`, `1`, … with these scores; odd items are images.
pub fn measured(folder: &Path, scores: &[f64]) -> Result<(), fs::FsError> {
    let mean = |chosen: &dyn Fn(usize) -> bool| {
        let scores: Vec<f64> =
            scores.iter().enumerate().filter(|(item, _)| chosen(*item)).map(|(_, score)| *score).collect();
        scores.iter().sum::<f64>() / scores.len().max(1) as f64
    };
    let metrics = json!({
        "accuracy": mean(&|_| true), "accuracy/image": mean(&|item| item % 2 == 1), "accuracy/text": mean(&|item| item % 2 == 0),
        "tokens": 12.5,
    });
    let line = |(item, score): (usize, &f64)| {
        let group = if item % 2 == 1 { "image" } else { "text" };
        json!({ "id": item.to_string(), "group": group, "score": score }).to_string() + "\n"
    };
    fs::create_dir_all(folder)?;
    fs::write(&folder.join("items.jsonl"), scores.iter().enumerate().map(line).collect::<String>())?;
    let document = json!({ "schema": 1, "metrics": metrics, "items": scores.len() });
    fs::write(&folder.join("metrics.json"), document.to_string())
}

/// A graph without a recipe.
#[derive(Debug, Default)]
pub struct Sketch {
    stages: Vec<StageNode>,
    seed: u64,
}

impl Sketch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Root seed of the stages added from here on.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a `fake` stage. An input is `port = stage.port` or `port = /a/path`.
    pub fn stage(self, name: &str, params: &Value, inputs: &[(&str, &str)]) -> Self {
        self.of_kind(FAKE, name, params, inputs)
    }

    pub fn of_kind(mut self, kind: &'static dyn AnyKind, name: &str, params: &Value, inputs: &[(&str, &str)]) -> Self {
        let stage = kind.decode(params).unwrap();
        let input = |(port, reference): &(&str, &str)| (port.to_string(), self.input(reference));
        let inputs: BTreeMap<_, _> = inputs.iter().map(input).collect();
        let ports = stage.ports();
        self.stages.push(StageNode {
            id: StageId(self.stages.len()),
            name: name.into(),
            kind,
            stage,
            ports,
            inputs,
            outputs: PortTypes::default(),
            after: Vec::new(),
            seed: self.seed,
            runtime: Runtime::default(),
        });
        self
    }

    /// Changes the stage added last.
    pub fn with(mut self, change: impl FnOnce(&mut StageNode)) -> Self {
        change(self.stages.last_mut().unwrap());
        self
    }

    /// How rows are read from the file inputs of the stage added last.
    pub fn view(self, view: &DataView) -> Self {
        self.with(|node| {
            for input in node.inputs.values_mut() {
                if let Origin::File { view: of_input, .. } = &mut input.origin {
                    *of_input = view.clone();
                }
            }
        })
    }

    pub fn graph(self) -> Graph {
        Graph { name: "sketch".into(), stages: self.stages, ..Graph::default() }
    }

    fn input(&self, reference: &str) -> Input {
        let (origin, ty) = if reference.starts_with('/') {
            let origin = Origin::File { path: Path::new(reference).to_owned(), view: DataView::default() };
            (origin, ArtifactType::Data(DataType::default()))
        } else {
            let (stage, port) = reference.split_once('.').unwrap();
            let stage = self.stages.iter().find(|node| node.name == stage).unwrap().id;
            (Origin::Stage { stage, port: port.into() }, ArtifactType::Model(ModelType::default()))
        };
        Input { reference: reference.into(), origin, ty, assumed: None }
    }
}

/// What comes from a repository of the hub that has no copy here.
pub fn remote(kind: crate::hub::RepoKind, repo: &str, commit: Option<&str>) -> Origin {
    let name = crate::hub::HubName { kind, repo: repo.into(), revision: None, path: None };
    let view = DataView::default();
    Origin::Remote { name, commit: commit.map(str::to_owned), copy: None, view }
}
