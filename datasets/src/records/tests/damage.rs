//! Files that are damaged, cut off, or something else.

use ::parquet::basic::Compression;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::shapes::{parquet, texts};
use super::*;

fn says(name: &str, bytes: &[u8], words: &str) {
    let message = of(name, bytes).unwrap_err();
    assert!(message.contains(words), "{name}: {message}");
}

fn lines(value: impl Fn(usize) -> usize) -> String {
    let row = |at: usize| format!("{{\"a\":{}}}\n", value(at));
    (0..5000).map(row).collect()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    file.write_all(bytes).unwrap();
    file.finish().unwrap()
}

#[test]
fn damaged_json_names_its_line() {
    says("x.jsonl", b"{\"a\":1}\n{\"a\":\xff}\n", "`x.jsonl:2`: byte 6 is not UTF-8; save the file as UTF-8");
    says("x.jsonl", b"{\"a\":1}\n{\"a\":\n", "`x.jsonl:2`: not valid JSON (EOF while parsing a value");
    says("x.jsonl", b"{\"a\":1} {\"a\":2}\n", "`x.jsonl:1`: not valid JSON (trailing characters");
    says("x.jsonl", b"{\"a\":1}\n7\n", "`x.jsonl:2`: a row must be a JSON object");
    says("x.json", b"[{\"a\":1},7]", "`x.json:2`: a row must be a JSON object");
    says("x.json", b"[{\"a\":1},{\"a\":", "`x.json:2`: the file ends within this item");
    says("x.json", b"[{\"a\":1}", "`x.json:1`: the file ends within this item");
    says("x.json", b"[{\"a\":1},]", "`x.json:2`: not valid JSON (EOF");
    says("x.json", b"[{\"a\":1}]{\"a\":2}", "`x.json:1`: not valid JSON (text after the array's last `]`)");
    says("x.jsonl", b"\xff\xfe{\0", "the file is UTF-16; save it as UTF-8");
    says("x.jsonl", b"\x28\xb5\x2f\xfd", "the file is compressed, and not as JSON or CSV packed once with gzip");
    let deep = [b"{\"a\":".to_vec(), vec![b'['; 100_000]].concat();
    says("x.jsonl", &deep, "`x.jsonl:1`: not valid JSON (recursion limit exceeded");
}

#[test]
fn rows_without_an_end_are_not_read_to_the_end() {
    let long = [b"{\"a\":\"".to_vec(), vec![b'x'; 50 << 20], b"\"}\n".to_vec()].concat();
    let lines = [b"{\"a\":1}\n".to_vec(), long.clone()].concat();
    says("x.jsonl", &lines, "`x.jsonl:2`: one row has more than 32 MiB");
    let array = [b"[{\"a\":1},".to_vec(), long, b"]".to_vec()].concat();
    says("x.json", &array, "`x.json:2`: one row has more than 32 MiB");
    let csv = [b"a,b\n1,2\n3,\"".to_vec(), vec![b'x'; 50 << 20]].concat();
    says("x.csv", &csv, "`x.csv:3`: one row has more than 32 MiB");
}

#[test]
fn packed_files_are_read_as_they_are_unpacked() {
    let lines = lines(|at| at);
    let all: Vec<Value> = (0..5000).map(|at| json!({ "a": at })).collect();
    assert_eq!(of("x.jsonl.gz", &packed(lines.as_bytes())).unwrap(), all);
    let two = [packed(&lines.as_bytes()[..28]), packed(&lines.as_bytes()[28..])].concat();
    assert_eq!(of("x.JSONL.GZ", &two).unwrap(), all, "files of gzip, one after the other, are one");
    assert_eq!(of("x.json.gz", &packed(b"\xef\xbb\xbf[{\"a\":1}]")).unwrap(), [json!({ "a": 1 })]);
    assert_eq!(of("x.csv.gz", &packed(b"a,b\r\n1,2\r\n")).unwrap(), [json!({ "a": "1", "b": "2" })]);
    assert_eq!(of("x.tsv.gz", &packed(b"a\tb\n1\t2\n")).unwrap(), [json!({ "a": "1", "b": "2" })]);
    assert_eq!(of("x.jsonl.gz", lines.as_bytes()).unwrap(), all, "unpacked, and not named anew");
    assert_eq!(of("x.jsonl.gz", b"").unwrap(), [] as [Value; 0]);
    assert_eq!(of("x.jsonl.gz", &packed(b"")).unwrap(), [] as [Value; 0]);
}

#[test]
fn damaged_gzip_names_its_line() {
    let lines = lines(|at| at * 7919 % 10_007);
    let whole = packed(lines.as_bytes());
    for length in [3, 12, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        says("x.jsonl.gz", &whole[..length], "the gzip file is damaged or was cut off; copy or download it again");
    }
    let (_dir, path) = file("x.jsonl.gz", &whole[..whole.len() / 2]);
    let records: Vec<_> = open(&path).unwrap().collect();
    let line = records.last().unwrap().as_ref().unwrap_err().line.unwrap();
    assert!(line > 1000 && line == records.len(), "line {line} of {} records", records.len());
    let mut wrong = whole.clone();
    wrong[whole.len() / 2] ^= 0x55;
    assert!(of("x.jsonl.gz", &wrong).is_err());
    says("x.jsonl.gz", &[&whole[..], b"no gzip"].concat(), "damaged or was cut off");
    says("x.csv.gz", &packed(b"a,b\n1,2\n3,4\n")[..18], "the gzip file is damaged or was cut off");
    says("x.jsonl", &whole, "the file is packed with gzip; end its name with `.gz`");
    says("x.jsonl.gz", &packed(&whole), "packed once with gzip");
    says("x.parquet.gz", &packed(b"PAR1"), "packed once with gzip");
    says("x.jsonl.gz", &packed(b"{\"a\":1}\n7\n"), "`x.jsonl.gz:2`: a row must be a JSON object");
    let bomb = packed(&[b"{\"a\":\"".to_vec(), vec![b'x'; 50 << 20]].concat());
    assert!(bomb.len() < 1 << 20);
    says("x.jsonl.gz", &bomb, "`x.jsonl.gz:1`: one row has more than 32 MiB");
}

#[test]
fn damaged_csv_names_its_line() {
    says("x.csv", b"a,b\n1,2\n3\n", "`x.csv:3`: the record has 1 values, and the header names 2");
    says("x.csv", b"a,b\n1,2\n\xff,4\n", "`x.csv:3`: byte 1 is not UTF-8");
    says("x.csv", b"a,a\n1,2\n", "`x.csv:1`: two columns are named `a`; name each once");
    says("x.csv", b"a,b\n1,\"2\n3,4\n5,6\n", "`x.csv:2`: a quote is never closed");
    says("x.csv", b"PAR1", "it is a Parquet file named as CSV; end its name with `.parquet`");
}

fn whole() -> Vec<u8> {
    let schema = "message x { required binary a (UTF8); optional binary b; }";
    parquet(schema, Compression::SNAPPY, 2, |_, open| {
        let long = "many words ".repeat(60);
        texts(open, &[long.as_bytes(); 9], None, None);
        texts(open, &[&[7u8; 300][..]; 9], Some(&[1; 9]), None);
    })
}

#[test]
fn damaged_parquet_is_refused() {
    let bytes = whole();
    assert_eq!(of("x.parquet", &bytes).unwrap().len(), 18);
    says("x.parquet", b"{\"a\":1}\n", "it is no Parquet file: those begin with `PAR1`");
    says("x.parquet", b"", "it is no Parquet file");
    says("x.parquet", b"PAR1", "the Parquet file can't be read");
    says("x.jsonl", &bytes, "it is a Parquet file named as JSON");
    says("x.parquet", &[b"PARE", &bytes[4..]].concat(), "the file is encrypted Parquet");
    for length in (4..bytes.len()).step_by(7) {
        says("x.parquet", &bytes[..length], "the Parquet file can't be read");
    }
    let schema = "message x { required binary a (UTF8); }";
    let wrong = parquet(schema, Compression::SNAPPY, 1, |_, open| texts(open, &[b"ok", b"\xff\xfe"], None, None));
    says(
        "x.parquet",
        &wrong,
        "`x.parquet:2`: the Parquet file can't be read (Parquet error: Error reading BYTE_ARRAY as String",
    );
}

#[test]
fn parquet_with_flipped_bytes_is_read_or_refused() {
    let bytes = whole();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..400 {
        let mut damaged = bytes.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(4..damaged.len());
            damaged[at] ^= 1 << random.random_range(0..8);
        }
        match of("x.parquet", &damaged) {
            Ok(_) => read += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(read > 20 && refused > 20, "{read} read, {refused} refused: the test tests nothing");
}
