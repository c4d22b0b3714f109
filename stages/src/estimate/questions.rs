//! Rows, a chat template and an instruction → tokens and patches of what a model reads. Refuses to know what it does then.

use curricle_engine::stage::{Extent, Length, rough_tokens};

use crate::model::config::{MERGE, PATCH, PATCH_VALUES};
use crate::prompt::Instruction;

/// Tokens around a question and its answer where the template is unknown: the released one's, with its default system turn.
const TEMPLATE: f64 = 21.0;
/// Tokens that open and close an image.
const AROUND: f64 = 2.0;
/// Pixel bounds where the model's are unknown: the released ones.
const BOUNDS: [f64; 2] = [3136.0, 12_845_056.0];
/// Bytes of prepared images that a processor keeps, at most.
const CACHE: f64 = (384_u64 << 20) as f64;
/// Rows that are prepared ahead of their step, and their bytes, at most.
const AHEAD: (f64, f64) = (512.0, (256_u64 << 20) as f64);

/// What a model reads of some rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Questions {
    /// Rows; none if unknown.
    pub rows: Option<f64>,
    /// Tokens before the answer: template, instruction, question, image tokens. None if unknown.
    pub prompt: Option<Length>,
    /// Tokens to learn from.
    pub answer: Option<Length>,
    /// Patches of a row's images.
    pub patches: f64,
    /// Patches of one image.
    pub image: f64,
    /// What is unknown.
    pub notes: Vec<String>,
}

impl Questions {
    /// Of the rows on a port, as a model reads them.
    pub fn of(data: Option<&Extent>, model: &Extent, instruction: Option<&Instruction>) -> Self {
        let nothing = Extent::default();
        let data = data.unwrap_or(&nothing);
        let mut questions = Self { rows: data.rows, answer: data.answer, ..Self::default() };
        let mut note = |text: &str| questions.notes.push(text.to_owned());
        let images = data.images.unwrap_or_else(|| {
            note("whether rows have images is unknown: counted without");
            0.0
        });
        let pixels = data.pixels.unwrap_or_else(|| {
            if images > 0.0 {
                note("the size of images is unknown: counted as none");
            }
            0.0
        });
        if data.prompt.is_none() {
            note("the lengths of rows are unknown");
        }
        let [least, most] = model.pixel_bounds.unwrap_or(BOUNDS);
        let pixels = if pixels > 0.0 { pixels.clamp(least, most) } else { 0.0 };
        questions.image = pixels / (PATCH * PATCH) as f64;
        questions.patches = questions.image * images;
        let image_tokens = questions.patches / (MERGE * MERGE) as f64 + AROUND * images;
        let around = model.template.unwrap_or(TEMPLATE) + instruction.map_or(0.0, |it| rough_tokens(it.text()));
        questions.prompt = data.prompt.map(|prompt| prompt.plus(Length::always(around + image_tokens)));
        questions
    }

    /// Prompt and answer together, none if one is unknown; cut at a limit.
    pub fn examples(&self, limit: f64) -> Option<Length> {
        Some(self.prompt?.plus(self.answer?).cut(limit))
    }

    /// Bytes of prepared images that are there, where this many rows are read in all: those that are kept, and of rows ahead of
    /// their step those that are not.
    pub fn cached(&self, rows: f64) -> f64 {
        let row = self.patches * (PATCH_VALUES * 4) as f64;
        let all = rows.min(self.rows.unwrap_or(rows)) * row;
        if all <= CACHE {
            return all;
        }
        let (most, bytes) = AHEAD;
        CACHE + (1.0 - CACHE / all) * (most.min(rows) * row).min(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_template_instruction_question_and_images() {
        let data = Extent {
            rows: Some(10.0),
            prompt: Length::of(vec![10.0, 20.0, 30.0]),
            answer: Some(Length::always(5.0)),
            images: Some(2.0),
            pixels: Some(84.0 * 84.0),
            ..Extent::default()
        };
        let model = Extent { template: Some(10.0), ..Extent::default() };
        let questions = Questions::of(Some(&data), &model, None);
        // 84 × 84 pixels are 36 patches, 9 tokens.
        assert_eq!((questions.image, questions.patches), (36.0, 72.0));
        let lengths = |length: Length| (length.mean.round() as u64, length.longest().round() as u64);
        assert_eq!(questions.prompt.map(lengths), Some((52, 62)));
        assert_eq!(questions.examples(60.0).map(lengths), Some((57, 60)));
        assert!(questions.notes.is_empty());
        assert!((questions.cached(1e9) - 10.0 * 72.0 * 1176.0 * 4.0).abs() < 1.0);
        // Of 2,720 MB of many rows' images 403 are kept, and 85 % of those of the next 512 rows are not among them.
        let many = Questions { rows: Some(8000.0), ..questions.clone() };
        assert!((many.cached(1e9) - (402.7e6 + (1.0 - 402.7 / 2709.5) * 512.0 * 72.0 * 4704.0)).abs() < 1e6);
        let asked = Questions::of(Some(&data), &model, Some(&Instruction::Text("Think.".into())));
        assert!(asked.prompt.unwrap().mean > 54.0);
    }

    #[test]
    fn images_are_read_within_bounds() {
        let data = Extent { images: Some(1.0), pixels: Some(1e6), ..Extent::default() };
        let model = Extent { pixel_bounds: Some([3136.0, 112_896.0]), ..Extent::default() };
        let image = |data: &Extent| Questions::of(Some(data), &model, None).image.round() as u64;
        assert_eq!(image(&data), 576);
        let small = Extent { pixels: Some(100.0), ..data };
        assert_eq!(image(&small), 16);
    }

    #[test]
    fn what_is_unknown_is_said() {
        let questions = Questions::of(None, &Extent::default(), None);
        assert_eq!((questions.prompt, questions.examples(9.0), questions.notes.len()), (None, None, 2));
    }
}
