//! JSON objects, one a line or in one array → records, without ever holding more than one. Knows nothing of rows.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{Input, MOST_BYTES, Record, Wanted, text, unreadable};
use crate::rows::{RowsError, RowsErrorKind};

/// The byte order mark that some editors put before UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Records of a file of JSON.
pub(super) struct Rows {
    input: Input,
    file: Arc<Path>,
    wanted: Wanted,
    /// Lines read, or lines begun of an array.
    line: usize,
    /// Items read of an array; none in a file of lines.
    items: Option<usize>,
    /// One record's bytes.
    bytes: Vec<u8>,
    ended: bool,
}

/// What stands after an item of an array.
enum After {
    Comma,
    Bracket,
    End,
}

impl Rows {
    pub(super) fn new(input: Input, file: Arc<Path>, wanted: Wanted) -> Result<Self, RowsError> {
        let mut rows = Self { input, file, wanted, line: 0, items: None, bytes: Vec::new(), ended: false };
        let start = rows.input.fill_buf().map_err(|source| unreadable(&rows.file, 1, source))?;
        if start.starts_with(MARK) {
            rows.input.consume(MARK.len());
        }
        if rows.first_byte()? == Some(b'[') {
            rows.input.consume(1);
            rows.items = Some(0);
        }
        Ok(rows)
    }

    /// Skips white space, and says what comes after it without taking it.
    fn first_byte(&mut self) -> Result<Option<u8>, RowsError> {
        loop {
            let at = self.place();
            let bytes = self.input.fill_buf().map_err(|source| unreadable(&self.file, at, source))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.line += bytes[..blank].iter().map(|byte| usize::from(*byte == b'\n')).sum::<usize>();
            let first = bytes.get(blank).copied();
            self.input.consume(blank);
            if first.is_some() {
                return Ok(first);
            }
        }
    }

    /// The line, or the item of an array.
    fn place(&self) -> usize {
        self.items.unwrap_or(self.line)
    }

    fn fail(&self, kind: RowsErrorKind) -> RowsError {
        RowsError::new(&self.file, Some(self.place()), kind)
    }

    /// Reads a line into `bytes`; false at the end of the file.
    fn next_line(&mut self) -> Result<bool, RowsError> {
        self.bytes.clear();
        self.line += 1;
        let at = self.place();
        loop {
            let found = self.input.fill_buf().map_err(|source| unreadable(&self.file, at, source))?;
            let end = found.iter().position(|byte| *byte == b'\n');
            let part = &found[..end.unwrap_or(found.len())];
            if self.bytes.len() + part.len() > MOST_BYTES {
                return Err(self.fail(RowsErrorKind::TooLong));
            }
            self.bytes.extend_from_slice(part);
            let (taken, last) = (part.len() + usize::from(end.is_some()), found.is_empty());
            self.input.consume(taken);
            if end.is_some() {
                return Ok(true);
            }
            if last {
                return Ok(!self.bytes.is_empty());
            }
        }
    }

    fn line(&mut self) -> Result<Option<Record>, RowsError> {
        while self.next_line()? {
            if self.bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let columns = object(&self.bytes, &self.wanted).map_err(|kind| self.fail(kind))?;
            return Ok(Some(Record { file: Arc::clone(&self.file), line: self.line, columns }));
        }
        Ok(None)
    }

    /// Reads an item into `bytes`, up to the comma or bracket after it.
    fn next_item(&mut self) -> Result<After, RowsError> {
        self.bytes.clear();
        let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
        let at = self.place();
        loop {
            let found = self.input.fill_buf().map_err(|source| unreadable(&self.file, at, source))?;
            if found.is_empty() {
                return Ok(After::End);
            }
            let mut after = None;
            let mut taken = 0;
            for &byte in found {
                taken += 1;
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    _ if quoted => {}
                    b'[' | b'{' => depth += 1,
                    b',' if depth == 0 => after = Some(After::Comma),
                    b']' if depth == 0 => after = Some(After::Bracket),
                    b']' | b'}' => depth = depth.saturating_sub(1),
                    b'\n' => self.line += 1,
                    _ => {}
                }
                if after.is_some() {
                    break;
                }
            }
            let part = taken - usize::from(after.is_some());
            if self.bytes.len() + part > MOST_BYTES {
                return Err(self.fail(RowsErrorKind::TooLong));
            }
            self.bytes.extend_from_slice(&found[..part]);
            self.input.consume(taken);
            if let Some(after) = after {
                return Ok(after);
            }
        }
    }

    fn item(&mut self, before: usize) -> Result<Option<Record>, RowsError> {
        if before == 0 && self.first_byte()? == Some(b']') {
            self.input.consume(1);
            return self.end();
        }
        let item = before + 1;
        self.items = Some(item);
        let after = self.next_item()?;
        if matches!(after, After::End) {
            return Err(self.fail(RowsErrorKind::CutOff));
        }
        let columns = object(&self.bytes, &self.wanted).map_err(|kind| self.fail(kind))?;
        if matches!(after, After::Bracket) {
            self.end()?;
        }
        Ok(Some(Record { file: Arc::clone(&self.file), line: item, columns }))
    }

    /// Nothing may follow the array.
    fn end(&mut self) -> Result<Option<Record>, RowsError> {
        self.ended = true;
        match self.first_byte()? {
            None => Ok(None),
            Some(_) => Err(self.fail(RowsErrorKind::Json("text after the array's last `]`".into()))),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Record, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = match self.items {
            None => self.line(),
            Some(items) => self.item(items),
        };
        self.ended |= !matches!(record, Ok(Some(_)));
        record.transpose()
    }
}

/// An object's wanted columns; the others are null.
fn object(bytes: &[u8], wanted: &Wanted) -> Result<Map<String, Value>, RowsErrorKind> {
    let mut input = serde_json::Deserializer::from_str(text(bytes)?);
    let found = Columns(wanted).deserialize(&mut input).and_then(|columns| input.end().map(|()| columns));
    found.map_err(
        |error| {
            if error.is_data() { RowsErrorKind::NotAnObject } else { RowsErrorKind::Json(error.to_string()) }
        },
    )
}

struct Columns<'a>(&'a Wanted);

impl<'de> DeserializeSeed<'de> for Columns<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Columns<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut columns = Map::new();
        while let Some(column) = map.next_key::<String>()? {
            let value = if self.0.has(&column) {
                map.next_value()?
            } else {
                map.next_value::<IgnoredAny>()?;
                Value::Null
            };
            columns.insert(column, value);
        }
        Ok(columns)
    }
}
