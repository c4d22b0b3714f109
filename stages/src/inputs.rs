//! A stage's connected inputs → rows, and a model folder's companions → another folder. Refuses to know tensors.

use std::path::Path;

use curricle_datasets::{Row, RowsView, fs, rows};
use curricle_engine::stage::{DataView, InputArtifact, StageError};

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

/// The rows of a file or folder, read as a recipe says.
pub fn load(path: &Path, view: &DataView) -> Result<Vec<Row>, StageError> {
    rows::load(path, &self::view(view)?).map_err(|error| StageError::Failed(error.to_string()))
}

/// How to read rows, as a recipe says it.
///
/// # Errors
/// Where it names what this build does not know.
pub fn view(view: &DataView) -> Result<RowsView, StageError> {
    Ok(RowsView {
        columns: view.columns.clone(),
        answer_marker: view.answer_marker.clone(),
        group_by: view.group_by.clone(),
        splits: view.splits.clone(),
        split: view.split.clone(),
        limit: view.limit,
        ..RowsView::default()
    })
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
    #[test]
    fn recipes_may_map_the_fields_that_rows_have() {
        assert_eq!(curricle_engine::recipe::ROW_FIELDS, curricle_datasets::rows::FIELDS);
    }
}
