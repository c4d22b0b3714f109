//! A file or folder of rows in any format → records with their place, one at a time. Knows JSON, CSV and Parquet, not what a
//! column means.
//!
//! | format | files | read |
//! | --- | --- | --- |
//! | JSON | `.jsonl`, `.ndjson`, `.json`, and files without a name for their format | line by line, or item by item of one array |
//! | CSV | `.csv`, `.tsv` | record by record; every value is text, and an empty one is none |
//! | Parquet | `.parquet` | row group by row group, and only the columns that are wanted |
//!
//! JSON and CSV may be packed with gzip, `.jsonl.gz`; they are unpacked as they are read. However long the files, memory holds
//! one record, and of Parquet the pages that it lies in.

mod csv;
mod find;
mod json;
mod parquet;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use serde_json::{Map, Value};

use crate::rows::{RowsError, RowsErrorKind};

pub use self::find::Source;

/// Longest line, record or item of an array, in bytes.
pub const MOST_BYTES: usize = 32 << 20;

/// One row as its file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The file.
    pub file: Arc<Path>,
    /// Line of a JSONL or CSV file, item of a JSON array, or row of a Parquet file; from 1.
    pub line: usize,
    /// Columns by name. Bytes are a data URI (`data:;base64,…`); what is not wanted is null.
    pub columns: Map<String, Value>,
}

/// How a file holds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Objects, one a line or in one array.
    Json,
    /// Columns between separators, with a header.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The format that a file's name says, packed or not; none where it says nothing.
    pub fn named(path: &Path) -> Option<Self> {
        match unpacked(path).extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" | "json" => Some(Self::Json),
            "csv" | "tsv" => Some(Self::Csv),
            // Parquet is packed inside, and packed again it can't be read from its end.
            "parquet" if !is_packed(path) => Some(Self::Parquet),
            _ => None,
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
        }
    }
}

/// Does a file's name say that it is packed with gzip?
pub fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// A file's name as it is when it is unpacked.
fn unpacked(path: &Path) -> &Path {
    path.file_stem().filter(|_| is_packed(path)).map_or(path, Path::new)
}

/// Columns to read; the others are null.
#[derive(Debug, Clone, Default)]
struct Wanted(Option<Arc<BTreeSet<String>>>);

impl Wanted {
    fn has(&self, column: &str) -> bool {
        self.0.as_ref().is_none_or(|columns| columns.contains(column))
    }
}

/// The bytes of a file, unpacked.
type Input = BufReader<Box<dyn Read + Send>>;

/// Bytes that are read ahead.
const AHEAD: usize = 1 << 16;

/// Records of one file.
type Open = Box<dyn Iterator<Item = Result<Record, RowsError>> + Send>;

/// The records of a source, file by file.
pub struct Records {
    source: Source,
    wanted: Wanted,
    next: usize,
    open: Option<Open>,
}

/// Finds the rows of a file or folder (see [`Source::find`]); nothing is read yet.
pub fn open(path: &Path) -> Result<Records, RowsError> {
    Ok(Records::of(Source::find(path, None)?))
}

/// How many rows the files of a source have, where they say so themselves: Parquet does.
pub fn count(source: &Source) -> Result<Option<usize>, RowsError> {
    let is_parquet = |file: &PathBuf| Format::named(file) == Some(Format::Parquet);
    if source.files.is_empty() || !source.files.iter().all(is_parquet) {
        return Ok(None);
    }
    source.files.iter().map(|file| parquet::count(file)).sum::<Result<usize, _>>().map(Some)
}

impl Records {
    /// The records of files that were found.
    pub fn of(source: Source) -> Self {
        Self { source, wanted: Wanted::default(), next: 0, open: None }
    }

    /// Reads these columns only; the others are there, and null.
    #[must_use]
    pub fn only(mut self, columns: BTreeSet<String>) -> Self {
        self.wanted = Wanted(Some(Arc::new(columns)));
        self
    }

    /// Where the records are.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl Iterator for Records {
    type Item = Result<Record, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(open) = &mut self.open {
                match open.next() {
                    None => self.open = None,
                    Some(Ok(record)) => return Some(Ok(record)),
                    // What follows a mistake can't be trusted.
                    Some(Err(error)) => {
                        (self.open, self.next) = (None, self.source.files.len());
                        return Some(Err(error));
                    }
                }
            }
            let file = self.source.files.get(self.next)?;
            self.next += 1;
            match open_file(file, &self.wanted) {
                Ok(open) => self.open = Some(open),
                Err(error) => {
                    self.next = self.source.files.len();
                    return Some(Err(error));
                }
            }
        }
    }
}

fn open_file(path: &Path, wanted: &Wanted) -> Result<Open, RowsError> {
    let fail = |kind| RowsError::new(path, None, kind);
    let file: Arc<Path> = path.into();
    let opened = crate::fs::open(path).map_err(|error| fail(RowsErrorKind::Io(error)))?;
    let magic = first_bytes(&opened, path)?;
    let named = Format::named(path);
    if magic.starts_with(&[0x1f, 0x8b]) {
        if !is_packed(path) {
            return Err(fail(RowsErrorKind::NotNamedPacked));
        }
        let bytes: Box<dyn Read + Send> = Box::new(MultiGzDecoder::new(BufReader::with_capacity(AHEAD, opened)));
        let mut input = BufReader::with_capacity(AHEAD, bytes);
        let start = input.fill_buf().map_err(|source| unreadable(path, 1, source))?;
        return match start {
            // Packed twice, or what is read from its end.
            [b'P', b'A', b'R', b'1' | b'E', ..] | [0x1f, 0x8b, ..] => Err(fail(RowsErrorKind::Packed)),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(fail(RowsErrorKind::Utf16)),
            _ if named == Some(Format::Csv) => Ok(Box::new(csv::Rows::new(input, file, wanted)?)),
            _ => Ok(Box::new(json::Rows::new(input, file, wanted.clone())?)),
        };
    }
    let is = match magic {
        [b'P', b'A', b'R', b'1'] => Some(Format::Parquet),
        [b'P', b'A', b'R', b'E'] => return Err(fail(RowsErrorKind::Encrypted)),
        [0x28, 0xb5, 0x2f, 0xfd] | [b'P', b'K', 3, 4] => return Err(fail(RowsErrorKind::Packed)),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(fail(RowsErrorKind::Utf16)),
        _ => named.filter(|format| *format != Format::Parquet),
    };
    match (is, named) {
        (None, Some(Format::Parquet)) => Err(fail(RowsErrorKind::NotParquet)),
        (Some(Format::Parquet), None | Some(Format::Parquet)) => {
            Ok(Box::new(parquet::Rows::new(opened, file, wanted)?))
        }
        (Some(Format::Parquet), Some(named)) => Err(fail(RowsErrorKind::Misnamed(named))),
        (Some(Format::Csv), _) => Ok(Box::new(csv::Rows::new(plain(opened), file, wanted)?)),
        _ => Ok(Box::new(json::Rows::new(plain(opened), file, wanted.clone())?)),
    }
}

fn plain(file: File) -> Input {
    let bytes: Box<dyn Read + Send> = Box::new(file);
    BufReader::with_capacity(AHEAD, bytes)
}

/// The first four bytes, or zeros after the end.
fn first_bytes(file: &File, path: &Path) -> Result<[u8; 4], RowsError> {
    let mut bytes = Vec::with_capacity(4);
    let mut opened = file;
    let read = opened.take(4).read_to_end(&mut bytes).and_then(|_| opened.rewind());
    read.map_err(|source| unreadable(path, 1, source))?;
    bytes.resize(4, 0);
    Ok([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// A disk fails a file, and gzip a place in it: what is no gzip, or ends too early, is no refusal of the disk.
fn unreadable(path: &Path, line: usize, source: io::Error) -> RowsError {
    match source.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            RowsError::new(path, Some(line), RowsErrorKind::Gzip(source.to_string()))
        }
        _ => RowsError::new(path, None, RowsErrorKind::Io(crate::fs::failed("read", path, source))),
    }
}

/// The text of bytes, or where they stop being any.
fn text(bytes: &[u8]) -> Result<&str, RowsErrorKind> {
    std::str::from_utf8(bytes).map_err(|error| RowsErrorKind::NotText { byte: error.valid_up_to() + 1 })
}

/// A source's files, for messages: the file or the folder.
fn names(files: &[PathBuf]) -> Vec<String> {
    let named = files.iter().filter_map(|file| file.file_name());
    named.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests;
