//! Shipped recipes and random edits of them: what `plan` says an edit runs again is what then runs, and what is reused is
//! what a run from nothing would have made.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use curricle_engine::diagnostic::Diagnostics;
use curricle_engine::exec::{Executor, Interrupt, Job, Outcome, Run, StageEvent, execute};
use curricle_engine::graph::{Graph, check};
use curricle_engine::plan::{Options, Plan, effects, plan};
use curricle_engine::recipe::{Overrides, Recipe};
use curricle_engine::stage::StageError;
use curricle_engine::store::Store;
use curricle_stages::KINDS;
use toml::{Table, Value};

use crate::support::edit::{Random, copy, paths, value_at};

/// How many, unless the environment variable of this name asks for more.
const PAIRS: usize = 200;

/// The image of every row that has one.
const PICTURE: &str = "picture.png";

/// Does no work, and writes down all that real work would depend on: a stage reused by mistake has other bytes.
#[derive(Default)]
struct Recorder(Mutex<BTreeSet<String>>);

impl Executor for Recorder {
    fn run(&self, job: &Job<'_>, _events: &mut dyn FnMut(StageEvent)) -> Result<(), StageError> {
        let request = job.request;
        self.0.lock().unwrap().insert(request.key.clone());
        let mut seen = DefaultHasher::new();
        (&request.kind, request.params.to_string()).hash(&mut seen);
        for (port, input) in &request.inputs {
            (port, serde_json::to_string(&input.view).unwrap()).hash(&mut seen);
            contents(&input.path, &mut seen);
        }
        let kind = KINDS.iter().find(|kind| kind.name() == request.kind).unwrap();
        for port in kind.decode(&request.params).unwrap().ports().outputs {
            let dir = request.output_dir.join(&*port.name);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("made"), format!("{} {}", port.name, seen.finish())).unwrap();
        }
        Ok(())
    }
}

fn contents(path: &Path, seen: &mut DefaultHasher) {
    if !path.is_dir() {
        return fs::read(path).unwrap().hash(seen);
    }
    let mut files: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_unstable();
    for file in files {
        file.file_name().unwrap().hash(seen);
        contents(&file, seen);
    }
}

/// A recipe, the files it reads, and a store.
struct Desk {
    dir: tempfile::TempDir,
    /// Name of the recipe's file.
    file: String,
    /// That file, and what it extends where that says most of it.
    texts: Vec<PathBuf>,
    /// Rows and the image that they name.
    data: Vec<PathBuf>,
}

impl Desk {
    /// Lays out a shipped recipe with small files where it names models and data from elsewhere.
    fn new(shipped: &Path, file: &str, model: &Path) -> Self {
        // The store syncs all that it writes: hundreds of stores want no disk.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        copy(shipped, dir.path());
        fs::write(dir.path().join(PICTURE), include_bytes!("golden/images/grey.jpg")).unwrap();
        let mut texts = vec![dir.path().join(file)];
        if file.starts_with("revisual") {
            texts.push(dir.path().join("base/revisual-r1.toml"));
        }
        let mut data = vec![dir.path().join(PICTURE)];
        for entry in fs::read_dir(dir.path()).unwrap().chain(fs::read_dir(dir.path().join("base")).unwrap()) {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let mut root = read(&path);
                data.extend(at_hand(&mut root, dir.path(), model));
                fs::write(&path, toml::to_string(&root).unwrap()).unwrap();
            }
        }
        data.sort_unstable();
        data.dedup();
        Self { dir, file: file.into(), texts, data }
    }

    fn graph(&self) -> Result<Graph, Diagnostics> {
        let recipe = Recipe::load(&self.dir.path().join(&self.file), &Overrides::default())?;
        Ok(check(&recipe, KINDS)?.graph)
    }

    /// Runs a plan in a store; gives the keys of the stages that were really run.
    fn run(&self, graph: &Graph, plan: &Plan, store: &Store) -> BTreeSet<String> {
        let (executor, interrupt, logs) = (Recorder::default(), Interrupt::new(), self.dir.path().join("logs"));
        fs::create_dir_all(&logs).unwrap();
        let (interrupt, logs) = (&interrupt, logs.as_path());
        let run = Run { graph, plan, store, executor: &executor, interrupt, jobs: 1, keep_going: false, logs };
        let receipt = execute(&run, &mut |_| {});
        assert_eq!(receipt.outcome, Outcome::Done, "{receipt:?}");
        executor.0.into_inner().unwrap()
    }

    /// All that an edit may change.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.texts.iter().chain(&self.data).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    /// One edit of the recipe or of a file that it reads; says what it was.
    fn edit(&self, random: &mut Random) -> String {
        if random.below(8) == 0 {
            let file = &self.data[random.below(self.data.len())];
            let mut bytes = fs::read(file).unwrap();
            // Written anew; half of the time with other content.
            if random.below(2) == 0 {
                bytes.extend(bytes.clone());
            }
            fs::write(file, bytes).unwrap();
            return format!("{}", file.display());
        }
        let path = &self.texts[random.below(self.texts.len())];
        let mut root = read(path);
        let said = change(&mut root, random);
        let mut text = toml::to_string(&root).unwrap();
        if let Some((old, new)) = said.strip_prefix("rename ").and_then(|names| names.split_once(' ')) {
            text = text.replace(&format!("{old}."), &format!("{new}.")).replace(&format!("{old}]"), &format!("{new}]"));
            text = text.replace(&format!("\"{old}\""), &format!("\"{new}\""));
        }
        fs::write(path, text).unwrap();
        said
    }
}

fn put(files: &[(PathBuf, Vec<u8>)]) {
    for (path, bytes) in files {
        fs::write(path, bytes).unwrap();
    }
}

fn read(path: &Path) -> Value {
    Value::Table(fs::read_to_string(path).unwrap().parse().unwrap())
}

/// A row that has the columns that a data set's fields are read from.
fn line(row: usize, columns: &Table) -> String {
    let value = |(field, column): (&String, &Value)| {
        let value: serde_json::Value = match field.as_str() {
            "images" => serde_json::json!([PICTURE]),
            "choices" => serde_json::json!(["1", "2"]),
            "answer" => format!("so #### {row}").into(),
            _ => format!("{field} {row}").into(),
        };
        (column.as_str().unwrap().to_owned(), value)
    };
    format!("{}\n", columns.iter().map(value).collect::<serde_json::Value>())
}

/// Points every model and data set of a text, scales included, at files that are here, and gives it two seeds at most; the
/// files of rows, which it writes.
fn at_hand(root: &mut Value, dir: &Path, model: &Path) -> Vec<PathBuf> {
    let (mut all, mut data) = (Vec::new(), Vec::new());
    paths(root, &mut Vec::new(), &mut all);
    for path in all.iter().filter(|path| path.last().is_some_and(|last| last == "source")) {
        let [.., section, name, _] = path.as_slice() else { continue };
        let entry = value_at(root, &path[..path.len() - 1]).as_table_mut().unwrap();
        let mut source = model.to_owned();
        if section == "data" {
            source = dir.join(format!("{name}.jsonl"));
            let plain = || ["prompt", "answer"].map(|field| (field.to_owned(), field.into())).into_iter().collect();
            let columns = entry.get("columns").map_or_else(plain, |columns| columns.as_table().unwrap().clone());
            fs::write(&source, (0..6).map(|row| line(row, &columns)).collect::<String>()).unwrap();
            data.push(source.clone());
        }
        entry.insert("source".into(), format!("file:{}", source.display()).into());
        entry.remove("assume");
    }
    if let Some(seeds) = root.get_mut("seeds").and_then(|seeds| seeds.get_mut("values")).and_then(Value::as_array_mut) {
        seeds.truncate(2);
    }
    data
}

/// A change that a researcher might make.
fn change(root: &mut Value, random: &mut Random) -> String {
    let mut all = Vec::new();
    paths(root, &mut Vec::new(), &mut all);
    let stages: Vec<String> =
        root.get("stages").and_then(Value::as_table).into_iter().flat_map(Table::keys).cloned().collect();
    let numbers: Vec<_> = all
        .iter()
        .filter(|path| path.iter().any(|part| part == "params" || part == "data" || part == "seed"))
        .filter(|path| matches!(value_at(root, path), Value::Integer(_) | Value::Float(_)))
        .cloned()
        .collect();
    let inputs: Vec<_> = all
        .iter()
        .filter(|path| path.len() > 2 && path[path.len() - 2] == "inputs" && value_at(root, path).is_str())
        .cloned()
        .collect();
    match random.below(12) {
        0..5 if !numbers.is_empty() => {
            let path = &numbers[random.below(numbers.len())];
            match value_at(root, path) {
                Value::Integer(number) => *number += 1 + random.below(3) as i64,
                Value::Float(number) => *number *= 0.5,
                _ => unreachable!("only numbers were kept"),
            }
            format!("another {}", path.join("."))
        }
        5 | 6 if inputs.len() > 1 => {
            let (to, from) = (&inputs[random.below(inputs.len())], &inputs[random.below(inputs.len())]);
            let value = value_at(root, from).clone();
            *value_at(root, to) = value;
            format!("{} from {}", to.join("."), from.join("."))
        }
        7 | 8 => {
            let path = all[random.below(all.len())].clone();
            let (last, parents) = path.split_last().unwrap();
            match value_at(root, parents) {
                Value::Table(table) => drop(table.remove(last)),
                Value::Array(items) => drop(items.remove(last.parse().unwrap())),
                _ => unreachable!("a path leads through tables and lists"),
            }
            format!("without {}", path.join("."))
        }
        9 if !stages.is_empty() => {
            let old = &stages[random.below(stages.len())];
            let table = root["stages"].as_table_mut().unwrap();
            let stage = table.remove(old).unwrap();
            table.insert(format!("{old}_2"), stage);
            format!("rename {old} {old}_2")
        }
        10 => {
            let runtime = root.as_table_mut().unwrap().entry("runtime").or_insert_with(|| Table::new().into());
            let (name, value) = [("threads", 1), ("checkpoint_every", 7)][random.below(2)];
            runtime.as_table_mut().unwrap().insert(name.into(), value.into());
            format!("runtime.{name}")
        }
        _ => {
            let recipe = root.as_table_mut().unwrap().entry("recipe").or_insert_with(|| Table::new().into());
            recipe.as_table_mut().unwrap().insert("seed".into(), (random.below(3) as i64).into());
            "recipe.seed".into()
        }
    }
}

/// A model folder at which nothing of the shipped recipes is too long.
fn model(dir: &Path) -> PathBuf {
    let model = dir.join("model");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tied/model"), &model);
    let config = fs::read_to_string(model.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    for part in ["/max_position_embeddings", "/text_config/max_position_embeddings"] {
        if let Some(length) = config.pointer_mut(part) {
            *length = 131_072.into();
        }
    }
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    model
}

/// Part of the stages ran, all of them, or none.
#[derive(Clone, Copy, PartialEq)]
enum Reruns {
    None,
    Some,
    All,
}

/// What was not really done has measured nothing that a gate could be judged by.
fn planned() -> Options {
    Options { ignore_gates: true, ..Options::default() }
}

/// A shipped recipe, or an edit of it, and then an edit of that; none where the edits leave no sound recipe.
fn pair(seed: u64, shipped: &Path, file: &str, model: &Path, random: &mut Random) -> Option<Reruns> {
    let desk = Desk::new(shipped, file, model);
    if let Err(wrong) = desk.graph() {
        panic!("{file} as shipped: {}", wrong.render(false));
    }
    if random.below(2) == 0 {
        desk.edit(random);
    }
    let (before, was) = (desk.graph().ok()?, desk.files());
    let edits: Vec<String> = (0..=random.below(2)).map(|_| desk.edit(random)).collect();
    let (after, is) = (desk.graph().ok()?, desk.files());
    let said = format!("seed {seed}, {file}: {edits:?}");

    put(&was);
    let store = Store::open(&desk.dir.path().join("store"));
    let old = plan(&before, &store, &planned()).unwrap();
    desk.run(&before, &old, &store);
    put(&is);
    let new = plan(&after, &store, &planned()).unwrap();
    let to_run: BTreeSet<_> = new.to_run().map(|step| step.key.hex()).collect();
    let runs = effects(&old, &new, &after).into_iter().filter(|effect| effect.what.runs() && !effect.built);
    let told: BTreeSet<_> = runs.filter_map(|effect| Some(effect.new?.hex())).collect();
    let ran = desk.run(&after, &new, &store);
    assert_eq!(to_run, ran, "{said}");
    assert_eq!(told, ran, "{said}");

    let elsewhere = Store::open(&desk.dir.path().join("elsewhere"));
    let anew = plan(&after, &elsewhere, &planned()).unwrap();
    let all = desk.run(&after, &anew, &elsewhere);
    assert_eq!(made(&store, &after), made(&elsewhere, &after), "{said}");
    Some(match ran.len() {
        0 => Reruns::None,
        some if some < all.len() => Reruns::Some,
        _ => Reruns::All,
    })
}

#[test]
fn what_is_predicted_is_what_runs() {
    let shared = tempfile::tempdir().unwrap();
    let model = model(shared.path());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut files: Vec<_> = fs::read_dir(&shipped).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "toml"));
    files.sort_unstable();
    let wanted = std::env::var("PAIRS").map_or(PAIRS, |count| count.parse().unwrap());
    let (seeds, found) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while found.lock().unwrap().len() < wanted {
                    let seed = seeds.fetch_add(1, Ordering::Relaxed);
                    assert!(seed < 10 * wanted as u64, "too few edits leave sound recipes");
                    let mut random = Random(seed);
                    let file = files[random.below(files.len())].to_string_lossy();
                    let reruns = pair(seed, &shipped, &file, &model, &mut random);
                    found.lock().unwrap().extend(reruns);
                }
            });
        }
    });
    // Edits that run everything again, or nothing, would prove little.
    let found = found.into_inner().unwrap();
    let some = found.iter().filter(|reruns| **reruns == Reruns::Some).count();
    assert!(some > wanted / 4, "{some} of {} edits run a part again", found.len());
    assert!(found.contains(&Reruns::None) && found.contains(&Reruns::All));
}

/// What the stages of a recipe have in a store, by output.
fn made(store: &Store, graph: &Graph) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (stage, step) in graph.stages().iter().zip(plan(graph, store, &planned()).unwrap().steps) {
        for port in &stage.ports.outputs {
            let file = step.artifact.as_ref().unwrap().output(&port.name).join("made");
            found.push((format!("{}.{}", stage.name, port.name), fs::read_to_string(file).unwrap()));
        }
    }
    found
}
