//! What a processor made before, by the content that it was made from. Refuses to know how it is made.
//!
//! A processor's rules never change, so content alone is the key: of a row its turns as the template sees them and its images'
//! digests, of an image its bytes. A file that is found as it was (size, times, number) is not read again.
//!
//! First come, first kept: every pass over the rows uses each once, so that pushing out the old for the new would make of
//! each the next miss. What does not fit is made anew each time, ahead of who needs it ([`crate::feed`]).
//!
//! Nothing is kept on disk. `tokenize::timing`, in the development profile on a busy machine: an image of `PuzzleVQA` takes
//! 2.0 ms to prepare, and 1.2 ms to read back as patches and verify; a row of GSM8K takes 0.35 ms to encode, and 6 µs to read back.
//! So images would gain next to nothing, and rows half a minute of one core per stage and 100,000 rows, most of which is beside
//! the training anyhow. A folder that has to be bounded, verified and cleaned is not worth that.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::chat::Message;
use crate::fs::{self, Stamp};
use crate::image::{self, ImageConfig, ImageError, ImagePatches, ImageSource};

/// Bytes of token ids and targets that are kept.
const TOKEN_BYTES: usize = 128 << 20;
/// Bytes of patches that are kept.
const IMAGE_BYTES: usize = 384 << 20;
/// What an entry takes besides its values, about.
const ENTRY_BYTES: usize = 160;

/// A blake3 digest of content.
pub(super) type Digest = [u8; 32];

/// Token ids and whether each is to be learnt.
pub(super) type Tokens = (Vec<u32>, Vec<bool>);

/// For which use a row was encoded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use {
    Prompt,
    Example,
}

/// Rows and images that were made before.
#[derive(Debug)]
pub(super) struct Cache {
    tokens: Mutex<Kept<Digest, Arc<Tokens>>>,
    images: Mutex<Kept<Digest, Arc<ImagePatches>>>,
    /// Content of the files whose image is kept.
    files: Mutex<BTreeMap<PathBuf, (Stamp, Digest)>>,
}

/// Values up to a number of bytes.
#[derive(Debug)]
struct Kept<K, V> {
    values: BTreeMap<K, V>,
    room: usize,
}

impl<K: Ord, V: Clone> Kept<K, V> {
    fn new(room: usize) -> Mutex<Self> {
        Mutex::new(Self { values: BTreeMap::new(), room })
    }

    /// Keeps a value where there is room; is it kept?
    fn keep(&mut self, key: K, value: V, bytes: usize) -> bool {
        if self.values.contains_key(&key) {
            return true;
        }
        let fits = bytes + ENTRY_BYTES <= self.room;
        if fits {
            self.room -= bytes + ENTRY_BYTES;
            self.values.insert(key, value);
        }
        fits
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(TOKEN_BYTES, IMAGE_BYTES)
    }
}

impl Cache {
    pub fn new(token_bytes: usize, image_bytes: usize) -> Self {
        Self { tokens: Kept::new(token_bytes), images: Kept::new(image_bytes), files: Mutex::default() }
    }

    /// What a row's tokens are kept by.
    pub fn key(usage: Use, messages: &[Message], images: &[Digest]) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[usage as u8]);
        hasher.update(&(images.len() as u64).to_le_bytes());
        hasher.update(images.as_flattened());
        serde_json::to_writer(&mut hasher, messages).expect("turns are plain data, and a hasher takes all");
        *hasher.finalize().as_bytes()
    }

    /// A row's tokens, made where they are not kept.
    pub fn tokens<E>(&self, key: Digest, make: impl FnOnce() -> Result<Tokens, E>) -> Result<Arc<Tokens>, E> {
        if let Some(tokens) = lock(&self.tokens).values.get(&key) {
            return Ok(Arc::clone(tokens));
        }
        let tokens = Arc::new(make()?);
        let bytes = size_of_val(&tokens.0[..]) + size_of_val(&tokens.1[..]);
        lock(&self.tokens).keep(key, Arc::clone(&tokens), bytes);
        Ok(tokens)
    }

    /// An image and the digest of its bytes; prepared where it is not kept.
    pub fn image(&self, source: &ImageSource, config: &ImageConfig) -> Result<(Digest, Arc<ImagePatches>), ImageError> {
        // Asked before the bytes are read: a file that changes in between is read again the next time.
        let stamp = source.path().and_then(fs::stamp);
        let known = match source {
            ImageSource::Embedded(embedded) => Some(*embedded.raw_digest()),
            ImageSource::Path(path) => {
                lock(&self.files).get(path).filter(|(then, _)| Some(*then) == stamp).map(|(_, digest)| *digest)
            }
        };
        let find = |digest: &Digest| lock(&self.images).values.get(digest).map(Arc::clone);
        if let Some((digest, image)) = known.and_then(|digest| Some((digest, find(&digest)?))) {
            return Ok((digest, image));
        }
        let bytes = image::read(source).map_err(|kind| ImageError { image: source.clone(), kind })?;
        let digest = known.filter(|_| source.path().is_none()).unwrap_or_else(|| *blake3::hash(&bytes).as_bytes());
        let (image, kept) = if let Some(image) = find(&digest) {
            (image, true)
        } else {
            // Prepared outside the lock, so that several threads can prepare different images.
            let image = Arc::new(config.prepare(source, &bytes)?);
            let kept = lock(&self.images).keep(digest, Arc::clone(&image), size_of_val(&image.patches[..]));
            (image, kept)
        };
        if let (true, Some(path), Some(stamp)) = (kept, source.path(), stamp) {
            lock(&self.files).insert(path.to_owned(), (stamp, digest));
        }
        Ok((digest, image))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat;
    use crate::resize::Rgb;
    use crate::rows::Row;

    fn picture(side: usize, grey: u8) -> Vec<u8> {
        image::encode_png(&Rgb { width: side, height: side, pixels: vec![grey; side * side * 3] })
    }

    fn grey(cache: &Cache, source: &ImageSource) -> Arc<ImagePatches> {
        cache.image(source, &ImageConfig::default()).unwrap().1
    }

    #[test]
    fn equal_images_are_one_and_a_changed_file_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, grey| {
            fs::write(&dir.path().join(name), &picture(56, grey)).unwrap();
            ImageSource::from(dir.path().join(name))
        };
        let cache = Cache::default();
        let (one, copy) = (file("one.png", 1), file("copy.png", 1));
        let first = grey(&cache, &one);
        assert!(Arc::ptr_eq(&first, &grey(&cache, &one)));
        assert!(Arc::ptr_eq(&first, &grey(&cache, &copy)));
        assert!(Arc::ptr_eq(&first, &grey(&cache, &ImageSource::embedded(picture(56, 1), "a:1"))));
        let changed = grey(&cache, &file("one.png", 200));
        assert_ne!(first.patches, changed.patches);
        assert!(Arc::ptr_eq(&changed, &grey(&cache, &one)) && Arc::ptr_eq(&first, &grey(&cache, &copy)));
    }

    #[test]
    fn what_does_not_fit_is_made_anew_and_what_is_kept_stays() {
        let images: Vec<_> = (0..3).map(|grey| ImageSource::embedded(picture(56, grey), "a:1")).collect();
        let one = size_of_val(&grey(&Cache::default(), &images[0]).patches[..]) + ENTRY_BYTES;
        let cache = Cache::new(0, 2 * one);
        let first: Vec<_> = images.iter().map(|image| grey(&cache, image)).collect();
        let again: Vec<_> = images.iter().map(|image| grey(&cache, image)).collect();
        let kept: Vec<bool> = first.iter().zip(&again).map(|(one, two)| Arc::ptr_eq(one, two)).collect();
        assert_eq!((kept, &first), (vec![true, true, false], &again));
    }

    #[test]
    fn a_rows_key_is_its_turns_its_images_and_its_use() {
        let row = |prompt: &str, system: Option<&str>| Row {
            prompt: prompt.to_owned(),
            system: system.map(str::to_owned),
            ..Row::default()
        };
        let key = |usage, row: &Row, images: &[Digest]| Cache::key(usage, &chat::turns(row).unwrap(), images);
        let keys = [
            key(Use::Prompt, &row("a", None), &[]),
            key(Use::Example, &row("a", None), &[]),
            key(Use::Prompt, &row("b", None), &[]),
            key(Use::Prompt, &row("a", Some("")), &[]),
            key(Use::Prompt, &row("a", None), &[[1; 32]]),
            key(Use::Prompt, &row("a", None), &[[2; 32]]),
        ];
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
        let named = Row { id: "other".into(), level: Some(3), ..row("a", None) };
        assert_eq!(key(Use::Prompt, &named, &[]), keys[0], "a name is no content");
    }

    #[test]
    fn a_failure_is_not_kept() {
        let cache = Cache::default();
        let key = [7; 32];
        assert_eq!(cache.tokens(key, || Err("no")), Err("no"));
        assert_eq!(cache.tokens(key, || Ok::<_, &str>((vec![1], vec![true]))).unwrap().0, [1]);
        assert_eq!(cache.tokens(key, || Err("not asked")).unwrap().0, [1]);
    }
}
