//! Shipped recipes, damaged at random: `check` never panics, and whatever it refuses it can point at.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use curricle_engine::diagnostic::{Diagnostics, Severity};
use curricle_engine::graph;
use curricle_engine::recipe::{Overrides, Recipe};
use toml::{Table, Value};

use crate::support::edit::{Random, copy, paths, value_at};

/// How many, unless the environment variable of this name asks for more.
const MUTATIONS: u64 = 600;
/// Texts that have broken parsers: of several bytes, of no width, of both directions, of TOML and of interpolation.
const ODD: [&str; 12] = ["é", "\u{200b}", "日本", "\u{202e}", "🦀", "\u{0}", "\"", "]", "${", "}", "= {", "\u{feff}"];

fn take(value: &mut Value, path: &[String]) -> Value {
    let (last, parents) = path.split_last().unwrap();
    match value_at(value, parents) {
        Value::Table(table) => table.remove(last).unwrap(),
        Value::Array(items) => items.remove(last.parse().unwrap()),
        _ => unreachable!("a path leads through tables and lists"),
    }
}

/// A value of another type, or of the same with another meaning.
fn other(value: &Value, random: &mut Random) -> Value {
    match random.below(8) {
        0 => Value::Boolean(true),
        1 => Value::Integer(-1),
        2 => Value::Float(1e300),
        3 => Value::Array(vec![value.clone(), value.clone()]),
        4 => Value::Table(Table::from_iter([("x".to_owned(), value.clone())])),
        5 => Value::String(String::new()),
        6 => Value::Integer(i64::MAX),
        _ => Value::String(format!("{value}{}", ODD[random.below(ODD.len())])),
    }
}

/// A change of values: the text stays TOML.
fn change_values(text: &str, random: &mut Random) -> String {
    let mut root = Value::Table(text.parse().unwrap());
    let mut all = Vec::new();
    paths(&root, &mut Vec::new(), &mut all);
    let path = all[random.below(all.len())].clone();
    let second = all[random.below(all.len())].clone();
    match random.below(4) {
        0 => drop(take(&mut root, &path)),
        1 => {
            let value = value_at(&mut root, &path);
            *value = other(&value.clone(), random);
        }
        2 => {
            let value = value_at(&mut root, &path).clone();
            let swapped = std::mem::replace(value_at(&mut root, &second), value);
            // The first place may lie below the second, and be gone.
            if !path.starts_with(&second) {
                *value_at(&mut root, &path) = swapped;
            }
        }
        _ => {
            let value = take(&mut root, &path);
            let (last, parents) = path.split_last().unwrap();
            let name = format!("{last}{}", ["_", "s", "x", ODD[random.below(ODD.len())]][random.below(4)]);
            match value_at(&mut root, parents) {
                Value::Table(table) => drop(table.insert(name, value)),
                Value::Array(items) => items.push(value),
                _ => unreachable!("a path leads through tables and lists"),
            }
        }
    }
    toml::to_string(&root).unwrap()
}

/// A change of letters: mostly no TOML any more.
fn change_text(text: &str, random: &mut Random) -> String {
    let mut place = || {
        let place = random.below(text.len());
        text.floor_char_boundary(place)
    };
    let (one, two) = (place(), place());
    let (from, to) = (one.min(two), one.max(two));
    match random.below(4) {
        0 => text[..from].to_owned(),
        1 => format!("{}{}{}", &text[..from], ODD[random.below(ODD.len())], &text[from..]),
        2 => {
            let end = text.floor_char_boundary(to.min(from + 12));
            format!("{}{}", &text[..from], &text[end.max(from)..])
        }
        _ => {
            let mut lines: Vec<_> = text.lines().collect();
            let (a, b) = (random.below(lines.len()), random.below(lines.len()));
            lines.swap(a, b);
            lines.join("\n")
        }
    }
}

fn check(path: &Path) -> Result<(), Diagnostics> {
    let recipe = Recipe::load(path, &Overrides::default())?;
    graph::check(&recipe, curricle_stages::KINDS).map(|_| ())
}

#[test]
fn a_damaged_recipe_is_refused_with_a_place_and_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    copy(&shipped, dir.path());
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(dir.path().join("base/revisual-r1.toml"));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort_unstable();
    let target = dir.path().join("damaged.toml");
    let mutations = std::env::var("MUTATIONS").map_or(MUTATIONS, |count| count.parse().unwrap());
    let mut refused = 0;
    for seed in 0..mutations {
        let mut random = Random(seed);
        let text = fs::read_to_string(&files[random.below(files.len())]).unwrap();
        let damaged = if seed % 3 == 0 { change_text(&text, &mut random) } else { change_values(&text, &mut random) };
        fs::write(&target, &damaged).unwrap();
        let found = catch_unwind(AssertUnwindSafe(|| {
            check(&target).map_err(|wrong| (wrong.render(false), wrong.to_json(), wrong.list().to_vec()))
        }));
        let Ok(found) = found else { panic!("seed {seed} makes `check` panic on:\n{damaged}") };
        let Err((text, _, list)) = found else { continue };
        refused += 1;
        let errors: Vec<_> = list.iter().filter(|one| one.severity == Severity::Error).collect();
        assert!(!errors.is_empty(), "seed {seed} is refused without an error:\n{text}\n{damaged}");
        for error in errors {
            assert!(!error.labels.is_empty(), "seed {seed} is refused without a place:\n{text}\n{damaged}");
        }
    }
    // Most damage matters: a check that lets nearly all of it pass would prove nothing.
    assert!(refused > mutations / 2, "{refused} of {mutations} were refused");
}
