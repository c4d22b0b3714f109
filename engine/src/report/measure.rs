//! The two files of a metrics artifact: `metrics.json` (values by name) and `items.jsonl` (one scored row per line).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ReportError;
use crate::fs;

/// `metrics.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Metrics {
    pub metrics: BTreeMap<String, f64>,
    pub items: usize,
}

/// One line of `items.jsonl`; the fields that statistics need.
#[derive(Debug, Deserialize)]
pub(crate) struct Item {
    pub id: String,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub task: Option<String>,
    pub score: f64,
}

/// The content of `items.jsonl`.
pub(crate) type Items = Vec<Item>;

impl Item {
    /// Does the item count for a metric such as `accuracy`, `accuracy/image`, `accuracy/task/add`?
    pub fn counts_for(&self, metric: &str) -> bool {
        match metric.split_once('/') {
            None => true,
            Some((_, rest)) => match rest.strip_prefix("task/") {
                Some(task) => self.task.as_deref() == Some(task),
                None => self.group.as_deref() == Some(rest),
            },
        }
    }
}

/// Is a metric the mean of its items' scores? Only then can it take an interval from them.
pub(crate) fn is_mean_of_items(metrics: &Metrics, items: &[Item], metric: &str) -> bool {
    let Some(value) = metrics.metrics.get(metric) else { return false };
    let scores: Vec<f64> = items.iter().filter(|item| item.counts_for(metric)).map(|item| item.score).collect();
    !scores.is_empty() && (scores.iter().sum::<f64>() / scores.len() as f64 - value).abs() < 1e-6
}

/// Reads both files of a metrics port; no items where an evaluation kept none.
pub(crate) fn read(dir: &Path) -> Result<(Metrics, Items), ReportError> {
    let path = dir.join("metrics.json");
    let metrics = parse(&path, &fs::read_to_string(&path)?)?;
    let path = dir.join("items.jsonl");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.is_absent() => String::new(),
        Err(error) => return Err(error.into()),
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let items = lines.map(|line| parse(&path, line)).collect::<Result<_, _>>()?;
    Ok((metrics, items))
}

/// Reads one JSON document; an error names the file.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ReportError> {
    serde_json::from_str(text)
        .map_err(|error| ReportError::Damaged { path: path.display().to_string(), message: error.to_string() })
}
