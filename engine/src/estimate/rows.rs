//! A model's folder or a file of rows → what is [`Extent`] of it, from headers and the beginning of the file. Knows the
//! names of the fields, and refuses to read more than a little.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::picture;
use crate::recipe::Layout;
use crate::stage::{ArtifactKind, DataView, Extent, Length, rough_tokens};
use crate::{fs, rows};

/// Bytes of a file of rows that are read; of a longer one the rest is taken to be like them.
const SAMPLE: u64 = 1 << 20;
/// Images that are opened to see their size.
const IMAGES: usize = 32;
/// What the default system turn of the released chat templates says.
const SYSTEM: &str = "You are a helpful assistant";
/// Tokens that the released template puts around a question and its answer: of the turns, and of the default system turn.
const TURNS: f64 = 10.0;
const SYSTEM_TURN: f64 = 11.0;
/// The same of the turns where the tokenizer is small, and the names of the roles are several tokens.
const TURNS_IN_BITS: f64 = 19.0;
/// Tokenizers with fewer tokens are small.
const SMALL: u64 = 5_000;
/// Tokens of `<think>`, `</think>` and `\boxed{}` around reasoning and answer, and of the last alone.
const THINKING: f64 = 5.0;
const BOXED: f64 = 3.0;

/// What can be seen of files; nothing of files that are not there.
pub(super) fn known(path: &Path, kind: ArtifactKind, view: &DataView) -> Extent {
    match kind {
        ArtifactKind::Model => model(path),
        ArtifactKind::Data => rows(path, view).unwrap_or_default(),
        ArtifactKind::Embeddings | ArtifactKind::Metrics | ArtifactKind::Export | ArtifactKind::Optimizer => {
            Extent::default()
        }
    }
}

fn model(folder: &Path) -> Extent {
    let json = |name: &str| serde_json::from_str::<Value>(&fs::read_to_string(&folder.join(name)).ok()?).ok();
    let pixels = json("preprocessor_config.json")
        .and_then(|settings| Some([settings.get("min_pixels")?.as_f64()?, settings.get("max_pixels")?.as_f64()?]));
    let template = fs::read_to_string(&folder.join("chat_template.jinja")).ok();
    // Adapters are stored in 32 bits; the header of the file is small beside them.
    let config = json("config.json").map(Arc::new);
    let words = config
        .as_deref()
        .and_then(|config| config.get("vocab_size").or_else(|| config.get("text_config")?.get("vocab_size"))?.as_u64());
    let turns = if words.is_some_and(|words| words < SMALL) { TURNS_IN_BITS } else { TURNS };
    let adapter = fs::stamp(&folder.join("adapter_model.safetensors")).ok().map(|stamp| stamp.size / 4);
    Extent {
        config,
        adapter,
        template: template.map(|text| if text.contains(SYSTEM) { turns + SYSTEM_TURN } else { turns }),
        pixel_bounds: pixels,
        ..Extent::default()
    }
}

fn rows(path: &Path, view: &DataView) -> Option<Extent> {
    let head = rows::head(path, view.files.as_deref(), SAMPLE).ok()??;
    let share = view.split.as_ref().and_then(|split| view.splits.get(split)).copied().unwrap_or(1.0);
    // A limit counts rows of the split.
    let most = view.limit.map_or(usize::MAX, |limit| (limit as f64 / share).ceil() as usize);
    let all = head.total;
    let mut seen = Seen::default();
    for row in head.rows.iter().take(most) {
        seen.add(row, view, &head.folder);
    }
    let count = seen.prompts.len() as f64;
    let (prompt, example) = (Length::of(seen.prompts)?, Length::of(seen.examples)?);
    Some(Extent {
        rows: all.map(|all| (all * share).round().min(view.limit.map_or(f64::INFINITY, |limit| limit as f64))),
        prompt: Some(prompt),
        // Long answers need not follow long prompts: together they are as long as whole rows.
        answer: Some(example.minus(prompt)),
        images: Some(seen.images / count),
        pixels: (!seen.pixels.is_empty()).then(|| seen.pixels.iter().sum::<f64>() / seen.pixels.len() as f64),
        ..Extent::default()
    })
}

/// What was seen of rows.
#[derive(Default)]
struct Seen {
    prompts: Vec<f64>,
    /// Prompts with their answers.
    examples: Vec<f64>,
    images: f64,
    /// Images that were opened, whatever came of it.
    opened: usize,
    pixels: Vec<f64>,
}

impl Seen {
    fn add(&mut self, row: &Map<String, Value>, view: &DataView, folder: &Path) {
        let field = |name: &str| {
            let columns = view.columns_of(name);
            columns.iter().filter_map(|column| row.get(*column)).find(|value| !value.is_null())
        };
        let tokens = |name: &str| field(name).map_or(0.0, tokens_of);
        let (mut prompt, mut answer) = (tokens("prompt") + tokens("system") + tokens("choices"), tokens("response"));
        if view.layout.as_deref() == Some("alpaca") {
            prompt += tokens("input");
        }
        if answer == 0.0 {
            let (reasoning, given) = (tokens("reasoning"), tokens("answer"));
            let gsm8k = view.layout.as_deref().and_then(Layout::named).is_some_and(|layout| layout.marker().is_some());
            answer = match (reasoning > 0.0 || view.answer_marker.is_some() || gsm8k, given > 0.0) {
                (_, false) => 0.0,
                (true, true) => reasoning + given + THINKING,
                (false, true) => given + BOXED,
            };
        }
        if prompt == 0.0 {
            let turns = field("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let (last, before) = turns.split_last().map_or((None, turns), |(last, before)| (Some(last), before));
            let of = |turn: &Value| turn.get("content").or_else(|| turn.get("value")).map_or(0.0, tokens_of);
            prompt = before.iter().map(of).sum();
            answer = last.map_or(0.0, of);
        }
        self.prompts.push(prompt);
        self.examples.push(prompt + answer);
        for image in images(field("images")) {
            self.images += 1.0;
            let Some(image) = image.as_str().or_else(|| image.get("path")?.as_str()) else { continue };
            self.opened += 1;
            if self.opened <= IMAGES
                && let Ok((bytes, _)) = fs::head(&folder.join(image), picture::ENOUGH)
                && let Some((width, height)) = picture::size(&bytes)
            {
                self.pixels.push(f64::from(width) * f64::from(height));
            }
        }
    }
}

/// Tokens of a text, or of all texts of a list.
fn tokens_of(value: &Value) -> f64 {
    match value {
        Value::String(text) => rough_tokens(text),
        Value::Array(items) => items.iter().map(tokens_of).sum(),
        Value::Object(part) => part.get("text").map_or(0.0, tokens_of),
        Value::Number(number) => rough_tokens(&number.to_string()),
        Value::Null | Value::Bool(_) => 0.0,
    }
}

/// One image or several. Of those that came with the row only the number is known.
fn images(field: Option<&Value>) -> &[Value] {
    match field {
        None | Some(Value::Null) => &[],
        Some(Value::Array(several)) => several,
        Some(one) => std::slice::from_ref(one),
    }
}
