//! Input file or folder → digest of its content, read once per state of the file.

mod named;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::fs::{self, Found, FsError, Stamp};
use crate::parallel;
use crate::stage::DataView;

/// A file that changed this shortly before it was looked at may change again without a new time stamp, because the clocks of
/// disks tick slowly (what git calls "racily clean"); it is not remembered.
const UNSETTLED_NS: i64 = 2_000_000_000;

/// Remembers digests of files by path and state, in a file beside the store's entries. That file is a convenience: absent,
/// damaged or in another form, it is as if nothing were remembered.
#[derive(Debug)]
pub struct Digests {
    file: PathBuf,
    /// None until something is asked that it may know.
    memory: Option<Memory>,
    asked: BTreeMap<(PathBuf, String), String>,
    /// Now, in nanoseconds since 1970.
    clock: fn() -> i64,
}

/// What is known of files, by path.
type Known = BTreeMap<String, Content>;

/// What a file held when it was in a state.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Content {
    stamp: Stamp,
    digest: String,
    /// Images that its rows name, by the columns that were looked into.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    images: BTreeMap<String, Vec<String>>,
}

impl Digests {
    /// Nothing is read until something is asked.
    pub(super) fn open(file: PathBuf) -> Self {
        Self { file, memory: None, asked: BTreeMap::new(), clock: now_ns }
    }

    /// Digest of every file below a folder together with its name there, or of a file's bytes; and of the images elsewhere
    /// that rows of JSON name, in the columns of images or in messages. Rows of other formats may name none that are not in
    /// their folder. One question has one answer as long as this value lives, whatever happens on the disk meanwhile.
    pub fn of(&mut self, path: &Path, view: &DataView) -> Result<String, FsError> {
        let columns = view.columns_of("images");
        // The folder that `files` chooses from.
        let below = view.files.as_deref().and_then(|files| files.rsplit_once('/')).map_or("", |(folder, _)| folder);
        let question = (path.to_owned(), format!("{} in {below}", columns.join(",")));
        if let Some(digest) = self.asked.get(&question) {
            return Ok(digest.clone());
        }
        let digest = if fs::is_dir(path) { self.folder(path, below, &columns)? } else { self.file(path, &columns)? };
        self.asked.insert(question, digest.clone());
        Ok(digest)
    }

    /// Writes down what was learned, beside what others did meanwhile; nothing is written if nothing was.
    pub fn save(&mut self) -> Result<(), FsError> {
        self.memory.as_mut().map_or(Ok(()), |memory| memory.save(&self.file))
    }

    fn file(&mut self, path: &Path, columns: &[&str]) -> Result<String, FsError> {
        // The time first: what changes from here on has a later stamp, however long the reading takes.
        let now = (self.clock)();
        let rows = Found { name: String::new(), path: path.to_owned(), stamp: fs::stamp(path)? };
        let mut contents = self.contents(&[rows], columns, |file| named::may_name(&file.path), now)?;
        let images: Vec<Found> = named_by(&contents[0], path, columns).filter_map(Image::find).collect();
        if images.is_empty() {
            return Ok(contents.remove(0).digest);
        }
        contents.extend(self.contents(&images, columns, |_| false, now)?);
        let names = std::iter::once("").chain(images.iter().map(|image| image.name.as_str()));
        Ok(together(names.zip(&contents)))
    }

    fn folder(&mut self, root: &Path, below: &str, columns: &[&str]) -> Result<String, FsError> {
        let now = (self.clock)();
        let mut found = fs::walk(root)?;
        let folder = root.join(below);
        let of_rows = |file: &Found| named::may_name(&file.path) && file.path.parent() == Some(&folder);
        let mut contents = self.contents(&found, columns, of_rows, now)?;
        let outside = |image: &Image| {
            let climbs = Path::new(&image.name).components().any(|part| part == Component::ParentDir);
            climbs || !image.path.starts_with(root)
        };
        let rows = found.iter().zip(&contents).filter(|(file, _)| of_rows(file));
        let named = rows.flat_map(|(file, content)| named_by(content, &file.path, columns));
        let images: Vec<Found> = named.filter(outside).filter_map(Image::find).collect();
        contents.extend(self.contents(&images, columns, |_| false, now)?);
        found.extend(images);
        Ok(together(found.iter().map(|file| file.name.as_str()).zip(&contents)))
    }

    /// What files hold: as remembered; or as read now, and then remembered if they were settled at that time.
    fn contents(
        &mut self,
        files: &[Found],
        columns: &[&str],
        of_rows: impl Fn(&Found) -> bool,
        now: i64,
    ) -> Result<Vec<Content>, FsError> {
        let memory = self.memory.get_or_insert_with(|| Memory::read(&self.file));
        let question = columns.join("\n");
        let mut contents: Vec<Option<Content>> = files.iter().map(|file| memory.content(file).cloned()).collect();
        let named = |index: &usize| contents[*index].as_ref().is_some_and(|it| it.images.contains_key(&question));
        let unread: Vec<usize> = (0..files.len()).filter(|index| contents[*index].is_none()).collect();
        let unnamed: Vec<usize> = (0..files.len()).filter(|index| of_rows(&files[*index]) && !named(index)).collect();
        let at = |indices: &[usize]| -> Vec<&Found> { indices.iter().map(|index| &files[*index]).collect() };
        // Side by side, so that rows that are larger than the memory come from the disk once.
        let (digests, images) = thread::scope(|scope| {
            let images = (!unnamed.is_empty()).then(|| scope.spawn(|| images_of(&at(&unnamed), columns)));
            let digests = fs::digests(&at(&unread), fs::digest);
            let join = |worker: thread::ScopedJoinHandle<'_, _>| worker.join().expect("names are read without panic");
            (digests, images.map_or_else(Vec::new, join))
        });
        for (index, digest) in unread.iter().zip(digests?) {
            let (stamp, digest) = (files[*index].stamp, digest.to_hex().to_string());
            contents[*index] = Some(Content { stamp, digest, images: BTreeMap::new() });
        }
        let mut contents: Vec<Content> = contents.into_iter().flatten().collect();
        for (index, names) in unnamed.iter().zip(images) {
            contents[*index].images.insert(question.clone(), names.into_iter().collect());
        }
        for index in unread.into_iter().chain(unnamed) {
            if settled(&files[index].stamp, now) {
                memory.learn(&files[index], &contents[index]);
            }
        }
        Ok(contents)
    }
}

/// What is known of files, as it lay on the disk and with what was learned since.
#[derive(Debug, Default)]
struct Memory {
    known: Known,
    learned: BTreeSet<String>,
    /// The state of the file that it was read from.
    stamp: Option<Stamp>,
}

impl Memory {
    fn read(file: &Path) -> Self {
        // The state first: what is written while this reads is read again before anything is written here.
        let stamp = fs::stamp(file).ok();
        Self { known: read(file), learned: BTreeSet::new(), stamp }
    }

    fn content(&self, file: &Found) -> Option<&Content> {
        self.known.get(file.path.to_str()?).filter(|content| content.stamp == file.stamp)
    }

    /// Names that are no text can't be written down.
    fn learn(&mut self, file: &Found, content: &Content) {
        if let Some(path) = file.path.to_str() {
            self.known.insert(path.to_owned(), content.clone());
            self.learned.insert(path.to_owned());
        }
    }

    /// Two that write at the same time: what one of them learned may be forgotten, and is read again one day.
    fn save(&mut self, file: &Path) -> Result<(), FsError> {
        if self.learned.is_empty() {
            return Ok(());
        }
        let theirs = if fs::stamp(file).ok() == self.stamp { Known::new() } else { read(file) };
        let news = theirs.into_iter().filter(|(path, _)| !self.learned.contains(path));
        self.known.extend(news.collect::<Known>());
        // What is gone is forgotten.
        let learned = std::mem::take(&mut self.learned);
        self.known.retain(|path, _| learned.contains(path) || fs::exists(Path::new(path)));
        fs::write_atomic(file, serde_json::to_string(&self.known).expect("digests are plain data"))?;
        self.stamp = fs::stamp(file).ok();
        Ok(())
    }
}

fn read(file: &Path) -> Known {
    fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Would a change after `now` be seen?
fn settled(stamp: &Stamp, now: i64) -> bool {
    now - stamp.changed_ns.max(stamp.modified_ns) > UNSETTLED_NS
}

/// An image that a row names.
struct Image {
    name: String,
    path: PathBuf,
}

impl Image {
    /// One that is not there is the reader's to report, with its row.
    fn find(self) -> Option<Found> {
        let stamp = fs::stamp(&self.path).ok()?;
        Some(Found { name: self.name, path: self.path, stamp })
    }
}

fn named_by<'a>(content: &'a Content, rows: &'a Path, columns: &[&str]) -> impl Iterator<Item = Image> + 'a {
    let names = content.images.get(&columns.join("\n")).into_iter().flatten();
    names.map(|name| Image { name: name.clone(), path: rows.with_file_name(name) })
}

fn images_of(files: &[&Found], columns: &[&str]) -> Vec<BTreeSet<String>> {
    let Ok(images) = parallel::each(files, |file| Ok::<_, Infallible>(named::images(&file.path, columns)));
    images
}

fn together<'a>(files: impl Iterator<Item = (&'a str, &'a Content)>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, Content { digest, .. }) in files {
        hasher.update(format!("{digest} {name}\n").as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}
