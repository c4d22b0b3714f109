//! Input file or folder → digest of its content, read once per state of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::BufRead;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fs::{self, Found, FsError, Stamp};
use crate::stage::DataView;

/// A file changed this shortly before it was read may change again without a new time stamp; it is not remembered.
const UNSETTLED_NS: i64 = 2_000_000_000;

/// Longer texts are no paths.
const LONGEST_PATH: usize = 4096;

/// Remembers digests of files by path and state, in a file beside the store's entries.
#[derive(Debug)]
pub struct Digests {
    file: PathBuf,
    known: BTreeMap<PathBuf, Known>,
    asked: BTreeMap<(PathBuf, String), String>,
    changed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    digest: String,
}

impl Digests {
    /// Reads what is remembered; nothing, if the file is absent or damaged.
    pub(super) fn open(file: PathBuf) -> Self {
        let known =
            fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { file, known, asked: BTreeMap::new(), changed: false }
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

    /// Writes down what was learned; nothing is written if nothing was.
    pub fn save(&mut self) -> Result<(), FsError> {
        if std::mem::take(&mut self.changed) {
            let text = serde_json::to_string(&self.known).expect("digests are plain data");
            fs::write_atomic(&self.file, text)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, images: &[&str]) -> Result<String, FsError> {
        let mut found = vec![Found { name: String::new(), path: path.to_owned(), stamp: fs::stamp(path)? }];
        found.extend(images_of(path, images));
        if found.len() == 1 { Ok(self.all(&found)?.remove(0)) } else { self.together(&found) }
    }

    fn folder(&mut self, root: &Path, below: &str, images: &[&str]) -> Result<String, FsError> {
        let mut found = fs::walk(root)?;
        let outside = |image: &Found| {
            let name = Path::new(&image.name);
            name.components().any(|part| part == Component::ParentDir) || !image.path.starts_with(root)
        };
        let folder = root.join(below);
        let rows = found.iter().filter(|file| file.path.parent() == Some(&folder));
        let named: Vec<Found> = rows.flat_map(|file| images_of(&file.path, images)).filter(outside).collect();
        found.extend(named);
        self.together(&found)
    }

    fn together(&mut self, found: &[Found]) -> Result<String, FsError> {
        let digests = self.all(found)?;
        let mut hasher = blake3::Hasher::new();
        for (file, digest) in found.iter().zip(&digests) {
            hasher.update(format!("{digest} {}\n", file.name).as_bytes());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    fn all(&mut self, files: &[Found]) -> Result<Vec<String>, FsError> {
        let remembered = |file: &&Found| self.known.get(&file.path).is_some_and(|known| known.stamp == file.stamp);
        let unknown: Vec<&Found> = files.iter().filter(|file| !remembered(file)).collect();
        let fresh = read_in_parallel(&unknown)?;
        let now = now_ns();
        let mut read: BTreeMap<&Path, String> = BTreeMap::new();
        for (file, digest) in unknown.into_iter().zip(fresh) {
            if now - file.stamp.changed_ns.max(file.stamp.modified_ns) > UNSETTLED_NS {
                self.known.insert(file.path.clone(), Known { stamp: file.stamp, digest: digest.clone() });
                self.changed = true;
            }
            read.insert(&file.path, digest);
        }
        let digest_of = |file: &Found| match read.get(file.path.as_path()) {
            Some(digest) => digest.clone(),
            None => self.known[&file.path].digest.clone(),
        };
        Ok(files.iter().map(digest_of).collect())
    }
}

/// The images that a file's rows name. One that is not there is the reader's to report, with its row.
fn images_of(rows: &Path, columns: &[&str]) -> Vec<Found> {
    let found = |name: String| {
        let path = rows.with_file_name(&name);
        fs::stamp(&path).ok().map(|stamp| Found { name, path, stamp })
    };
    named_images(rows, columns).into_iter().filter_map(found).collect()
}

/// Images that the rows of a JSON or JSONL file name, each once, sorted; none for other files. Lines are read one at a time.
fn named_images(path: &Path, columns: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let extension = path.extension().map(OsStr::to_ascii_lowercase);
    if !extension.is_some_and(|extension| ["jsonl", "ndjson", "json"].iter().any(|known| extension == *known)) {
        return names;
    }
    let keys: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let names_any = |text: &str| text.contains("\"image") || keys.iter().any(|key| text.contains(key));
    let mut collect = |row: &Value| {
        for column in columns {
            add(&row[*column], &mut names);
        }
        shown(row, &mut names);
    };
    let Ok(mut lines) = fs::reader(path) else { return names };
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
        let text = line.trim_start_matches('\u{feff}').trim();
        if text.starts_with('[') {
            let whole = fs::read_to_string(path).unwrap_or_default();
            let rows: Vec<Value> = serde_json::from_str(whole.trim_start_matches('\u{feff}')).unwrap_or_default();
            rows.iter().for_each(&mut collect);
            return names;
        }
        if names_any(text) {
            let row: Option<Value> = serde_json::from_str(text).ok();
            row.iter().for_each(&mut collect);
        }
        line.clear();
    }
    names
}

/// The paths of a value that names images.
fn add(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(name) if name.len() <= LONGEST_PATH => {
            names.insert(name.strip_prefix("file://").unwrap_or(name).to_owned());
        }
        Value::Array(several) => several.iter().for_each(|one| add(one, names)),
        Value::Object(fields) => {
            [fields.get("path"), fields.get("url")].into_iter().flatten().for_each(|one| add(one, names));
        }
        _ => {}
    }
}

/// The paths of parts of messages that are images.
fn shown(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| shown(item, names)),
        Value::Object(fields) => {
            for kind in ["image", "image_url"] {
                if fields.get("type").is_some_and(|found| found == kind) {
                    fields.get(kind).into_iter().for_each(|image| add(image, names));
                }
            }
            fields.values().for_each(|value| shown(value, names));
        }
        _ => {}
    }
}

fn read_in_parallel(files: &[&Found]) -> Result<Vec<String>, FsError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match files.get(index) {
                Some(file) => done.push((index, fs::digest(&file.path)?.to_hex().to_string())),
                None => return Ok::<_, FsError>(done),
            }
        }
    };
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(files.len());
        for worker in workers {
            all.extend(worker.join().expect("reading files does not panic")?);
        }
        Ok::<_, FsError>(all)
    })?;
    all.sort_unstable_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, digest)| digest).collect())
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images in a column of another name.
    fn named(column: &str) -> DataView {
        DataView { columns: [("images".to_owned(), column.to_owned())].into(), ..DataView::default() }
    }

    #[test]
    fn images_in_objects_and_messages_count_too() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("far.png");
        let of = |row: &str, view: &DataView| {
            let rows = dir.path().join("rows.jsonl");
            fs::write(&rows, format!("{row}\n")).unwrap();
            let digest = |bytes: &str| {
                fs::write(&image, bytes).unwrap();
                Digests::open(dir.path().join("digests.json")).of(&rows, view).unwrap()
            };
            digest("1") != digest("2")
        };
        let layout = |name: &str| DataView { layout: Some(name.into()), ..DataView::default() };
        assert!(of(r#"{"images":[{"path":"far.png","bytes":null}]}"#, &DataView::default()));
        assert!(of(r#"{"messages":[{"content":[{"type":"image","image":"file://far.png"}]}]}"#, &DataView::default()));
        assert!(of(r#"{"m":[{"content":[{"type":"image_url","image_url":{"url":"far.png"}}]}]}"#, &layout("messages")));
        assert!(of(r#"{"image":"far.png"}"#, &layout("sharegpt")));
        assert!(!of(r#"{"text":"far.png"}"#, &layout("sharegpt")));
    }

    #[test]
    fn a_folder_is_its_names_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, files: &[(&str, &str)]| {
            let root = dir.path().join(name);
            for (file, text) in files {
                fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
                fs::write(&root.join(file), text).unwrap();
            }
            Digests::open(dir.path().join("digests.json")).of(&root, &DataView::default()).unwrap()
        };
        let first = make("a", &[("rows.jsonl", "1"), ("images/x", "2")]);
        assert_eq!(first, make("b", &[("images/x", "2"), ("rows.jsonl", "1")]));
        assert_ne!(first, make("c", &[("rows.jsonl", "1"), ("images/y", "2")]));
        assert_ne!(first, make("d", &[("rows.jsonl", "1"), ("images/x", "3")]));
        assert_eq!(first, make("e", &[("rows.jsonl", "1"), ("images/x", "2"), (".cache/z", "4")]));
    }

    #[test]
    fn rows_in_one_file_count_with_the_images_they_name() {
        let dir = tempfile::tempdir().unwrap();
        let rows = dir.path().join("rows.jsonl");
        fs::write(&rows, "{\"picture\":\"a.png\"}\n{\"picture\":[\"b.png\",\"absent.png\"]}\n").unwrap();
        let digest = |column: &str, a: &str, b: &str| {
            fs::write(&dir.path().join("a.png"), a).unwrap();
            fs::write(&dir.path().join("b.png"), b).unwrap();
            Digests::open(dir.path().join("digests.json")).of(&rows, &named(column)).unwrap()
        };
        let first = digest("picture", "1", "2");
        assert_ne!(first, digest("picture", "3", "2"));
        assert_ne!(first, digest("picture", "1", "3"));
        assert_eq!(first, digest("picture", "1", "2"));
        assert_eq!(digest("images", "1", "2"), digest("images", "3", "3"), "no row has that column");
    }

    #[test]
    fn rows_of_a_folder_count_with_the_images_they_name_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("set");
        let elsewhere = dir.path().join("far.png");
        fs::create_dir_all(&root).unwrap();
        let rows = format!("{{\"images\":[\"../near.png\", \"{}\"]}}\n", elsewhere.display());
        fs::write(&root.join("rows.jsonl"), rows).unwrap();
        let digest = |near: &str, far: &str| {
            fs::write(&dir.path().join("near.png"), near).unwrap();
            fs::write(&elsewhere, far).unwrap();
            Digests::open(dir.path().join("digests.json")).of(&root, &DataView::default()).unwrap()
        };
        let first = digest("1", "2");
        assert_ne!(first, digest("3", "2"));
        assert_ne!(first, digest("1", "3"));
        assert_eq!(first, digest("1", "2"));
    }

    #[test]
    fn remembers_settled_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, file) = (dir.path().join("digests.json"), dir.path().join("rows"));
        fs::write(&file, "1").unwrap();
        let mut digests = Digests::open(cache.clone());
        digests.of(&file, &DataView::default()).unwrap();
        digests.save().unwrap();
        assert!(!fs::exists(&cache), "a file written just now may still change");

        let stamp = fs::stamp(&file).unwrap();
        let known = Known { stamp, digest: "remembered".into() };
        digests.known.insert(file.clone(), known);
        digests.changed = true;
        digests.save().unwrap();
        assert_eq!(Digests::open(cache.clone()).of(&file, &DataView::default()).unwrap(), "remembered");

        fs::write(&file, "22").unwrap();
        assert_eq!(
            Digests::open(cache).of(&file, &DataView::default()).unwrap(),
            blake3::hash(b"22").to_hex().to_string()
        );
    }
}
