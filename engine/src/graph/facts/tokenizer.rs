//! `tokenizer.json` → the ids of its tokens, and the chat template beside it. Skips merges and everything else.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::fs;
use crate::stage::{Known, Tokenizer, Vocabulary};

#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<Added>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    vocab: Ids,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

/// Ids by text: an object of them, or a list of `[text, score]` where the place is the id.
#[derive(Default)]
struct Ids(HashMap<String, u32>);

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Ids;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ids, A::Error> {
                let mut ids = HashMap::new();
                while let Some((token, id)) = map.next_entry()? {
                    ids.insert(token, id);
                }
                Ok(Ids(ids))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ids, A::Error> {
                let mut ids = HashMap::new();
                while let Some((token, _)) = list.next_element::<(String, IgnoredAny)>()? {
                    ids.insert(token, ids.len() as u32);
                }
                Ok(Ids(ids))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// Reads a model folder's tokenizer.
pub(super) fn tokenizer(folder: &Path) -> Result<Tokenizer, String> {
    let text = fs::read_to_string(&folder.join("tokenizer.json")).map_err(|error| error.to_string())?;
    let file: File = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let added: BTreeMap<_, _> = file.added_tokens.into_iter().map(|added| (added.content, Some(added.id))).collect();
    let highest = file.model.vocab.0.values().chain(added.values().flatten()).max();
    let size = Some(highest.map_or(0, |id| *id as usize + 1));
    let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
    let base = Some(Arc::new(Vocabulary { ids: file.model.vocab.0, digest }));
    Ok(Tokenizer { base, added, all_added: true, size })
}

/// A model folder's chat template; none where there is none, or only several named ones without a default.
pub(super) fn template(folder: &Path) -> Option<String> {
    let read = |name: &str| fs::read_to_string(&folder.join(name)).ok();
    if let Some(template) = read("chat_template.jinja") {
        return Some(template);
    }
    ["chat_template.json", "tokenizer_config.json"].iter().find_map(|name| {
        let settings: Value = serde_json::from_str(&read(name)?).ok()?;
        match &settings["chat_template"] {
            Value::String(template) => Some(template.clone()),
            Value::Array(named) => {
                let default = named.iter().find(|one| one["name"] == "default")?;
                default["template"].as_str().map(str::to_owned)
            }
            _ => None,
        }
    })
}

/// The first `<|…|>` that a template writes and the tokenizer does not know as a token.
pub(super) fn foreign_token<'a>(template: &'a str, tokenizer: &Tokenizer) -> Option<&'a str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    template.match_indices("<|").find_map(|(start, _)| {
        let name = &template[start + 2..];
        let end = name.find(|c| !word(c)).filter(|end| *end > 0 && name[*end..].starts_with("|>"))?;
        let token = &template[start..start + 2 + end + 2];
        (tokenizer.find(token) == Known::Missing).then_some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vocabularies_are_objects_or_lists() {
        let ids = |text: &str| serde_json::from_str::<Model>(text).unwrap().vocab.0;
        assert_eq!(
            ids(r#"{"vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]}"#),
            ids(r#"{"vocab": [["a", 0], ["b", -1.5]]}"#)
        );
        assert!(ids("{}").is_empty());
    }

    #[test]
    fn a_template_may_write_only_tokens_that_there_are() {
        let base = Some(Arc::new(Vocabulary { ids: HashMap::new(), digest: String::new() }));
        let tokenizer = Tokenizer { base, ..Tokenizer::default() }.with(&["<|im_start|>".into()]);
        let template = "{{ a <|im_start|> b <| c |> <||> <|im_end|> <|eot|> }}";
        assert_eq!(foreign_token(template, &tokenizer), Some("<|im_end|>"));
        assert_eq!(foreign_token("<|im_start|>", &tokenizer), None);
    }
}
