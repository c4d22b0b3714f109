//! Tiny siblings of recipes of small made-up kinds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::graph::check;
use crate::recipe::Overrides;
use crate::stage::{
    ArtifactKind, DataType, Kind, ModelType, Ports, Problems, Role, StageContext, StageError, StageKind, StandIn,
};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Params {
    steps: usize,
    salt: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self { steps: 100, salt: 0 }
    }
}

/// Learns from rows; what it makes is no model for anything else if it has learnt for 13 steps.
struct Learn;

impl StageKind for Learn {
    const NAME: &'static str = "learn";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "learns";
    type Params = Params;

    fn ports(_: &Params) -> Ports {
        let ports = Ports::new().input("model", ArtifactKind::Model).trains_on("data");
        let ports = ports.optional("judge", ArtifactKind::Data).verbatim();
        ports.optional("exam", ArtifactKind::Data).measures().output("model", ArtifactKind::Model)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.salt == 13 && params.steps < 3 {
            problems.param("steps", "must be at least 3", "");
        }
    }

    fn types(_: &Params, inputs: &PortTypes, _: &mut Problems) -> PortTypes {
        PortTypes::default().with("model", ArtifactType::Model(inputs.model("model").cloned().unwrap_or_default()))
    }

    fn tiny(params: &mut Params) {
        params.steps = params.steps.min(2);
    }

    fn run(_: &Params, _: &mut StageContext<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

/// Makes rows from nothing.
struct Rows;

impl StageKind for Rows {
    const NAME: &'static str = "rows";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "makes rows";
    type Params = Params;

    fn ports(_: &Params) -> Ports {
        Ports::new().output("rows", ArtifactKind::Data).output("exam", ArtifactKind::Data)
    }

    fn validate(_: &Params, _: &mut Problems) {}

    fn types(_: &Params, _: &PortTypes, _: &mut Problems) -> PortTypes {
        let of = |role| ArtifactType::Data(DataType { role, ..DataType::default() });
        PortTypes::default().with("rows", of(Role::Train)).with("exam", of(Role::Eval))
    }

    fn stand_in(ty: &ArtifactType, salt: u64) -> Option<StandIn<Params>> {
        let ArtifactType::Data(data) = ty else { return None };
        let port = if data.role == Role::Eval { "exam" } else { "rows" };
        Some(StandIn { params: Params { steps: 1, salt }, port, inputs: Vec::new() })
    }

    fn run(_: &Params, _: &mut StageContext<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

/// Makes a model from rows.
struct Build;

impl StageKind for Build {
    const NAME: &'static str = "build";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "builds a model";
    type Params = Params;

    fn ports(_: &Params) -> Ports {
        Ports::new().trains_on("text").output("model", ArtifactKind::Model)
    }

    fn validate(_: &Params, _: &mut Problems) {}

    fn types(_: &Params, _: &PortTypes, _: &mut Problems) -> PortTypes {
        PortTypes::default().with("model", ArtifactType::Model(ModelType::default()))
    }

    fn stand_in(ty: &ArtifactType, _: u64) -> Option<StandIn<Params>> {
        let ArtifactType::Model(model) = ty else { return None };
        let needs = vec![("text", ArtifactType::Data(DataType::default()))];
        let stand_in = StandIn { params: Params { steps: 1, salt: 0 }, port: "model", inputs: needs };
        (!model.images.is(&true)).then_some(stand_in)
    }

    fn run(_: &Params, _: &mut StageContext<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

/// Measures a model.
struct Score;

impl StageKind for Score {
    const NAME: &'static str = "score";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "measures";
    type Params = Params;

    fn ports(_: &Params) -> Ports {
        Ports::new().input("model", ArtifactKind::Model).output("metrics", ArtifactKind::Metrics)
    }

    fn validate(_: &Params, _: &mut Problems) {}

    fn types(_: &Params, _: &PortTypes, _: &mut Problems) -> PortTypes {
        PortTypes::default().with("metrics", ArtifactType::Metrics)
    }

    fn run(_: &Params, _: &mut StageContext<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

const KINDS: &[&dyn AnyKind] = &[&Kind::<Score>::NEW, &Kind::<Learn>::NEW, &Kind::<Rows>::NEW, &Kind::<Build>::NEW];

const RECIPE: &str = r#"
schema = 1
[recipe]
name = "two"
[models.base]
source = "hf:a/base"
[models.teacher]
source = "hf:a/teacher"
[data.rows]
source = "hf:a/rows"
splits = { train = 0.9, rest = 0.1 }
[data.exam]
source = "hf:a/exam"
role = "eval"
[data.judge]
source = "file:judge.py"
[stages.first]
kind = "learn"
inputs = { model = "models.base", data = "data.rows.train", exam = "data.exam", judge = "data.judge" }
[stages.second]
kind = "learn"
inputs = { model = "first.model", data = "data.rows.rest" }
"#;

fn small(recipe: &str) -> Result<Graph, Diagnostics> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recipe.toml");
    crate::fs::write(&path, recipe).unwrap();
    let recipe = Recipe::load(&path, &Overrides::default()).unwrap();
    let checked = check(&recipe, KINDS).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    tiny(&recipe, KINDS, checked).map(|checked| checked.graph)
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.stages().iter().map(|stage| stage.name.as_str()).collect()
}

fn wrong(recipe: &str) -> Vec<String> {
    small(recipe).unwrap_err().list().iter().map(|one| one.message.clone()).collect()
}

#[test]
fn stages_shrink_and_stand_ins_come_before_them() {
    let graph = small(RECIPE).unwrap();
    assert!(graph.is_tiny());
    assert_eq!(graph.name(), "two-tiny");
    let rest = ["tiny:data.exam", "tiny:build.text", "tiny:models.base", "first", "tiny:data.rows.rest", "second"];
    assert_eq!(names(&graph), [["tiny:data.rows.train"].as_slice(), &rest].concat().as_slice());
    let first = graph.find("first").unwrap();
    assert_eq!(first.stage.params()["steps"], 2);
    let of = |port: &str| match &first.inputs[port].origin {
        Origin::Stage { stage, port } => format!("{}/{port}", graph.stage(*stage).name),
        other => format!("{other:?}"),
    };
    assert_eq!(of("model"), "tiny:models.base/model");
    assert_eq!((of("data"), of("exam")), ("tiny:data.rows.train/rows".into(), "tiny:data.exam/exam".into()));
    assert!(of("judge").starts_with("File"), "a program is no rows: {}", of("judge"));
    let salts: BTreeSet<String> = graph.stages().iter().map(|node| node.stage.params()["salt"].to_string()).collect();
    assert_eq!(salts.len(), 5, "two splits, the exam and the text are other rows; all else has none");
}

#[test]
fn the_same_stand_in_is_made_once() {
    let graph = small(&RECIPE.replace("first.model", "models.teacher")).unwrap();
    assert_eq!(names(&graph).iter().filter(|name| name.starts_with("tiny:models")).count(), 1, "{:?}", names(&graph));
}

#[test]
fn every_arm_takes_part_with_the_first_seed() {
    let more = "[seeds]\nvalues = [7, 8]\n[ablations.more]\neach = { \"stages.second.params.salt\" = [1, 2] }\n";
    let graph = small(&format!("{RECIPE}{more}")).unwrap();
    let arms: Vec<_> = graph.arms().iter().map(|arm| (arm.label.name.as_str(), arm.label.seed)).collect();
    assert_eq!(arms, [("", 7), ("more=1", 7), ("more=2", 7)]);
    assert!(names(&graph).contains(&"second@more=2") && !names(&graph).contains(&"second#8"));
    for arm in graph.arms() {
        assert!(arm.stages.contains_key("tiny:models.base") && arm.stages.contains_key("tiny:data.rows.rest"));
        assert!(arm.stages.values().all(|id| graph.upstream(*id).iter().all(|before| before < id)));
        let second = graph.stage(arm.stages["second"]);
        assert_eq!((second.stage.params()["steps"].as_u64(), second.seed), (Some(2), 7));
    }
}

#[test]
fn gates_are_judged_and_hold_nothing_back() {
    let exam = "[stages.score]\nkind = \"score\"\ninputs = { model = \"first.model\" }\n";
    let gate = "[gates.good]\nafter = \"first\"\nrequire = \"score.accuracy >= 0.5\"\n";
    let seeds = "[seeds]\nvalues = [7, 8]\n";
    for more in ["", seeds] {
        let graph = small(&format!("{RECIPE}{exam}{gate}{more}")).unwrap();
        let [gate] = graph.gates() else { panic!("{:?}", graph.gates()) };
        let name = |id: &StageId| graph.stage(*id).name.as_str();
        assert_eq!((gate.on_fail, name(&gate.after[0]), name(&gate.terms[0].stage)), (OnFail::Warn, "first", "score"));
        assert_eq!(gate.holds.iter().map(name).collect::<Vec<_>>(), ["second"]);
        assert!(graph.arms().iter().all(|arm| arm.gates == [0]));
    }
}

#[test]
fn what_can_not_be_small_is_said() {
    let images = RECIPE.replace("\"hf:a/base\"", "\"hf:a/base\"\nassume = { images = true }");
    assert_eq!(wrong(&images), ["nothing can stand in for `models.base` in a tiny run"]);
    let unlucky = format!("{RECIPE}params = {{ salt = 13 }}\n");
    assert_eq!(wrong(&unlucky), ["stage `second` does not fit when it is tiny: `steps` must be at least 3"]);
}
