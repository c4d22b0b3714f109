use serde_json::Value;

use super::*;
use crate::fs;

fn row(prompt: &str, images: usize) -> Row {
    Row { prompt: prompt.into(), images: vec![PathBuf::new().into(); images], ..Row::default() }
}

fn plain(row: &Row, open: bool) -> String {
    ChatTemplate::new(PLAIN_TEMPLATE).unwrap().render(&turns(row).unwrap(), open).unwrap()
}

#[test]
fn the_plain_template_is_chatml_without_a_system_turn() {
    assert_eq!(plain(&row("2+2", 0), true), "<|im_start|>user\n2+2<|im_end|>\n<|im_start|>assistant\n");
    let image = "<|vision_start|><|image_pad|><|vision_end|>";
    assert_eq!(plain(&row("how many?", 1), false), format!("<|im_start|>user\n{image}how many?<|im_end|>\n"));
    let with_system = Row { system: Some("think".into()), ..row("2+2", 0) };
    assert!(plain(&with_system, false).starts_with("<|im_start|>system\nthink<|im_end|>\n<|im_start|>user\n"));
}

#[test]
fn placeholders_say_where_images_stand() {
    let image = "<|vision_start|><|image_pad|><|vision_end|>";
    let text = plain(&row("a <image> b <image>", 2), false);
    assert_eq!(text, format!("<|im_start|>user\na {image} b {image}<|im_end|>\n"));
    assert_eq!(
        turns(&row("<image>", 2)).unwrap_err().to_string(),
        "row `` has 2 images, but its turns have 1 `<image>`; name each image once, in order, or none in a row of one turn"
    );
    assert!(plain(&row("write <image> in html", 0), false).contains("write <image> in html"));
}

#[test]
fn python_methods_generation_marks_and_exceptions_work() {
    let source =
        "{% for m in messages %}{% generation %}{{ m.content.strip().upper() }}{% endgeneration %}{% endfor %}";
    let chat = ChatTemplate::new(source).unwrap();
    assert_eq!(chat.render(&turns(&row(" x ", 0)).unwrap(), true).unwrap(), "X");
    let chat = ChatTemplate::new("{{ raise_exception('no system turn') }}").unwrap();
    let error = chat.render(&[], true).unwrap_err().to_string();
    assert!(error.contains("no system turn"), "{error}");
}

#[test]
fn texts_equal_the_reference() {
    let Some(dir) = crate::reference::golden("tiny") else { return };
    let golden: Value = serde_json::from_str(&fs::read_text(&dir.join("golden.json")).unwrap()).unwrap();
    let chat = ChatTemplate::open(&dir.join("model")).unwrap();
    let cases = [
        (row("What is the area of the red circle?", 1), "<think>3 + 4 = 7</think> \\boxed{7}"),
        (row("<image>Compare with<image>Which one is wider?", 2), "The second."),
        (row("What is 12 + 30?", 0), "42"),
    ];
    for (index, (row, answer)) in cases.iter().enumerate() {
        let mut messages = turns(row).unwrap();
        messages.push(reply(answer));
        assert_eq!(chat.render(&messages, false).unwrap(), golden["texts"][index], "{index}");
    }
}
