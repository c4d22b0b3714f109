//! Rows from records: fields, layouts, images.

mod images;
mod layouts;

use super::*;
use crate::jsonl;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        crate::fs::write(&dir.path().join(name), text.as_bytes()).unwrap();
    }
    dir
}

fn view(columns: &[(&str, &str)]) -> RowsView {
    let columns = columns.iter().map(|&(field, column)| (field.to_owned(), column.to_owned())).collect();
    RowsView { columns, ..RowsView::default() }
}

fn message(dir: &tempfile::TempDir, view: &RowsView) -> String {
    let error = load(dir.path(), view).unwrap_err().to_string();
    error.replace(&*dir.path().to_string_lossy(), "DIR")
}

#[test]
fn gsm8k_rows_part_into_reasoning_and_answer() {
    let text = r#"{"question":"How many?","answer":"She sold 48/2 = <<48/2=24>>24 in May.\nSo 48+24 = <<48+24=72>>72.\n#### 72"}"#;
    let dir = folder(&[("gsm8k.jsonl", text)]);
    let view = RowsView { answer_marker: Some("####".into()), ..view(&[("prompt", "question")]) };
    let rows = load(dir.path(), &view).unwrap();
    assert_eq!(rows[0].answer.as_deref(), Some("72"));
    assert_eq!(rows[0].reasoning.as_deref(), Some("She sold 48/2 = 24 in May.\nSo 48+24 = 72."));
    assert_eq!(rows[0].target().unwrap(), "<think>She sold 48/2 = 24 in May.\nSo 48+24 = 72.</think> \\boxed{72}");
    let wrong = RowsView { answer_marker: Some("@@".into()), ..view };
    assert_eq!(
        message(&dir, &wrong),
        "cannot read rows from `DIR/gsm8k.jsonl:1`: column `answer` has no `@@` before the final answer; correct the row or `answer_marker`"
    );
}

#[test]
fn arrays_numbers_choices_and_images_are_read() {
    let text = r#"[{"q":"Which?","options":[6,3],"a":51.0,"image":"i/a.png","level":"Level 3"}]"#;
    let dir = folder(&[("all.json", text), ("i/a.png", "")]);
    let view = view(&[("prompt", "q"), ("choices", "options"), ("answer", "a"), ("images", "image")]);
    let rows = load(dir.path(), &view).unwrap();
    assert_eq!(rows[0].prompt, "Which?\nOptions: 6, 3");
    assert_eq!(rows[0].answer.as_deref(), Some("51"));
    assert_eq!(rows[0].level, Some(3));
    assert_eq!(rows[0].images, [dir.path().join("i/a.png").into()]);
}

#[test]
fn canonical_rows_survive_writing_and_reading() {
    let dir = folder(&[("images/0.png", "")]);
    let row = Row {
        id: "x".into(),
        prompt: "Which?\nOptions: a, b".into(),
        images: vec![dir.path().join("images/0.png").into()],
        choices: vec!["a".into(), "b".into()],
        answer: Some("a".into()),
        level: Some(2),
        ..Row::default()
    };
    jsonl::write(dir.path(), std::slice::from_ref(&row)).unwrap();
    assert!(!crate::fs::read_text(&dir.path().join("rows.jsonl")).unwrap().contains(&*dir.path().to_string_lossy()));
    assert_eq!(load(dir.path(), &RowsView::default()).unwrap(), [row]);
}

#[test]
fn ids_come_from_content_and_are_unique() {
    let line = r#"{"prompt":"1+1","answer":"2"}"#;
    let dir = folder(&[("a.jsonl", &format!("{line}\n\n{line}\n"))]);
    let rows = load(dir.path(), &RowsView::default()).unwrap();
    assert_eq!(rows[1].id, format!("{}#2", rows[0].id));
    let moved = folder(&[("b.jsonl", line)]);
    assert_eq!(load(moved.path(), &RowsView::default()).unwrap()[0].id, rows[0].id);
}

#[test]
fn a_group_never_parts_and_limit_counts_after_the_split() {
    let lines: Vec<_> = (0..200).map(|i| format!("{{\"prompt\":\"{i}\",\"g\":{}}}", i / 2)).collect();
    let dir = folder(&[("a.jsonl", &lines.join("\n"))]);
    let splits = [("test".to_owned(), 0.5), ("train".to_owned(), 0.5)].into();
    let view = RowsView { group_by: Some("g".into()), splits, ..RowsView::default() };
    let of = |split: &str| load(dir.path(), &RowsView { split: Some(split.into()), ..view.clone() }).unwrap();
    let (train, test) = (of("train"), of("test"));
    assert_eq!(train.len() + test.len(), 200);
    assert!(train.iter().all(|row| test.iter().all(|other| other.group != row.group)));
    let limited = RowsView { split: Some("train".into()), limit: Some(5), ..view };
    assert_eq!(load(dir.path(), &limited).unwrap(), train[..5]);
}

#[test]
fn mistakes_name_file_line_cause_and_fix() {
    let dir = folder(&[("a.jsonl", "{\"prompt\":\"x\"}\n{oops}\n")]);
    let text = message(&dir, &RowsView::default());
    assert!(text.starts_with("cannot read rows from `DIR/a.jsonl:2`: not valid JSON (key must be a string"), "{text}");

    let dir = folder(&[("a.jsonl", "{\"question\":\"x\",\"a\":1}\n")]);
    assert_eq!(
        message(&dir, &RowsView::default()),
        "cannot read rows from `DIR/a.jsonl:1`: no column `prompt` for `prompt`; the columns are `a`, `question`; \
         map one with `columns = { prompt = \"…\" }`"
    );
    assert_eq!(
        message(&dir, &view(&[("prompt", "question"), ("answer", "answr")])),
        "cannot read rows from `DIR/a.jsonl`: no column `answr` for `answer`; the columns are `a`, `question`; \
         map one with `columns = { answer = \"…\" }`"
    );
    assert!(message(&dir, &view(&[("promt", "question")])).contains("names the field `promt`"));

    let dir = folder(&[("a.jsonl", "{\"prompt\":\"x\",\"images\":\"no.png\"}\n")]);
    assert_eq!(
        message(&dir, &RowsView::default()),
        "cannot read rows from `DIR/a.jsonl:1`: image `DIR/no.png` does not exist; \
         paths are relative to the folder of the file of rows"
    );

    let dir = folder(&[("a.jsonl", "7\n")]);
    assert!(message(&dir, &RowsView::default()).contains("a row must be a JSON object"));
    let dir = folder(&[("a.jsonl", ""), ("b.jsonl", "")]);
    assert!(message(&dir, &RowsView::default()).contains("several files of rows (a.jsonl, b.jsonl)"));
    assert!(load(Path::new("/no/such"), &RowsView::default()).unwrap_err().to_string().contains("no such file"));
}

#[test]
fn chats_become_history_prompt_and_response() {
    let text = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"image"},{"type":"text","text":"one?"}]},
        {"role":"assistant","content":"1","name":null},{"role":"user","content":"and <image>?"},{"role":"assistant","content":"2"}],
        "images":["i/a.png","i/b.png"]}"#;
    let dir = folder(&[("a.jsonl", &text.replace('\n', "")), ("i/a.png", ""), ("i/b.png", "")]);
    let rows = load(dir.path(), &RowsView::default()).unwrap();
    let turn = |role, content: &str| Turn { role, content: content.into() };
    assert_eq!(rows[0].history, [turn(Speaker::User, "<image>one?"), turn(Speaker::Assistant, "1")]);
    assert_eq!((rows[0].system.as_deref(), rows[0].prompt.as_str()), (Some("s"), "and <image>?"));
    assert_eq!((rows[0].response.as_deref(), rows[0].images.len()), (Some("2"), 2));
    // Written canonically, they read as the same rows.
    jsonl::write(dir.path(), &rows).unwrap();
    assert_eq!(load(dir.path(), &RowsView::default()).unwrap(), rows);
    // A chat that ends with a question is one to answer; beside a prompt it counts only where `columns` says so.
    let line = r#"{"prompt":"p","chat":[{"role":"user","content":"q"}],"messages":7,"answer":"a"}"#;
    let dir = folder(&[("a.jsonl", line)]);
    assert_eq!(load(dir.path(), &RowsView::default()).unwrap()[0].prompt, "p");
    let row = &load(dir.path(), &view(&[("messages", "chat")])).unwrap()[0];
    assert_eq!((row.prompt.as_str(), row.answer.as_deref(), &row.response), ("q", Some("a"), &None));
}

#[test]
fn mistakes_in_chats_are_named() {
    let wrong = |columns: &str| {
        let dir = folder(&[("a.jsonl", &format!("{{{columns}}}")), ("a.png", "")]);
        message(&dir, &RowsView::default()).replace("cannot read rows from `DIR/a.jsonl:1`: ", "")
    };
    let says = |messages: &str| wrong(&format!("\"messages\":[{messages}]")).replace("column `messages`: ", "");
    assert_eq!(wrong("\"messages\":\"hi\""), "column `messages`: it must be a list of messages");
    assert_eq!(says(""), "it has no turn of the user; give at least one");
    assert_eq!(
        says(r#"{"role":"bot","content":""}"#),
        "message 1: `role` is `bot`, and must be system, user, assistant, tool"
    );
    assert_eq!(says(r#"{"role":"user"}"#), "message 1: `content` must be text or a list of parts");
    assert_eq!(
        says(r#"{"role":"user","content":"","tool_calls":[]}"#),
        "message 1: `tool_calls` is not known; a message has `role` and `content`"
    );
    assert_eq!(
        says(r#"{"role":"user","content":[{"type":"audio"}]}"#),
        "message 1: a part is of type `audio`, and must be `text` or `image`"
    );
    assert_eq!(
        says(r#"{"role":"user","content":[{"type":"image","image":"a.png"},{"type":"image"}]}"#),
        "1 of 2 parts of type `image` hold their image; either all of them do, or none"
    );
    assert_eq!(
        says(r#"{"role":"user","content":""},{"role":"tool","content":""},{"role":"assistant","content":""}"#),
        "the last turn before the answer must be the user's"
    );
    let counted = |images: usize, places: usize| {
        format!(
            "the row has {images} images, but its turns have {places} places for them (`<image>`, or parts of type `image`); \
             name each image once, in order"
        )
    };
    assert_eq!(says(r#"{"role":"user","content":[{"type":"image"}]}"#), counted(0, 1));
    assert_eq!(wrong(r#""prompt":"<image> <image>","images":["a.png"]"#), counted(1, 2));
}
