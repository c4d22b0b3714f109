use std::collections::BTreeSet;

use super::item::Says;
use super::*;
use crate::leak::Taken;
use crate::shuffle::stream;

fn entry(name: &str, levels: &[u8]) -> Entry {
    let task = task(name).unwrap();
    Entry { name: name.into(), task, weight: 1.0, levels: levels.to_vec(), reasoning: 1.0, instruction: None }
}

fn spec(entries: Vec<Entry>, rows: usize, set: &str) -> Spec {
    Spec { entries, rows, seed: 5, set: set.into() }
}

fn everything(rows: usize, set: &str) -> Spec {
    spec(TASKS.iter().map(|task| entry(task.name, &[1, 2, 3, 4, 5])).collect(), rows, set)
}

fn items() -> impl Iterator<Item = (&'static Task, u8, Item)> {
    TASKS.iter().flat_map(|task| {
        LEVELS.flat_map(move |level| {
            let mut rng = stream(&["test", task.name, &level.to_string()]);
            (0..100).map(|_| (task, level, (task.make)(level, &mut rng))).collect::<Vec<_>>()
        })
    })
}

/// Value of sums, differences, products and quotients of whole numbers, products first.
fn value(text: &str) -> Option<i64> {
    if let Some((left, right)) = text.rsplit_once(['+', '-']) {
        let sign = text.as_bytes()[left.len()];
        return Some(if sign == b'+' { value(left)? + value(right)? } else { value(left)? - value(right)? });
    }
    if let Some((left, right)) = text.rsplit_once(['*', '/']) {
        let sign = text.as_bytes()[left.len()];
        return Some(if sign == b'*' { value(left)? * value(right)? } else { value(left)? / value(right)? });
    }
    text.parse().ok()
}

#[test]
fn every_written_step_is_true_and_leads_to_the_answer() {
    for (task, level, item) in items() {
        let Says::Answer { reasoning, answer } = &item.says else { continue };
        let place = format!("{} {level}: {} → {reasoning} → {answer}", task.name, item.prompt);
        for step in reasoning.split([' ', ',']).filter(|step| step.contains(['=', '<', '>'])) {
            let at = step.find(['=', '<', '>']).unwrap();
            let (left, right) = (value(&step[..at]).expect(&place), value(&step[at + 1..]).expect(&place));
            let holds = match step.as_bytes()[at] {
                b'=' => left == right,
                b'<' => left < right,
                _ => left > right,
            };
            assert!(holds, "{place}");
        }
        let tail = reasoning.rsplit([' ', '=', '<', '>']).next().unwrap();
        // Questions for a name end with the number or place that decides; all others with the answer itself.
        if !["more", "compare", "relate", "bar-tallest"].contains(&task.name) {
            assert_eq!(tail, answer, "{place}");
        }
        if task.name == "arithmetic" {
            let asked = item.prompt.trim_start_matches("What is ").trim_end_matches('?');
            assert_eq!(value(asked), answer.parse().ok(), "{place}");
        }
        if task.name == "compare" {
            let (word, list) =
                item.prompt.trim_start_matches("What is the ").trim_end_matches('?').split_once(" of ").unwrap();
            let values = list.split(", ").map(|term| value(term).unwrap());
            let best = if word == "largest" { values.max() } else { values.min() };
            assert_eq!(best, answer.parse().ok(), "{place}");
        }
    }
}

#[test]
fn words_are_few_and_reasoning_is_short() {
    let mut words = BTreeSet::new();
    for (task, level, item) in items() {
        let says = match &item.says {
            Says::Answer { reasoning, answer } => {
                let characters = reasoning.chars().filter(|c| !c.is_alphabetic() && *c != ' ').count();
                let tokens = reasoning.split_whitespace().count() + characters;
                assert!(tokens <= 40, "{} {level}: {tokens} {reasoning}", task.name);
                format!("{reasoning} {answer}")
            }
            Says::Text(text) => text.clone(),
        };
        let text = format!("{} {says}", item.prompt);
        words.extend(text.split(|c: char| !c.is_alphabetic()).map(str::to_owned));
        assert_eq!((item.scene.is_some(), matches!(item.says, Says::Answer { .. })), (task.images, task.answers));
    }
    assert!(words.len() < 120, "{}: {words:?}", words.len());
}

#[test]
fn answers_are_spread() {
    for (name, most) in [("count", 0.4), ("more", 0.4), ("bar-tallest", 0.6), ("relate", 0.25), ("arithmetic", 0.2)] {
        let made = generate(&spec(vec![entry(name, &[1, 2])], 300, "train"), &Taken::default()).unwrap();
        let mut answers: Vec<String> = made.into_iter().filter_map(|one| one.row.answer).collect();
        answers.sort();
        let modal = answers.chunk_by(|a, b| a == b).map(<[String]>::len).max().unwrap();
        assert!((modal as f64) < most * 300.0, "{name}: the commonest answer takes {modal} of 300");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = |seed| {
        let dir = tempfile::tempdir().unwrap();
        let made = generate(&Spec { seed, ..everything(60, "train") }, &Taken::default()).unwrap();
        assert!(write(dir.path(), &made, 84, &mut |_| true).unwrap());
        let mut files = crate::fs::files_in(&dir.path().join("images")).unwrap();
        files.push(dir.path().join("rows.jsonl"));
        let bytes: Vec<_> = files
            .iter()
            .map(|file| (file.file_name().map(ToOwned::to_owned), crate::fs::read(file).unwrap()))
            .collect();
        assert_eq!(crate::rows::load(dir.path(), &crate::rows::RowsView::default()).unwrap().len(), 60);
        bytes
    };
    let first = folder(5);
    assert!(first == folder(5) && first != folder(6));
}

/// Digests of pixels and rows, written down so that neither a dependency nor an edit changes them unseen.
#[test]
fn rows_and_drawings_are_the_recorded_ones() {
    let made = generate(&everything(140, "train"), &Taken::default()).unwrap();
    let mut hasher = blake3::Hasher::new();
    for one in &made {
        hasher.update(serde_json::to_string(&one.row).unwrap().as_bytes());
        if let Some(scene) = &one.scene {
            hasher.update(&scene.draw(84).into_image().pixels);
        }
    }
    assert_eq!(hasher.finalize().to_hex()[..16], *"ae4b9a233b9095dc");
}

#[test]
fn no_question_or_drawing_is_in_two_splits() {
    let rows = |made: Vec<Made>| made.into_iter().map(|one| one.row).collect::<Vec<_>>();
    let test = rows(generate(&everything(140, "test"), &Taken::default()).unwrap());
    let mut taken = Taken::default();
    taken.add(&test);
    let train = rows(generate(&everything(1400, "train"), &taken).unwrap());
    let ids: BTreeSet<_> = train.iter().chain(&test).map(|row| &row.id).collect();
    assert_eq!(ids.len(), 1540);
    let groups: BTreeSet<_> = train.iter().map(|row| &row.group).collect();
    assert!(test.iter().all(|row| !groups.contains(&row.group)));
    // Without `taken` the two sets would meet: the test above can fail.
    let loose = rows(generate(&everything(1400, "train"), &Taken::default()).unwrap());
    assert!(loose.iter().any(|row| taken.holds(row)));
}

#[test]
fn weights_levels_and_reasoning_shares_hold() {
    let mut entries = vec![entry("arithmetic", &[2, 3]), entry("count", &[1])];
    (entries[0].weight, entries[0].reasoning, entries[0].instruction) = (3.0, 0.5, Some("Think.".into()));
    let made = generate(&spec(entries, 400, "train"), &Taken::default()).unwrap();
    let (text, images): (Vec<_>, Vec<_>) = made.iter().partition(|one| one.scene.is_none());
    assert_eq!((text.len(), images.len()), (300, 100));
    assert!(text.iter().all(|one| one.row.prompt.ends_with("? Think.") && one.row.level != Some(1)));
    let written = text.iter().filter(|one| one.row.reasoning.is_some()).count();
    assert!((110..190).contains(&written), "{written}");
}

/// Thousands of rows of the easy levels, as a curriculum takes them.
#[test]
fn the_easy_levels_are_large() {
    for name in ["arithmetic", "word", "count", "more", "relate"] {
        let made = generate(&spec(vec![entry(name, &[1, 2])], 4000, "train"), &Taken::default());
        assert_eq!(made.map(|rows| rows.len()).map_err(|error| error.to_string()), Ok(4000));
    }
}

#[test]
fn a_task_that_runs_out_says_so() {
    let error = generate(&spec(vec![entry("area", &[1])], 500, "train"), &Taken::default()).unwrap_err().to_string();
    assert!(
        error.starts_with("task `area` has too few different items at its levels: 64 of 500 `train` rows found"),
        "{error}"
    );
}

#[test]
fn drawing_stops_when_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let made = generate(&everything(60, "train"), &Taken::default()).unwrap();
    assert!(!write(dir.path(), &made, 84, &mut |done| done < 10).unwrap());
    assert!(!dir.path().join("rows.jsonl").exists());
}
