//! The shape of the tree, held: who may depend on whom, what each file may do, how long it may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest file; a longer one says in its header why.
const MOST_LINES: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below some folders, with its text.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 3, "the walk over {folders:?} finds next to nothing");
    found.sort();
    found
}

/// The part of a file that ships: without its tests and without comments.
fn shipped(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate();
    code.map(|(index, line)| (index + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.ends_with("testing.rs") || name.contains("/tests/")
}

fn nothing(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let table: toml::Table = text.parse().unwrap();
    table["dependencies"].as_table().unwrap().keys().cloned().collect()
}

#[test]
fn crates_depend_one_way() {
    let ours = |manifest: &str| {
        dependencies(manifest).into_iter().filter(|name| name.starts_with("curricle")).collect::<Vec<_>>()
    };
    assert!(ours("engine/Cargo.toml").is_empty());
    assert!(ours("datasets/Cargo.toml").is_empty());
    assert_eq!(ours("stages/Cargo.toml"), ["curricle-datasets", "curricle-engine", "curricle-kernels"]);
    assert!(ours("stages/kernels/Cargo.toml").is_empty());
    for (manifest, foreign) in [
        ("engine/Cargo.toml", &["burn", "tokenizers", "safetensors", "image", "rayon"][..]),
        ("datasets/Cargo.toml", &["burn"]),
        ("stages/kernels/Cargo.toml", &["burn"]),
    ] {
        let all = dependencies(manifest);
        for name in foreign {
            assert!(!all.contains(*name), "{manifest} must not depend on `{name}`");
        }
    }
}

/// Chosen once for the whole project; `burn-cuda` and `burn-train` come with features of `burn`.
#[test]
fn the_project_stands_on_these_crates() {
    for (manifest, names) in [
        ("Cargo.toml", &["clap", "indicatif"][..]),
        ("engine/Cargo.toml", &["petgraph", "serde", "toml"]),
        ("datasets/Cargo.toml", &["image", "tokenizers"]),
        ("stages/Cargo.toml", &["burn"]),
    ] {
        let all = dependencies(manifest);
        for name in names {
            assert!(all.contains(*name), "{manifest} shall go on to use `{name}`");
        }
    }
}

#[test]
fn files_are_short_or_say_why() {
    let long = sources(&["engine", "datasets", "stages", "tests"]).into_iter().filter(|(_, text)| {
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        text.lines().count() > MOST_LINES && !header.contains("500 lines")
    });
    let long: Vec<_> = long.map(|(name, text)| format!("{name}: {} lines", text.lines().count())).collect();
    nothing("over 500 lines, and the header does not say why", &long);
}

#[test]
fn modules_say_what_they_are() {
    let silent = sources(&["engine", "datasets", "stages"]).into_iter();
    let silent: Vec<_> =
        silent.filter(|(name, text)| !is_test(name) && !text.starts_with("//!")).map(|(name, _)| name).collect();
    nothing("files that do not begin with `//!`", &silent);
}

#[test]
fn the_table_of_kinds_is_the_folder() {
    let files: BTreeSet<String> = fs::read_dir(root().join("stages/src/kinds"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "mod")
        .collect();
    let table: BTreeSet<String> = curricle_stages::KINDS.iter().map(|kind| kind.name().to_owned()).collect();
    assert_eq!(files, table);
    assert_eq!(table.len(), curricle_stages::KINDS.len(), "two kinds have one name");
}

#[test]
fn only_one_room_touches_the_disk() {
    let mut found = Vec::new();
    for (name, text) in sources(&["engine/src"]) {
        if name != "engine/src/fs.rs" {
            let lines = text.lines().enumerate().filter(|(_, line)| line.contains("std::fs"));
            found.extend(lines.map(|(index, line)| format!("{name}:{}: {}", index + 1, line.trim())));
        }
    }
    nothing("`std::fs` outside engine/src/fs.rs", &found);
}

#[test]
fn only_two_rooms_name_a_back_end() {
    let mut found = Vec::new();
    for (name, text) in sources(&["stages/src"]) {
        let may = name == "stages/src/device.rs" || name.starts_with("stages/src/fused");
        if !may && !is_test(&name) {
            let names = |line: &str| {
                ["Device::flex", "Device::cuda", "burn::backend::", "burn_flex", "burn_cuda"]
                    .iter()
                    .any(|it| line.contains(it))
            };
            found.extend(
                shipped(&text)
                    .filter(|(_, line)| names(line))
                    .map(|(at, line)| format!("{name}:{at}: {}", line.trim())),
            );
        }
    }
    nothing("a back end named outside stages/src/device.rs and the operators of the CPU", &found);
}

/// A step reads once: a read waits for the device, which then waits for the host. Elsewhere the host needs what it reads.
#[test]
fn a_step_of_training_reads_in_one_place() {
    let step =
        ["learn.rs", "loss.rs", "logprob.rs", "gradients.rs", "clip.rs", "supervised.rs", "lanes.rs", "precision.rs"];
    let mut found = Vec::new();
    for (name, text) in sources(&["stages/src/train", "stages/src/rl"]) {
        let training = step.iter().any(|file| name == format!("stages/src/train/{file}"));
        if (training || name.starts_with("stages/src/rl/")) && !is_test(&name) {
            let reads = ["into_data", "to_data", "into_scalar", "try_into_vec", "Transaction"];
            let lines = shipped(&text).filter(|(_, line)| reads.iter().any(|read| line.contains(read)));
            found.extend(lines.map(|(at, line)| format!("{name}:{at}: {}", line.trim())));
        }
    }
    nothing("a read of the device outside stages/src/train/told.rs", &found);
}

#[test]
fn nothing_is_left_for_later() {
    // In two halves, so that this file does not find itself.
    let marks = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("XX", "X"),
        ("dbg", "!("),
        ("todo", "!("),
        ("unimplemented", "!("),
        ("#[all", "ow("),
        ("#![all", "ow("),
    ];
    let marks: Vec<String> = marks.iter().map(|(a, b)| format!("{a}{b}")).collect();
    let mut found = Vec::new();
    for (name, text) in sources(&["engine", "datasets", "stages", "tests"]) {
        let marked = text.lines().enumerate().filter(|(_, line)| marks.iter().any(|mark| line.contains(mark.as_str())));
        found.extend(marked.map(|(index, line)| format!("{name}:{}: {}", index + 1, line.trim())));
    }
    nothing("work left undone, or a lint switched off in silence", &found);
}

/// `make next` runs every test with it; here it only has to fit, or to come off again.
#[test]
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn the_patch_for_the_next_burn_fits() {
    let there = fs::read_to_string(root().join("Cargo.toml")).unwrap().contains("=0.23.0-pre.1");
    let mut patch = Command::new("patch");
    let patch = patch.args(["-p1", "--dry-run", "--force", "-i", ".ci/burn-0.23.patch"]).current_dir(root());
    let patch = if there { patch.arg("-R") } else { patch };
    match patch.output() {
        Err(error) => eprintln!("SKIPPED: no program `patch`: {error}"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.contains("fuzz"), "{said}");
        }
    }
}

#[test]
fn the_binary_is_thin() {
    let main = fs::read_to_string(Path::new(&root()).join("engine/cli/main.rs")).unwrap();
    assert!(main.lines().count() <= 60, "main.rs parses, calls and ends; it has {} lines", main.lines().count());
}
