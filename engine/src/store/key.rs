//! Everything a result depends on → one digest.
//!
//! | counts | does not |
//! | --- | --- |
//! | kind and its `VERSION` | the stage's name |
//! | every parameter, defaults filled in | `[runtime]`, the device |
//! | keys and ports of producing stages | paths, and how a reference is spelled |
//! | content of input files and how rows are read | a file's name outside its folder, its time |
//! | commits of repositories of the hub | the branch or tag that led there, where the copy lies |
//! | the root seed | the order of tables in the recipe |

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::graph::StageNode;
use crate::stage::DataView;

/// Digest of a [`KeyPreimage`]: the name of a result.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// All 64 hex digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// The first 8 hex digits: enough for people and folder names.
    pub fn short(&self) -> String {
        self.hex()[..8].to_owned()
    }

    /// Root of all randomness of the stage: the first 8 bytes, little end first.
    pub fn seed(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.short())
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        blake3::Hash::from_hex(&text).map(|hash| Self(*hash.as_bytes())).map_err(serde::de::Error::custom)
    }
}

/// What a key is the digest of; stored as JSON beside the result, so that any two can be compared field by field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyPreimage {
    /// Layout of this struct. 1: first.
    pub format: u32,
    /// The word after `kind =`.
    pub kind: String,
    /// The kind's `VERSION`.
    pub version: u32,
    /// Parameters with every default filled in, tables sorted.
    pub params: Value,
    /// What is connected, by port.
    pub inputs: BTreeMap<String, InputIdentity>,
    /// The recipe's root seed.
    pub seed: u64,
}

/// What makes one input different from another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputIdentity {
    /// An output of another stage.
    Stage {
        /// The producer's key.
        key: Key,
        /// Its output port.
        port: String,
    },
    /// Files.
    File {
        /// Content of the file and of the images its rows name, or of every file in the folder with its name.
        digest: String,
        /// How rows are read from it.
        view: DataView,
    },
    /// A repository of the hub: its commit says it all, so that the key is known before anything is fetched.
    Hub {
        /// `hf:org/name`.
        source: String,
        /// 40 hex digits.
        commit: String,
        /// How rows are read from it.
        view: DataView,
    },
    /// Files that are not on this machine: no result has such an input but an adopted one.
    Absent {
        /// What the recipe asks for.
        source: String,
        /// How rows would be read.
        view: DataView,
    },
}

impl KeyPreimage {
    /// Current layout.
    pub const FORMAT: u32 = 1;

    /// The preimage of a stage whose inputs are known.
    pub fn new(node: &StageNode, inputs: BTreeMap<String, InputIdentity>) -> Self {
        Self {
            format: Self::FORMAT,
            kind: node.kind.name().to_owned(),
            version: node.kind.version(),
            params: sorted(node.stage.params()),
            inputs,
            seed: node.seed,
        }
    }

    /// The digest.
    pub fn key(&self) -> Key {
        Key(*blake3::hash(self.line().as_bytes()).as_bytes())
    }

    /// One line of JSON: the bytes that are hashed.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("a preimage is plain data")
    }

    /// The same, to be read by people.
    pub fn pretty(&self) -> String {
        serde_json::to_string_pretty(self).expect("a preimage is plain data") + "\n"
    }
}

/// Sorts tables at every depth, whatever order `serde_json::Map` keeps in this build.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let by_name: BTreeMap<String, Value> = map.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(by_name.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain => plain,
    }
}
