//! Judged completions of each item → numbers: accuracy overall and by group and task, avg@n, pass@k.

use std::collections::BTreeMap;

use curricle_engine::stage::Metric;
use serde::{Deserialize, Serialize};

/// Version of the layout of `metrics.json`.
pub const SCHEMA: u32 = 1;

/// One line of `items.jsonl`: an item of the data and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The row's id.
    pub id: String,
    /// `image` or `text`.
    pub group: String,
    /// What kind of question it is; empty if the data does not say.
    pub task: String,
    /// Share of right samples; with one sample 0 or 1.
    pub score: f64,
    /// Text of the first sample.
    pub text: String,
    /// The gold answer.
    pub answer: String,
    /// Tokens of all samples.
    pub tokens: usize,
    /// Samples that were cut at the token limit.
    pub truncated: usize,
    /// Verdict on each sample, if there is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<u8>,
}

/// One completion, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its text.
    pub text: String,
    /// Is its answer right?
    pub right: bool,
    /// Its length.
    pub tokens: usize,
    /// Did it end by itself?
    pub finished: bool,
}

/// What an item is, besides its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The row's id.
    pub id: String,
    /// Does it show images?
    pub images: bool,
    /// What kind of question it is.
    pub task: Option<String>,
    /// The gold answer.
    pub answer: String,
}

impl Item {
    /// Joins an item with its samples, of which there is at least one.
    pub fn new(question: &Question, samples: &[Sample]) -> Self {
        let right = samples.iter().filter(|sample| sample.right).count();
        let verdicts = || samples.iter().map(|sample| u8::from(sample.right)).collect();
        Self {
            id: question.id.clone(),
            group: if question.images { "image" } else { "text" }.to_owned(),
            task: question.task.clone().unwrap_or_default(),
            score: right as f64 / samples.len().max(1) as f64,
            text: samples.first().map(|sample| sample.text.clone()).unwrap_or_default(),
            answer: question.answer.clone(),
            tokens: samples.iter().map(|sample| sample.tokens).sum(),
            truncated: samples.iter().filter(|sample| !sample.finished).count(),
            samples: if samples.len() > 1 { verdicts() } else { Vec::new() },
        }
    }
}

/// The content of `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Number by name; a group or task without items has no entry.
    pub metrics: BTreeMap<String, f64>,
    /// How many items.
    pub items: usize,
}

/// Sums up items of `samples` completions each.
///
/// `accuracy` is pass@1: the mean over items of the share of right samples. With several samples the same number also
/// stands as `avg@n`, and `pass@k` for each power of two up to n, and n.
pub fn summarise(items: &[Item], samples: usize) -> Metrics {
    let mut metrics = BTreeMap::new();
    let mut add = |name: String, chosen: Vec<&Item>, value: fn(&Item) -> f64| {
        if !chosen.is_empty() {
            metrics.insert(name, chosen.iter().map(|item| value(item)).sum::<f64>() / chosen.len() as f64);
        }
    };
    let score = |item: &Item| item.score;
    add("accuracy".into(), items.iter().collect(), score);
    for group in ["image", "text"] {
        add(format!("accuracy/{group}"), items.iter().filter(|item| item.group == group).collect(), score);
    }
    let tasks: std::collections::BTreeSet<&str> = items.iter().map(|item| item.task.as_str()).collect();
    for task in tasks.into_iter().filter(|task| !task.is_empty()) {
        add(format!("accuracy/task/{task}"), items.iter().filter(|item| item.task == task).collect(), score);
    }
    let per_sample = samples.max(1) as f64;
    add("tokens".into(), items.iter().collect(), |item| item.tokens as f64);
    add("truncated".into(), items.iter().collect(), |item| item.truncated as f64);
    for name in ["tokens", "truncated"] {
        metrics.entry(name.to_owned()).and_modify(|value| *value /= per_sample);
    }
    if samples > 1 && !items.is_empty() {
        metrics.insert(format!("avg@{samples}"), metrics["accuracy"]);
        for k in powers_up_to(samples) {
            let mean = |right: usize| pass_at_k(samples, right, k);
            let sum: f64 = items.iter().map(|item| mean(item.samples.iter().map(|&v| v as usize).sum())).sum();
            metrics.insert(format!("pass@{k}"), sum / items.len() as f64);
        }
    }
    Metrics { schema: SCHEMA, metrics, items: items.len() }
}

/// What [`summarise`] calls its numbers, whatever the items: a group or task without items has none.
pub fn names(samples: usize) -> Vec<Metric> {
    let scores = ["accuracy", "accuracy/image", "accuracy/text", "accuracy/task/*"].map(Metric::of_items);
    let mut names: Vec<Metric> = scores.into_iter().chain(["tokens", "truncated"].map(Metric::other)).collect();
    if samples > 1 {
        names.extend([format!("avg@{samples}"), "pass@1".to_owned()].map(Metric::of_items));
        names.extend(powers_up_to(samples).into_iter().filter(|&k| k > 1).map(|k| Metric::other(format!("pass@{k}"))));
    }
    names
}

fn powers_up_to(n: usize) -> Vec<usize> {
    let mut ks: Vec<usize> = std::iter::successors(Some(1), |k| Some(k * 2)).take_while(|&k| k < n).collect();
    ks.push(n);
    ks
}

/// Probability that at least one of `k` samples drawn from `n`, of which `right` are right, is right: the unbiased
/// estimator of Chen et al. 2021 (arXiv 2107.03374, eq. 1), `1 − C(n−c, k) / C(n, k)`, as a product.
pub fn pass_at_k(n: usize, right: usize, k: usize) -> f64 {
    if n.saturating_sub(right) < k {
        return 1.0;
    }
    1.0 - (n - right + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, images: bool, task: &str, verdicts: &[u8]) -> Item {
        let question = Question { id: id.into(), images, task: Some(task.into()), answer: "4".into() };
        let sample = |&v: &u8| Sample { text: "t".into(), right: v == 1, tokens: 10, finished: v == 1 };
        Item::new(&question, &verdicts.iter().map(sample).collect::<Vec<_>>())
    }

    #[test]
    fn accuracy_by_group_and_task() {
        let items = [item("a", true, "count", &[1]), item("b", true, "bars", &[0]), item("c", false, "sum", &[1])];
        let metrics = summarise(&items, 1).metrics;
        let expected = [
            ("accuracy", 2.0 / 3.0),
            ("accuracy/image", 0.5),
            ("accuracy/task/bars", 0.0),
            ("accuracy/task/count", 1.0),
            ("accuracy/task/sum", 1.0),
            ("accuracy/text", 1.0),
            ("tokens", 10.0),
            ("truncated", 1.0 / 3.0),
        ];
        assert_eq!(metrics, expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    }

    /// Two of four right: pass@1 = 1/2; pass@2 = 1 − C(2,2)/C(4,2) = 5/6; pass@4 = 1. None right: 0.
    #[test]
    fn several_samples() {
        let metrics = summarise(&[item("a", true, "", &[1, 0, 1, 0]), item("b", true, "", &[0; 4])], 4).metrics;
        for (name, value) in
            [("accuracy", 0.25), ("avg@4", 0.25), ("pass@1", 0.25), ("pass@2", 5.0 / 12.0), ("pass@4", 0.5)]
        {
            assert!((metrics[name] - value).abs() < 1e-12, "{name}: {}", metrics[name]);
        }
        assert!(!metrics.contains_key("accuracy/text") && !metrics.contains_key("accuracy/task/"));
    }

    #[test]
    fn every_number_has_an_announced_name() {
        for samples in [1, 3, 4] {
            let verdicts = vec![1; samples];
            let items = [item("a", true, "count", &verdicts), item("b", false, "sum", &verdicts)];
            let (named, measured) = (names(samples), summarise(&items, samples).metrics);
            for name in measured.keys() {
                assert_eq!(named.iter().filter(|known| known.is(name)).count(), 1, "{name} of {samples}");
            }
            for known in named.iter().filter(|known| !known.name.ends_with('*')) {
                assert!(measured.contains_key(&known.name), "{} of {samples}", known.name);
            }
        }
    }

    #[test]
    fn no_items_have_no_accuracy() {
        assert_eq!(summarise(&[], 1), Metrics { schema: 1, metrics: BTreeMap::new(), items: 0 });
    }

    #[test]
    fn a_line_keeps_its_layout() {
        let line = serde_json::to_string(&item("a", true, "count", &[1])).unwrap();
        assert_eq!(
            line,
            r#"{"id":"a","group":"image","task":"count","score":1.0,"text":"t","answer":"4","tokens":10,"truncated":0}"#
        );
    }
}
