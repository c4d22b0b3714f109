//! Records → rows, one at a time: mapped, split, limited, with ids that are unique. Knows nothing of what a field means.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use super::fields::{self, Fields};
use super::{FIELDS, Row, RowsError, RowsErrorKind, RowsView};
use crate::image::ImageSource;
use crate::records::{Format, Record, Records, Source, is_packed};
use crate::split::Split;

/// The rows of a source, one at a time.
pub struct Rows {
    records: Records,
    view: RowsView,
    split: Split,
    /// How often each id was seen, by its digest: ids may be long, and rows many.
    ids: HashMap<[u8; 16], u32>,
    /// Columns that the view names and no record had yet, with the field that each is for.
    unseen: BTreeMap<String, String>,
    /// Columns of the first record.
    first: Option<Record>,
    /// The folder of the file that was read last.
    folder: (PathBuf, PathBuf),
    taken: usize,
    look_for_images: bool,
    ended: bool,
}

/// Reads rows from a folder or file (see [`Source::find`]) the way `view` says; memory holds one row at a time.
///
/// Rows hold a `prompt`, or whole chats under `messages`; see [`super::Turn`] and [`Row::history`].
/// Options of a multiple-choice row are appended to its prompt; the answer marker splits reasoning from answer; rows are
/// taken by the hash of their group, so adding rows never moves others between splits; images must exist. Rows without an
/// id get one from their content, and a repeated id gets `#2`, `#3`, … so that ids are unique within a source.
///
/// Images are files, data URIs, base64 of a PNG, JPEG or WebP file, or bytes (`{bytes, path}`, as the hub's data sets hold
/// them). Only rows of JSON may name a file outside the source's folder, and only where they are not `confined`: elsewhere
/// nobody would notice that it changed.
pub fn stream(path: &Path, view: &RowsView) -> Result<Rows, RowsError> {
    let source = Source::find(path, view.files.as_deref())?;
    let fail = |kind| RowsError::new(source.name(), None, kind);
    let split = Split::of(view).map_err(fail)?;
    if let Some(field) = view.columns.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(fail(RowsErrorKind::UnknownField(field.clone())));
    }
    let mapped = view.columns.iter().map(|(field, column)| (column.clone(), field.clone()));
    let group = view.group_by.iter().map(|column| (column.clone(), "group_by".to_owned()));
    let unseen: BTreeMap<_, _> = mapped.chain(group).collect();
    let fields = FIELDS.iter().filter(|field| !view.columns.contains_key(**field)).map(|field| (*field).to_owned());
    let layout = view.layout.into_iter().flat_map(|layout| {
        let named = FIELDS.iter().flat_map(move |field| layout.columns(field)).map(|column| (*column).to_owned());
        named.chain(layout.extra_columns())
    });
    let wanted: BTreeSet<String> = fields.chain(unseen.keys().cloned()).chain(layout).collect();
    Ok(Rows {
        records: Records::of(source).only(wanted),
        view: view.clone(),
        split,
        ids: HashMap::new(),
        unseen,
        first: None,
        folder: (PathBuf::new(), PathBuf::new()),
        taken: 0,
        look_for_images: true,
        ended: false,
    })
}

impl Rows {
    /// Takes rows whose images are not there, too.
    #[must_use]
    pub fn with_missing_images(mut self) -> Self {
        self.look_for_images = false;
        self
    }

    fn read(&mut self) -> Result<Option<Row>, RowsError> {
        loop {
            let full = self.view.limit.is_some_and(|limit| self.taken >= limit);
            // A column that later rows have is no mistake.
            if full && self.unseen.is_empty() {
                return Ok(None);
            }
            let Some(record) = self.records.next().transpose()? else {
                return self.check_columns().map(|()| None);
            };
            if !self.unseen.is_empty() {
                self.unseen.retain(|column, _| !record.columns.contains_key(column));
            }
            if full {
                continue;
            }
            let row = self.row(&record).map_err(|kind| RowsError::new(&record.file, Some(record.line), kind))?;
            if self.first.is_none() && !self.unseen.is_empty() {
                self.first = Some(record);
            }
            if let Some(row) = row {
                self.taken += 1;
                return Ok(Some(row));
            }
        }
    }

    /// A column that no row has is a mistake in the recipe; a column that some rows lack is an absent value.
    fn check_columns(&self) -> Result<(), RowsError> {
        match (self.unseen.first_key_value(), &self.first) {
            (Some((column, field)), Some(first)) => {
                let kind = fields::missing(field, column, first);
                Err(RowsError::new(self.records.source().name(), None, kind))
            }
            _ => Ok(()),
        }
    }

    /// The row of a record; none where the split takes it not.
    fn row(&mut self, record: &Record) -> Result<Option<Row>, RowsErrorKind> {
        let mut row = Fields { record, view: &self.view }.row()?;
        if !self.split.takes(row.group.as_deref().unwrap_or(&row.id)) {
            return Ok(None);
        }
        for image in &mut row.images {
            self.place(record, image)?;
        }
        let digest = blake3::hash(row.id.as_bytes());
        let key = digest.as_bytes().first_chunk().copied().unwrap_or_default();
        let count = self.ids.entry(key).or_default();
        *count += 1;
        if *count > 1 {
            row.id = format!("{}#{count}", row.id);
        }
        Ok(Some(row))
    }

    /// Makes an image's path absolute, where it may be named.
    fn place(&mut self, record: &Record, image: &mut ImageSource) -> Result<(), RowsErrorKind> {
        let ImageSource::Path(path) = image else { return Ok(()) };
        // Files of plain JSON are searched for names of images, which then count with the rows.
        let of = match Format::named(&record.file).unwrap_or(Format::Json) {
            Format::Csv => Some("CSV"),
            Format::Parquet => Some("Parquet"),
            Format::Json => is_packed(&record.file).then_some("packed JSON"),
        };
        if let Some(format) = of.filter(|_| !self.view.confined && !self.records.source().path.is_dir()) {
            return Err(RowsErrorKind::ImageBeside { path: path.clone(), format });
        }
        let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let whose = if self.view.confined { Some("from a hub".to_owned()) } else { of.map(|of| format!("of {of}")) };
        if let Some(whose) = whose.filter(|_| !inside) {
            return Err(RowsErrorKind::ImageOutside { path: path.clone(), whose });
        }
        if self.folder.0 != *record.file {
            let folder = record.file.parent().unwrap_or(Path::new("."));
            self.folder = (record.file.to_path_buf(), std::path::absolute(folder).unwrap_or_default());
        }
        *path = self.folder.1.join(&*path);
        if self.look_for_images && !path.is_file() {
            return Err(RowsErrorKind::MissingImage(path.clone()));
        }
        Ok(())
    }
}

impl Iterator for Rows {
    type Item = Result<Row, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.read();
        self.ended = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}
