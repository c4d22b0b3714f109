//! Every layout, explicit; and what is said where none is named.

use super::*;

fn laid(layout: &str) -> RowsView {
    RowsView { layout: Some(Layout::named(layout).unwrap()), ..RowsView::default() }
}

fn one(layout: &str, text: &str) -> Result<Row, String> {
    one_of(layout, "a.jsonl", text)
}

fn one_of(layout: &str, name: &str, text: &str) -> Result<Row, String> {
    let dir = folder(&[(name, text), ("a.png", ""), ("b.png", "")]);
    match load(dir.path(), &laid(layout)) {
        Ok(mut rows) => Ok(rows.remove(0)),
        Err(error) => Err(error.kind.to_string()),
    }
}

#[test]
fn easyr1_has_problems_and_images_where_the_text_shows_them() {
    let row = one("easyr1", r#"{"problem":"<image><image>Which?","answer":"7","images":["a.png","b.png"]}"#).unwrap();
    assert_eq!((row.prompt.as_str(), row.answer.as_deref(), row.images.len()), ("<image><image>Which?", Some("7"), 2));
    let short = one("easyr1", r#"{"problem":"<image><image>Which?","answer":"7","images":["a.png"]}"#).unwrap_err();
    assert!(short.starts_with("the row has 1 images, but its turns have 2 places"), "{short}");
    let lacking = one("easyr1", r#"{"question":"q","answer":"7"}"#).unwrap_err();
    assert!(lacking.starts_with("no column `problem` for `prompt`; the columns are `answer`, `question`"), "{lacking}");
    let empty = one("easyr1", r#"{"problem":null,"answer":"7"}"#).unwrap_err();
    assert!(empty.starts_with("column `problem` is empty"), "{empty}");
}

#[test]
fn sharegpt_conversations_become_turns() {
    let llava = r#"{"id":"x","image":"a.png","conversations":[{"from":"human","value":"<image>\nWhat?"},{"from":"gpt","value":"A cat."}]}"#;
    let row = one("sharegpt", llava).unwrap();
    assert_eq!((row.id.as_str(), row.prompt.as_str(), row.images.len()), ("x", "<image>\nWhat?", 1));
    assert_eq!(row.response.as_deref(), Some("A cat."));
    let long = r#"{"conversations":[{"from":"system","value":"s"},{"from":"human","value":"1"},{"from":"gpt","value":"2"},{"from":"human","value":"3"}],"prompt":"not this"}"#;
    let row = one("sharegpt", long).unwrap();
    assert_eq!((row.system.as_deref(), row.prompt.as_str(), row.history.len()), (Some("s"), "3", 2));
    let wrong = one("sharegpt", r#"{"conversations":[{"from":"robot","value":""}]}"#).unwrap_err();
    assert_eq!(
        wrong,
        "column `conversations`: message 1: `from` is `robot`, and must be human, gpt, observation, system, user, \
         assistant, tool"
    );
    let wrong = one("sharegpt", r#"{"conversations":[{"role":"user","content":""}]}"#).unwrap_err();
    assert!(wrong.contains("`role` is not known") || wrong.contains("`content` is not known"), "{wrong}");
}

#[test]
fn messages_may_hold_their_images() {
    let uri = "data:image/png;base64,iVBORw0KGgo=";
    let parts = format!(
        r#"[{{"type":"image_url","image_url":{{"url":"{uri}"}}}},{{"type":"text","text":"and"}},{{"type":"image","image":"a.png"}}]"#
    );
    let row = one("messages", &format!(r#"{{"messages":[{{"role":"user","content":{parts}}}]}}"#)).unwrap();
    assert_eq!(row.prompt, "<image>and<image>");
    assert!(matches!(&row.images[..], [ImageSource::Embedded(_), ImageSource::Path(_)]));
    let both = format!(r#"{{"images":["b.png"],"messages":[{{"role":"user","content":{parts}}}]}}"#);
    assert!(one("messages", &both).unwrap_err().contains("the turns hold images themselves"));
}

#[test]
fn alpaca_joins_instruction_and_input() {
    let row = one("alpaca", r#"{"instruction":"Add.","input":"1 2","output":"3","history":[["q","a"]],"system":"s"}"#);
    let row = row.unwrap();
    assert_eq!((row.prompt.as_str(), row.response.as_deref(), &row.answer), ("Add.\n1 2", Some("3"), &None));
    assert_eq!((row.system.as_deref(), row.history.len()), (Some("s"), 2));
    assert_eq!(one("alpaca", r#"{"instruction":"Add.","input":"","output":"3"}"#).unwrap().prompt, "Add.");
    let wrong = one("alpaca", r#"{"instruction":"Add.","output":"3","history":[["q"]]}"#).unwrap_err();
    assert!(wrong.contains("column `history`: it must be a list of pairs"), "{wrong}");
}

#[test]
fn gsm8k_has_its_marker() {
    let row = one("gsm8k", r#"{"question":"q","answer":"1+1 = <<1+1=2>>2\n#### 2"}"#).unwrap();
    assert_eq!((row.answer.as_deref(), row.reasoning.as_deref()), (Some("2"), Some("1+1 = 2")));
    assert!(one("gsm8k", r#"{"question":"q","answer":"2"}"#).unwrap_err().contains("has no `####`"));
}

#[test]
fn options_are_lists_objects_or_columns_and_answers_letters() {
    for (layout, columns) in [
        ("choice-letter", r#""choices":["x","y"],"answer":"B""#),
        ("choice-letter", r#""options":{"A":"x","B":"y","C":null},"answer":"(b)""#),
        ("choice-letter", r#""choices":{"text":["x","y"],"label":["A","B"]},"answerKey":"B""#),
        ("choice-letter", r#""A":"x","B":"y","answer":"B""#),
        ("choice-index", r#""choices":["x","y"],"answer":1"#),
        ("choice-number", r#""choices":["x","y"],"answer":"2""#),
        ("choice-text", r#""choices":["x","y"],"answer":"y""#),
    ] {
        let row = one(layout, &format!(r#"{{"question":"Which?",{columns}}}"#)).unwrap();
        assert_eq!(row.prompt, "Which?\nA. x\nB. y", "{layout} {columns}");
        assert_eq!((row.answer.as_deref(), &row.choices[..]), (Some("B"), &["x".into(), "y".into()][..]), "{columns}");
        let dir = tempfile::tempdir().unwrap();
        jsonl::write(dir.path(), std::slice::from_ref(&row)).unwrap();
        assert_eq!(load(dir.path(), &RowsView::default()).unwrap(), [row], "written and read again");
    }
    let csv = "question,A,B,C,answer\nWhich?,x,\"y, z\",,B\n";
    assert_eq!(one_of("choice-letter", "a.csv", csv).unwrap().choices, ["x", "y, z"]);
    let csv = "question,options,answer\nWhich?,\"[\"\"x\"\",\"\"y\"\"]\",0\n";
    assert_eq!(one_of("choice-index", "a.csv", csv).unwrap().answer.as_deref(), Some("A"));
    for (layout, columns, says) in [
        ("choice-index", r#""choices":["x","y"],"answer":2"#, "`2` is not the index from 0 of one of 2 options"),
        ("choice-number", r#""choices":["x","y"],"answer":0"#, "`0` is not the number from 1"),
        ("choice-letter", r#""choices":["x","y"],"answer":"E""#, "`E` is not the letter of one of 2 options"),
        ("choice-text", r#""choices":["x","x"],"answer":"x""#, "`x` is not the text, once, of one of 2"),
        ("choice-text", r#""choices":["x"],"answer":"x""#, "it has 1 options, and a question has 2 to 26"),
        ("choice-text", r#""choices":"x, y","answer":"x""#, "must hold a list of options"),
        ("choice-text", r#""choices":{"A":"x","C":"y"},"answer":"x""#, "must hold a list of options"),
        ("choice-text", r#""choices":["x",[null]],"answer":"x""#, "must hold a list of options"),
        ("choice-letter", r#""answer":"A""#, "it has 0 options"),
    ] {
        let said = one(layout, &format!(r#"{{"question":"Which?",{columns}}}"#)).unwrap_err();
        assert!(said.contains(says), "{layout} {columns}: {said}");
    }
}

#[test]
fn columns_win_over_a_layout() {
    let dir = folder(&[("a.jsonl", r#"{"instruction":"i","text":"t","output":"o","gold":"7"}"#)]);
    let columns = [("prompt".to_owned(), "text".to_owned()), ("answer".to_owned(), "gold".to_owned())].into();
    let row = &load(dir.path(), &RowsView { columns, ..laid("alpaca") }).unwrap()[0];
    assert_eq!((row.prompt.as_str(), row.answer.as_deref(), row.response.as_deref()), ("t", Some("7"), Some("o")));
}

#[test]
fn rows_without_a_prompt_are_told_which_layouts_would_fit() {
    for (columns, fits) in [
        (r#""problem":"p","answer":"1""#, "they would fit `layout = \"easyr1\"`; or else map one"),
        (r#""conversations":[]"#, "`layout = \"sharegpt\"`;"),
        (r#""instruction":"i","output":"o""#, "`layout = \"alpaca\"`;"),
        (r#""question":"i","answer":"o #### 1""#, "`layout = \"gsm8k\"`;"),
        (r#""question":"i","choices":[],"answer":"B""#, "`layout = \"choice-letter\"`;"),
        (r#""question":"i","A":"","B":"","answer":1"#, "`layout = \"choice-index\"` or `layout = \"choice-number\"`"),
        (r#""question":"i","options":[],"answer":"red""#, "fit `layout = \"choice-text\"`;"),
        (r#""question":"i","answer":"red""#, "the columns are `answer`, `question`; map one with"),
    ] {
        let dir = folder(&[("a.jsonl", &format!("{{{columns}}}"))]);
        let said = message(&dir, &RowsView::default());
        assert!(said.contains(fits), "{columns}: {said}");
    }
}
