//! A Parquet file → records, row group by row group. Knows nothing of rows.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::reader::{ReaderIter, TreeBuilder};
use ::parquet::record::{Field, Row};
use ::parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};
use serde_json::{Map, Number, Value};

use super::{Record, Wanted, text};
use crate::image::data_uri;
use crate::rows::{RowsError, RowsErrorKind};

/// Rows whose values are held at a time, per column, where they are short.
const ROWS: usize = 1024;
/// The same where a column holds bytes, such as images.
const ROWS_WITH_BYTES: usize = 8;
/// Longest message of the reader that is shown: some hold the whole value.
const MESSAGE: usize = 200;

/// Records of a Parquet file.
pub(super) struct Rows {
    reader: SerializedFileReader<File>,
    file: Arc<Path>,
    /// The columns that are read.
    schema: SchemaDescPtr,
    /// The columns that are not.
    unwanted: Vec<String>,
    batch: usize,
    group: usize,
    open: Option<ReaderIter>,
    row: usize,
    ended: bool,
}

impl Rows {
    pub(super) fn new(file: File, path: Arc<Path>, wanted: &Wanted) -> Result<Self, RowsError> {
        let fail = |error| RowsError::new(&path, None, kind(&error));
        let reader = guarded(|| SerializedFileReader::new(file)).map_err(fail)?;
        let root = reader.metadata().file_metadata().schema().clone();
        let (read, unwanted): (Vec<_>, Vec<_>) =
            root.get_fields().iter().cloned().partition(|column| wanted.has(column.name()));
        let bytes = read.iter().any(|column| holds_bytes(column));
        let schema = Type::group_type_builder(root.name()).with_fields(read).build().map_err(fail)?;
        Ok(Self {
            schema: Arc::new(SchemaDescriptor::new(Arc::new(schema))),
            unwanted: unwanted.iter().map(|column| column.name().to_owned()).collect(),
            batch: if bytes { ROWS_WITH_BYTES } else { ROWS },
            reader,
            file: path,
            group: 0,
            open: None,
            row: 0,
            ended: false,
        })
    }

    fn read(&mut self) -> Result<Option<Record>, RowsErrorKind> {
        let row = loop {
            if let Some(row) = self.open.as_mut().and_then(|rows| guarded(|| rows.next().transpose()).transpose()) {
                break row.map_err(|error| kind(&error))?;
            }
            if self.group >= self.reader.num_row_groups() {
                return Ok(None);
            }
            let (reader, schema, group) = (&self.reader, &self.schema, self.group);
            let builder = TreeBuilder::new().with_batch_size(self.batch);
            let open = guarded(|| builder.as_iter(Arc::clone(schema), &*reader.get_row_group(group)?));
            self.open = Some(open.map_err(|error| kind(&error))?);
            self.group += 1;
        };
        self.row += 1;
        let mut columns = object(row, self.schema.root_schema())?;
        columns.extend(self.unwanted.iter().map(|column| (column.clone(), Value::Null)));
        Ok(Some(Record { file: Arc::clone(&self.file), line: self.row, columns }))
    }
}

/// How many rows a file says it has.
pub(super) fn count(path: &Path) -> Result<usize, RowsError> {
    let file = crate::fs::open(path).map_err(|error| RowsError::new(path, None, RowsErrorKind::Io(error)))?;
    let reader =
        guarded(|| SerializedFileReader::new(file)).map_err(|error| RowsError::new(path, None, kind(&error)))?;
    Ok(usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0))
}

impl Iterator for Rows {
    type Item = Result<Record, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.read();
        self.ended = !matches!(record, Ok(Some(_)));
        record.map_err(|kind| RowsError::new(&self.file, Some(self.row + 1), kind)).transpose()
    }
}

/// The reader panics on some damaged files, and on types that it does not know; to its callers that is one more wrong file.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(ParquetError::General(said.unwrap_or("damaged").to_owned()))
    })
}

fn kind(error: &ParquetError) -> RowsErrorKind {
    RowsErrorKind::Parquet(error.to_string().chars().take(MESSAGE).collect())
}

fn is_text(column: &Type) -> bool {
    let info = column.get_basic_info();
    let logical = matches!(info.logical_type_ref(), Some(LogicalType::String | LogicalType::Json | LogicalType::Enum));
    logical || matches!(info.converted_type(), ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM)
}

fn holds_bytes(column: &Type) -> bool {
    if column.is_primitive() {
        return column.get_physical_type() == Physical::BYTE_ARRAY && !is_text(column);
    }
    column.get_fields().iter().any(|inner| holds_bytes(inner))
}

fn object(row: Row, group: &Type) -> Result<Map<String, Value>, RowsErrorKind> {
    let fields = row.into_columns().into_iter().zip(group.get_fields());
    fields.map(|((name, field), column)| Ok((name, value(field, column)?))).collect()
}

/// The type of a list's items.
fn item_of(list: &Type) -> &Type {
    if list.is_primitive() || list.get_basic_info().converted_type() != ConvertedType::LIST {
        return list;
    }
    let Some(repeated) = list.get_fields().first() else { return list };
    let inner = (!repeated.is_primitive()).then(|| repeated.get_fields());
    match inner {
        // As the reader decides: older files name the items themselves.
        Some([only]) if repeated.name() != "array" && !repeated.name().ends_with("_tuple") => only,
        _ => repeated,
    }
}

/// A value as JSON would say it. Bytes are a data URI; a number that JSON has not (infinite, or none) is null.
fn value(field: Field, column: &Type) -> Result<Value, RowsErrorKind> {
    let float = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => flag.into(),
        Field::Byte(number) => number.into(),
        Field::Short(number) => number.into(),
        Field::Int(number) => number.into(),
        Field::Long(number) => number.into(),
        Field::UByte(number) => number.into(),
        Field::UShort(number) => number.into(),
        Field::UInt(number) => number.into(),
        Field::ULong(number) => number.into(),
        Field::Float16(number) => float(f64::from(number)),
        // The shortest decimal number that means it: 0.1, not 0.10000000149011612.
        Field::Float(number) => number.to_string().parse().map_or(Value::Null, float),
        Field::Double(number) => float(number),
        Field::Str(text) => text.into(),
        Field::Bytes(bytes) if is_text(column) => text(bytes.data())?.into(),
        Field::Bytes(bytes) => data_uri("", bytes.data()).into(),
        Field::Group(row) => Value::Object(object(row, column)?),
        Field::ListInternal(list) => {
            let item = match column.get_basic_info() {
                info if info.has_repetition() && info.repetition() == Repetition::REPEATED => column,
                _ => item_of(column),
            };
            let items = list.elements().iter().map(|field| value(field.clone(), item));
            items.collect::<Result<_, _>>()?
        }
        Field::MapInternal(map) => {
            let pair = column.get_fields().first().filter(|pair| !pair.is_primitive());
            let held = pair.and_then(|pair| pair.get_fields().get(1)).map_or(column, |held| held);
            let entries = map.entries().iter().map(|(key, field)| {
                let key = match key {
                    Field::Str(key) => key.clone(),
                    other => other.to_string(),
                };
                Ok((key, value(field.clone(), held)?))
            });
            Value::Object(entries.collect::<Result<_, RowsErrorKind>>()?)
        }
        // Decimals, dates and times read as they are printed.
        other => other.to_string().into(),
    })
}
