//! Every format, as files of the wild have it.

use std::sync::Arc;

use ::parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;

use super::*;

#[test]
fn lines_may_end_and_begin_in_many_ways() {
    let wanted = [json!({"a": 1}), json!({"a": "é"})];
    for text in [
        "{\"a\":1}\n{\"a\":\"é\"}\n",
        "{\"a\":1}\n\n  \n{\"a\":\"é\"}",
        "{\"a\":1}\r\n{\"a\":\"é\"}\r\n",
        "\u{feff}{\"a\":1}\n{\"a\":\"é\"}\n",
        "[{\"a\":1},{\"a\":\"é\"}]",
        "\u{feff}\r\n [\n {\"a\" : 1},\r\n {\"a\":\"é\"}\n]\n",
    ] {
        assert_eq!(of("x.jsonl", text.as_bytes()).unwrap(), wanted, "{text:?}");
        assert_eq!(of("x", text.as_bytes()).unwrap(), wanted, "a file whose name says nothing: {text:?}");
    }
    let deep = r#"[{"a":["]","}","\"],[{"],"b":{"c":[[{}]]}},{"a":"\\"}]"#;
    let wanted = [json!({"a":["]","}","\"],[{"],"b":{"c":[[{}]]}}), json!({"a":"\\"})];
    assert_eq!(of("x.json", deep.as_bytes()).unwrap(), wanted);
}

#[test]
fn files_without_rows_have_none() {
    for (name, text) in [
        ("x.jsonl", ""),
        ("x.jsonl", "\u{feff}\n\n"),
        ("x.json", "[]"),
        ("x.json", " [ ] "),
        ("x.csv", ""),
        ("x.csv", "a,b\n"),
    ] {
        assert_eq!(of(name, text.as_bytes()), Ok(Vec::new()), "{name} {text:?}");
    }
}

#[test]
fn csv_has_quotes_lines_and_empty_values() {
    let text = "a,b\n1,\"x, \"\"y\"\"\nz\"\n,é\n";
    let wanted = [json!({"a": "1", "b": "x, \"y\"\nz"}), json!({"a": null, "b": "é"})];
    assert_eq!(of("x.csv", text.as_bytes()).unwrap(), wanted);
    let crlf = text.replace('\n', "\r\n").replace("\"\"\r\nz", "\"\"\nz");
    assert_eq!(of("x.csv", crlf.as_bytes()).unwrap(), wanted);
    assert_eq!(of("x.csv", format!("\u{feff}{text}").as_bytes()).unwrap(), wanted);
    assert_eq!(of("x.tsv", b"a\tb\n1\t2,3\n").unwrap(), [json!({"a": "1", "b": "2,3"})]);
    // A lone quote within a value is no mistake.
    assert_eq!(of("x.csv", b"a,b\n5\" pipe,2\n").unwrap(), [json!({"a": "5\" pipe", "b": "2"})]);
    let (_dir, path) = file("x.csv", text.as_bytes());
    let lines: Vec<_> = open(&path).unwrap().map(|record| record.unwrap().line).collect();
    assert_eq!(lines, [2, 4]);
}

/// Writes a Parquet file: `columns` writes each of a group's columns in turn.
pub(super) fn parquet(
    schema: &str,
    compression: Compression,
    groups: usize,
    columns: impl Fn(usize, &mut SerializedRowGroupWriter<'_, Vec<u8>>),
) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let settings = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, settings).unwrap();
    for group in 0..groups {
        let mut open = writer.next_row_group().unwrap();
        columns(group, &mut open);
        open.close().unwrap();
    }
    writer.into_inner().unwrap()
}

/// Writes one column: values, definition levels and repetition levels.
pub(super) fn texts(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[&[u8]],
    levels: Option<&[i16]>,
    repeats: Option<&[i16]>,
) {
    let values: Vec<ByteArray> = values.iter().map(|value| value.to_vec().into()).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&values, levels, repeats).unwrap();
    column.close().unwrap();
}

#[test]
fn parquet_is_read_with_every_compression_and_over_groups() {
    let schema = "message x { required binary a (UTF8); optional int64 n; required double d; }";
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let bytes = parquet(schema, compression, 2, |group, open| {
            texts(open, &[b"one", "zwölf".as_bytes()], None, None);
            let mut column = open.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&[group as i64], Some(&[1, 0]), None).unwrap();
            column.close().unwrap();
            let mut column = open.next_column().unwrap().unwrap();
            column.typed::<DoubleType>().write_batch(&[0.5, f64::NAN], None, None).unwrap();
            column.close().unwrap();
        });
        let rows = |n: i64| [json!({"a":"one","n":n,"d":0.5}), json!({"a":"zwölf","n":null,"d":null})];
        assert_eq!(of("x.parquet", &bytes).unwrap(), [rows(0), rows(1)].concat(), "{compression}");
        let (_dir, path) = file("x.parquet", &bytes);
        let some = open(&path).unwrap().only(["n".to_owned(), "absent".to_owned()].into());
        let third = some.map(Result::unwrap).nth(2).unwrap();
        assert_eq!(Value::Object(third.columns), json!({"a": null, "n": 1, "d": null}), "{compression}");
        assert_eq!(third.line, 3);
    }
}

#[test]
fn nested_parquet_columns_are_lists_and_objects() {
    // A list of structs of bytes and path, as the hub's data sets hold images; a null list, an empty one, a null item.
    let schema = "message x {
        optional group images (LIST) { repeated group list { optional group element {
            optional binary bytes; optional binary path (UTF8); } } }
    }";
    let bytes = parquet(schema, Compression::SNAPPY, 1, |_, open| {
        // Rows: [{bytes, null}, {null, path}], null, [], [null].
        let repeats = [0, 1, 0, 0, 0];
        texts(open, &[b"\x89PNG\xff"], Some(&[4, 3, 0, 1, 2]), Some(&repeats));
        texts(open, &[b"a.png"], Some(&[3, 4, 0, 1, 2]), Some(&repeats));
    });
    let wanted = [
        json!({"images": [{"bytes": "data:;base64,iVBOR/8=", "path": null}, {"bytes": null, "path": "a.png"}]}),
        json!({"images": null}),
        json!({"images": []}),
        json!({"images": [null]}),
    ];
    assert_eq!(of("x.parquet", &bytes).unwrap(), wanted);
}

/// Written by `tests/golden/rows.py`.
#[test]
fn a_file_of_pyarrow_is_read_as_pyarrow_reads_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/rows/pyarrow.parquet");
    let wanted = [
        json!({
            "problem": "<image>one", "answer": "a", "images": [{"bytes": "data:;base64,iVBORw==", "path": null}], "level": 1,
            "score": 0.1, "options": ["x", null], "deep": [[1], [2, 3]], "by": {"k": 1}, "nothing": null,
            "price": "1.50", "day": "2024-02-29",
        }),
        json!({
            "problem": "zwölf", "answer": "b", "images": null, "level": null, "score": 0.5, "options": [], "deep": [[]],
            "by": {}, "nothing": null, "price": null, "day": null,
        }),
        json!({
            "problem": null, "answer": "a", "images": [{"bytes": null, "path": "a.png"}], "level": 3, "score": null,
            "options": null, "deep": null, "by": null, "nothing": null, "price": "-2.25", "day": null,
        }),
    ];
    assert_eq!(read(&path).unwrap(), wanted);
}
