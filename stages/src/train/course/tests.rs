use super::*;
use crate::kinds::grpo::Watched as Rl;
use crate::kinds::sft::Watched;

fn course(stop: &str, best: Option<Watched>) -> Course<Watched> {
    Course::new(Some(&serde_json::from_str(stop).unwrap()), &Keep { best, ..Keep::default() })
}

/// The step at which looks at `val_loss` end a run, and its message; a stop and a restart after every look change nothing.
fn end_of(stop: &str, looks: &[f64]) -> Option<(usize, String)> {
    let (mut straight, mut broken) = (course(stop, None), course(stop, None));
    for (step, value) in looks.iter().enumerate() {
        straight.look(step + 1, step + 1, Watched::ValLoss, *value);
        broken.look(step + 1, step + 1, Watched::ValLoss, *value);
        let saved: Value = serde_json::from_str(&broken.save().to_string()).unwrap();
        broken = course(stop, None);
        broken.resume(&saved).unwrap();
        assert_eq!(broken.ended(), straight.ended());
        if let Some(Ended { step, message, .. }) = straight.ended() {
            return Some((*step, message.clone()));
        }
    }
    None
}

#[test]
fn a_plateau_is_looks_in_a_row_without_a_new_best() {
    let plateau = |more: &str| format!(r#"{{"plateau":{{"metric":"val_loss","patience":2{more}}}}}"#);
    // An equal is no better; the count begins anew with a better one.
    let (step, message) = end_of(&plateau(""), &[3.0, 2.0, 2.0, 1.0, 1.5, 1.0]).unwrap();
    assert_eq!(step, 6);
    assert_eq!(message, "`val_loss` has not become better for 2 looks: 1.0000 after step 4 is its best");
    assert_eq!(end_of(&plateau(""), &[3.0, 2.0, 2.5, 1.0, 1.5]), None);
    // Small steps count against the best one, and together may be enough.
    let delta = plateau(r#","min_delta":0.5"#);
    assert_eq!(end_of(&delta, &[3.0, 2.75, 2.5]).unwrap().0, 3);
    assert_eq!(end_of(&delta, &[3.0, 2.75, 2.25, 2.0, 1.5]), None);
    // What is not a number is no better than any.
    assert_eq!(end_of(&plateau(""), &[f64::NAN, 3.0, f64::NAN, f64::NAN]).unwrap().0, 4);
}

#[test]
fn more_of_a_reward_is_better() {
    let stop = serde_json::from_str(r#"{"plateau":{"metric":"reward","patience":1}}"#).unwrap();
    let mut course = Course::new(Some(&stop), &Keep::default());
    for (step, value) in [0.1, 0.2, 0.3].into_iter().enumerate() {
        course.look(step, step, Rl::Reward, value);
        course.look(step, step, Rl::Accuracy, 0.0);
    }
    assert_eq!(course.ended(), None, "another number stands still");
    course.look(4, 3, Rl::Reward, 0.3);
    assert_eq!(
        course.ended().unwrap().message,
        "`reward` has not become better for 1 look: 0.3000 after step 2 is its best"
    );
}

#[test]
fn a_bound_holds_beyond_it() {
    let below = r#"{"metric":{"name":"val_loss","below":0.5}}"#;
    assert_eq!(end_of(below, &[1.0, 0.5, 0.4]), Some((3, "`val_loss` is 0.4000, below 0.5".to_owned())));
    let above = r#"{"metric":{"name":"val_loss","above":2.0}}"#;
    assert_eq!(end_of(above, &[1.0, 2.0, f64::NAN, 2.5]).unwrap().0, 4);
}

#[test]
fn tokens_count_over_resumes_and_the_first_rule_to_hold_is_the_reason() {
    let stop = r#"{"tokens":100,"metric":{"name":"loss","below":9.0}}"#;
    let mut first = course(stop, None);
    first.step(1, 60);
    assert_eq!(first.ended(), None);
    let mut second = course(stop, None);
    second.resume(&first.save()).unwrap();
    second.step(2, 40);
    second.look(2, 2, Watched::Loss, 1.0);
    let ended = second.ended().unwrap();
    assert_eq!((ended.step, ended.rule.as_str()), (2, "tokens"));
    assert_eq!(ended.message, "training has seen 100 tokens, of 100");
}

#[test]
fn time_counts_over_resumes() {
    let stop = r#"{"wall_time":"1h"}"#;
    let mut course = course(stop, None);
    course.step(1, 1);
    assert_eq!(course.ended(), None);
    let mut saved = course.save();
    assert!(saved["seconds"].as_f64().unwrap() < 60.0, "{saved}");
    saved["seconds"] = json!(3599.9999);
    course.resume(&saved).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2));
    course.step(2, 1);
    assert_eq!(course.ended().unwrap().message, "training has taken 1h");
    assert!(course.save()["seconds"].as_f64().unwrap() > 3600.0);
}

#[test]
fn of_equal_looks_the_earlier_is_the_best() {
    let mut course = course(r#"{"tokens":1000}"#, Some(Watched::ValLoss));
    let looks = [(1, f64::NAN, false), (2, 2.0, true), (3, 2.0, false), (4, 1.0, true), (5, 1.5, false)];
    for (step, value, best) in looks {
        assert_eq!(course.look(step, step, Watched::ValLoss, value), best, "{step}");
    }
    assert!(!course.look(6, 6, Watched::Loss, 0.0), "another number");
    assert_eq!(course.best(), Some(Mark { step: 4, value: 1.0 }));
}

#[test]
fn values_are_collected_in_a_window_or_until_they_are_taken() {
    let mut course = course(r#"{"plateau":{"metric":"loss","patience":1}}"#, None);
    let means: Vec<_> = [1.0, f64::NAN, 3.0, 5.0].map(|value| course.collect(Watched::Loss, value, 2)).into();
    assert_eq!(means, [None, None, Some(2.0), Some(4.0)]);
    assert_eq!(course.take(Watched::Loss), Some(4.0));
    assert_eq!(course.take(Watched::Loss), None);
    assert_eq!(course.collect(Watched::ValLoss, 1.0, 1), None, "nothing watches it");
}

#[test]
fn a_checkpoint_from_before_there_were_rules_is_no_obstacle() {
    let mut course = course(r#"{"tokens":1000}"#, None);
    assert_eq!((course.resume(&Value::Null), course.resume(&json!(3))), (Some(()), None));
}
