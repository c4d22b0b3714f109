//! Why rows can't be read, in words: the place, what is wrong there, and what to do about it.

use std::path::{Path, PathBuf};

use super::FIELDS;
use crate::records::{Format, MOST_BYTES};

/// Why rows could not be read: where, and what is wrong there.
#[derive(Debug, thiserror::Error)]
#[error("cannot read rows from `{}{}`: {kind}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct RowsError {
    /// The file or folder.
    pub file: PathBuf,
    /// Line of a JSONL or CSV file, item of an array, or row of a Parquet file; from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub kind: Box<RowsErrorKind>,
}

/// What is wrong with a file of rows; every message ends with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowsErrorKind {
    /// Nothing lies there.
    #[error("there is no such file or folder")]
    Absent,
    /// The disk said no.
    #[error("{0}")]
    Io(crate::fs::FsError),
    /// A folder without rows.
    #[error(
        "the folder holds neither `rows.jsonl` nor a `.jsonl`, `.json`, `.csv`, `.tsv` (or one of \
         them packed, `.jsonl.gz`) or `.parquet` file; name another, or \
         the files below it with `files = \"FOLDER/*\"`"
    )]
    NoFile,
    /// A folder with too many candidates.
    #[error(
        "the folder holds several files of rows ({}) that are not shards of one set; name one of them in `source`, or a set \
         with `files = \"train-*\"`",
        .0.join(", ")
    )]
    SeveralFiles(Vec<String>),
    /// A folder whose files are in several formats.
    #[error(
        "the folder holds files of rows in different formats ({}); name one of them in `source`, or a set with \
         `files = \"*.parquet\"`",
        .0.join(", ")
    )]
    MixedFormats(Vec<String>),
    /// A set that lacks a shard.
    #[error(
        "shard {missing} of {of} of `{set}` is not there; copy or download it, or name the files that are to be read in `files`"
    )]
    MissingShard {
        /// The beginning of the shards' names.
        set: String,
        /// The number of the first that is missing, from 0.
        missing: usize,
        /// How many there should be.
        of: usize,
    },
    /// A pattern that chooses nothing.
    #[error(
        "no file of rows matches `{0}`; `files` is a name in the folder, such as `train-*` or `data/test-*.parquet`"
    )]
    NoMatch(String),
    /// A pattern for one file.
    #[error(
        "it is a file, and `files = \"{0}\"` chooses among the files of a folder; leave it out, or name the folder"
    )]
    PatternOfFile(String),
    /// Bytes that are no text.
    #[error("byte {byte} is not UTF-8; save the file as UTF-8")]
    NotText {
        /// The first wrong byte of the line, record or value; from 1.
        byte: usize,
    },
    /// Text in another encoding.
    #[error("the file is UTF-16; save it as UTF-8")]
    Utf16,
    /// More bytes than one row may have.
    #[error(
        "one row has more than {} MiB; is a quote or bracket never closed? Keep large images in files of their own, or in Parquet",
        MOST_BYTES >> 20
    )]
    TooLong,
    /// An array without an end.
    #[error("the file ends within this item; it was cut off: copy or download it again")]
    CutOff,
    /// A compressed file.
    #[error("the file is compressed, and not as JSON or CSV packed once with gzip; unpack it")]
    Packed,
    /// A file packed with gzip by its content alone.
    #[error("the file is packed with gzip; end its name with `.gz`, or unpack it")]
    NotNamedPacked,
    /// A file packed with gzip that can't be unpacked.
    #[error(
        "it can't be unpacked any further ({0}): the gzip file is damaged or was cut off; copy or download it again"
    )]
    Gzip(String),
    /// A Parquet file that needs a key.
    #[error("the file is encrypted Parquet; decrypt it")]
    Encrypted,
    /// A Parquet file by name alone.
    #[error("it is no Parquet file: those begin with `PAR1`; copy or download it again, or name it by its format")]
    NotParquet,
    /// A Parquet file with another name.
    #[error("it is a Parquet file named as {}; end its name with `.parquet`", .0.name())]
    Misnamed(Format),
    /// A Parquet file that can't be read.
    #[error("the Parquet file can't be read ({0}); copy or download it again")]
    Parquet(String),
    /// A CSV file that can't be read.
    #[error("the CSV file can't be read ({0})")]
    Csv(String),
    /// A record with too many or too few values.
    #[error(
        "the record has {found} values, and the header names {wanted}; quote a value that holds a separator or a quote"
    )]
    Ragged {
        /// Values of the record.
        found: usize,
        /// Columns of the header.
        wanted: usize,
    },
    /// A CSV file that ends inside a quoted value.
    #[error(
        "a quote is never closed: the last value goes on to the end of the file; close it, or double a quote inside a value"
    )]
    OpenQuote,
    /// Two columns with one name.
    #[error("two columns are named `{0}`; name each once")]
    TwoColumns(String),
    /// Text that is not JSON.
    #[error("not valid JSON ({0}); each line must be one object, or the whole file one array of objects")]
    Json(String),
    /// JSON, but no object.
    #[error("a row must be a JSON object, such as {{\"prompt\": \"…\", \"answer\": \"…\"}}")]
    NotAnObject,
    /// A field's column is missing.
    #[error(
        "no column `{column}` for `{field}`; the columns are {}; {}map one with `columns = {{ {field} = \"…\" }}`",
        .present.join(", "), suggestion(.fits)
    )]
    MissingColumn {
        /// The row field.
        field: String,
        /// The column looked for.
        column: String,
        /// What there is.
        present: Vec<String>,
        /// Layouts that have these columns.
        fits: Vec<&'static str>,
    },
    /// A row without what it asks.
    #[error("column `{0}` is empty, and a row needs a prompt; fill it, or drop the row")]
    Empty(String),
    /// `columns` names a field that rows do not have.
    #[error("`columns` names the field `{0}`, which rows do not have; fields are {fields}", fields = FIELDS.join(", "))]
    UnknownField(String),
    /// A value of the wrong type.
    #[error("column `{column}` must hold {wanted}, but holds {found}")]
    WrongType {
        /// The column.
        column: String,
        /// What it must hold.
        wanted: &'static str,
        /// What it holds.
        found: String,
    },
    /// The answer column lacks the marker.
    #[error("column `{column}` has no `{marker}` before the final answer; correct the row or `answer_marker`")]
    NoMarker {
        /// The answer column.
        column: String,
        /// The marker looked for.
        marker: String,
    },
    /// A column of messages that is none.
    #[error("column `{column}`: {message}")]
    Message {
        /// The column.
        column: String,
        /// What is wrong, and where in it.
        message: String,
    },
    /// Images and their places in the turns disagree.
    #[error(
        "the row has {images} images, but its turns have {places} places for them (`<image>`, or parts of type `image`); name each image once, in order"
    )]
    Images {
        /// Images of the row.
        images: usize,
        /// `<image>` and parts of type `image` in its turns.
        places: usize,
    },
    /// An image that is not there.
    #[error("image `{}` does not exist; paths are relative to the folder of the file of rows", .0.display())]
    MissingImage(PathBuf),
    /// Text that should be an image.
    #[error("column `{column}`: an image is {message}")]
    BadImage {
        /// The column.
        column: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// An image outside the folder.
    #[error(
        "image `{}` lies outside the folder of the rows, where rows {} may name none; put it there, and name it relative to \
         the file",
        path.display(), whose
    )]
    ImageOutside {
        /// The path as the row names it.
        path: PathBuf,
        /// Whose rows: `from a hub`, `of CSV`.
        whose: String,
    },
    /// An image in a file beside a file that is not read for names.
    #[error(
        "the {format} file names the image `{}`, which counts with the rows only where both lie in a folder that is the \
         source; name the folder in `source`",
        path.display()
    )]
    ImageBeside {
        /// The path as the row names it.
        path: PathBuf,
        /// The format of the file of rows.
        format: &'static str,
    },
    /// A split that is not declared.
    #[error("no split `{split}`; `splits` declares {}", if .declared.is_empty() { "none".to_owned() } else { .declared.join(", ") })]
    UnknownSplit {
        /// The split asked for.
        split: String,
        /// The splits there are.
        declared: Vec<String>,
    },
    /// Shares that are no shares.
    #[error("the shares of `splits` must lie between 0 and 1 and add up to at most 1, not {0}")]
    BadShares(f64),
}

/// `they would fit `layout = "alpaca"`; or else `.
fn suggestion(fits: &[&str]) -> String {
    let named: Vec<String> = fits.iter().map(|name| format!("`layout = \"{name}\"`")).collect();
    if named.is_empty() { String::new() } else { format!("they would fit {}; or else ", named.join(" or ")) }
}

impl RowsError {
    pub(crate) fn new(file: &Path, line: Option<usize>, kind: RowsErrorKind) -> Self {
        Self { file: file.to_owned(), line, kind: Box::new(kind) }
    }
}
