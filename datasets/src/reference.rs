//! Reference material that lies beside the checkout, for tests; a checkout without it skips them and says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A folder of `golden/` beside the checkout.
pub fn golden(name: &str) -> Option<PathBuf> {
    beside(&Path::new("golden").join(name))
}

/// A real model's tokenizer beside the checkout.
pub fn tokenizer(name: &str) -> Option<PathBuf> {
    beside(&Path::new("tokenizer").join(name))
}

/// Real rows and images beside the checkout.
pub fn data() -> Option<PathBuf> {
    beside(Path::new("data"))
}

#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn beside(name: &Path) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("SKIPPED: no reference material at `{}`", dir.display());
    None
}

/// The tensors of a safetensors file.
pub struct Tensors {
    header: BTreeMap<String, Value>,
    data: Vec<u8>,
}

impl Tensors {
    pub fn open(path: &Path) -> Self {
        let bytes = crate::fs::read(path).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        Self { header: serde_json::from_slice(&bytes[8..8 + length]).unwrap(), data: bytes[8 + length..].to_vec() }
    }

    fn bytes(&self, name: &str, dtype: &str) -> &[u8] {
        let entry = &self.header[name];
        assert_eq!(entry["dtype"], dtype, "{name}");
        let at = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
        &self.data[at(0)..at(1)]
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        let values = self.bytes(name, "F32").chunks_exact(4);
        values.map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
    }

    pub fn i64(&self, name: &str) -> Vec<i64> {
        let values = self.bytes(name, "I64").chunks_exact(8);
        values.map(|value| i64::from_le_bytes(value.try_into().unwrap())).collect()
    }
}
