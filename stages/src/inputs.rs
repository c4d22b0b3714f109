//! A stage's connected inputs → rows, and a model folder's companions → another folder. Refuses to know tensors.

use std::path::Path;

use curricle_datasets::records::{self, Records, Source};
use curricle_datasets::rows::Layout;
use curricle_datasets::{Row, RowsView, fs, rows};
use curricle_engine::rows::Head;
use curricle_engine::stage::{ArtifactType, DataView, InputArtifact, StageError};
use serde_json::Value;

/// Rows that are read before anything runs, at most.
const MOST_ROWS: usize = 4096;

/// Files of a model folder that travel with the weights, where they are there.
const COMPANIONS: [&str; 12] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "generation_config.json",
];

/// The rows behind a data port, read as the recipe says.
pub fn rows(input: &InputArtifact) -> Result<Vec<Row>, StageError> {
    load(&input.path, &input.view)
}

/// The rows behind a data port, one by one, read as the recipe says.
pub fn each(input: &InputArtifact) -> Result<impl Iterator<Item = Result<Row, StageError>> + use<>, StageError> {
    let rows = stream(&input.path, &input.view)?;
    Ok(rows.map(|row| row.map_err(|error| StageError::Failed(error.to_string()))))
}

/// How many rows there are behind a data port, where that is known before they are read.
pub fn known_rows(input: &InputArtifact) -> Option<usize> {
    match &input.ty {
        ArtifactType::Data(data) => data.rows.get().copied(),
        _ => None,
    }
}

/// The rows of a file or folder, read as a recipe says.
pub fn load(path: &Path, view: &DataView) -> Result<Vec<Row>, StageError> {
    rows::load(path, &self::view(view)?).map_err(|error| StageError::Failed(error.to_string()))
}

/// The rows of a file or folder one at a time, read as a recipe says.
pub fn stream(path: &Path, view: &DataView) -> Result<rows::Rows, StageError> {
    rows::stream(path, &self::view(view)?).map_err(|error| StageError::Failed(error.to_string()))
}

/// How to read rows, as a recipe says it.
///
/// # Errors
/// Where it names what this build does not know.
pub fn view(view: &DataView) -> Result<RowsView, StageError> {
    let layout = view.layout.as_deref().map(|name| {
        let unknown = || StageError::Failed(format!("this build knows no layout `{name}` of rows"));
        Layout::named(name).ok_or_else(unknown)
    });
    Ok(RowsView {
        layout: layout.transpose()?,
        files: view.files.clone(),
        confined: view.confined,
        columns: view.columns.clone(),
        answer_marker: view.answer_marker.clone(),
        group_by: view.group_by.clone(),
        splits: view.splits.clone(),
        split: view.split.clone(),
        limit: view.limit,
    })
}

/// The first rows of a file or folder in any format: what the engine can't read itself. See [`curricle_engine::rows::lend`].
///
/// # Errors
/// Where a row among them can't be read.
pub fn head(path: &Path, files: Option<&str>, bytes: u64) -> Result<Head, String> {
    let source = Source::find(path, files).map_err(|error| error.to_string())?;
    let folder = source.files.first().and_then(|file| file.parent()).unwrap_or(path).to_owned();
    let counted = records::count(&source).map_err(|error| error.to_string())?;
    let (mut rows, mut read, mut whole) = (Vec::new(), 0, true);
    for record in Records::of(source) {
        let columns = record.map_err(|error| error.to_string())?.columns;
        if read >= bytes || rows.len() >= MOST_ROWS {
            whole = false;
            break;
        }
        read += columns.values().map(weight).sum::<u64>();
        rows.push(columns);
    }
    let total = if whole { Some(rows.len()) } else { counted };
    Ok(Head { rows, whole, total: total.map(|rows| rows as f64), counted: total.is_some(), folder })
}

/// About how many bytes a value has.
fn weight(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields.values().map(weight).sum(),
        _ => size_of::<Value>() as u64,
    }
}

/// Rows with an instruction after every prompt, joined as the released `math_format.jinja` joins them.
pub fn instructed(mut rows: Vec<Row>, instruction: Option<&str>) -> Vec<Row> {
    if let Some(instruction) = instruction {
        for row in &mut rows {
            row.prompt = format!("{} {}", row.prompt.trim(), instruction.trim());
        }
    }
    rows
}

/// Copies tokenizer, chat template and settings of one model folder to another.
pub fn copy_companions(from: &Path, to: &Path) -> Result<(), StageError> {
    for name in COMPANIONS {
        let file = from.join(name);
        if file.is_file() {
            let copied = fs::read(&file).and_then(|bytes| fs::write(&to.join(name), &bytes));
            copied.map_err(|error| StageError::Failed(error.to_string()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_may_map_the_fields_that_rows_have() {
        assert_eq!(curricle_engine::recipe::ROW_FIELDS, rows::FIELDS);
    }

    #[test]
    fn recipes_may_name_the_layouts_that_are_read() {
        assert_eq!(curricle_engine::recipe::LAYOUTS.map(|layout| layout.name), Layout::ALL.map(Layout::name));
        for layout in curricle_engine::recipe::LAYOUTS {
            for field in rows::FIELDS {
                let read = Layout::named(layout.name).unwrap().columns(field);
                assert_eq!(layout.columns(field), read, "{} {field}", layout.name);
            }
        }
    }

    #[test]
    fn first_rows_of_shards_and_of_csv_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let rows = "prompt,answer\nq,1\n".to_owned() + &"q,2\n".repeat(9);
        for name in ["train-0.csv", "train-1.csv", "test-0.csv"] {
            fs::write(&dir.path().join(name), rows.as_bytes()).unwrap();
        }
        let seen = |files, bytes| head(dir.path(), files, bytes);
        assert!(seen(None, 1 << 10).unwrap_err().contains("several files of rows"));
        let all = seen(Some("train-*"), 1 << 10).unwrap();
        assert_eq!((all.rows.len(), all.whole, all.total), (20, true, Some(20.0)));
        let few = seen(Some("train-*"), 5).unwrap();
        assert_eq!((few.rows.len(), few.whole, few.total), (3, false, None));
    }
}
