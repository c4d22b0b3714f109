//! A model's folder → its type: `config.json`, the tokenizer, settings of images, headers of safetensors, the adapter's
//! settings, the licence of its card.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{Outside, Seen, named, origin, settle, tokenizer, unseen, unverified};
use crate::diagnostic::Diagnostic;
use crate::fs;
use crate::hub::Held;
use crate::recipe::{ModelEntry, Span};
use crate::stage::{Adapter, DataView, Fact, Licence, ModelType, Pixels, Said};

/// The embedding's name on the hub, and in files of newer releases.
const EMBEDDINGS: [&str; 2] = ["model.embed_tokens.weight", "model.language_model.embed_tokens.weight"];

/// Looks at a model; none if its source is missing or wrong.
pub(in super::super) fn model(
    entry: &ModelEntry,
    held: &Held,
    disk: &Seen,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Outside<ModelType>> {
    let source = entry.source.as_ref()?;
    let title = format!("models.{}", entry.name.value);
    let (place, files) = origin(&title, &source.value, DataView::default(), held);
    let known = mistakes.len();
    let ty = match &files {
        None => {
            mistakes.push(unverified(&title, source.span, unseen(&source.value), entry.assumes()));
            entry.assume.clone()
        }
        Some(path) => Folder { path, disk, span: source.span, title: &title }.read(entry.assume.clone(), mistakes)?,
    };
    if !mistakes[known..].iter().any(|one| one.code == "model") {
        consistent(&title, &ty, mistakes);
    }
    let sources = vec![named(&title, &place, ty.licences.first().map(|licence| &licence.name))];
    Some(Outside { origin: place, ty: ModelType { sources, ..ty } })
}

/// A model's folder that is there.
struct Folder<'a> {
    path: &'a Path,
    disk: &'a Seen,
    /// Where the recipe names it.
    span: Span,
    title: &'a str,
}

impl Folder<'_> {
    /// Everything that its files say, and `assume` for the rest; none if it is no model.
    fn read(&self, assumed: ModelType, mistakes: &mut Vec<Diagnostic>) -> Option<ModelType> {
        let config = match self.json("config.json") {
            Ok(config) => config,
            Err(cause) => {
                let message = format!("`{}` is no model: its `config.json` can't be read", self.title);
                let help = "a model is a folder with `config.json`, `model.safetensors` and `tokenizer.json`";
                mistakes.push(Diagnostic::error("source", message).at(self.span, cause).help(help));
                return None;
            }
        };
        let seen = self.seen(&config, mistakes);
        let licences = if assumed.licences.is_empty() { seen.licences } else { assumed.licences };
        let title = self.title;
        let number = |what: &'static str| move |number: &usize| format!("{what} {number}");
        let flag = |yes: &'static str, no: &'static str| move |flag: &bool| if *flag { yes } else { no }.to_owned();
        let word = |word: &String| format!("`{word}`");
        let adapter =
            |adapter: &Option<Adapter>| if adapter.is_some() { "it has an adapter" } else { "it has no adapter" };
        // A declared adapter has neither rank nor targets, so only its presence can be compared.
        let declared = match (seen.adapter.get(), assumed.adapter.get()) {
            (Some(is), Some(was)) if is.is_some() == was.is_some() => Fact::default(),
            _ => assumed.adapter,
        };
        Some(ModelType {
            architecture: settle(seen.architecture, assumed.architecture, word, title, mistakes),
            images: settle(seen.images, assumed.images, flag("it reads images", "it reads text only"), title, mistakes),
            max_length: settle(seen.max_length, assumed.max_length, number("positions end at"), title, mistakes),
            tokenizer: seen.tokenizer.or(assumed.tokenizer),
            embedding: settle(seen.embedding, assumed.embedding, number("rows of the embedding:"), title, mistakes),
            tied: settle(
                seen.tied,
                assumed.tied,
                flag("its head is its embedding", "it has a head of its own"),
                title,
                mistakes,
            ),
            template: settle(
                seen.template,
                assumed.template,
                flag("it has a chat template", "it has no chat template"),
                title,
                mistakes,
            ),
            pixels: seen.pixels.or(assumed.pixels),
            adapter: settle(seen.adapter, declared, |one| adapter(one).to_owned(), title, mistakes),
            precision: settle(seen.precision, assumed.precision, word, title, mistakes),
            trained: Fact::default(),
            licences,
            sources: Vec::new(),
        })
    }

    /// What its files say.
    fn seen(&self, config: &Value, mistakes: &mut Vec<Diagnostic>) -> ModelType {
        let text = config.get("text_config");
        let value = |key: &str| config.get(key).filter(|value| !value.is_null()).or_else(|| text?.get(key));
        let number = |key: &str| self.fact("config.json", value(key).and_then(Value::as_u64).map(|n| n as usize));
        let word = |key: &str| self.fact("config.json", value(key).and_then(Value::as_str).map(str::to_owned));
        let mut model = ModelType {
            architecture: word("model_type"),
            images: self.fact("config.json", Some(config.get("vision_config").is_some_and(Value::is_object))),
            max_length: number("max_position_embeddings"),
            embedding: number("vocab_size"),
            tied: self.fact("config.json", value("tie_word_embeddings").and_then(Value::as_bool)),
            pixels: self.pixels(),
            adapter: self.adapter(),
            ..ModelType::default()
        };
        if let Some(method) = value("quantization_config").and_then(|settings| settings["quant_method"].as_str()) {
            model.precision = self.fact("config.json", Some(method.to_uppercase()));
        }
        let template = tokenizer::template(self.path);
        let read = |path: &Path| tokenizer::tokenizer(path).map(Arc::new);
        match &*self.disk.tokenizers.get(self.path, read) {
            Err(cause) => {
                let message = format!("`{}` has no tokenizer: its `tokenizer.json` can't be read", self.title);
                let help =
                    "save the tokenizer in the same folder, as a fast tokenizer: `tokenizer.save_pretrained(FOLDER)`";
                mistakes.push(Diagnostic::error("model", message).at(self.span, cause.as_str()).help(help));
            }
            Ok(tokenizer) => {
                model.template = self.fact("tokenizer_config.json", Some(template.is_some()));
                if let Some(token) = template.as_deref().and_then(|text| tokenizer::foreign_token(text, tokenizer)) {
                    let message = format!("the chat template of `{}` is not made for its tokenizer", self.title);
                    let label =
                        format!("the template writes `{token}`, which `tokenizer.json` does not know as a token");
                    let help = "take the template of the model that the tokenizer comes from, or add the token";
                    mistakes.push(Diagnostic::error("model", message).at(self.span, label).help(help));
                }
                model.tokenizer = self.fact("tokenizer.json", Some(Arc::clone(tokenizer)));
            }
        }
        self.weights(&mut model, mistakes);
        model.licences.extend(self.licence());
        model
    }

    fn fact<T>(&self, file: &'static str, value: Option<T>) -> Fact<T> {
        value.map_or_else(Fact::default, |value| Fact::new(value, Said::At { span: self.span, file }))
    }

    fn json(&self, name: &str) -> Result<Value, String> {
        let text = fs::read_to_string(&self.path.join(name)).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// Reads the same keys as the image processor, in either spelling.
    fn pixels(&self) -> Fact<Option<Pixels>> {
        let files = ["preprocessor_config.json", "processor_config.json"];
        let Some(name) = files.into_iter().find(|name| fs::exists(&self.path.join(name))) else {
            return self.fact(files[0], Some(None));
        };
        let Ok(settings) = self.json(name) else { return Fact::default() };
        let values = settings.get("image_processor").unwrap_or(&settings);
        let bound = |key: &str, edge: &str| {
            let value = values.get(key).filter(|value| !value.is_null()).or_else(|| values.get("size")?.get(edge));
            value.and_then(Value::as_u64).map(|pixels| pixels as usize)
        };
        let (min, max) = (bound("min_pixels", "shortest_edge"), bound("max_pixels", "longest_edge"));
        let pixels = min.zip(max).map(|(min, max)| Pixels { min, max });
        pixels.map_or_else(Fact::default, |pixels| self.fact(name, Some(Some(pixels))))
    }

    fn adapter(&self) -> Fact<Option<Adapter>> {
        const FILE: &str = "adapter_config.json";
        if !fs::exists(&self.path.join(FILE)) {
            return self.fact("config.json", Some(None));
        }
        let settings = self.json(FILE).unwrap_or_default();
        let targets = match &settings["target_modules"] {
            Value::Array(targets) => targets.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
            // A text is a regular expression, or `all-linear`: not a pattern as recipes have them.
            _ => Vec::new(),
        };
        let rank = settings["r"].as_u64().map(|rank| rank as usize);
        self.fact(FILE, Some(Some(Adapter { rank, targets })))
    }

    /// Looks into the header of the file that holds the embedding.
    fn weights(&self, model: &mut ModelType, mistakes: &mut Vec<Diagnostic>) {
        const FILE: &str = "model.safetensors";
        let index = self.json("model.safetensors.index.json").ok();
        let shard = |map: &Value| EMBEDDINGS.iter().find_map(|name| map[*name].as_str().map(str::to_owned));
        let file = index.as_ref().map_or_else(|| Some(FILE.to_owned()), |index| shard(&index["weight_map"]));
        let Some(file) = file else { return };
        let header = match header(&self.path.join(&file)) {
            Ok(header) => header,
            Err(cause) => {
                let message = format!("`{}` has no weights: its `{file}` can't be read", self.title);
                let help = "a model's weights are `model.safetensors`, or shards and `model.safetensors.index.json`";
                mistakes.push(Diagnostic::error("model", message).at(self.span, cause).help(help));
                return;
            }
        };
        let Some(embedding) = EMBEDDINGS.iter().find_map(|name| header.get(*name)) else { return };
        if model.precision.get().is_none() {
            model.precision = self.fact(FILE, embedding["dtype"].as_str().map(str::to_owned));
        }
        if let (Some(rows), Some(said)) = (embedding["shape"][0].as_u64(), model.embedding.get())
            && rows as usize != *said
        {
            let message =
                format!("the embedding of `{}` has {rows} rows, and its `config.json` says {said}", self.title);
            let help =
                "save both with `model.resize_token_embeddings(len(tokenizer))` and `model.save_pretrained(FOLDER)`";
            let label = format!("`{file}` and `config.json` differ");
            mistakes.push(Diagnostic::error("model", message).at(self.span, label).help(help));
        }
        if model.tied.get().is_none() && index.is_none() {
            model.tied = self.fact(FILE, Some(header.get("lm_head.weight").is_none()));
        }
    }

    /// `license:` in the front matter of its card.
    fn licence(&self) -> Option<Licence> {
        let card = fs::read_to_string(&self.path.join("README.md")).ok()?;
        let head = card.strip_prefix("---")?.split_once("\n---")?.0;
        let name = head.lines().find_map(|line| line.strip_prefix("license:"))?.trim().trim_matches(['"', '\'']);
        let said = Said::At { span: self.span, file: "README.md" };
        (!name.is_empty()).then(|| Licence { name: name.to_owned(), said })
    }
}

/// The header of a safetensors file: what is stored under which name, in which format and shape.
fn header(file: &Path) -> Result<Value, String> {
    // The format's own limit.
    const MOST: u64 = 100_000_000;
    let (length, _) = fs::head(file, 8).map_err(|error| error.to_string())?;
    let length = <[u8; 8]>::try_from(length).map_or(u64::MAX, u64::from_le_bytes);
    if length > MOST {
        return Err("it is no safetensors file".to_owned());
    }
    let (bytes, _) = fs::head(file, 8 + length).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes[8..]).map_err(|error| format!("its header is not JSON: {error}"))
}

/// Rules between the parts of one model.
fn consistent(title: &str, model: &ModelType, mistakes: &mut Vec<Diagnostic>) {
    let size = model.tokenizer.get().and_then(|tokenizer| tokenizer.size);
    if let (Some(size), Some(rows)) = (size, model.embedding.get())
        && size > *rows
    {
        let message = format!("`{title}` has {size} tokens, and its embedding {rows} rows: the last tokens have none");
        let help = "resize the embedding where the tokens were added: `model.resize_token_embeddings(len(tokenizer))`";
        let ids = label(model.tokenizer.said(), format!("ids go up to {}", size - 1));
        let rows = label(model.embedding.said(), format!("{rows} rows"));
        mistakes.push(both("model", message, ids, rows).help(help));
    }
    if let Some(Some(pixels)) = model.pixels.get()
        && pixels.min > pixels.max
    {
        let message = format!("no image fits `{title}`: `min_pixels` is above `max_pixels`");
        let ends = label(model.pixels.said(), format!("{} and {}", pixels.min, pixels.max));
        mistakes.push(both("model", message, ends, None).help("swap them"));
    }
}

/// A label, with the file that says it.
fn label(said: &Said, text: String) -> Option<(Span, String)> {
    match said {
        Said::At { span, file: "" } => Some((*span, text)),
        Said::At { span, file } => Some((*span, format!("{text} in `{file}`"))),
        Said::Unsaid | Said::Param(_) => None,
    }
}

/// An error at two ends, which may be two files behind one place.
fn both(code: &'static str, message: String, one: Option<(Span, String)>, two: Option<(Span, String)>) -> Diagnostic {
    let error = Diagnostic::error(code, message);
    match (one, two) {
        (Some((here, first)), Some((there, second))) if here == there => error.at(here, format!("{first}, {second}")),
        (one, two) => one.into_iter().chain(two).fold(error, |error, (span, text)| error.at(span, text)),
    }
}
