//! A specification → rows and drawings that no other split has. Knows where files lie, not what a task asks.

use std::collections::BTreeSet;
use std::path::Path;

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::item::{Item, Says, Scene, Task};
use crate::fs::{self, FsError};
use crate::image::encode_png;
use crate::jsonl;
use crate::leak::{Taken, identity};
use crate::rows::Row;
use crate::shuffle::stream;

/// Items in a row that may turn out to be known before a task counts as used up.
const PATIENCE: usize = 2_000;

/// One kind of question in a set of rows.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Names its random stream.
    pub name: String,
    /// What is asked.
    pub task: &'static Task,
    /// Share of the rows, relative to the other entries.
    pub weight: f64,
    /// Levels, each as frequent.
    pub levels: Vec<u8>,
    /// Share of the rows that keep their written reasoning; the others answer at once.
    pub reasoning: f64,
    /// Text after the prompt, with a blank between.
    pub instruction: Option<String>,
}

/// A set of rows to make.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Kinds of questions.
    pub entries: Vec<Entry>,
    /// Rows in all.
    pub rows: usize,
    /// Root of all randomness.
    pub seed: u64,
    /// Names the set (`train`, `test`): sets of one seed differ by it.
    pub set: String,
}

/// A row whose image is not drawn yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The row, without images.
    pub row: Row,
    /// What its image shows.
    pub scene: Option<Scene>,
}

/// Why rows could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthError {
    /// A task that can't make as many different items.
    #[error(
        "task `{task}` has too few different items at its levels: {found} of {wanted} `{set}` rows found that are in no \
         other split; add levels, lower its weight, or ask for fewer rows"
    )]
    Exhausted {
        /// The entry's name.
        task: String,
        /// The set being made.
        set: String,
        /// Rows found.
        found: usize,
        /// Rows asked for.
        wanted: usize,
    },
    /// A file that can't be written.
    #[error(transparent)]
    Io(#[from] FsError),
}

/// Makes rows that differ from each other and from everything in `taken`: no question twice, and no drawing or text that
/// another split shows, whatever is asked about it. The result depends on the specification and `taken` alone.
pub fn generate(spec: &Spec, taken: &Taken) -> Result<Vec<Made>, SynthError> {
    let mut ids = BTreeSet::new();
    let mut made = Vec::with_capacity(spec.rows);
    for (entry, wanted) in spec.entries.iter().zip(shares(&spec.entries, spec.rows)) {
        let mut rng = stream(&["synth", &spec.seed.to_string(), &spec.set, &entry.name]);
        let (mut found, mut known) = (0, 0);
        while found < wanted {
            let level = entry.levels.choose(&mut rng).copied().unwrap_or(1);
            let item = (entry.task.make)(level, &mut rng);
            let written = rng.random::<f64>() < entry.reasoning;
            let one = one(item, entry, level, written);
            if taken.holds(&one.row) || !ids.insert(one.row.id.clone()) {
                known += 1;
                if known > PATIENCE {
                    let (task, set) = (entry.name.clone(), spec.set.clone());
                    return Err(SynthError::Exhausted { task, set, found, wanted });
                }
                continue;
            }
            known = 0;
            found += 1;
            made.push(one);
        }
    }
    made.shuffle(&mut stream(&["synth-order", &spec.seed.to_string(), &spec.set]));
    Ok(made)
}

/// Rows of each entry: proportional to the weights, rounded so that they add up.
fn shares(entries: &[Entry], rows: usize) -> Vec<usize> {
    let total: f64 = entries.iter().map(|entry| entry.weight).sum();
    let mut before = 0.0;
    let place = |weight: f64| (weight / total * rows as f64).round() as usize;
    let share = |entry: &Entry| {
        let from = place(before);
        before += entry.weight;
        place(before) - from
    };
    entries.iter().map(share).collect()
}

fn one(item: Item, entry: &Entry, level: u8, written: bool) -> Made {
    let id = identity(&item.key());
    let group = item.scene.as_ref().map_or_else(|| id.clone(), |scene| identity(&scene.key()));
    let prompt = match &entry.instruction {
        Some(instruction) => format!("{} {instruction}", item.prompt),
        None => item.prompt,
    };
    let (answer, reasoning, response) = match item.says {
        Says::Answer { reasoning, answer } => (Some(answer), written.then_some(reasoning), None),
        Says::Text(text) => (None, None, Some(text)),
    };
    let row = Row {
        id,
        prompt,
        answer,
        reasoning,
        response,
        group: Some(group),
        task: Some(entry.task.name.into()),
        level: Some(level),
        ..Row::default()
    };
    Made { row, scene: item.scene }
}

/// Draws the images of `made` as `images/ID.png` in `dir`, `size` pixels a side, and writes `rows.jsonl` last.
///
/// Asks `go_on` with the number of rows drawn before each; stops early, without `rows.jsonl`, and returns `false` when told
/// to. The same rows give the same bytes.
pub fn write(dir: &Path, made: &[Made], size: usize, go_on: &mut dyn FnMut(usize) -> bool) -> Result<bool, SynthError> {
    let mut rows = Vec::with_capacity(made.len());
    for (done, one) in made.iter().enumerate() {
        if !go_on(done) {
            return Ok(false);
        }
        let mut row = one.row.clone();
        if let Some(scene) = &one.scene {
            let path = dir.join("images").join(format!("{}.png", row.id));
            fs::write(&path, &encode_png(&scene.draw(size).into_image()))?;
            row.images.push(path.into());
        }
        rows.push(row);
    }
    jsonl::write(dir, &rows)?;
    Ok(true)
}
