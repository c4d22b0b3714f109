use std::collections::BTreeSet;

use super::*;
use crate::rl::advantage::{Advantage, Rewarded};
use crate::rl::seed::{Purpose, stream};
use crate::rl::select::{Pool, Select, SelectKind};

fn rewards(json: &str) -> Rewards {
    serde_json::from_str(json).unwrap()
}

fn scored(texts: &[&str], answer: &str, rewards: &Rewards) -> Vec<Scored> {
    let answered: Vec<_> =
        texts.iter().map(|&text| Answered { text, answer, tokens: text.len(), ..Answered::default() }).collect();
    score(&Asked { answered: &answered, rewards, program: None }).unwrap()
}

#[test]
fn total_is_the_weighted_sum() {
    let texts = [r"<think>2+2</think> \boxed{5}", r"it is \boxed{4}"];
    let scored = scored(&texts, "4", &rewards(r#"{"accuracy":1.0,"format":0.25}"#));
    assert_eq!(scored[0], Scored { total: 0.25, correct: 0.0, each: vec![0.0, 1.0] });
    assert_eq!(scored[1], Scored { total: 1.0, correct: 1.0, each: vec![1.0, 0.0] });
}

#[test]
fn only_what_a_recipe_asks_for_is_computed() {
    let names = |json: &str| rewards(json).asked_for().map(|(reward, _)| reward.name).collect::<Vec<_>>();
    assert_eq!(names("{}"), ["accuracy", "format"]);
    assert_eq!(
        names(r#"{"repetition":{"weight":0.1},"multiple_choice":1.0}"#),
        ["accuracy", "format", "repetition", "multiple_choice"]
    );
    let all: BTreeSet<_> = REWARDS.iter().map(|reward| reward.name).collect();
    assert_eq!(all.len(), REWARDS.len(), "two rewards have one name");
}

#[test]
fn the_table_is_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rl/reward");
    let names = curricle_engine::fs::list(&folder).unwrap().into_iter();
    let files: BTreeSet<String> = names
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name != "mod" && name != "tests")
        .collect();
    assert_eq!(files, REWARDS.iter().map(|reward| reward.name.to_owned()).collect());
}

/// method.md of the release: style terms give an all-wrong group large advantages, and PAD would train on it.
#[test]
fn style_makes_no_group_informative() {
    let texts = ["<think>a</think> \\boxed{1}", "no", "no no no no no no", "<think>b</think> \\boxed{2}"];
    let settings = r#"{"accuracy":0.8,"format":0.05,"repetition":{"weight":0.05,"n":1},
        "efficient_length":{"weight":0.05,"budget":10,"alpha":0.05}}"#;
    let scored = scored(&texts, "4", &rewards(settings));
    let advantages =
        |of: fn(&Scored) -> f32| Advantage::default().of(&Rewarded::alone(scored.iter().map(of).collect()), 4);
    let (total, correct) = (advantages(|scored| scored.total), advantages(|scored| scored.correct));
    assert!(total.iter().any(|advantage| advantage.abs() > 0.5), "{total:?}");
    assert_eq!(correct, [0.0; 4]);
    let pad = Select { kind: SelectKind::Pad, ratio: 1.0, ..Select::default() };
    let mut rng = stream(0, Purpose::Select, &[]);
    let mut picks = |advantages: &[f32]| {
        let pool = Pool { advantages, group: 4, prompts: 1, temperature: 0.3 };
        pad.pick(&pool, &mut rng).indices
    };
    assert!(picks(&correct).is_empty());
    assert!(!picks(&total).is_empty(), "on the total, PAD would have trained on wrong answers");
}

#[test]
fn what_decides_is_a_property_of_the_table() {
    let decides = |json: &str| {
        let rewards = rewards(json);
        let deciding = rewards.asked_for().filter(|(reward, _)| (reward.decides)(&rewards));
        deciding.map(|(reward, _)| reward.name).collect::<Vec<_>>()
    };
    let all = r#"{"efficient_length":{"weight":1,"budget":9},"repetition":{"weight":1},"multiple_choice":1,
        "numeric":{"weight":1,"relative":0.01},"command":{"weight":1}}"#;
    assert_eq!(decides(all), ["accuracy", "multiple_choice", "numeric"]);
    assert_eq!(decides(r#"{"command":{"weight":1,"decides":true}}"#), ["accuracy", "command"]);
    // Accuracy without a weight says nothing where another judge has one, and everything where none has.
    let close = scored(&[r"\boxed{3.99}"], "4", &rewards(r#"{"accuracy":0,"numeric":{"weight":2,"relative":0.01}}"#));
    assert_eq!((close[0].total, close[0].correct), (2.0, 2.0));
    let style = scored(&[r"\boxed{4}"], "4", &rewards(r#"{"accuracy":0,"format":1}"#));
    assert_eq!((style[0].total, style[0].correct), (0.0, 1.0));
}

#[test]
fn bad_settings_are_named() {
    let paths = |json: &str| rewards(json).problems().into_iter().map(|(path, ..)| path).collect::<Vec<_>>();
    assert!(paths(r#"{"format":0.1,"repetition":{"weight":0.05}}"#).is_empty());
    assert_eq!(paths(r#"{"accuracy":0}"#), [""]);
    assert_eq!(paths(r#"{"accuracy":-1,"format":1}"#), ["accuracy"]);
    assert_eq!(
        paths(
            r#"{"efficient_length":{"weight":-1,"budget":0,"alpha":0},"repetition":{"weight":1,"n":0},
            "numeric":{"weight":1,"relative":-1},"command":{"weight":1,"timeout":0}}"#
        ),
        [
            "efficient_length",
            "efficient_length.budget",
            "efficient_length.alpha",
            "repetition.n",
            "numeric.relative",
            "command.timeout"
        ]
    );
    assert!(serde_json::from_str::<Rewards>(r#"{"numeric":{"relative":0.1}}"#).is_err(), "a weight has no default");
}
