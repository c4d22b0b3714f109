//! Where the bytes of a row's image are: in a file of their own, or in the file of rows. Knows no pixels.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fs::{FsError, Scratch};

/// What an image that is written as text begins with: `data:image/png;base64,…`.
const DATA_URI: &str = "data:";

/// An image of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageSource {
    /// A file of its own.
    Path(PathBuf),
    /// Bytes that came with the row.
    Embedded(Embedded),
}

/// Bytes of an image that came with its row. Two are equal where their bytes are.
#[derive(Debug, Clone)]
pub struct Embedded {
    digest: [u8; 32],
    /// Where the bytes were read from, for messages: `train.parquet:7`.
    origin: Arc<str>,
    held: Held,
}

/// Where the bytes wait until they are needed.
#[derive(Debug, Clone)]
enum Held {
    Memory(Arc<[u8]>),
    Scratch { scratch: Arc<Scratch>, start: u64, length: usize },
}

impl ImageSource {
    /// Bytes that came with a row; `origin` names the row in messages.
    pub fn embedded(bytes: impl Into<Arc<[u8]>>, origin: impl Into<Arc<str>>) -> Self {
        let bytes = bytes.into();
        let digest = *blake3::hash(&bytes).as_bytes();
        Self::Embedded(Embedded { digest, origin: origin.into(), held: Held::Memory(bytes) })
    }

    /// The image's file, if it has one of its own.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Embedded(_) => None,
        }
    }

    /// What people call it: the file's name, or the digest's beginning and the row.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Embedded(_) => self.to_string(),
        }
    }

    /// What tells the image from others: the path as it stands, or the digest of the bytes.
    pub fn identity(&self) -> String {
        match self {
            Self::Path(path) => path.to_string_lossy().into_owned(),
            Self::Embedded(embedded) => embedded.digest(),
        }
    }

    /// Reads a data URI, `data:image/png;base64,…`; none where the text is no such thing. The media type is not looked at:
    /// the bytes say what they are.
    pub(crate) fn from_data_uri(text: &str, origin: &Arc<str>) -> Option<Result<Self, base64::DecodeError>> {
        let (header, data) = text.strip_prefix(DATA_URI)?.split_once(',')?;
        header.ends_with("base64").then(|| Ok(Self::embedded(decoded(data)?, Arc::clone(origin))))
    }
}

/// Bytes of base64 text, with or without padding and line breaks.
pub(crate) fn decoded(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let bare: String;
    let mut text = text.trim_end();
    if text.contains(['\n', '\r', ' ']) {
        bare = text.split_ascii_whitespace().collect();
        text = &bare;
    }
    let engine = if text.ends_with('=') || text.len().is_multiple_of(4) { &STANDARD } else { &STANDARD_NO_PAD };
    engine.decode(text)
}

/// A data URI of bytes whose kind is not known.
pub(crate) fn data_uri(media: &str, bytes: &[u8]) -> String {
    let mut text = format!("{DATA_URI}{media};base64,");
    STANDARD.encode_string(bytes, &mut text);
    text
}

impl Embedded {
    /// The bytes, as they came.
    pub fn bytes(&self) -> Result<Arc<[u8]>, FsError> {
        match &self.held {
            Held::Memory(bytes) => Ok(Arc::clone(bytes)),
            Held::Scratch { scratch, start, length } => Ok(scratch.read(*start, *length)?.into()),
        }
    }

    /// Hex digest (blake3) of the bytes.
    pub fn digest(&self) -> String {
        blake3::Hash::from(self.digest).to_hex().to_string()
    }

    /// Digest (blake3) of the bytes.
    pub(crate) fn raw_digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Bytes that are held in memory.
    fn in_memory(&self) -> usize {
        match &self.held {
            Held::Memory(bytes) => bytes.len(),
            Held::Scratch { .. } => 0,
        }
    }

    /// Moves the bytes from memory to a place in a scratch file.
    fn move_to(&mut self, scratch: &Arc<Scratch>, start: u64) -> Result<(), FsError> {
        if let Held::Memory(bytes) = &self.held {
            scratch.write(start, bytes)?;
            self.held = Held::Scratch { scratch: Arc::clone(scratch), start, length: bytes.len() };
        }
        Ok(())
    }

    /// Shares the bytes of an equal image.
    fn share(&mut self, other: &Self) {
        debug_assert_eq!(self.digest, other.digest);
        self.held = other.held.clone();
    }

    /// `png`, `jpg` or `webp`, as the first bytes say; `bin` where they say nothing.
    pub fn extension(bytes: &[u8]) -> &'static str {
        match bytes {
            [0x89, b'P', b'N', b'G', ..] => "png",
            [0xff, 0xd8, 0xff, ..] => "jpg",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
            _ => "bin",
        }
    }
}

impl PartialEq for Embedded {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Embedded {}

impl PartialOrd for Embedded {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Embedded {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.digest.cmp(&other.digest)
    }
}

impl Hash for Embedded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl From<PathBuf> for ImageSource {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&Path> for ImageSource {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

/// The path, or the row that the image came with.
impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Embedded(embedded) => write!(f, "{} in {}", &embedded.digest()[..8], embedded.origin),
        }
    }
}

/// As text: the path, or a data URI.
impl Serialize for ImageSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Path(path) => path.serialize(serializer),
            Self::Embedded(embedded) => {
                let bytes = embedded.bytes().map_err(serde::ser::Error::custom)?;
                let media = match Embedded::extension(&bytes) {
                    "bin" => "application/octet-stream",
                    "png" => "image/png",
                    "webp" => "image/webp",
                    _ => "image/jpeg",
                };
                serializer.serialize_str(&data_uri(media, &bytes))
            }
        }
    }
}

impl<'de> Deserialize<'de> for ImageSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match Self::from_data_uri(&text, &"a row".into()) {
            Some(image) => image.map_err(serde::de::Error::custom),
            None => Ok(Self::Path(text.into())),
        }
    }
}

/// Keeps few bytes of embedded images in memory: those beyond a bound go to a scratch file, each image once.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    known: BTreeMap<[u8; 32], Embedded>,
    in_memory: usize,
    scratch: Option<Arc<Scratch>>,
    /// Bytes in the scratch file.
    end: u64,
}

/// Bytes of embedded images that loaded rows hold in memory.
const MOST_IN_MEMORY: usize = 64 << 20;

impl Keeper {
    /// Takes the bytes of an image, where it has some of its own.
    pub fn keep(&mut self, image: &mut ImageSource) -> Result<(), FsError> {
        let ImageSource::Embedded(embedded) = image else { return Ok(()) };
        if let Some(known) = self.known.get(&embedded.digest) {
            embedded.share(known);
            return Ok(());
        }
        self.in_memory += embedded.in_memory();
        if self.in_memory > MOST_IN_MEMORY {
            let length = embedded.in_memory();
            self.in_memory -= length;
            let scratch = match &self.scratch {
                Some(scratch) => scratch,
                None => self.scratch.insert(Arc::new(Scratch::new()?)),
            };
            embedded.move_to(scratch, self.end)?;
            self.end += length as u64;
        }
        self.known.insert(embedded.digest, embedded.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_images_are_their_bytes() {
        let image = |bytes: &[u8], origin: &str| ImageSource::embedded(bytes, origin);
        let png = image(b"\x89PNG1", "a.parquet:1");
        assert_eq!(png, image(b"\x89PNG1", "b.parquet:2"));
        assert_ne!(png, image(b"\x89PNG2", "a.parquet:1"));
        assert!(png.to_string().ends_with(" in a.parquet:1"), "{png}");
        let text = serde_json::to_string(&png).unwrap();
        assert_eq!(text, "\"data:image/png;base64,iVBORzE=\"");
        assert_eq!(serde_json::from_str::<ImageSource>(&text).unwrap(), png);
        assert_eq!(serde_json::from_str::<ImageSource>("\"i/a.png\"").unwrap(), Path::new("i/a.png").into());
        assert!(serde_json::from_str::<ImageSource>("\"data:image/png;base64,!\"").is_err());
    }

    #[test]
    fn base64_is_read_with_and_without_padding_and_line_breaks() {
        for text in ["iVBORzE=", "iVBORzE", "iVBO\nRzE=\n"] {
            assert_eq!(decoded(text).unwrap(), b"\x89PNG1", "{text}");
        }
        assert!(decoded("a b c d e!").is_err());
    }

    #[test]
    fn many_bytes_go_to_a_scratch_file_and_come_back() {
        let mut keeper = Keeper { in_memory: MOST_IN_MEMORY - 10, ..Keeper::default() };
        let mut images: Vec<_> = (0..6u8).map(|i| ImageSource::embedded(vec![i / 2; 8], "x:1")).collect();
        for image in &mut images {
            keeper.keep(image).unwrap();
        }
        let ImageSource::Embedded(last) = &images[5] else { panic!() };
        let ImageSource::Embedded(first) = &images[0] else { panic!() };
        assert_eq!((first.in_memory(), last.in_memory()), (8, 0));
        assert_eq!(&*last.bytes().unwrap(), [2; 8]);
        let ImageSource::Embedded(middle) = &images[2] else { panic!() };
        assert_eq!(&*middle.bytes().unwrap(), [1; 8]);
    }
}
