use curricle_engine::stage::{DataType, ProblemAt};

use super::*;
use crate::kinds::sft::Watched;

fn told(report: impl FnOnce(&mut Problems)) -> Vec<(String, String)> {
    let mut problems = Problems::default();
    report(&mut problems);
    let path = |at| match at {
        ProblemAt::Param(path) => path,
        other => format!("{other:?}"),
    };
    problems.into_vec().into_iter().map(|problem| (path(problem.at), problem.message)).collect()
}

fn stop(text: &str) -> Stop<Watched> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn rules_that_make_no_sense_are_reported() {
    let at =
        |text: &str| told(|problems| stop(text).report(problems)).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    let all = r#"{"plateau":{"metric":"val_loss","patience":3,"min_delta":0.01},"metric":{"name":"loss","below":0.1},
        "wall_time":"2h30m","tokens":2000000}"#;
    assert!(at(all).is_empty());
    assert_eq!(at("{}"), ["stop"]);
    assert_eq!(
        at(r#"{"plateau":{"metric":"loss","patience":0,"min_delta":-1.0}}"#),
        ["stop.plateau.patience", "stop.plateau.min_delta"]
    );
    assert_eq!(at(r#"{"metric":{"name":"loss"},"tokens":0}"#), ["stop.metric", "stop.tokens"]);
    assert_eq!(at(r#"{"metric":{"name":"loss","below":0.1,"above":2.0}}"#), ["stop.metric"]);
    for bad in [r#"{"plateau":{"metric":"reward","patience":1}}"#, r#"{"wall_time":"1:30"}"#, r#"{"epochs":1}"#] {
        assert!(serde_json::from_str::<Stop<Watched>>(bad).is_err(), "{bad}");
    }
}

#[test]
fn steps_beyond_the_end_are_reported_where_it_is_known() {
    let keep = Keep::<Watched> { steps: vec![4, 0, 4, 9], ..Keep::default() };
    let places =
        |steps| told(|problems| keep.report(steps, problems)).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    assert_eq!(places(None), ["keep.steps[1]", "keep.steps[2]"]);
    assert_eq!(places(Some(9)), ["keep.steps[1]", "keep.steps[2]"]);
    assert_eq!(places(Some(8)), ["keep.steps[1]", "keep.steps[2]", "keep.steps[3]"]);
    let small = Keep { small: true, ..keep.clone() };
    assert_eq!(told(|problems| small.report(Some(2), problems)).len(), 2);
}

#[test]
fn a_number_needs_the_rows_that_it_is_measured_on() {
    let keep = Keep { best: Some(Watched::ValLoss), ..Keep::default() };
    let rules = stop(r#"{"plateau":{"metric":"loss","patience":1},"metric":{"name":"image_accuracy","above":0.9}}"#);
    let (none, role) = (PortTypes::default(), Role::Eval);
    let said = told(|problems| check(Some(&rules), &keep, &none, problems));
    assert_eq!(said.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(), ["stop.metric.name", "keep.best"]);
    let eval = none.with("val", ArtifactType::Data(DataType { role, ..DataType::default() }));
    let said = told(|problems| check(None, &keep, &eval, problems));
    assert!(said.len() == 1 && said[0].1.contains("no longer held out"), "{said:?}");
    let train = PortTypes::default().with("val", ArtifactType::Data(DataType::default()));
    assert!(told(|problems| check(None, &keep, &train, problems)).is_empty());
}

#[test]
fn each_kept_state_is_an_output_of_the_models_type() {
    let keep = Keep { best: Some(Watched::Loss), steps: vec![400, 20], ..Keep::default() };
    let ports = keep.ports(Ports::new());
    let names: Vec<&str> = ports.outputs.iter().map(|port| &*port.name).collect();
    assert_eq!(names, ["model@best", "model@step=400", "model@step=20"]);
    let types = keep.types(&ModelType::default(), PortTypes::default());
    assert!(names.iter().all(|name| types.model(name).is_some()));
    assert_eq!(serde_json::to_string(&Keep::<Watched>::default()).unwrap(), "{}");
}
