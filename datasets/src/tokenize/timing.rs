//! What encoding a row costs, against finding it in memory and reading it back from a disk.

use std::hint::black_box;
use std::time::Instant;

use super::*;
use crate::image::ImageSource;
use crate::reference;
use crate::rows::{self, RowsView};

/// Microseconds of each of `count` calls, on average.
fn each(count: usize, mut call: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    (0..count).for_each(&mut call);
    start.elapsed().as_secs_f64() * 1e6 / count as f64
}

#[test]
#[expect(clippy::print_stderr, reason = "the measurement is the result")]
#[ignore = "a benchmark: `cargo test --release -p curricle-datasets -- --ignored --nocapture bench_encoding`"]
fn bench_encoding() {
    let (Some(real), Some(data)) = (reference::tokenizer("qwen2_5_vl"), reference::data()) else { return };
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
    let columns = [("prompt", "question"), ("answer", "answer")].map(|(ours, theirs)| (ours.into(), theirs.into()));
    let view = RowsView { columns: columns.into(), limit: Some(2000), ..RowsView::default() };
    let rows = rows::load(&data.join("text/gsm8k_train.jsonl"), &view).unwrap();
    let mut tokens = 0;
    let mut encode = || each(rows.len(), |row| tokens = processor.example(&rows[row]).unwrap().ids.len());
    let (made, found) = (encode(), encode());
    let entry = |row: usize| folder.path().join(format!("{row}.tokens"));
    (0..rows.len()).for_each(|row| fs::write(&entry(row), &vec![1; 5 * 250]).unwrap());
    let read = each(rows.len(), |row| {
        black_box(blake3::hash(&fs::read(&entry(row)).unwrap()));
    });
    eprintln!("a row of GSM8K: {made:.0} µs to encode, {found:.1} µs from memory, {read:.1} µs to read and verify");

    let images = fs::files_in(&data.join("mm/puzzlevqa/img336")).unwrap();
    let images: Vec<ImageSource> = images.into_iter().take(200).map(ImageSource::from).collect();
    let mut prepared = Vec::new();
    let made = each(images.len(), |image| prepared.push(processor.image_config().open(&images[image]).unwrap()));
    let keep = |image: usize| drop(processor.cache.image(&images[image], processor.image_config()).unwrap());
    each(100, keep);
    let found = each(100, keep);
    let entry = |image: usize| folder.path().join(format!("{image}.patches"));
    for (index, image) in prepared.iter().enumerate() {
        let bytes: Vec<u8> = image.patches.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(&entry(index), &bytes).unwrap();
    }
    let mut patches = Vec::new();
    let read = each(images.len(), |image| {
        let bytes = fs::read(&entry(image)).unwrap();
        black_box(blake3::hash(&bytes));
        patches = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    });
    eprintln!(
        "an image of PuzzleVQA: {:.2} ms to prepare, {:.3} ms from memory, {:.2} ms to read {} kB of patches and verify them",
        made / 1e3,
        found / 1e3,
        read / 1e3,
        size_of_val(&patches[..]) / 1000
    );
}
