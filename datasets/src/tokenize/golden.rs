//! What transformers makes of difficult texts and chats, from `tests/golden/texts/` (see `tests/golden/texts.py`), and what
//! this crate makes of them.

use super::*;
use crate::image::ImageSource;
use crate::reference;
use crate::rows::{Speaker, Turn};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/texts")
}

fn expected(name: &str) -> Value {
    json(&dir().join(name)).unwrap()
}

/// A model folder with the small tokenizer and one of the templates.
fn processor(template: &str) -> (tempfile::TempDir, Processor) {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("tokenizer.json", "tokenizer.json"),
        ("tokenizer_config.json", "tokenizer_config.json"),
        (&format!("templates/{template}.jinja"), "chat_template.jinja"),
    ] {
        fs::write(&folder.path().join(to), &fs::read(&dir().join(from)).unwrap()).unwrap();
    }
    let processor = Processor::open(folder.path()).unwrap();
    (folder, processor)
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn texts_have_ids(processor: &Processor, ids: &Value) {
    let texts = expected("expected.json")["texts"].as_array().unwrap().clone();
    assert_eq!(texts.len(), ids.as_array().unwrap().len());
    for (text, wanted) in texts.iter().zip(ids.as_array().unwrap()) {
        let text = text.as_str().unwrap();
        assert_eq!(processor.encode(text).unwrap(), numbers(wanted), "{text:?}");
    }
}

#[test]
fn difficult_texts_have_the_same_ids() {
    texts_have_ids(&processor("chatml").1, &expected("expected.json")["ids"]);
}

#[test]
fn difficult_texts_have_the_same_ids_by_the_real_tokenizer() {
    let Some(real) = reference::tokenizer("qwen2_5_vl") else { return };
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("tokenizer.json", "tokenizer.json"),
        ("tokenizer_config.json", "tokenizer_config.json"),
        ("qwen2_5_vl.jinja", "chat_template.jinja"),
        ("preprocessor_config.json", "preprocessor_config.json"),
    ] {
        fs::write(&folder.path().join(to), &fs::read(&real.join(from)).unwrap()).unwrap();
    }
    let processor = Processor::open(folder.path()).unwrap();
    texts_have_ids(&processor, &expected("real.json")["ids"]);
    assert_eq!((processor.vocab_size(), processor.missing_rows(151_936)), (151_665, 0));
    // Qwen2.5 writes `<think>` as several tokens; added, it is one, and the released embeddings have room for it.
    let added = processor.with_added_tokens(&["<think>".into(), "</think>".into()]).unwrap();
    assert_eq!(added.encode("<think>a</think>").unwrap(), [151_665, 64, 151_666]);
    assert_eq!((added.special().think_end, added.missing_rows(151_936)), (Some(151_666), 0));
    assert_eq!(added.missing_rows(151_665), 2);
}

/// The row of a conversation, where it is one that rows can say.
fn row(conversation: &Value, images: &[ImageSource]) -> Option<Row> {
    let mut turns: Vec<Turn> = Vec::new();
    for message in conversation.as_array()? {
        let content = match &message["content"] {
            Value::Array(parts) => parts.iter().map(|part| part["text"].as_str().unwrap_or("<image>")).collect(),
            text => text.as_str()?.to_owned(),
        };
        turns.push(Turn { role: serde_json::from_value(message["role"].clone()).ok()?, content });
    }
    let response = turns.pop().filter(|turn| turn.role == Speaker::Assistant)?.content;
    let prompt = turns.pop().filter(|turn| turn.role == Speaker::User)?.content;
    let shown = turns.iter().map(|turn| &turn.content).chain([&prompt]);
    let shown = shown.map(|text| text.matches("<image>").count()).sum::<usize>();
    let system = (turns.first().is_some_and(|turn| turn.role == Speaker::System)).then(|| turns.remove(0).content);
    let images = images[..shown].to_vec();
    Some(Row { prompt, system, history: turns, images, response: Some(response), ..Row::default() })
}

#[test]
fn marked_templates_mask_as_transformers_does() {
    let expected = expected("expected.json");
    let mut compared = 0;
    for (template, wanted) in expected["masks"].as_object().unwrap() {
        let (folder, processor) = processor(template);
        // 56 × 56 pixels are four tokens; the reference's text has one for each image.
        let image = crate::resize::Rgb { width: 56, height: 56, pixels: vec![9; 56 * 56 * 3] };
        let images = ["a.png", "b.png"].map(|name| folder.path().join(name));
        for path in &images {
            fs::write(path, &crate::image::encode_png(&image)).unwrap();
        }
        let conversations = expected["conversations"].as_array().unwrap();
        for (index, (conversation, wanted)) in conversations.iter().zip(wanted.as_array().unwrap()).enumerate() {
            let Some(row) = row(conversation, &images.clone().map(ImageSource::from)) else { continue };
            if template == "marked_loosely" && !row.images.is_empty() {
                continue;
            }
            let pad = processor.special().image_pad;
            let (mut ids, mut target) = (Vec::new(), Vec::new());
            for (id, said) in numbers(&wanted[0]).into_iter().zip(numbers(&wanted[1])) {
                let times = if id == pad { 4 } else { 1 };
                ids.extend(std::iter::repeat_n(id, times));
                target.extend(std::iter::repeat_n(said == 1, times));
            }
            let found = processor.example(&row).unwrap();
            let end = target.iter().rposition(|&said| said).unwrap() + 1;
            assert_eq!(found.ids, ids[..end], "{template} {index}");
            assert_eq!(found.target, target[..end], "{template} {index}");
            compared += 1;
        }
    }
    assert!(compared >= 12, "{compared}");
}

#[test]
fn plain_templates_mask_every_answer_up_to_its_stop_token() {
    let (_folder, processor) = processor("chatml");
    let turn = |role, content: &str| Turn { role, content: content.into() };
    let row = Row {
        id: "r1".into(),
        system: Some("s".into()),
        history: vec![turn(Speaker::User, "a"), turn(Speaker::Assistant, "b 😀"), turn(Speaker::Tool, "t")],
        prompt: "c".into(),
        response: Some("d".into()),
        ..Row::default()
    };
    let (prompt, example) = (processor.prompt(&row).unwrap(), processor.example(&row).unwrap());
    assert_eq!(example.ids[..prompt.ids.len()], prompt.ids);
    let said: Vec<u32> =
        example.ids.iter().zip(&example.target).filter(|(_, said)| **said).map(|(&id, _)| id).collect();
    assert_eq!(processor.decode(&said, false), "b 😀<|im_end|>d<|im_end|>");
    assert!(example.target.last().unwrap() & !prompt.target.contains(&true));
    let thinking =
        Row { history: vec![turn(Speaker::User, "a"), turn(Speaker::Assistant, "<think>why</think>b")], ..row };
    let error = self::processor("thinking").1.example(&thinking).unwrap_err().to_string();
    assert!(error.starts_with("the chat template writes an earlier answer of row `r1` differently"), "{error}");
}

#[test]
fn added_tokens_get_the_next_ids_and_survive_writing() {
    let (folder, processor) = processor("chatml");
    let rows = processor.vocab_size();
    let tokens = ["<think>", "</think>", "<tool_call>"].map(str::to_owned);
    let added = processor.with_added_tokens(&tokens).unwrap();
    assert_eq!(added.encode("<think>x</think>").unwrap().len(), 3);
    assert_eq!(added.special().think_start, Some(rows as u32));
    assert_eq!((added.vocab_size(), added.missing_rows(rows), added.missing_rows(1000)), (rows + 2, 2, 0));
    added.write_tokenizer(folder.path()).unwrap();
    let read = Processor::open(folder.path()).unwrap();
    let text = "<think>a</think>\n<|im_end|> café";
    assert_eq!(read.encode(text).unwrap(), added.encode(text).unwrap());
    let again = read.with_added_tokens(&tokens).unwrap();
    assert_eq!(again.vocab_size(), rows + 2);
    // A word of the vocabulary keeps its id, and a special token stays special.
    let word = again.encode("end").unwrap();
    let again = again.with_added_tokens(&["end".into(), "<|im_end|>".into()]).unwrap();
    assert_eq!((word.len(), again.vocab_size()), (1, rows + 2));
    assert_eq!(again.encode("xendx").unwrap()[1..2], word);
    assert_eq!(again.decode(&again.encode("a<|im_end|>").unwrap(), true), "a");
    let error = again.with_added_tokens(&[" ".into()]).unwrap_err().to_string();
    assert_eq!(error, "cannot add the token ` ` to the tokenizer: it is blank; name its text");
}
