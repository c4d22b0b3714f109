//! Pairs that are the same, and pairs that only look like it.

use std::path::Path;

use crate::fs;
use crate::image;
use crate::resize::Rgb;

use super::*;

fn row(id: &str, prompt: &str) -> Row {
    Row { id: id.into(), prompt: prompt.into(), ..Row::default() }
}

fn found(learned: &[Row], kept: &[Row]) -> Vec<(String, String, Same)> {
    let pairs = search(learned, kept, true, &mut Looks::default());
    pairs.into_iter().map(|pair| (pair.learned, pair.kept, pair.same)).collect()
}

/// Stripes of a width, drawn on a slope: no two of them look alike.
fn picture(width: usize, height: usize, seed: usize) -> Rgb {
    let value = |x: usize, y: usize| {
        let (x, y) = (x * 64 / width, y * 64 / height);
        ((x / 4 * (seed * 37 + 11) + y / 4 * (seed * 53 + 29)) * 97 % 251) as u8
    };
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [value(x, y); 3])).collect();
    Rgb { width, height, pixels }
}

fn with_image(dir: &Path, id: &str, image: &Rgb) -> Row {
    let path = dir.join(format!("{id}.png"));
    fs::write(&path, &image::encode_png(image)).unwrap();
    Row { images: vec![path.into()], ..row(id, "How many stripes are there?") }
}

#[test]
fn items_and_groups_are_found_whatever_their_marks_and_case() {
    let learned = [row("a", "What is 2 + 3?"), Row { group: Some("g".into()), ..row("b", "Left.") }];
    let kept = [
        row("x", "what is 2, 3"),
        row("a", "Another text under the same id"),
        Row { group: Some("g".into()), ..row("y", "Right.") },
        row("z", "What is 2 + 4?"),
        row("w", "?"),
    ];
    let expected = [("a", "x", Same::Item), ("b", "y", Same::Group)];
    assert_eq!(found(&learned, &kept), expected.map(|(a, b, same)| (a.to_owned(), b.to_owned(), same)));
    assert_eq!(search(&learned, &kept, false, &mut Looks::default()).len(), 1, "groups of two sources");
}

#[test]
fn long_runs_of_words_tell_and_instructions_do_not() {
    let text = "a farmer walks from his barn to the mill and back again each morning with two heavy sacks of grain";
    let advice = "first think about the reasoning process as a monologue and then provide the final answer in a box";
    let learned = [row("a", &format!("Long ago, {text}. How many? {advice}")), row("b", &format!("Count. {advice}"))];
    let mut kept: Vec<_> =
        (0..8).map(|at| row(&format!("k{at}"), &format!("Question number {at}. {advice}"))).collect();
    assert!(found(&learned, &kept).is_empty(), "they share the advice alone");
    kept.push(row("same", &format!("{text}. How far does he walk? {advice}")));
    let pairs = search(&learned, &kept, true, &mut Looks::default());
    assert_eq!(pairs.len(), 1);
    assert_eq!((pairs[0].learned.as_str(), pairs[0].kept.as_str(), pairs[0].same), ("a", "same", Same::Text));
    assert!(pairs[0].shown.starts_with("a farmer walks"), "{}", pairs[0].shown);
}

#[test]
fn images_are_the_same_by_bytes_and_by_looks_and_equal_questions_about_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let learned = [with_image(dir, "a", &picture(64, 64, 1)), with_image(dir, "b", &picture(96, 96, 2))];
    let mut noisy = picture(192, 192, 2);
    for (at, value) in noisy.pixels.iter_mut().enumerate() {
        *value = value.saturating_add((at % 2) as u8);
    }
    let kept = [
        with_image(dir, "copy", &picture(64, 64, 1)),
        with_image(dir, "larger", &noisy),
        with_image(dir, "other", &picture(64, 64, 3)),
        with_image(dir, "blank", &Rgb { width: 40, height: 40, pixels: vec![255; 4800] }),
    ];
    let expected = [("a", "copy", Same::Image), ("b", "larger", Same::Look)];
    assert_eq!(found(&learned, &kept), expected.map(|(a, b, same)| (a.to_owned(), b.to_owned(), same)));
}

#[test]
fn an_image_that_many_kept_rows_share_shows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let learned = [with_image(dir, "a", &picture(64, 64, 1))];
    let kept: Vec<_> = (0..4).map(|at| with_image(dir, &format!("k{at}"), &picture(64, 64, 1))).collect();
    assert!(found(&learned, &kept).is_empty());
    assert_eq!(found(&learned, &kept[..2]).len(), 2);
}
