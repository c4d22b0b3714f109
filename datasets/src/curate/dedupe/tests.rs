//! Rows that are the same, and rows that only look like it; by hand, and by chance against an oracle.

use rand::Rng;
use rand::seq::SliceRandom;

use super::*;
use crate::resize::Rgb;
use crate::{RowsView, fs, image, rows, synth};

const NEAR: Near = Near { threshold: 0.7, words: 2, permutations: 256, same_numbers: true };
const RULES: Rules = Rules { exact: true, near: Some(NEAR), images: Images::WithText };

fn row(id: &str, prompt: &str) -> Row {
    Row { id: id.into(), prompt: prompt.into(), ..Row::default() }
}

fn repeats(rules: Rules, rows: &[Row]) -> Vec<Option<(u32, Reason)>> {
    let mut dedupe = Dedupe::new(rules);
    for rows in rows.chunks(3) {
        dedupe.see(rows);
    }
    dedupe.repeats().into_iter().map(|repeat| repeat.map(|repeat| (repeat.of, repeat.reason))).collect()
}

/// Fields of all tones, another picture for each seed.
fn picture(width: usize, seed: usize, jitter: u8) -> Rgb {
    let value = |x: usize, y: usize, colour: usize| {
        let cell = (x * 8 / width + 1) * (y * 8 / width + 3) * (seed * 31 + 7) + colour * 50;
        (cell * 73 % 200) as u8 + jitter * ((x + y) % 2) as u8
    };
    let pixels =
        (0..width).flat_map(|y| (0..width).flat_map(move |x| [0, 1, 2].map(|colour| value(x, y, colour)))).collect();
    Rgb { width, height: width, pixels }
}

fn shown(dir: &std::path::Path, id: &str, prompt: &str, picture: &Rgb) -> Row {
    let path = dir.join(format!("{id}.png"));
    fs::write(&path, &image::encode_png(picture)).unwrap();
    Row { images: vec![path.into()], ..row(id, prompt) }
}

#[test]
fn texts_by_hand() {
    let text = "one two three four five six seven eight nine ten and 11";
    let rows = [
        row("0", text),
        row("1", "What is 2 + 3?"),
        row("2", "WHAT is  2 + 3"),
        row("3", "What is 2 - 3?"),
        row("4", &format!("{text} apples")),
        row("5", &text.replace("11", "12")),
        row("6", "quite something else, with nothing in common"),
        row("7", ""),
        row("8", " "),
    ];
    let exact = Some((1, Reason::Exact));
    let empty = Some((7, Reason::Exact));
    let near = Some((0, Reason::Near));
    assert_eq!(repeats(RULES, &rows), [None, None, exact, None, near, None, None, None, empty]);
    let templates = Rules { near: Some(Near { same_numbers: false, ..NEAR }), ..RULES };
    assert_eq!(repeats(templates, &rows)[5], near, "only the number differs");
    let exact_only = Rules { near: None, ..RULES };
    assert_eq!(repeats(exact_only, &rows), [None, None, exact, None, None, None, None, None, empty]);
}

#[test]
fn earlier_turns_belong_to_the_text() {
    let turn = |content: &str| crate::Turn { role: crate::Speaker::User, content: content.into() };
    let rows = [
        Row { history: vec![turn("About cats.")], ..row("a", "How many are there?") },
        Row { history: vec![turn("About dogs, quite another animal.")], ..row("b", "How many are there?") },
        row("c", "How many are there?"),
    ];
    assert_eq!(repeats(RULES, &rows), [None, None, None]);
}

/// The same question about drawings of one kind, which differ in the numbers written into them.
#[test]
fn a_figure_with_other_numbers_is_another() {
    let dir = tempfile::tempdir().unwrap();
    let entry = synth::Entry {
        name: "perimeter".to_owned(),
        task: synth::task("perimeter").unwrap(),
        weight: 1.0,
        levels: vec![2, 3, 4],
        reasoning: 0.0,
        instruction: None,
    };
    let spec = synth::Spec { entries: vec![entry], rows: 200, seed: 5, set: "rows".to_owned() };
    let made = synth::generate(&spec, &crate::leak::Taken::default()).unwrap();
    synth::write(dir.path(), &made, 168, &mut |_| true).unwrap();
    let rows = rows::load(dir.path(), &RowsView::default()).unwrap();
    let mut dedupe = Dedupe::new(RULES);
    dedupe.see(&rows);
    let wrong = dedupe.repeats().into_iter().enumerate().filter_map(|(at, repeat)| {
        let of = &rows[repeat?.of as usize];
        (of.answer != rows[at].answer).then(|| format!("{} {}", of.id, rows[at].id))
    });
    let wrong: Vec<String> = wrong.collect();
    // One digit beside a drawing of this size may be too little to see.
    assert!(wrong.len() * 100 <= rows.len(), "{wrong:?}");
}

#[test]
fn images_make_rows_differ_and_re_encoding_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let of = |id: &str, prompt: &str, picture: &Rgb| shown(dir.path(), id, prompt, picture);
    let rows = [
        of("0", "How many?", &picture(64, 1, 0)),
        of("1", "How many?", &picture(64, 2, 0)),
        of("2", "How many?", &picture(96, 1, 3)),
        row("3", "How many?"),
        of("4", "Which colour is it?", &picture(64, 1, 0)),
        Row { images: vec![dir.path().join("absent.png").into()], ..row("5", "How many?") },
        Row { images: vec![dir.path().join("absent.png").into()], ..row("6", "How many?") },
    ];
    let same = Some((0, Reason::Exact));
    assert_eq!(repeats(RULES, &rows), [None, None, same, None, None, None, None]);
    let alone = Rules { images: Images::Alone, ..RULES };
    assert_eq!(repeats(alone, &rows), [None, None, same, None, Some((0, Reason::Image)), None, None]);
    let ignored = Rules { images: Images::Ignore, ..RULES };
    assert_eq!(repeats(ignored, &rows), [None, same, same, same, None, same, same]);
}

#[test]
fn a_chain_of_small_changes_makes_strangers_no_row() {
    let text = |from: usize| (from..from + 40).map(|at| format!("w{at} ")).collect::<Vec<_>>().concat();
    // Each shares 36 of 40 words with the one before it; the first and the last share none.
    let rows: Vec<Row> = (0..11).map(|at| row(&at.to_string(), &text(at * 4))).collect();
    let rules = Rules { near: Some(Near { same_numbers: false, ..NEAR }), ..RULES };
    let found = repeats(rules, &rows);
    assert!(found[10].is_none_or(|(of, _)| of > 5), "{found:?}");
    assert!(found.iter().filter(|found| found.is_none()).count() >= 3, "{found:?}");
}

/// Against every pair compared with sets of runs: what is clearly over the threshold is found, what is clearly under it is not.
#[test]
fn estimates_agree_with_sets_where_they_are_clear() {
    let mut rng = crate::shuffle::stream(&["dedupe-test"]);
    let words: Vec<String> = (0..400)
        .map(|at| format!("w{}", char::from_u32('a' as u32 + at % 26).unwrap()).repeat(1 + at as usize / 26))
        .collect();
    let mut rows: Vec<Row> = Vec::new();
    for at in 0..300 {
        let copied = rng.random::<f64>() < 0.5 && !rows.is_empty();
        let mut text: Vec<String> = if copied {
            rows[rng.random_range(0..rows.len())].prompt.split(' ').map(str::to_owned).collect()
        } else {
            (0..40).map(|_| words[rng.random_range(0..words.len())].clone()).collect()
        };
        for _ in 0..rng.random_range(0..12) {
            let place = rng.random_range(0..text.len());
            text[place] = words[rng.random_range(0..words.len())].clone();
        }
        rows.push(row(&at.to_string(), &text.join(" ")));
    }
    let sets: Vec<std::collections::BTreeSet<(&str, &str)>> = rows
        .iter()
        .map(|row| {
            let words: Vec<&str> = row.prompt.split(' ').collect();
            words.windows(2).map(|pair| (pair[0], pair[1])).collect()
        })
        .collect();
    let jaccard = |a: usize, b: usize| {
        let both = sets[a].intersection(&sets[b]).count() as f64;
        both / (sets[a].len() + sets[b].len()) as f64 / (1.0 - both / (sets[a].len() + sets[b].len()) as f64)
    };
    let found = repeats(RULES, &rows);
    let mut clear = 0;
    for at in 0..rows.len() {
        let kept = (0..at).filter(|before| found[*before].is_none());
        let most = kept.map(|before| jaccard(before, at)).fold(0.0, f64::max);
        match found[at] {
            Some((of, _)) => assert!(jaccard(of as usize, at) > 0.6, "{at} of {of}: {}", jaccard(of as usize, at)),
            None => assert!(most < 0.8, "{at}: {most}"),
        }
        clear += usize::from(!(0.6..0.8).contains(&most));
    }
    assert!(clear > 200 && found.iter().flatten().count() > 30);
}

#[test]
fn the_result_depends_on_the_rows_alone_and_how_many_stay_not_on_their_order() {
    let mut rows: Vec<Row> = (0..200)
        .map(|at| row(&at.to_string(), &format!("question about thing {} of kind {}", at % 40, at % 40)))
        .collect();
    let first = repeats(RULES, &rows);
    assert_eq!(first, repeats(RULES, &rows));
    assert_eq!(first.iter().filter(|found| found.is_none()).count(), 40);
    rows.shuffle(&mut crate::shuffle::stream(&["dedupe-order"]));
    assert_eq!(repeats(RULES, &rows).iter().filter(|found| found.is_none()).count(), 40);
}
