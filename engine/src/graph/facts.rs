//! What can be seen of models and data sets without running anything: a model's `config.json`, a data set's first row.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::Origin;
use crate::diagnostic::{Diagnostic, suggest};
use crate::fs;
use crate::recipe::{DataEntry, Location, ModelEntry};
use crate::stage::{DataType, DataView, ModelType};

/// A model or data set from outside.
pub(super) struct Outside<T> {
    /// Where it is; its view takes every row.
    pub origin: Origin,
    /// What is known of it.
    pub ty: T,
}

/// Looks at a model; none if its source is missing or wrong.
pub(super) fn model(entry: &ModelEntry, mistakes: &mut Vec<Diagnostic>) -> Option<Outside<ModelType>> {
    let source = entry.source.as_ref()?;
    let assumed = entry.assume.clone();
    let title = format!("models.{}", entry.name.value);
    let origin = origin(&source.value, DataView::default());
    let Location::File(path) = &source.value else {
        mistakes.push(unverified(&title, source.span, "is on a hub", assumed != ModelType::default()));
        return Some(Outside { origin, ty: assumed });
    };
    if !fs::exists(path) {
        mistakes.push(unverified(&title, source.span, "is not there", assumed != ModelType::default()));
        return Some(Outside { origin, ty: assumed });
    }
    let config = path.join("config.json");
    let read = fs::read_to_string(&config).map_err(|error| error.to_string());
    match read.and_then(|text| serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())) {
        Ok(config) => {
            let adapter = Some(fs::exists(&path.join("adapter_config.json")));
            Some(Outside { origin, ty: ModelType { adapter, ..config_facts(&config, &assumed) } })
        }
        Err(cause) => {
            let message = format!("`{title}` is no model: its `config.json` can't be read");
            let help = "a model is a folder with `config.json`, `model.safetensors` and `tokenizer.json`";
            mistakes.push(Diagnostic::error("source", message).at(source.span, cause).help(help));
            None
        }
    }
}

/// Looks at a data set; none if its source is missing or wrong.
pub(super) fn data(entry: &DataEntry, mistakes: &mut Vec<Diagnostic>) -> Option<Outside<DataType>> {
    let source = entry.source.as_ref()?;
    let title = format!("data.{}", entry.name.value);
    let origin = origin(&source.value, entry.view.clone());
    let mut ty = DataType {
        images: entry.images,
        role: entry.role.value,
        columns: entry.fields.as_ref().map(|fields| fields.iter().cloned().collect()),
    };
    let assumes = entry.images.is_some() || entry.fields.is_some();
    match &source.value {
        Location::Hub(_) => mistakes.push(unverified(&title, source.span, "is on a hub", assumes)),
        Location::File(path) if !fs::exists(path) => {
            mistakes.push(unverified(&title, source.span, "is not there", assumes));
        }
        Location::File(path) => {
            if let Some(row) = first_row(path) {
                check_columns(entry, &title, &row, mistakes);
                let (columns, images) = row_facts(&entry.view, &row);
                ty.columns = ty.columns.or(Some(columns));
                // Rows without images may follow one with images, and the other way round: only presence says something.
                ty.images = ty.images.or(images.then_some(true));
            }
        }
    }
    Some(Outside { origin, ty })
}

fn origin(location: &Location, view: DataView) -> Origin {
    match location {
        Location::File(path) => Origin::File { path: fs::absolute(path), view },
        Location::Hub(source) => Origin::Remote { source: source.clone(), view },
    }
}

fn unverified(title: &str, span: crate::recipe::Span, why: &str, assumes: bool) -> Diagnostic {
    let message = format!("could not verify `{title}`: it {why}");
    let (label, help) = if assumes {
        ("taken as `assume` describes it", "")
    } else {
        (
            "nothing is known of it",
            "say what it is with `assume = { … }`, so that `check` can follow it through the graph",
        )
    };
    Diagnostic::note("unverified", message).at(span, label).help(help)
}

fn config_facts(config: &Value, assumed: &ModelType) -> ModelType {
    let text = config.get("text_config");
    let number = |key: &str| {
        let value = config.get(key).or_else(|| text?.get(key))?;
        value.as_u64().map(|number| number as usize)
    };
    ModelType {
        images: Some(config.get("vision_config").is_some_and(Value::is_object)),
        max_length: number("max_position_embeddings").or(assumed.max_length),
        vocabulary: number("vocab_size").or(assumed.vocabulary),
        adapter: assumed.adapter,
    }
}

/// The first row of a data set; none if it is in no format that shows it in its first line.
fn first_row(path: &Path) -> Option<serde_json::Map<String, Value>> {
    let file = if fs::is_dir(path) {
        let is_jsonl = |name: &String| Path::new(name).extension().is_some_and(|extension| extension == "jsonl");
        let mut rows: Vec<_> = fs::list(path).ok()?.into_iter().filter(is_jsonl).collect();
        if let Some(index) = rows.iter().position(|name| name == "rows.jsonl") {
            rows.swap(0, index);
            rows.truncate(1);
        }
        if rows.len() != 1 {
            return None;
        }
        path.join(rows.remove(0))
    } else {
        path.to_owned()
    };
    match serde_json::from_str(&fs::first_line(&file)?).ok()? {
        Value::Object(row) => Some(row),
        _ => None,
    }
}

fn check_columns(entry: &DataEntry, title: &str, row: &serde_json::Map<String, Value>, mistakes: &mut Vec<Diagnostic>) {
    let Some(span) = entry.columns else { return };
    for column in entry.view.columns.values().filter(|column| !row.contains_key(*column)) {
        let message = format!("the first row of `{title}` has no column `{column}`");
        let help = suggest(column, "it has", row.keys().map(String::as_str));
        mistakes.push(Diagnostic::warning("column", message).at(span, "").help(help));
    }
}

fn row_facts(view: &DataView, row: &serde_json::Map<String, Value>) -> (BTreeSet<String>, bool) {
    const FIELDS: [&str; 5] = ["prompt", "answer", "reasoning", "response", "images"];
    let column = |field: &str| view.columns.get(field).map_or(field, String::as_str).to_owned();
    let filled = |field: &str| match row.get(&column(field)) {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    let mut columns: BTreeSet<String> =
        FIELDS.iter().filter(|field| filled(field)).map(|&field| field.to_owned()).collect();
    if view.answer_marker.is_some() {
        columns.insert("reasoning".into());
    }
    // A whole chat holds its prompt, and its answer where the assistant has the last word.
    if let Some(Value::Array(turns)) = row.get(&column("messages")) {
        columns.insert("prompt".into());
        if turns.last().is_some_and(|turn| turn["role"] == "assistant") {
            columns.insert("response".into());
        }
    }
    (columns, filled("images"))
}
