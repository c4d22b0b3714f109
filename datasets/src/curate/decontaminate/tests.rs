//! Rows that are in a kept set, and rows that only look like it; and twenty planted leaks, of which it is said which are found.

use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

use super::*;
use crate::image::{self, ImageSource};
use crate::resize::{self, Rgb};
use crate::synth;
use crate::{RowsView, fs, rows};

const RULES: Rules = Rules { run: 13, share: 0.5, numbers: Some(0.6), images: true, groups: false };

fn row(id: &str, prompt: &str) -> Row {
    Row { id: id.into(), prompt: prompt.into(), ..Row::default() }
}

fn judge(rules: Rules, kept: &[Row], row: &Row) -> Option<(String, Reason)> {
    Index::new(&[kept.to_vec()], rules).judge(row).found.map(|found| (found.kept, found.reason))
}

const LONG: &str = "a farmer walks from his barn to the mill and back again each morning with two heavy sacks of grain";

#[test]
fn each_sign_by_hand() {
    let kept = [
        row("t", "What is 2 + 3?"),
        row("l", &format!("{LONG}. How far does he walk?")),
        row("n", "Natalia sold clips to 48 of her friends in April, and then 24 in May. How many did she sell?"),
        Row { group: Some("g".into()), ..row("g", "Something of a group") },
        row("s", "Which planet has the most moons"),
    ];
    let of =
        |prompt: &str| judge(RULES, &kept, &row("r", prompt)).map(|(kept, reason)| format!("{kept} {}", reason.name()));
    let found = |text: &str| Some(text.to_owned());
    assert_eq!(of("what is 2 + 3"), found("t text"));
    assert_eq!(of("What is 2 - 3?"), None, "another question");
    assert_eq!(of(&format!("Long ago, {LONG}. How often?")), found("l words"));
    assert_eq!(of("a farmer walks from his barn to the mill"), None, "a run is longer");
    assert_eq!(
        of("In May 24 clips, in April 48: how many clips did Natalia sell to her friends in both?"),
        found("n numbers")
    );
    assert_eq!(of("48 men dig 24 holes."), None, "the same numbers, and no common words");
    assert_eq!(of("Tell me: which planet has the most moons, and why?"), found("s words"), "a short prompt as a whole");
    let grouped = Row { group: Some("g".into()), ..row("r", "Quite another text") };
    assert_eq!(judge(RULES, &kept, &grouped), None);
    assert_eq!(judge(Rules { groups: true, ..RULES }, &kept, &grouped), Some(("g".into(), Reason::Group)));
    assert_eq!(judge(Rules { numbers: None, ..RULES }, &kept, &row("r", "48 24 Natalia sold clips to friends")), None);
}

#[test]
fn one_run_is_enough_where_the_recipe_says_so() {
    let kept =
        [row("l", &format!("{LONG}. {}", "and so it goes on for many more words that nobody else says ".repeat(4)))];
    let part = row("r", &LONG[..LONG.len() - 20]);
    assert_eq!(judge(RULES, &kept, &part), None, "less than half");
    assert_eq!(judge(Rules { share: 0.0, ..RULES }, &kept, &part), Some(("l".into(), Reason::Words)));
    assert_eq!(judge(Rules { share: 0.0, ..RULES }, &kept, &row("r", "nothing of it")), None);
    let share = Index::new(&[kept.to_vec()], RULES).judge(&part).share;
    assert!(share > 0.1 && share < 0.5, "{share}");
}

#[test]
fn what_many_kept_rows_say_shows_nothing() {
    let advice = "first think about the reasoning process as a monologue and then provide the final answer in a box";
    let kept: Vec<_> = (0..8).map(|at| row(&format!("k{at}"), &format!("Question number {at}. {advice}"))).collect();
    assert_eq!(judge(RULES, &kept, &row("r", &format!("Count the birds. {advice}"))), None);
}

#[test]
fn histograms_have_no_share_beyond_their_ends() {
    let bars = histogram([0.0, 0.05, 0.1, 0.99, 1.0].into_iter());
    assert_eq!(bars, [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
}

/// Evaluation rows and rows to learn from, without an item in common.
fn sets(dir: &std::path::Path) -> (Vec<Row>, Vec<Row>) {
    let entry = |name: &str| synth::Entry {
        name: name.to_owned(),
        task: synth::task(name).unwrap(),
        weight: 1.0,
        levels: vec![2, 3, 4],
        reasoning: 0.0,
        instruction: None,
    };
    let mut taken = crate::leak::Taken::default();
    let mut make = |set: &str, count: usize| {
        let entries = ["word", "bar-value", "count", "perimeter"].map(entry).to_vec();
        let spec = synth::Spec { entries, rows: count, seed: 11, set: set.to_owned() };
        let made = synth::generate(&spec, &taken).unwrap();
        taken.add(made.iter().map(|one| &one.row));
        let folder = dir.join(set);
        synth::write(&folder, &made, 168, &mut |_| true).unwrap();
        rows::load(&folder, &RowsView::default()).unwrap()
    };
    (make("eval", 120), make("train", 800))
}

/// As JPEG, of another size.
fn re_encoded(image: &Rgb, quality: u8) -> Vec<u8> {
    let small = resize::bicubic(image.clone(), image.width * 4 / 5, image.height * 4 / 5);
    compress(&small.pixels, small.width, small.height, PixelFormat::Rgb, quality, Subsampling::S420).unwrap()
}

/// Without a tenth at each side.
fn cropped(image: &Rgb) -> Vec<u8> {
    let (left, width) = (image.width / 10, image.width * 8 / 10);
    let rows = (left..left + width).flat_map(|y| {
        let start = 3 * (y * image.width + left);
        image.pixels[start..start + 3 * width].to_vec()
    });
    image::encode_png(&Rgb { width, height: width, pixels: rows.collect() })
}

/// The same question in other words, with its numbers: sentences change places, and some words give way to others.
fn paraphrased(prompt: &str) -> String {
    let mut sentences: Vec<&str> =
        prompt.split_inclusive(['.', '?']).map(str::trim).filter(|s| !s.is_empty()).collect();
    sentences.rotate_right(1);
    sentences.join(" ").replace("How many", "What number of").replace(" has ", " owns ").replace(" and ", ", then ")
}

#[test]
fn of_twenty_planted_leaks_the_exact_and_the_re_encoded_are_all_found() {
    let dir = tempfile::tempdir().unwrap();
    let (eval, mut train) = sets(dir.path());
    let text: Vec<&Row> = eval.iter().filter(|row| row.images.is_empty()).take(10).collect();
    let shown: Vec<&Row> = eval.iter().filter(|row| !row.images.is_empty()).take(10).collect();
    let pixels = |row: &Row| image::decode(&row.images[0]).unwrap();
    let with_image = |id: String, bytes: Vec<u8>| {
        let path = dir.path().join(format!("planted-{id}"));
        fs::write(&path, &bytes).unwrap();
        // Another question about it, so that the image alone can tell.
        Row { images: vec![ImageSource::Path(path)], ..row(&id, "Describe what you see here.") }
    };
    let mut planted: Vec<(&str, Row)> = Vec::new();
    for (at, eval) in text[..5].iter().enumerate() {
        planted.push(("exact", row(&format!("exact{at}"), &eval.prompt)));
    }
    for (at, eval) in text[5..].iter().enumerate() {
        planted.push(("paraphrased", row(&format!("paraphrased{at}"), &paraphrased(&eval.prompt))));
    }
    for (at, eval) in shown[..5].iter().enumerate() {
        let bytes = re_encoded(&pixels(eval), [95, 85, 75, 60, 50][at]);
        planted.push(("re-encoded", with_image(format!("reencoded{at}"), bytes)));
    }
    for (at, eval) in shown[5..].iter().enumerate() {
        planted.push(("cropped", with_image(format!("cropped{at}"), cropped(&pixels(eval)))));
    }
    assert_eq!(planted.len(), 20);
    let index = Index::new(std::slice::from_ref(&eval), RULES);
    let mut by_chance: BTreeMap<&str, usize> = BTreeMap::new();
    for found in train.iter().filter_map(|row| index.judge(row).found) {
        *by_chance.entry(found.reason.name()).or_default() += 1;
    }
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for (kind, row) in &planted {
        *found.entry(kind).or_default() += usize::from(index.judge(row).found.is_some());
    }
    train.extend(planted.into_iter().map(|(_, row)| row));
    assert_eq!((found["exact"], found["re-encoded"]), (5, 5), "{found:?}");
    assert_eq!(found["paraphrased"], 5, "{found:?}: numbers and most words are the same");
    assert_eq!(found["cropped"], 0, "{found:?}: a cropped image is another image here; say so where it changes");
    // Rows made by few templates, with small numbers and small drawings, are where these signs are least sure.
    assert!(by_chance.values().sum::<usize>() * 50 <= train.len(), "of {} rows: {by_chance:?}", train.len());
    assert_eq!(by_chance.get("text"), None, "{by_chance:?}: no item is in both");
}
