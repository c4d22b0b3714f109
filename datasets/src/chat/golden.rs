//! What transformers' `apply_chat_template` writes, from `tests/golden/texts/` (see `tests/golden/texts.py`), and what this
//! crate writes.

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::fs;

fn message(value: &Value) -> Message {
    let roles = ["system", "user", "assistant", "tool"];
    let role = roles.into_iter().find(|role| value["role"] == *role).unwrap();
    let part = |part: &Value| match part["text"].as_str() {
        Some(text) => Part::Text { text: text.to_owned() },
        None => Part::Image,
    };
    let content = match value["content"].as_str() {
        Some(text) => Content::Text(text.to_owned()),
        None => Content::Parts(value["content"].as_array().unwrap().iter().map(part).collect()),
    };
    Message { role, content }
}

#[test]
fn every_template_renders_every_conversation_as_transformers_does() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/texts");
    let expected: Value = serde_json::from_str(&fs::read_text(&dir.join("expected.json")).unwrap()).unwrap();
    let conversations = expected["conversations"].as_array().unwrap();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, wanted) in expected["chats"].as_object().unwrap() {
        let source = fs::read_text(&dir.join(format!("templates/{name}.jinja"))).unwrap();
        // A model folder, so that the tokens that templates name are known.
        let folder = tempfile::tempdir().unwrap();
        fs::write(&folder.path().join("chat_template.jinja"), source.as_bytes()).unwrap();
        let settings = fs::read(&dir.join("tokenizer_config.json")).unwrap();
        fs::write(&folder.path().join("tokenizer_config.json"), &settings).unwrap();
        let template = ChatTemplate::open(folder.path()).unwrap();
        for (index, (conversation, wanted)) in conversations.iter().zip(wanted.as_array().unwrap()).enumerate() {
            let messages: Vec<Message> = conversation.as_array().unwrap().iter().map(message).collect();
            for (open, at) in [(false, 0), (true, 1)] {
                let found = template.render(&messages, open);
                compared += 1;
                if found.as_ref().ok().map(String::as_str) != wanted[at].as_str() {
                    wrong.push(format!("{name} {index} {open}:\n{found:?}\n{}", wanted[at]));
                }
            }
        }
    }
    assert!(compared > 100);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
