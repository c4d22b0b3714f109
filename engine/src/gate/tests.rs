//! Judgements by hand; what follows from them is in the files below.

mod arms;
mod run;

use super::*;
use crate::testing::measured;

/// Items of which the first `wrong` are wrong.
fn scores(items: usize, wrong: usize) -> Vec<f64> {
    (0..items).map(|item| if item < wrong { 0.0 } else { 1.0 }).collect()
}

/// A gate over evaluations 0, 1, … of these scores.
fn judged(require: &str, change: impl FnOnce(&mut Gate), evaluations: &[&[f64]]) -> Judgement {
    let dir = tempfile::tempdir().unwrap();
    for (index, scores) in evaluations.iter().enumerate() {
        measured(&dir.path().join(index.to_string()), scores).unwrap();
    }
    let Requirement { mentions, relation, margin } = parse(require).unwrap();
    let term = |mention: Mention| {
        let stage = StageId(mention.stage.trim_start_matches('s').parse().unwrap());
        let reference = format!("{}.{}", mention.stage, mention.metric);
        Term { factor: mention.factor, stage, port: "metrics".into(), metric: mention.metric, reference }
    };
    let mut gate = Gate {
        name: "kept".into(),
        description: None,
        require: require.into(),
        after: Vec::new(),
        terms: mentions.into_iter().map(term).collect(),
        relation,
        margin,
        method: Method::PairedBootstrap,
        confidence: 0.95,
        on_fail: OnFail::Stop,
        holds: BTreeSet::new(),
    };
    change(&mut gate);
    judge(&gate, &|term| Some(dir.path().join(term.stage.index().to_string()))).unwrap()
}

fn verdict(require: &str, evaluations: &[&[f64]]) -> Verdict {
    judged(require, |_| {}, evaluations).verdict
}

/// 5 of 100 items are lost: the one-sided ends at 95 % are -0.09 and -0.02 (binomial quantiles 9 and 2; by hand beside
/// [`crate::report::bounds`]).
#[test]
fn non_inferiority_is_for_the_later_stage_to_show() {
    let (before, after) = (scores(100, 0), scores(100, 5));
    let both: [&[f64]; 2] = [&before, &after];
    for (margin, expected) in [
        ("0.1", Verdict::Met),
        ("0.09", Verdict::Met),
        ("0.08", Verdict::Undecided),
        ("0.05", Verdict::Undecided),
        ("0.02", Verdict::Undecided),
        ("0.01", Verdict::NotMet),
    ] {
        assert_eq!(verdict(&format!("s1.accuracy >= s0.accuracy - {margin}"), &both), expected, "{margin}");
        // The same said from the other side.
        assert_eq!(verdict(&format!("s0.accuracy - s1.accuracy <= {margin}"), &both), expected, "{margin}");
    }
    assert_eq!(verdict("s1.accuracy > s0.accuracy - 0.09", &both), Verdict::Undecided, "strictly");
    let judgement = judged("s1.accuracy >= s0.accuracy - 0.08", |_| {}, &both);
    let expected = "`s1.accuracy` 0.950, `s0.accuracy` 1.000: difference -0.050 [-0.090, -0.020] over 100 items, each end with 95 % \
                    confidence; required: >= -0.08";
    assert_eq!(judgement.to_string(), expected);
    let wide = judged("s1.accuracy >= s0.accuracy - 0.09", |gate| gate.confidence = 0.999, &both);
    assert_eq!(wide.verdict, Verdict::Undecided, "more confidence asks for more: {wide}");
}

#[test]
fn what_is_equal_is_not_more() {
    let same = scores(40, 7);
    assert_eq!(verdict("s1.accuracy >= s0.accuracy", &[&same, &same]), Verdict::Met);
    assert_eq!(verdict("s1.accuracy > s0.accuracy", &[&same, &same]), Verdict::NotMet);
    assert_eq!(
        verdict("s1.accuracy >= s0.accuracy - 1e-15", &[&same, &same]),
        Verdict::Met,
        "rounding is no difference"
    );
}

/// Pairs cancel what an item is: two evaluations that are right on other halves differ in every item.
#[test]
fn items_are_compared_in_pairs() {
    let (first, second) = (scores(60, 30), scores(60, 30).into_iter().rev().collect::<Vec<_>>());
    assert_eq!(verdict("s1.accuracy >= s0.accuracy - 0.1", &[&first, &first]), Verdict::Met);
    assert_eq!(verdict("s1.accuracy >= s0.accuracy - 0.1", &[&first, &second]), Verdict::Undecided);
}

#[test]
fn values_are_compared_as_they_are_where_that_is_asked_for() {
    let (before, after) = (scores(100, 0), scores(100, 5));
    let point = |require: &str| judged(require, |gate| gate.method = Method::Point, &[&before, &after]);
    assert_eq!(point("s1.accuracy >= s0.accuracy - 0.05").verdict, Verdict::Met);
    assert_eq!(point("s1.accuracy >= s0.accuracy - 0.04").verdict, Verdict::NotMet);
    let weighted = point("2 * s1.accuracy + s0.tokens < 14.5");
    assert_eq!(weighted.verdict, Verdict::Met);
    let said = "`s1.accuracy` 0.950, `s0.tokens` 12.500: sum +14.400; required: < 14.5";
    assert_eq!(weighted.to_string(), said);
}

/// 20 of 80 are wrong, 10 of each group: 0.75, with a standard error of √(0.75 · 0.25 / 80) = 0.0484, 1.645 of it 0.0796.
#[test]
fn one_metric_is_compared_with_a_number() {
    let one = scores(80, 20);
    let judgement = judged("s0.accuracy >= 0.66", |_| {}, &[&one]);
    assert_eq!(judgement.verdict, Verdict::Met, "{judgement}");
    let Bounds { low, high, items, .. } = judgement.bounds.unwrap();
    assert!((low - 0.670).abs() < 0.008 && (high - 0.830).abs() < 0.008, "{judgement}");
    assert_eq!(items, 80);
    assert_eq!(verdict("s0.accuracy >= 0.7", &[&one]), Verdict::Undecided);
    assert_eq!(verdict("s0.accuracy >= 0.9", &[&one]), Verdict::NotMet);
    let images = judged("s0.accuracy/image > 0.5", |_| {}, &[&one]);
    assert_eq!((images.verdict, images.bounds.unwrap().items), (Verdict::Met, 40));
    assert!(images.to_string().starts_with("`s0.accuracy/image` 0.750 [0."), "{images}");
}

#[test]
fn what_is_missing_is_said() {
    let one = scores(10, 0);
    let said = |require: &str, evaluations: &[&[f64]]| {
        let judgement = judged(require, |_| {}, evaluations);
        assert_eq!(judgement.verdict, Verdict::Unmeasured);
        judgement.to_string()
    };
    assert_eq!(
        said("s0.accuracy/audio >= 0", &[&one]),
        "`s0.accuracy/audio` was not measured, only `accuracy`, `accuracy/image`, `accuracy/text`, `tokens`"
    );
    assert_eq!(
        said("s0.tokens < 100", &[&one]),
        "`s0.tokens` 12.500: `s0.tokens` is not the mean of its items' scores, which a bootstrap resamples"
    );
    assert!(
        said("s0.accuracy/image >= s1.accuracy/text", &[&one, &one]).ends_with("its metrics have no item in common")
    );
    let gone = said("s1.accuracy >= 0", &[&one]);
    assert!(gone.contains("1/metrics.json"), "{gone}");
}
