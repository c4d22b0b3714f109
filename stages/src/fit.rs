//! Do a stage's model, rows and parameters fit each other? Rules that several kinds share, on types alone: nothing is read
//! here, and what is not known is not judged.

use curricle_engine::diagnostic::Severity;
use curricle_engine::stage::{DataType, Fact, Known, ModelType, PortTypes, Problems};

use crate::model::config::{MERGE, MODEL_TYPE, PATCH};
use crate::model::lora;
use crate::train::freeze::Part;

/// Tokens without which no prompt can be written.
const NEEDED: [&str; 4] = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"];
/// Number formats that weights can be read in, as safetensors and torch spell them.
const FORMATS: [&str; 6] = ["F32", "F16", "BF16", "FLOAT32", "FLOAT16", "BFLOAT16"];

/// The model on `port` is one that can be read here.
pub fn readable(port: &str, inputs: &PortTypes, problems: &mut Problems) {
    let Some(model) = inputs.model(port) else { return };
    if let Some(architecture) = model.architecture.get().filter(|architecture| *architecture != MODEL_TYPE) {
        let help = format!("use a `{MODEL_TYPE}`, such as Qwen2.5-VL-3B-Instruct");
        problems.input(port, format!("is a `{architecture}`, and only `{MODEL_TYPE}` can be computed"), help);
        problems.see(&model.architecture, format!("`model_type` is `{architecture}`"));
        if let Some(own) = inputs.model("model").filter(|_| port != "model") {
            problems.see(&own.architecture, "the model that is trained");
        }
    }
    if let Some(format) = model.precision.get().filter(|format| !FORMATS.contains(&format.as_str())) {
        let help = "use the release in bf16: a quantised model can't be trained";
        problems.input(port, format!("has weights in `{format}`, which can't be read"), help);
        problems.see(&model.precision, format!("stored as `{format}`"));
    }
}

/// The model on `port` can be talked to: it has a chat template, and a tokenizer with the tokens of the architecture.
pub fn speaks(port: &str, inputs: &PortTypes, problems: &mut Problems) {
    let Some(model) = inputs.model(port) else { return };
    if model.template.is(&false) {
        let help =
            "save the processor beside the weights: `processor.save_pretrained(FOLDER)`; base models often have none";
        problems.input(port, "has no chat template, so no prompt can be written", help);
        problems.see(&model.template, "no `chat_template` here");
    }
    let lost = |token: &&str| model.tokenizer.get().is_some_and(|known| known.find(token) == Known::Missing);
    if let Some(token) = NEEDED.into_iter().find(lost).filter(|_| !is_foreign(model)) {
        let help = "take the tokenizer of the model that this one was made from";
        problems.input(port, format!("has a tokenizer without `{token}`, which its architecture needs"), help);
        problems.see(&model.tokenizer, format!("`{token}` is not among its tokens"));
    }
}

fn is_foreign(model: &ModelType) -> bool {
    model.architecture.get().is_some_and(|architecture| architecture != MODEL_TYPE)
}

/// Rows with images need a model that reads them, and that says how large it wants them.
pub fn images(port: &str, inputs: &PortTypes, problems: &mut Problems) {
    let (Some(data), Some(model)) = (inputs.data(port), inputs.model("model")) else { return };
    if !data.images.is(&true) || is_foreign(model) {
        return;
    }
    if model.images.is(&false) {
        problems.input(port, "has rows with images, and the model reads text only", "use rows without images");
        problems.see(&model.images, "reads text only");
        problems.see(&data.images, "rows with images");
    } else if model.pixels.is(&None) {
        let help = "save the processor beside the weights: `processor.save_pretrained(FOLDER)`";
        let message = "has rows with images, and the model does not say how large it wants them: its bounds will be those of \
                       Qwen2.5-VL, up to 16384 tokens an image";
        problems.input(port, message, help);
        problems.only(Severity::Warning);
        problems.see(&model.pixels, "no settings for images here");
        problems.see(&data.images, "rows with images");
    }
}

/// Tokens that an image of these rows takes: at least, and at most.
fn image_tokens(data: &DataType, model: &ModelType) -> Option<(usize, usize)> {
    let bounds = (*model.pixels.get()?)?;
    let side = PATCH * MERGE;
    let pixels = data.image_pixels.get().map(|pixels| pixels.clamp(&bounds.min, &bounds.max));
    let [least, most] = [pixels.unwrap_or(&bounds.min), pixels.unwrap_or(&bounds.max)];
    data.images.is(&true).then_some((least / (side * side), most / (side * side)))
}

/// What rows of `port` take of `limit` positions, of which `rest` are taken already: reported at the parameter `path`.
fn room(
    port: &str,
    path: &str,
    rest: usize,
    limit: (usize, &Fact<usize>),
    inputs: &PortTypes,
    problems: &mut Problems,
) {
    let (Some(data), Some(model)) = (inputs.data(port), inputs.model("model")) else { return };
    let (positions, said) = limit;
    let and = if rest > 0 { format!(" and {rest} new ones") } else { String::new() };
    let say = |problems: &mut Problems| {
        problems.see(said, format!("positions end at {positions}"));
    };
    if let Some(prompt) = data.prompt_tokens.get().filter(|prompt| *prompt + rest > positions) {
        let message = format!("does not fit: prompts of {prompt} tokens{and} are more than {positions}");
        problems.param(path, message, "leave out the longest rows, or shorten the completions");
        problems.see(&data.prompt_tokens, format!("prompts of up to {prompt} tokens"));
        say(problems);
    } else if let Some((least, most)) = image_tokens(data, model) {
        let (tokens, bound) = if least + rest >= positions { (least, "at least") } else { (most, "up to") };
        if tokens + rest >= positions {
            let message =
                format!("leaves no room for the words: an image takes {bound} {tokens} tokens of {positions}");
            problems.param(path, message, "bound the images: `max_pixels` is 784 times the tokens that one may take");
            if bound == "up to" {
                problems.only(Severity::Warning);
            }
            problems.see(&model.pixels, format!("an image takes {bound} {tokens} tokens"));
            say(problems);
        }
    }
}

/// A prompt with its images and a completion fit the model's positions together.
pub fn completion(max_new_tokens: usize, inputs: &PortTypes, problems: &mut Problems) {
    let Some(model) = inputs.model("model") else { return };
    let Some(limit) = model.max_length.get().copied() else { return };
    if max_new_tokens >= limit {
        let message = format!("{max_new_tokens} leave no room for the prompt: the model's positions end at {limit}");
        problems.param("max_new_tokens", message, "");
        problems.see(&model.max_length, format!("positions end at {limit}"));
        return;
    }
    room("data", "max_new_tokens", max_new_tokens, (limit, &model.max_length), inputs, problems);
}

/// Rows to learn from, at most `max_length` tokens each, fit the model's positions; `whole` where longer ones are neither cut
/// nor left out.
pub fn length(port: &str, max_length: Option<usize>, whole: bool, inputs: &PortTypes, problems: &mut Problems) {
    let Some(model) = inputs.model("model") else { return };
    let limit = model.max_length.get().copied();
    if let (Some(wanted), Some(limit), "data") = (max_length, limit, port)
        && wanted > limit
    {
        problems.param("max_length", format!("{wanted} is too long: the model's positions end at {limit}"), "");
        problems.see(&model.max_length, format!("positions end at {limit}"));
    } else if let Some(length) = max_length.or(limit).filter(|_| whole) {
        let said = if max_length.is_some() { &Fact::default() } else { &model.max_length };
        room(port, "max_length", 0, (length, said), inputs, problems);
    }
}

/// Rows that are asked and judged have prompts and answers.
pub fn questions(inputs: &PortTypes, problems: &mut Problems) {
    let Some(data) = inputs.data("data") else { return };
    for (column, why) in [("prompt", "to ask"), ("answer", "to judge completions by")] {
        lacks(data, "data", &[column], why, problems);
    }
}

/// Reports rows that have none of these fields.
pub fn lacks(data: &DataType, port: &str, fields: &[&str], why: &str, problems: &mut Problems) {
    let Some(columns) = data.columns.get() else { return };
    if fields.iter().any(|field| columns.contains(*field)) {
        return;
    }
    let none = fields.iter().map(|field| format!("no `{field}`")).collect::<Vec<_>>().join(" and ");
    let help = format!("name its column, `columns = {{ {} = \"…\" }}`, or take other rows", fields[0]);
    problems.input(port, format!("rows have {none} {why}"), help);
    problems.see(&data.columns, format!("rows have {}", listed(columns)));
}

fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Something of this very model learns when these parts are frozen, and each of them is there to be frozen.
pub fn frozen(frozen: &[Part], inputs: &PortTypes, problems: &mut Problems) {
    let Some(model) = inputs.model("model").filter(|model| !is_foreign(model)) else { return };
    for (index, part) in frozen.iter().enumerate() {
        if matches!(part, Part::Vision | Part::Merger) && model.images.is(&false) {
            let help = "leave it out";
            problems.param(format!("freeze[{index}]"), "freezes nothing: the model has no vision tower", help);
            problems.see(&model.images, "reads text only");
        }
        if *part == Part::Head && model.tied.is(&true) && !frozen.contains(&Part::Embed) {
            let help = "freeze `embed`, or leave it out";
            problems.warn(format!("freeze[{index}]"), "freezes nothing: the model's head is its embedding", help);
            problems.see(&model.tied, "`tie_word_embeddings`");
        }
    }
    let tied = Part::ALL.iter().filter(|part| **part != Part::Head).all(|part| frozen.contains(part));
    if tied && model.tied.is(&true) && !frozen.contains(&Part::Head) {
        let help = "leave out the part to train";
        problems.param(
            "freeze",
            "every part of the model is frozen: its head is its embedding, so nothing would learn",
            help,
        );
        problems.see(&model.tied, "`tie_word_embeddings`");
    }
    if let Some(Some(adapter)) = model.adapter.get()
        && !adapter.targets.is_empty()
        && !lora::reaches(&adapter.targets, frozen)
    {
        let help = "leave the adapter's part out of `freeze`, or `merge` the adapter and train another";
        problems.param("freeze", "freezes every layer that has an adapter, and with an adapter only it learns", help);
        problems.see(&model.adapter, format!("an adapter of {}", listed(&adapter.targets)));
    }
}
