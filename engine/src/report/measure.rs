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

/// The items that a metric such as `accuracy`, `accuracy/image` or `accuracy/task/add` is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// All of them.
    All,
    /// Those of a group.
    Group(&'a str),
    /// Those of a task.
    Task(&'a str),
}

impl<'a> Part<'a> {
    /// As a metric's name says.
    pub fn of(metric: &'a str) -> Self {
        match metric.split_once('/') {
            None => Self::All,
            Some((_, rest)) => rest.strip_prefix("task/").map_or(Self::Group(rest), Self::Task),
        }
    }

    /// Does an item count?
    pub fn holds(self, item: &Item) -> bool {
        match self {
            Self::All => true,
            Self::Group(group) => item.group.as_deref() == Some(group),
            Self::Task(task) => item.task.as_deref() == Some(task),
        }
    }
}

/// Is a metric the mean of its items' scores? Only then can it take an interval from them.
pub(crate) fn is_mean_of_items(metrics: &Metrics, items: &[Item], metric: &str) -> bool {
    let Some(value) = metrics.metrics.get(metric) else { return false };
    let part = Part::of(metric);
    let scores = items.iter().filter(|item| part.holds(item)).map(|item| item.score);
    let (sum, count) = scores.fold((0.0, 0_usize), |(sum, count), score| (sum + score, count + 1));
    count > 0 && (sum / count as f64 - value).abs() < 1e-6
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
