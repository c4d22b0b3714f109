//! Files that were damaged on the way, or made to do harm: each is an error that names the file, without a panic and
//! without memory for what is not there.

use std::fs;
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::load;
use crate::model::adapters::tests::adapted;
use crate::model::lora::Lora;
use crate::model::peft::{self, Peft};
use crate::model::{fixture, weights};

const FILE: &str = "model.safetensors";
const ADAPTER: &str = "adapter_model.safetensors";

/// The fixture's model with an adapter beside it.
fn folder() -> tempfile::TempDir {
    let (dir, model) = (tempfile::tempdir().unwrap(), adapted(0.0));
    let lora = Lora { rank: 3, alpha: 6.0, ..Lora::default() };
    weights::save(&model, &fixture::config(), dir.path()).unwrap();
    peft::save(&model, &Peft { lora, base: None }, dir.path()).unwrap();
    dir
}

fn said(dir: &Path) -> Option<String> {
    load(dir, &fixture::config(), &fixture::device()).err().map(|error| error.to_string())
}

/// A file of a header and bytes.
fn file(header: &str, bytes: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), bytes].concat()
}

#[test]
fn headers_that_lie_are_refused() {
    let dir = folder();
    let four =
        |shape: &str, offsets: &str| format!(r#""a": {{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#);
    let sound = four("[2]", "[0, 8]");
    let other = sound.replace("\"a\"", "\"b\"");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("length beyond the file", [&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
        ("length of a terabyte", [&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat()),
        ("a list for a header", file("[1, 2]", &[])),
        ("no text", [&4_u64.to_le_bytes()[..], &[0xff, 0xfe, 0x00, 0x80]].concat()),
        ("offsets beyond the file", file(&format!("{{{}}}", four("[2]", "[0, 800]")), &[0; 8])),
        ("offsets backwards", file(&format!("{{{}}}", four("[2]", "[8, 0]")), &[0; 8])),
        ("negative offsets", file(&format!("{{{}}}", four("[2]", "[-8, 0]")), &[0; 8])),
        (
            "a shape beyond all numbers",
            file(&format!("{{{}}}", four("[4294967296, 4294967296, 2]", "[0, 8]")), &[0; 8]),
        ),
        ("a shape that its bytes do not fill", file(&format!("{{{}}}", four("[1000000000]", "[0, 8]")), &[0; 8])),
        ("tensors that overlap", file(&format!("{{{sound}, {other}}}"), &[0; 8])),
        ("a hole between tensors", file(&format!("{{{}}}", four("[2]", "[8, 16]")), &[0; 16])),
        ("bytes left over", file(&format!("{{{sound}}}"), &[0; 9])),
        ("one name for two tensors", file(&format!("{{{sound}, {sound}}}"), &[0; 8])),
        ("a format that nobody knows", file(&format!("{{{}}}", sound.replace("F32", "F31")), &[0; 8])),
        ("brackets without end", file(&"[".repeat(100_000), &[])),
    ];
    for name in [FILE, ADAPTER] {
        let good = fs::read(dir.path().join(name)).unwrap();
        for (what, bytes) in &cases {
            fs::write(dir.path().join(name), bytes).unwrap();
            let error = said(dir.path()).unwrap_or_else(|| panic!("{name}: {what} was taken"));
            assert!(error.contains(name), "{what}: {error}");
        }
        fs::write(dir.path().join(name), good).unwrap();
    }
    assert_eq!(said(dir.path()), None);
}

#[test]
fn a_tensor_that_is_there_twice_is_named() {
    let dir = folder();
    let tensor = r#""a": {"dtype":"F32","shape":[2],"data_offsets":[0, 8]}"#;
    fs::write(dir.path().join(FILE), file(&format!("{{{tensor}, {tensor}}}"), &[0; 8])).unwrap();
    assert!(said(dir.path()).unwrap().contains("holds `a` twice"));
}

#[test]
fn indices_that_lie_are_refused() {
    let dir = folder();
    fs::rename(dir.path().join(FILE), dir.path().join("part.safetensors")).unwrap();
    let index = dir.path().join("model.safetensors.index.json");
    for (name, part) in [
        ("../part.safetensors", "same folder"),
        ("/etc/passwd", "same folder"),
        ("..", "same folder"),
        ("", "same folder"),
        ("other.safetensors", "not there"),
    ] {
        fs::write(&index, format!(r#"{{"weight_map": {{"model.norm.weight": "{name}"}}}}"#)).unwrap();
        let error = said(dir.path()).unwrap();
        assert!(error.contains("index.json") && error.contains(part), "{name}: {error}");
    }
    for text in [&b"{"[..], b"[]", b"{\"weight_map\": 3}", b"{\"weight_map\": {\"a\": 3}}", b"\xff\xfe"] {
        fs::write(&index, text).unwrap();
        assert!(said(dir.path()).unwrap().contains("index.json"));
    }
}

#[test]
fn no_damage_is_a_panic() {
    let dir = folder();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut refused = 0;
    for name in [FILE, ADAPTER, "adapter_config.json"] {
        let good = fs::read(dir.path().join(name)).unwrap();
        let header = if name.ends_with("json") { good.len() } else { good[0] as usize + 256 * good[1] as usize + 8 };
        for round in 0..150 {
            let mut bytes = good.clone();
            match round % 5 {
                0 => bytes.truncate(rng.random_range(0..good.len())),
                1 => bytes[rng.random_range(0..header)] = rng.random(),
                2 => bytes[rng.random_range(0..8)] ^= 1 << rng.random_range(0..8),
                3 => {
                    // Another digit: sizes, shapes and offsets that almost fit.
                    let digits: Vec<usize> = (8..header).filter(|at| good[*at].is_ascii_digit()).collect();
                    bytes[digits[rng.random_range(0..digits.len())]] = b'0' + rng.random_range(0..10);
                }
                _ => {
                    let (from, to) = (rng.random_range(0..header), rng.random_range(0..header));
                    let cut = bytes[from..header.min(from + 40)].to_vec();
                    bytes.splice(to..to, cut);
                }
            }
            fs::write(dir.path().join(name), &bytes).unwrap();
            if let Some(error) = said(dir.path()) {
                assert!(
                    error.contains("safetensors") || error.contains("adapter_config") || error.contains("missing"),
                    "{error}"
                );
                refused += 1;
            }
        }
        fs::write(dir.path().join(name), good).unwrap();
    }
    // A digit may be changed to itself, and blanks in a configuration mean nothing.
    assert!(refused > 380, "{refused} of 450 were refused");
    assert_eq!(said(dir.path()), None);
}
