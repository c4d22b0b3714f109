//! What a column says of images → where their bytes are: a path, base64, or bytes. Looks at no pixel and no file.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::RowsErrorKind;
use crate::image::{ImageSource, decoded};

/// What base64 of the formats that are read begins with: PNG, JPEG, WebP.
const BEGINNINGS: [&str; 3] = ["iVBORw0KGgo", "/9j/", "UklGR"];
/// Longest path of a file.
const LONGEST_PATH: usize = 4096;
/// Characters of a wrong value that are shown.
const SHOWN: usize = 60;

/// The images of a value: one, or a list of them.
pub(super) fn images(column: &str, value: &Value, origin: &Arc<str>) -> Result<Vec<ImageSource>, RowsErrorKind> {
    let one = |value: &Value| {
        image(value, origin).map_err(|message| RowsErrorKind::BadImage { column: column.to_owned(), message })
    };
    match value {
        Value::Array(items) => items.iter().map(one).collect(),
        other => one(other).map(|image| vec![image]),
    }
}

fn image(value: &Value, origin: &Arc<str>) -> Result<ImageSource, String> {
    match value {
        Value::String(text) => named(text, origin),
        Value::Object(fields) => held(fields, origin),
        Value::Null => Err("null; leave it out of the list, or drop the row".into()),
        other => Err(format!("`{}`, and must be a path, base64, or bytes", clipped(&other.to_string()))),
    }
}

/// The hub's image feature: bytes, or the path of a file.
fn held(fields: &Map<String, Value>, origin: &Arc<str>) -> Result<ImageSource, String> {
    let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
    match (field("bytes"), field("path")) {
        (Some(Value::String(bytes)), _) => match ImageSource::from_data_uri(bytes, origin) {
            Some(image) => image.map_err(|error| format!("no valid base64 ({error})")),
            None => base64(bytes, origin),
        },
        (None, Some(Value::String(path))) => named(path, origin),
        _ => {
            let keys: Vec<String> = fields.keys().map(|key| format!("`{key}`")).collect();
            Err(format!(
                "an object of {}, and must have `bytes` (base64, or binary in Parquet) or a `path`",
                if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
            ))
        }
    }
}

/// Text that names an image, or is one. Base64 has no dot, and the names of images have.
fn named(text: &str, origin: &Arc<str>) -> Result<ImageSource, String> {
    if let Some(image) = ImageSource::from_data_uri(text, origin) {
        return image.map_err(|error| format!("no valid base64 ({error}); write it anew"));
    }
    let is_base64 = BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) && !text.contains('.');
    if is_base64 || text.len() > LONGEST_PATH {
        return base64(text, origin);
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(format!("the address `{}`; download it, and name the file", clipped(text)));
    }
    if text.trim().is_empty() {
        return Err("empty; leave it out".into());
    }
    Ok(ImageSource::Path(PathBuf::from(text.strip_prefix("file://").unwrap_or(text))))
}

fn base64(text: &str, origin: &Arc<str>) -> Result<ImageSource, String> {
    let bytes = decoded(text);
    bytes.map(|bytes| ImageSource::embedded(bytes, Arc::clone(origin))).map_err(|error| {
        format!("`{}`: too long for a path, or begun like base64, and no valid base64 ({error})", clipped(text))
    })
}

fn clipped(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
