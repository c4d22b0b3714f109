//! Graphs of small made-up kinds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::recipe::{Overrides, Recipe};
use crate::stage::{ArtifactKind, DataType, Kind, ModelType, Problems, Role, StageContext, StageError, StageKind};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Params {
    lr: f64,
    steps: usize,
    select: Option<Select>,
}

impl Default for Params {
    fn default() -> Self {
        Self { lr: 1.0, steps: 1, select: None }
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Select {
    low: f64,
}

struct Train;

impl StageKind for Train {
    const NAME: &'static str = "train";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "trains";
    type Params = Params;

    fn ports(_: &Params) -> Ports {
        Ports::new().optional("model", ArtifactKind::Model).trains_on("data").output("model", ArtifactKind::Model)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.lr <= 0.0 {
            problems.param("lr", "must be above 0", "");
        }
        if params.lr > 1.0 {
            problems.warn("lr", "is large", "");
        }
    }

    fn types(_: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        let images = inputs.model("model").map(|model| model.images.clone()).unwrap_or_default();
        if images.is(&false) && inputs.data("data").is_some_and(|data| data.images.is(&true)) {
            problems.input("data", "has images", "");
        }
        PortTypes::default().with("model", ArtifactType::Model(ModelType { images, ..ModelType::default() }))
    }

    fn run(_: &Params, _: &mut StageContext<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

/// Passes rows on, and their role with them.
struct Filter;

impl StageKind for Filter {
    const NAME: &'static str = "filter";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "filters";
    type Params = Params;

    fn ports(_: &Params) -> Ports {
        Ports::new().input("data", ArtifactKind::Data).output("data", ArtifactKind::Data)
    }

    fn validate(_: &Params, _: &mut Problems) {}

    fn types(_: &Params, inputs: &PortTypes, _: &mut Problems) -> PortTypes {
        let role = inputs.data("data").map_or(Role::Train, |data| data.role);
        PortTypes::default().with("data", ArtifactType::Data(DataType { role, ..DataType::default() }))
    }

    fn run(_: &Params, _: &mut StageContext<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

const KINDS: &[&dyn AnyKind] = &[&Kind::<Train>::NEW, &Kind::<Filter>::NEW];
const HEAD: &str =
    "schema = 1\n[data.rows]\nsource = \"hf:a/rows\"\n[data.exam]\nsource = \"hf:a/exam\"\nrole = \"eval\"\n";

fn checked(stages: &str) -> Result<Checked, Diagnostics> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recipe.toml");
    crate::fs::write(&path, format!("{HEAD}{stages}")).unwrap();
    check(&Recipe::load(&path, &Overrides::default()).unwrap(), KINDS)
}

fn graph(stages: &str) -> Graph {
    checked(stages).unwrap_or_else(|wrong| panic!("{}", wrong.render(false))).graph
}

fn wrong(stages: &str) -> Vec<String> {
    let diagnostics = checked(stages).expect_err("a mistake");
    let errors = diagnostics.list().iter().filter(|one| one.severity == crate::diagnostic::Severity::Error);
    errors.map(|one| format!("{}: {}", one.code, one.message)).collect()
}

fn stage(name: &str, kind: &str, inputs: &str) -> String {
    format!("[stages.{name}]\nkind = \"{kind}\"\ninputs = {{ {inputs} }}\n")
}

#[test]
fn stages_are_ordered_and_types_flow() {
    let last = stage("last", "train", "model = \"first.model\", data = \"data.rows\"");
    let graph = graph(
        &(last + &stage("first", "train", "data = \"kept.data\"") + &stage("kept", "filter", "data = \"data.rows\"")),
    );
    let names: Vec<_> = graph.stages().iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["kept", "first", "last"]);
    let last = graph.find("last").unwrap();
    assert_eq!(graph.upstream(last.id), [graph.find("first").unwrap().id]);
    assert!(matches!(&last.inputs["data"].origin, Origin::Remote { name, .. } if name.to_string() == "hf:a/rows"));
}

#[test]
fn each_makes_a_stage_per_item_and_after_may_name_them_all() {
    let each = "[stages.t]\nkind = \"train\"\neach = [\"rows\", \"more\"]\ninputs = { data = \"data.${each}\" }\n";
    let more = "[data.more]\nsource = \"hf:a/more\"\n";
    let after = stage("z", "train", "data = \"data.rows\"") + "after = [\"t\"]\n";
    let graph = graph(&format!("{more}{each}{after}"));
    let names: Vec<_> = graph.stages().iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["t[rows]", "t[more]", "z"]);
    assert_eq!(graph.find("z").unwrap().after, [StageId(0), StageId(1)]);
}

#[test]
fn data_kept_for_evaluation_is_followed_to_training() {
    let stages = stage("f", "filter", "data = \"data.exam\"") + &stage("g", "filter", "data = \"f.data\"");
    let diagnostics = checked(&(stages + &stage("t", "train", "data = \"g.data\""))).unwrap_err();
    let leak = diagnostics.list().iter().find(|one| one.code == "eval-leak").unwrap();
    assert!(leak.help.as_ref().unwrap().contains("data.exam -> f.data -> g.data -> t.data"), "{leak:?}");
    assert_eq!(leak.labels.len(), 4, "training, two stages on the way, the role");
}

#[test]
fn every_mistake_of_the_parameters_is_found() {
    let params = "params = { lrr = 1, steps = \"x\", select = { lo = 1 }, lr = \"y\" }\n";
    let found = wrong(&(stage("t", "train", "data = \"data.rows\"") + params));
    assert_eq!(
        found,
        [
            "unknown-param: stage `t` (kind `train`) takes no `lrr`",
            "param: `steps` of stage `t` does not fit",
            "missing-param: `select` of stage `t` needs the parameter `low`",
            "unknown-param: `select` of stage `t` (kind `train`) takes no `lo`",
            "param: `lr` of stage `t` does not fit",
        ]
    );
}

#[test]
fn a_warning_is_said_and_stops_nothing() {
    let params = "params = { steps = 1, lr = 2.0, select = { low = 1.0 } }\n";
    let warnings = checked(&(stage("t", "train", "data = \"data.rows\"") + params)).unwrap().warnings;
    let found: Vec<_> = warnings.list().iter().filter(|one| one.code == "param").collect();
    assert_eq!(found.len(), 1, "{}", warnings.render(false));
    assert_eq!((found[0].severity.as_str(), &*found[0].message), ("warning", "stage `t`: `lr` is large"));
}

#[test]
fn a_mistake_of_one_stage_does_not_hide_those_of_others() {
    let stages = stage("a", "trian", "data = \"data.rows\"")
        + &stage("b", "train", "model = \"a.model\", data = \"data.row\"")
        + &stage("c", "train", "model = \"b.modle\", data = \"b.model\"");
    assert_eq!(
        wrong(&stages),
        [
            "unknown-kind: there is no kind of stage `trian`",
            "unknown-reference: there is no data set `row`",
            "unknown-port: stage `b` has no output `modle`",
            "artifact: input `data` of stage `c` takes data",
        ]
    );
}

#[test]
fn circles_are_named() {
    let stages = stage("a", "filter", "data = \"c.data\"")
        + &stage("b", "filter", "data = \"a.data\"")
        + &stage("c", "filter", "data = \"b.data\"");
    assert_eq!(wrong(&stages), ["cycle: stages wait for each other: a -> b -> c -> a"]);
}

#[test]
fn drawings_are_stable() {
    let each = "[stages.t]\nkind = \"train\"\neach = [\"rows\"]\ninputs = { data = \"data.${each}\" }\n";
    let graph = graph(&(each.to_owned() + &stage("u", "train", "model = \"t[rows].model\", data = \"data.rows\"")));
    assert_eq!(
        render::render(&graph, render::Format::Mermaid),
        "flowchart LR\n  data_rows[(\"data.rows\")]\n  t_rows[\"t[rows]<br/><i>train</i>\"]\n  u[\"u<br/><i>train</i>\"]\n  \
         data_rows -->|data| t_rows\n  data_rows -->|data| u\n  t_rows -->|model| u\n"
    );
    assert_eq!(
        (render::label("model as reference"), render::label("model@step=4")),
        ("model as reference".into(), "\"model@step=4\"".into())
    );
    assert!(render::render(&graph, render::Format::Dot).contains("\"t[rows]\" -> \"u\" [label=\"model\"];"));
    assert_eq!(
        render::render(&graph, render::Format::Text),
        "t[rows]  train  data = data.rows\nu        train  data = data.rows, model = t[rows].model\n"
    );
}
