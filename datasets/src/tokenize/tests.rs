use super::*;
use crate::bpe::{ProcessorFiles, TINY_IMAGES};
use crate::reference::{Tensors, golden};
use crate::resize::Rgb;

fn model() -> (tempfile::TempDir, Processor) {
    let corpus = ["how many red circles ?", "row 1 has 2 red", "\\boxed{3}"].map(str::to_owned);
    let dir = tempfile::tempdir().unwrap();
    ProcessorFiles::train(&corpus, 512, TINY_IMAGES).unwrap().write(dir.path()).unwrap();
    let image = Rgb { width: 84, height: 84, pixels: vec![128; 84 * 84 * 3] };
    fs::write(&dir.path().join("a.png"), &crate::image::encode_png(&image)).unwrap();
    let processor = Processor::open(dir.path()).unwrap();
    (dir, processor)
}

#[test]
fn targets_are_the_answer_and_the_end_of_its_turn() {
    let (dir, processor) = model();
    let row = Row {
        prompt: "how many red circles ?".into(),
        images: vec![dir.path().join("a.png").into()],
        reasoning: Some("row 1 has 2 red".into()),
        answer: Some("2".into()),
        ..Row::default()
    };
    let (prompt, example) = (processor.prompt(&row).unwrap(), processor.example(&row).unwrap());
    let special = processor.special();
    assert_eq!(example.ids[..prompt.ids.len()], prompt.ids);
    assert_eq!(prompt.ids.iter().filter(|&&id| id == special.image_pad).count(), 9);
    assert_eq!(prompt.images[0].grid, [1, 6, 6]);
    assert!(prompt.target.iter().all(|&target| !target));
    let targets: Vec<u32> = example.ids.iter().zip(&example.target).filter(|(_, t)| **t).map(|(&id, _)| id).collect();
    assert_eq!(targets.len(), example.ids.len() - prompt.ids.len());
    assert_eq!(processor.decode(&targets, false), "<think>row 1 has 2 red</think> \\boxed{2}<|im_end|>");
    assert_eq!(processor.decode(&targets, true), "<think>row 1 has 2 red</think> \\boxed{2}");
    assert!(Arc::ptr_eq(&prompt.images[0], &example.images[0]), "the image is prepared once");
}

#[test]
fn control_ids_are_special_but_not_the_stop_token() {
    let (_dir, processor) = model();
    let (special, control) = (processor.special(), processor.control_ids());
    assert!([special.image_pad, special.pad, special.vision_start].iter().all(|id| control.contains(id)));
    assert!(!control.contains(&special.eos) && !control.contains(&special.think_start.unwrap()));
    assert!(processor.vocab_size() <= 512);
}

#[test]
fn bad_rows_are_named() {
    let (_dir, processor) = model();
    let row = Row { id: "r7".into(), prompt: "x <|image_pad|>".into(), ..Row::default() };
    let message = |result: Result<Encoded, EncodeError>| result.unwrap_err().to_string();
    assert!(message(processor.prompt(&row)).starts_with("row `r7` has 0 images, but its text has 1 image tokens"));
    assert!(message(processor.example(&row)).starts_with("row `r7` has neither `response` nor `answer`"));
}

/// Ids of the reference's batch of three, without the line break that follows the last turn.
#[test]
fn ids_equal_the_reference() {
    let Some(dir) = golden("tiny") else { return };
    let processor = Processor::open(&dir.join("model")).unwrap();
    let tensors = Tensors::open(&dir.join("golden.safetensors"));
    let (ids, mask) = (tensors.i64("batch.input_ids"), tensors.i64("batch.attention_mask"));
    let row = |prompt: &str, response: &str, images: &[&str]| Row {
        prompt: prompt.into(),
        response: Some(response.into()),
        images: images.iter().map(|name| dir.join(name).into()).collect(),
        ..Row::default()
    };
    let rows = [
        row("What is the area of the red circle?", "<think>3 + 4 = 7</think> \\boxed{7}", &["img0_112x84.png"]),
        row("<image>Compare with<image>Which one is wider?", "The second.", &["img1_200x150.png", "img2_333x97.png"]),
        row("What is 12 + 30?", "42", &[]),
    ];
    let length = ids.len() / rows.len();
    for (index, row) in rows.iter().enumerate() {
        let at = index * length..(index + 1) * length;
        let wanted: Vec<u32> = at.filter(|&i| mask[i] == 1).map(|i| ids[i] as u32).collect();
        assert_eq!(processor.example(row).unwrap().ids, wanted[..wanted.len() - 1], "{index}");
    }
    assert_eq!(processor.vocab_size(), 1024);
}
