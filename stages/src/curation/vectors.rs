//! Vectors of rows ↔ a folder. Refuses to know what they are of.
//!
//! ```text
//! STAGE/embeddings/
//!   embeddings.safetensors  `embeddings`, float32, [rows, width]
//!   ids.json                ids of the rows, in order
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use curricle_datasets::fs;
use curricle_engine::stage::StageError;
use safetensors::{Dtype, SafeTensors};

const TENSORS: &str = "embeddings.safetensors";
const NAME: &str = "embeddings";
const IDS: &str = "ids.json";

/// A vector for each row.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    /// Ids of the rows.
    pub ids: Vec<String>,
    /// Numbers of a vector.
    pub width: usize,
    /// The vectors, one after the other, `ids.len() · width`.
    pub values: Vec<f32>,
}

impl Vectors {
    /// Writes the folder.
    ///
    /// # Errors
    /// Where a file can't be written.
    #[cfg(any(test, feature = "compute"))]
    pub fn write(&self, dir: &Path) -> Result<(), StageError> {
        let failed = |error: &dyn std::fmt::Display| StageError::while_doing("writing the vectors", error);
        let bytes: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![self.ids.len(), self.width], &bytes)
            .map_err(|e| failed(&e))?;
        let file = safetensors::serialize([(NAME, view)], None).map_err(|e| failed(&e))?;
        let ids = serde_json::to_string(&self.ids).expect("plain data");
        fs::write(&dir.join(TENSORS), &file).map_err(|e| failed(&e))?;
        fs::write(&dir.join(IDS), ids.as_bytes()).map_err(|e| failed(&e))
    }

    /// Reads the folder.
    ///
    /// # Errors
    /// Where a file can't be read, or the two do not fit each other.
    pub fn read(dir: &Path) -> Result<Self, StageError> {
        let failed = |file: &str, cause: &dyn std::fmt::Display| {
            StageError::Failed(format!("reading the vectors: `{}`: {cause}", dir.join(file).display()))
        };
        let ids = fs::read_text(&dir.join(IDS)).map_err(|error| failed(IDS, &error))?;
        let ids: Vec<String> = serde_json::from_str(&ids).map_err(|error| failed(IDS, &error))?;
        let bytes = fs::read(&dir.join(TENSORS)).map_err(|error| failed(TENSORS, &error))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| failed(TENSORS, &error))?;
        let view = tensors.tensor(NAME).map_err(|error| failed(TENSORS, &error))?;
        match (view.dtype(), view.shape()) {
            (Dtype::F32, [rows, width]) if *rows == ids.len() => {
                let four = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
                Ok(Self { width: *width, values: view.data().chunks_exact(4).map(four).collect(), ids })
            }
            (Dtype::F32, [rows, _]) => {
                let cause = format!("{rows} vectors, and `{IDS}` has {} ids", ids.len());
                Err(failed(TENSORS, &cause))
            }
            (dtype, shape) => {
                let cause = format!("`{NAME}` is {dtype:?} {shape:?}, not float32 `[rows, width]`");
                Err(failed(TENSORS, &cause))
            }
        }
    }

    /// The vectors of these rows, in their order, one after the other.
    ///
    /// # Errors
    /// Where a row has none.
    pub fn of<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<Vec<f32>, StageError> {
        let places: BTreeMap<&str, usize> = self.ids.iter().map(String::as_str).zip(0..).collect();
        let mut values = Vec::new();
        for id in ids {
            let Some(&place) = places.get(id) else {
                return Err(StageError::Failed(format!(
                    "row `{id}` has no vector; connect the vectors of these rows: an `embed` stage that reads the same data"
                )));
            };
            values.extend_from_slice(&self.values[place * self.width..(place + 1) * self.width]);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> Vectors {
        Vectors { ids: vec!["a".into(), "b".into()], width: 3, values: vec![1.0, -2.0, 0.5, 4.0, 5.0, f32::MIN] }
    }

    #[test]
    fn a_folder_holds_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        vectors().write(dir.path()).unwrap();
        let read = Vectors::read(dir.path()).unwrap();
        assert_eq!(read, vectors());
        assert_eq!(read.of(["b", "a"]).unwrap(), [4.0, 5.0, f32::MIN, 1.0, -2.0, 0.5]);
        let error = read.of(["c"]).unwrap_err().to_string();
        assert!(error.starts_with("row `c` has no vector"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let message = || Vectors::read(dir.path()).unwrap_err().to_string();
        vectors().write(dir.path()).unwrap();
        fs::write(&dir.path().join(IDS), b"[\"a\"]").unwrap();
        assert!(message().ends_with("2 vectors, and `ids.json` has 1 ids"), "{}", message());
        fs::write(&dir.path().join(TENSORS), b"nothing").unwrap();
        assert!(message().contains("embeddings.safetensors`: "), "{}", message());
        fs::write(&dir.path().join(IDS), b"?").unwrap();
        assert!(message().contains("ids.json`: "), "{}", message());
    }
}
