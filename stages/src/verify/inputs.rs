//! What goes into the model: pictures → pixels, chats → text → tokens, tokens → positions; and the batches of the fixtures.

use std::path::Path;
use std::sync::Arc;

use curricle_datasets::chat::{ChatTemplate, Content, Message, Part};
use curricle_datasets::{Encoded, ImagePatches, Processor};
use serde_json::Value;

use super::VerifyError;
use super::report::Quantity;
use super::sheet::{Difference, Sheet, Stop, Subject, plain};
use crate::model::config::{MERGE, PATCH_VALUES};
use crate::model::sizes::Sizes;
use crate::model::{Batch, Padding};

/// Most patches along an axis; beyond it a grid is damage.
const LONGEST: i64 = 1 << 16;

/// A padded batch of the fixtures.
pub(super) struct Inputs {
    /// The rows without their padding.
    pub rows: Vec<Encoded>,
    /// Tokens per row, padding included.
    pub width: usize,
    /// Which tokens are not padding, `[B·T]`.
    pub real: Vec<bool>,
    padding: Padding,
    pad: u32,
}

impl Inputs {
    /// Reads `{prefix}.input_ids` and what belongs to it; pictures may be those of `batch`.
    pub fn read(subject: &Subject, prefix: &str) -> Result<Self, Stop> {
        let (fixtures, config) = (&subject.fixtures, &subject.config);
        let name = format!("{prefix}.input_ids");
        let (shape, ids) = fixtures.ints(&name)?;
        let &[rows, width] = shape else {
            return Err(fixtures.wrong(&name, format!("has shape {shape:?}, expected rows and tokens")).into());
        };
        if let Some(id) = ids.iter().find(|&&id| !(0..config.text.vocab_size as i64).contains(&id)) {
            let why = format!("holds {id}, the checkpoint has {} words", config.text.vocab_size);
            return Err(fixtures.wrong(&name, why).into());
        }
        let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
        let real: Vec<bool> = match fixtures.ints(&format!("{prefix}.attention_mask")) {
            Ok((mask_shape, mask)) if mask_shape == shape => mask.iter().map(|&seen| seen != 0).collect(),
            Ok(_) => return Err(fixtures.wrong(&format!("{prefix}.attention_mask"), "has another shape").into()),
            Err(Stop::Absent(_)) => vec![true; ids.len()],
            Err(fatal) => return Err(fatal),
        };
        let padding = padding(&real, width).map_err(|why| fixtures.wrong(&name, why))?;
        let pad = real.iter().position(|real| !real).map(|at| ids[at]).or(config.tokens.pad).unwrap_or(0);

        let mut images = pictures(subject, prefix)?.into_iter();
        let mut found = Vec::with_capacity(rows);
        for (ids, real) in ids.chunks_exact(width).zip(real.chunks_exact(width)) {
            let ids: Vec<u32> = ids.iter().zip(real).filter(|(_, real)| **real).map(|(id, _)| *id).collect();
            let (mut own, mut rest) = (Vec::new(), &ids[..]);
            while let Some(start) = rest.iter().position(|&id| id == config.tokens.image) {
                let image = images.next().filter(|image| {
                    let run = rest.get(start..start + image.tokens()).unwrap_or_default();
                    !run.is_empty() && run.iter().all(|&id| id == config.tokens.image)
                });
                let image = image.ok_or_else(|| {
                    fixtures.wrong(&name, format!("has image tokens in row {} that are no image's", found.len()))
                })?;
                rest = &rest[start + image.tokens()..];
                own.push(image);
            }
            found.push(Encoded { target: vec![false; ids.len()], ids, images: own });
        }
        if images.next().is_some() {
            return Err(fixtures.wrong(&name, "has no tokens for the last image").into());
        }
        Ok(Self { rows: found, width, real, padding, pad })
    }

    /// The rows as one batch, padded as the fixtures are.
    pub fn batch(&self, subject: &Subject) -> Batch {
        let rows: Vec<&Encoded> = self.rows.iter().collect();
        Batch::sized(&rows, self.padding, self.pad, Sizes::Exact, &subject.config, &subject.device)
    }

    /// Name of token `index` of `[B·T]`.
    pub fn token(&self, index: usize) -> String {
        format!("row {}, token {}", index / self.width, index % self.width)
    }
}

/// The side on which rows are padded; whichever if none is.
fn padding(real: &[bool], width: usize) -> Result<Padding, &'static str> {
    let rows: Vec<&[bool]> = real.chunks_exact(width.max(1)).collect();
    if rows.is_empty() || !rows.iter().any(|row| row.iter().all(|&real| real)) {
        return Err("has no row without padding; the batch is wider than its longest row");
    }
    let left = |row: &&[bool]| row.is_sorted() && row[width - 1];
    let right = |row: &&[bool]| row.is_sorted_by(|a, b| a >= b) && row[0];
    if rows.iter().all(left) {
        Ok(Padding::Left)
    } else if rows.iter().all(right) {
        Ok(Padding::Right)
    } else {
        Err("has rows with padding on different sides, or with holes, or empty")
    }
}

/// The images of a batch: its own, or those of `batch`, whose pixels may be given by reference to `proc.*`.
fn pictures(subject: &Subject, prefix: &str) -> Result<Vec<Arc<ImagePatches>>, Stop> {
    let fixtures = &subject.fixtures;
    let own = format!("{prefix}.image_grid_thw");
    let prefix = if fixtures.has(&own) { prefix } else { "batch" };
    let name = format!("{prefix}.image_grid_thw");
    if !fixtures.has(&name) {
        return Ok(Vec::new());
    }
    let (shape, grids) = fixtures.ints(&name)?;
    let even = |side: &i64| (1..LONGEST).contains(side) && (*side as usize).is_multiple_of(MERGE);
    let fit = |grid: &[i64]| (1..LONGEST).contains(&grid[0]) && grid[1..].iter().all(even);
    if shape.len() != 2 || shape[1] != 3 || !grids.chunks_exact(3).all(fit) {
        return Err(fixtures.wrong(&name, "is not a list of frames, rows and columns of patches").into());
    }
    let grids = grids.chunks_exact(3).map(|grid| [grid[0] as usize, grid[1] as usize, grid[2] as usize]);
    let name = format!("{prefix}.pixel_values");
    let pixels: Vec<f32> = if fixtures.has(&name) {
        fixtures.floats(&name)?.1.to_vec()
    } else {
        let Ok(shown) = fixtures.fact("batch_images") else { return Err(Stop::Absent(format!("`{name}`"))) };
        let shown = serde_json::from_value::<Vec<usize>>(shown.clone())
            .map_err(|_| fixtures.odd("batch_images", "is not a list of numbers of pictures"))?;
        let mut pixels = Vec::new();
        for index in shown {
            pixels.extend_from_slice(fixtures.floats(&format!("proc.{index}.pixel_values"))?.1);
        }
        pixels
    };
    let (mut images, mut rest) = (Vec::new(), &pixels[..]);
    for grid in grids {
        let Some((patches, after)) = rest.split_at_checked(grid.iter().product::<usize>() * PATCH_VALUES) else {
            return Err(fixtures.wrong(&name, "has fewer values than the grids ask for").into());
        };
        rest = after;
        images.push(Arc::new(ImagePatches { grid, patches: patches.to_vec() }));
    }
    if rest.is_empty() {
        Ok(images)
    } else {
        Err(fixtures.wrong(&name, "has more values than the grids ask for").into())
    }
}

/// What the checkpoint's processor makes of pictures and chats.
pub(super) fn compare_files(
    subject: &Subject,
    folder: &Path,
    batch: Result<&Inputs, &str>,
    sheet: &mut Sheet,
) -> Result<(), VerifyError> {
    let processor = if folder.join("tokenizer.json").is_file() {
        Ok(Processor::open(folder).map_err(|error| VerifyError::Checkpoint(error.to_string()))?)
    } else {
        Err("`tokenizer.json` in the checkpoint's folder")
    };
    let processor = processor.as_ref().map_err(|missing| *missing);
    let (grids, pixels) = match processor.map_err(Stop::from).and_then(|processor| images(subject, processor)) {
        Ok((grids, pixels)) => (Ok(grids), Ok(pixels)),
        Err(Stop::Absent(missing)) => (Err(Stop::Absent(missing.clone())), Err(Stop::Absent(missing))),
        Err(Stop::Fatal(error)) => return Err(error),
    };
    sheet.enter(Quantity::Grids, grids)?;
    sheet.enter(Quantity::Pixels, pixels)?;
    sheet.enter(Quantity::ChatText, processor.map_err(Stop::from).and_then(|_| chats(subject, folder)))?;
    let ids = || tokens(subject, processor?, batch?);
    sheet.enter(Quantity::TokenIds, ids())
}

/// Grids and pixels of the pictures, from their files.
fn images(subject: &Subject, processor: &Processor) -> Result<(Difference, Difference), Stop> {
    let fixtures = &subject.fixtures;
    let (mut grids, mut pixels, mut index) = (Difference::none(), Difference::none(), 0);
    while fixtures.has(&format!("proc.{index}.pixel_values")) {
        let (_, theirs) = fixtures.floats(&format!("proc.{index}.pixel_values"))?;
        let ours = processor.image_config().open(&fixtures.picture(index)?.into());
        let ours = ours.map_err(|error| VerifyError::Checkpoint(error.to_string()))?;
        let (_, grid) = fixtures.ints(&format!("proc.{index}.grid_thw"))?;
        let found: Vec<i64> = ours.grid.iter().map(|&side| side as i64).collect();
        let name = |_| format!("image {index}");
        grids = grids.and(Difference::unequal(&found, grid, name));
        pixels = pixels.or(if ours.patches.len() == theirs.len() {
            Difference::of(&ours.patches, theirs, plain, |_| true, name)
        } else {
            Difference { largest: f64::INFINITY, entries: theirs.len(), at: name(0) }
        });
        index += 1;
    }
    if index == 0 { Err(Stop::Absent("`proc.0.pixel_values`".to_owned())) } else { Ok((grids, pixels)) }
}

/// The rendered chats; their turns are in `messages`, or read off the texts.
fn chats(subject: &Subject, folder: &Path) -> Result<Difference, Stop> {
    let texts = texts(subject)?;
    let template = ChatTemplate::open(folder).map_err(|error| VerifyError::Checkpoint(error.to_string()))?;
    let odd = || subject.fixtures.odd("messages", "is not a list of chats with `role` and `content`");
    let chats: Vec<Vec<Message>> = match subject.fixtures.fact("messages") {
        Ok(chats) => chats
            .as_array()
            .filter(|chats| chats.len() == texts.len())
            .and_then(|chats| chats.iter().map(|chat| chat.as_array()?.iter().map(turn).collect()).collect())
            .ok_or_else(odd)?,
        Err(_) => texts
            .iter()
            .map(|text| turns_of(text))
            .collect::<Option<_>>()
            .ok_or_else(|| Stop::Absent("`messages` in `golden.json`".to_owned()))?,
    };
    let mut ours = Vec::new();
    for chat in &chats {
        let text = template.render(chat, false).map_err(|error| VerifyError::Checkpoint(error.to_string()))?;
        ours.push(text);
    }
    Ok(Difference::unequal(&ours, &texts, |index| format!("row {index}")))
}

fn texts(subject: &Subject) -> Result<Vec<String>, Stop> {
    let texts = serde_json::from_value(subject.fixtures.fact("texts")?.clone());
    texts.map_err(|_| subject.fixtures.odd("texts", "is not a list of texts").into())
}

fn role(name: &str) -> Option<&'static str> {
    ["system", "user", "assistant"].into_iter().find(|role| *role == name)
}

/// A turn as chat templates take it.
fn turn(value: &Value) -> Option<Message> {
    let part = |part: &Value| match part["type"].as_str()? {
        "image" => Some(Part::Image),
        "text" => Some(Part::Text { text: part["text"].as_str()?.to_owned() }),
        _ => None,
    };
    let content = match &value["content"] {
        Value::String(text) => Content::Text(text.clone()),
        Value::Array(parts) => Content::Parts(parts.iter().map(part).collect::<Option<_>>()?),
        _ => return None,
    };
    Some(Message { role: role(value["role"].as_str()?)?, content })
}

/// The turns of a text in `ChatML`.
fn turns_of(text: &str) -> Option<Vec<Message>> {
    let mut turns = Vec::new();
    for turn in text.strip_prefix("<|im_start|>")?.split("<|im_start|>") {
        let (name, content) = turn.strip_suffix("<|im_end|>\n")?.split_once('\n')?;
        let mut parts = Vec::new();
        for (index, said) in content.split("<|vision_start|><|image_pad|><|vision_end|>").enumerate() {
            if index > 0 {
                parts.push(Part::Image);
            }
            if !said.is_empty() {
                parts.push(Part::Text { text: said.to_owned() });
            }
        }
        turns.push(Message { role: role(name)?, content: Content::Parts(parts) });
    }
    Some(turns)
}

/// Tokens of the texts, each image token repeated as often as its image has tokens.
fn tokens(subject: &Subject, processor: &Processor, batch: &Inputs) -> Result<Difference, Stop> {
    let texts = texts(subject)?;
    if texts.len() != batch.rows.len() {
        return Err(subject.fixtures.odd("texts", "has not as many texts as `batch.input_ids` has rows").into());
    }
    let mut found = Difference::none();
    for (index, (text, row)) in texts.iter().zip(&batch.rows).enumerate() {
        let ids = processor.encode(text).map_err(|error| VerifyError::Checkpoint(error.to_string()))?;
        let mut images = row.images.iter();
        let times = |id: u32| {
            if id == processor.special().image_pad { images.next().map_or(1, |image| image.tokens()) } else { 1 }
        };
        let repeats: Vec<usize> = ids.iter().copied().map(times).collect();
        let ours: Vec<u32> =
            ids.into_iter().zip(repeats).flat_map(|(id, times)| std::iter::repeat_n(id, times)).collect();
        found = found.and(Difference::unequal(&ours, &row.ids, |at| format!("row {index}, token {at}")));
    }
    Ok(found)
}

/// Where the tokens of the batch stand.
pub(super) fn compare_positions(
    subject: &Subject,
    inputs: Result<&Inputs, &str>,
    sheet: &mut Sheet,
) -> Result<(), VerifyError> {
    let batch = inputs.map(|inputs| inputs.batch(subject));
    let batch = batch.as_ref().map_err(|missing| *missing);
    let positions = || {
        let (inputs, batch) = (inputs?, batch?);
        let theirs = subject.fixtures.ints("batch.position_ids")?;
        let tokens = batch.ids.len();
        if theirs.0 != [3, batch.rows, batch.width] {
            let why = format!("has shape {:?}, expected {:?}", theirs.0, [3, batch.rows, batch.width]);
            return Err(subject.fixtures.wrong("batch.position_ids", why).into());
        }
        // What padding gets differs between releases, and nothing sees it.
        let real: Vec<usize> = (0..tokens).filter(|&token| inputs.real[token]).collect();
        let ours: Vec<_> = real.iter().map(|&token| batch.positions[token]).collect();
        let theirs: Vec<_> = real.iter().map(|&token| [0, 1, 2].map(|axis| theirs.1[axis * tokens + token])).collect();
        Ok(Difference::unequal(&ours, &theirs, |index| inputs.token(real[index])))
    };
    sheet.enter(Quantity::Positions, positions())?;
    let deltas = || {
        let (_, theirs) = subject.fixtures.ints("batch.rope_deltas")?;
        Ok(Difference::unequal(&batch?.deltas, theirs, |row| format!("row {row}")))
    };
    sheet.enter(Quantity::Deltas, deltas())
}

#[cfg(test)]
mod tests {
    use super::{Padding, padding, turns_of};

    #[test]
    fn the_side_of_the_padding() {
        let (yes, no) = (true, false);
        assert_eq!(padding(&[yes, yes, no, yes], 2), Ok(Padding::Left));
        assert_eq!(padding(&[yes, yes, yes, no], 2), Ok(Padding::Right));
        assert!(padding(&[yes, yes, yes, yes, no, yes, yes, no, yes], 3).is_err());
        assert!(padding(&[no, yes, no, yes], 2).is_err());
        assert!(padding(&[yes, yes, no, no], 2).is_err());
        assert!(padding(&[], 0).is_err());
    }

    #[test]
    fn turns_are_read_off_a_text() {
        let text = "<|im_start|>user\na<|vision_start|><|image_pad|><|vision_end|><|im_end|>\n<|im_start|>assistant\n<|im_end|>\n";
        let turns = turns_of(text).unwrap();
        assert_eq!(turns.iter().map(|turn| turn.role).collect::<Vec<_>>(), ["user", "assistant"]);
        assert!(turns_of("Hello").is_none());
        assert!(turns_of("<|im_start|>tool\n<|im_end|>\n").is_none());
    }
}
