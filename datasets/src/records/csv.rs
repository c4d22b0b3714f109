//! Text between separators, with a header → records. Every value is text; an empty one is none. Knows nothing of rows.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use serde_json::{Map, Value};

use super::{AHEAD, Input, MOST_BYTES, Record, Wanted, text, unpacked, unreadable};
use crate::rows::{RowsError, RowsErrorKind};

/// Records of a CSV file.
pub(super) struct Rows {
    reader: Reader<Metered>,
    meter: Arc<Meter>,
    file: Arc<Path>,
    /// Columns in order, and whether each is wanted.
    header: Vec<(String, bool)>,
    record: ByteRecord,
    /// Line of the last record, where its last value has more than one line.
    spread: Option<usize>,
    ended: bool,
}

/// What was read of a file.
#[derive(Default)]
struct Meter {
    /// Bytes since the last record ended.
    since: AtomicUsize,
    /// Quotes in all: each quoted value has an even number.
    quotes: AtomicUsize,
}

/// A file that ends with an error where a record grows too long: a quote that is never closed takes all that follows.
struct Metered {
    input: Input,
    meter: Arc<Meter>,
}

impl Read for Metered {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        let quotes = bytes[..read].iter().map(|byte| usize::from(*byte == b'"')).sum::<usize>();
        self.meter.quotes.fetch_add(quotes, Ordering::Relaxed);
        if self.meter.since.fetch_add(read, Ordering::Relaxed) > MOST_BYTES + AHEAD {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(read)
    }
}

impl Rows {
    pub(super) fn new(input: Input, path: Arc<Path>, wanted: &Wanted) -> Result<Self, RowsError> {
        let tabs = unpacked(&path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
        let meter = Arc::new(Meter::default());
        let metered = Metered { input, meter: Arc::clone(&meter) };
        let reader =
            ReaderBuilder::new().delimiter(if tabs { b'\t' } else { b',' }).buffer_capacity(AHEAD).from_reader(metered);
        let mut rows = Self {
            reader,
            meter,
            file: path,
            header: Vec::new(),
            record: ByteRecord::new(),
            spread: None,
            ended: false,
        };
        let header = rows.reader.byte_headers().cloned().map_err(|error| rows.fail(error))?;
        for column in &header {
            let at = |kind| RowsError::new(&rows.file, Some(1), kind);
            let column = text(column).map_err(at)?;
            if rows.header.iter().any(|(known, _)| known == column) {
                return Err(at(RowsErrorKind::TwoColumns(column.to_owned())));
            }
            rows.header.push((column.to_owned(), wanted.has(column)));
        }
        Ok(rows)
    }

    fn fail(&self, error: ::csv::Error) -> RowsError {
        let line = error.position().map(|position| position.line() as usize);
        let at = |kind| RowsError::new(&self.file, line, kind);
        match error.into_kind() {
            ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                let line = Some(self.reader.position().line() as usize);
                RowsError::new(&self.file, line, RowsErrorKind::TooLong)
            }
            ErrorKind::Io(error) => unreadable(&self.file, self.reader.position().line() as usize, error),
            ErrorKind::UnequalLengths { expected_len, len, .. } => {
                at(RowsErrorKind::Ragged { found: len as usize, wanted: expected_len as usize })
            }
            kind => at(RowsErrorKind::Csv(format!("{kind:?}"))),
        }
    }

    fn read(&mut self) -> Result<Option<Record>, RowsError> {
        let start = self.reader.position().line();
        if !self.reader.read_byte_record(&mut self.record).map_err(|error| self.fail(error))? {
            let odd = !self.meter.quotes.load(Ordering::Relaxed).is_multiple_of(2);
            let open = self.spread.filter(|_| odd);
            return open.map_or(Ok(None), |line| Err(RowsError::new(&self.file, Some(line), RowsErrorKind::OpenQuote)));
        }
        // What was read ahead belongs to later records.
        self.meter.since.store(0, Ordering::Relaxed);
        let line = self.record.position().map_or(start, ::csv::Position::line) as usize;
        let at = |kind| RowsError::new(&self.file, Some(line), kind);
        let last = self.record.iter().next_back().unwrap_or_default();
        self.spread = last.contains(&b'\n').then_some(line);
        let mut columns = Map::new();
        for ((column, wanted), value) in self.header.iter().zip(&self.record) {
            let is_read = *wanted && !value.is_empty();
            let value = if is_read { Value::String(text(value).map_err(at)?.to_owned()) } else { Value::Null };
            columns.insert(column.clone(), value);
        }
        Ok(Some(Record { file: Arc::clone(&self.file), line, columns }))
    }
}

impl Iterator for Rows {
    type Item = Result<Record, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.read();
        self.ended = !matches!(record, Ok(Some(_)));
        record.transpose()
    }
}
