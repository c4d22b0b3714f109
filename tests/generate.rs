//! A model asked from the command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::curricle;

const RECIPE: &str = r#"
schema = 1
[recipe]
name = "model"
[stages.rows]
kind = "synthesize"
params = { train = 6, image_size = 56, tasks = { arithmetic = { levels = [1] }, count = { levels = [1] } } }
[stages.base]
kind = "init"
inputs = { data = "rows.train" }
[stages.base.params]
hidden_size = 32
layers = 1
heads = 2
kv_heads = 1
intermediate = 32
vocab_size = 300
vision = { depth = 1, hidden = 8, heads = 2, intermediate = 16, fullatt = [0] }
template = "bare"
"#;

/// The folder of the port `port` that the stage `stage` left.
fn artifact(dir: &Path, stage: &str, port: &str) -> PathBuf {
    let stages = std::fs::read_dir(dir.join(".curricle/store/v1")).unwrap().map(|entry| entry.unwrap().path());
    let is = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&format!("{stage}-"));
    stages.into_iter().find(is).unwrap().join("artifact").join(port)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A folder with rows and a small model, and where the model is.
fn made() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("recipe.toml"), RECIPE).unwrap();
    let made = curricle(dir.path(), &["run", "recipe.toml"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let model = artifact(dir.path(), "base", "model").display().to_string();
    (dir, model)
}

#[test]
fn rows_come_back_with_answers() {
    let (dir, model) = made();
    let rows = artifact(dir.path(), "rows", "train").join("rows.jsonl").display().to_string();
    let ask = |more: &[&str]| {
        let args = [&["generate", &model, "--rows", &rows, "--max-new-tokens", "5"], more].concat();
        let called = curricle(dir.path(), &args);
        assert_eq!(called.code, Some(0), "{}", called.stderr);
        lines(&called.stdout)
    };

    let greedy = ask(&["--greedy", "--batch", "4"]);
    let asked = lines(&std::fs::read_to_string(&rows).unwrap());
    assert_eq!(greedy.len(), asked.len());
    for (answer, row) in greedy.iter().zip(&asked) {
        for (column, value) in row.as_object().unwrap() {
            assert_eq!(&answer[column], value);
        }
        let ids = answer["token_ids"].as_array().unwrap();
        assert!(answer["text"].is_string() && !ids.is_empty() && ids.len() <= 5);
        assert!(["stop", "length"].contains(&answer["finish_reason"].as_str().unwrap()));
    }
    assert_eq!(greedy, ask(&["--greedy", "--batch", "1", "--threads", "1"]));
    assert_eq!(greedy, ask(&["--greedy", "--precision", "f32"]));
    assert_eq!(ask(&["--greedy", "--precision", "bf16"]).len(), asked.len());
    let drawn = ask(&["--temperature", "1", "--seed", "1"]);
    assert_eq!(drawn, ask(&["--temperature", "1", "--seed", "1", "--batch", "2"]));
    assert_ne!(drawn, ask(&["--temperature", "1", "--seed", "2"]));
}

/// What `chat` prints, and says, when these lines are typed.
fn typed(dir: &Path, model: &str, lines: &str) -> (String, String) {
    let mut chat = Command::new(env!("CARGO_BIN_EXE_curricle"))
        .args(["chat", model, "--greedy", "--max-new-tokens", "4"])
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    chat.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = chat.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn a_conversation_remembers_until_it_begins_again() {
    let (dir, model) = made();
    let image = artifact(dir.path(), "rows", "train").join("images");
    let image = std::fs::read_dir(image).unwrap().next().unwrap().unwrap().path().display().to_string();
    let talk = |lines: &str| typed(dir.path(), &model, lines);
    let ask = |text: &str| {
        // The answer that `generate` gives to the same row.
        std::fs::write(dir.path().join("row.jsonl"), format!("{text}\n")).unwrap();
        let args = ["generate", &model, "--rows", "row.jsonl", "--greedy", "--max-new-tokens", "4"];
        let called = curricle(dir.path(), &args);
        assert_eq!(called.code, Some(0), "{}", called.stderr);
        lines(&called.stdout)[0]["text"].as_str().unwrap().to_owned()
    };

    let first = ask(r#"{"prompt": "2 + 3"}"#);
    let shown = ask(&json!({ "prompt": "how many?", "images": [image] }).to_string());
    assert_eq!(talk("2 + 3\n").0, format!("{first}\n"));
    assert_eq!(talk(&format!("2 \\\n+ 3\n/clear\n/image {image}\nhow many?\n")).0.lines().last(), shown.lines().last());
    let said = json!([
        { "role": "user", "content": "2 + 3" },
        { "role": "assistant", "content": first },
        { "role": "user", "content": "and 4 + 4" },
    ]);
    let second = ask(&json!({ "messages": said }).to_string());
    assert_eq!(talk("2 + 3\nand 4 + 4\n/exit\nnever read\n").0, format!("{first}\n{second}\n"));
    let (printed, told) = talk("/image none.png\n/what\n");
    assert!(printed.is_empty() && told.contains("there is no `none.png`") && told.contains("`/what` is no command"));
}

#[test]
fn what_is_missing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let no_rows = curricle(dir.path(), &["generate", "model", "--rows", "none.jsonl"]);
    assert_eq!(no_rows.code, Some(2));
    assert!(no_rows.stderr.contains("`none.jsonl`: there is no such file"), "{}", no_rows.stderr);
    std::fs::write(dir.path().join("rows.jsonl"), "{\"prompt\": \"2 + 2\"}\n").unwrap();
    let no_model = curricle(dir.path(), &["generate", "model", "--rows", "rows.jsonl"]);
    assert_eq!(no_model.code, Some(2));
    assert!(no_model.stderr.contains("model/config.json"), "{}", no_model.stderr);
    let no_device = curricle(dir.path(), &["generate", "model", "--rows", "rows.jsonl", "--device", "cuda:99"]);
    assert!(no_device.code == Some(2) && no_device.stderr.contains("cuda:99"), "{}", no_device.stderr);
    let no_format = curricle(dir.path(), &["generate", "model", "--rows", "rows.jsonl", "--precision", "f16"]);
    assert!(no_format.code == Some(2) && no_format.stderr.contains("f32, bf16"), "{}", no_format.stderr);
}
