//! `grade` through the command line.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::curricle;

const ROWS: &str = r#"{"id": "a", "gold": "\\frac{1}{2}", "pred": "0.5", "z": {"b": 1, "a": 2}}
{"pred":"The answer is \\boxed{2\\sqrt{2}}.","gold":"\\sqrt{8}"}

{"gold":"12","pred":"21","ok":null,"note":"é"}
"#;
const GRADED: &str = r#"{"id": "a", "gold": "\\frac{1}{2}", "pred": "0.5", "z": {"b": 1, "a": 2},"ok":true}
{"pred":"The answer is \\boxed{2\\sqrt{2}}.","gold":"\\sqrt{8}","ok":true}
{"gold":"12","pred":"21","ok":false,"note":"é"}
"#;

#[test]
fn rows_come_back_with_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rows.jsonl"), ROWS).unwrap();
    let called = curricle(dir.path(), &["grade", "rows.jsonl"]);
    assert_eq!((called.code, called.stdout.as_str()), (Some(0), GRADED), "{}", called.stderr);
    assert_eq!(called.stderr, "3 rows, 2 right (66.7 %)\n");
    let quiet = curricle(dir.path(), &["grade", "--quiet", "rows.jsonl"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), (GRADED, ""));
    // Graded rows can be graded again.
    fs::write(dir.path().join("graded.jsonl"), GRADED).unwrap();
    assert_eq!(curricle(dir.path(), &["grade", "graded.jsonl"]).stdout, GRADED);
}

#[test]
fn standard_input_is_a_dash() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_curricle"))
        .args(["grade", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Without an end of line at the end.
    child.stdin.take().unwrap().write_all(ROWS.trim_end().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), GRADED);
}

#[test]
fn a_bad_line_is_named_and_what_came_before_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for (bad, part) in [
        ("{\"gold\":", "is no JSON object"),
        ("{\"gold\":\"1\"}", "has no `pred`"),
        ("42", "is no JSON object: `42`"),
        ("{\"gold\":[1],\"pred\":\"1\"}", "neither text nor a number"),
    ] {
        fs::write(dir.path().join("rows.jsonl"), format!("{ROWS}{bad}\n{ROWS}")).unwrap();
        let called = curricle(dir.path(), &["grade", "rows.jsonl"]);
        assert_eq!((called.code, called.stdout.as_str()), (Some(2), GRADED), "{}", called.stderr);
        assert!(called.stderr.contains("line 5 of `rows.jsonl`") && called.stderr.contains(part), "{}", called.stderr);
        assert!(called.stderr.contains("3 rows, 2 right (66.7 %) before it are graded"), "{}", called.stderr);
    }
    let mut bytes = ROWS.as_bytes().to_vec();
    bytes.extend(b"\xff\n");
    fs::write(dir.path().join("rows.jsonl"), bytes).unwrap();
    assert!(curricle(dir.path(), &["grade", "rows.jsonl"]).stderr.contains("line 5 of `rows.jsonl` is not UTF-8"));
    let absent = curricle(dir.path(), &["grade", "nowhere.jsonl"]);
    assert_eq!(absent.code, Some(2));
    assert!(absent.stderr.contains("`nowhere.jsonl`"), "{}", absent.stderr);
}
