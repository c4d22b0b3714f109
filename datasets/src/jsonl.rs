//! Rows → a folder with `rows.jsonl` and their images. Knows one format, which [`crate::rows`] reads back as the same rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::fs::{self, FsError};
use crate::image::{Embedded, ImageSource};
use crate::rows::Row;

/// Name of the file of rows in a folder that a stage made.
pub const ROWS: &str = "rows.jsonl";
/// Name of the file while it is written: a folder with half of the rows has none.
const UNFINISHED: &str = "rows.jsonl.unfinished";
/// Folder of images that came from elsewhere, each named by its content.
const IMAGES: &str = "images";
/// Hex digits of a digest in an image's name.
const DIGITS: usize = 32;

/// Writes rows to a folder one at a time. The folder is whole in itself: images that lie elsewhere, or came with their rows,
/// are copied into `images/`, each once, and named relative to the folder, so that it can move.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    file: BufWriter<File>,
    copied: BTreeMap<PathBuf, PathBuf>,
    links: bool,
    rows: usize,
}

impl Writer {
    /// Begins a folder's rows. Until [`Writer::finish`] there is no `rows.jsonl`.
    pub fn create(dir: &Path) -> Result<Self, FsError> {
        let file = BufWriter::with_capacity(1 << 16, fs::create(&dir.join(UNFINISHED))?);
        Ok(Self { dir: dir.to_owned(), file, copied: BTreeMap::new(), links: false, rows: 0 })
    }

    /// Says whether images of the next rows may be the same file under another name: where nobody will change it.
    pub fn link(&mut self, links: bool) {
        self.links = links;
    }

    /// Writes a row, and its images where they are not in the folder.
    pub fn write(&mut self, row: &Row) -> Result<(), FsError> {
        let mut line = if row.images.is_empty() {
            serde_json::to_string(row)
        } else {
            let mut row = row.clone();
            for image in &mut row.images {
                *image = ImageSource::Path(self.inside(image)?);
            }
            serde_json::to_string(&row)
        }
        .expect("a row is plain data");
        line.push('\n');
        self.rows += 1;
        self.file.write_all(line.as_bytes()).map_err(|source| fs::failed("write", &self.dir.join(UNFINISHED), source))
    }

    /// Rows written.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Ends the rows: from here on the folder has them all.
    pub fn finish(mut self) -> Result<(), FsError> {
        let unfinished = self.dir.join(UNFINISHED);
        self.file.flush().map_err(|source| fs::failed("write", &unfinished, source))?;
        fs::rename(&unfinished, &self.dir.join(ROWS))
    }

    /// The path of an image in the folder, where it is put if it is not there.
    fn inside(&mut self, image: &ImageSource) -> Result<PathBuf, FsError> {
        match image {
            ImageSource::Path(path) => {
                if let Ok(relative) = path.strip_prefix(&self.dir) {
                    return Ok(relative.to_owned());
                }
                if path.is_relative() && self.dir.join(path).is_file() {
                    return Ok(path.clone());
                }
                if let Some(copied) = self.copied.get(path) {
                    return Ok(copied.clone());
                }
                let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
                let name = name(&fs::digest(path)?, ending.as_deref().unwrap_or("bin"));
                if !self.dir.join(&name).is_file() {
                    let bring = if self.links { fs::link_or_copy } else { fs::copy };
                    bring(path, &self.dir.join(&name))?;
                }
                self.copied.insert(path.clone(), name.clone());
                Ok(name)
            }
            ImageSource::Embedded(embedded) => {
                let bytes = embedded.bytes()?;
                let name = name(&embedded.digest(), Embedded::extension(&bytes));
                if !self.dir.join(&name).is_file() {
                    fs::write(&self.dir.join(&name), &bytes)?;
                }
                Ok(name)
            }
        }
    }
}

fn name(digest: &str, extension: &str) -> PathBuf {
    Path::new(IMAGES).join(format!("{}.{extension}", &digest[..DIGITS]))
}

/// Writes canonical rows to `dir/rows.jsonl`; see [`Writer`].
pub fn write(dir: &Path, rows: &[Row]) -> Result<(), FsError> {
    let mut writer = Writer::create(dir)?;
    rows.iter().try_for_each(|row| writer.write(row))?;
    writer.finish()
}
