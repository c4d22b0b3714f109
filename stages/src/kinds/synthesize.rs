//! `synthesize`: a seed → rows with checkable answers and the images drawn for them, in sets that never share an item.
//! Refuses to know what a task asks; see `curricle_datasets::synth`.

use std::collections::{BTreeMap, BTreeSet};

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, DataType, Estimate, Fact, Facts, PortTypes, Ports, Problems, Role, StageContext,
    StageError, StageKind, StandIn,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind `synthesize`.
pub struct Synthesize;

/// Smallest drawing, in pixels: two merged blocks of patches a side.
const LEAST_SIZE: usize = 56;
/// Largest drawing, in pixels.
const MOST_SIZE: usize = 1120;
/// Drawings are cut into blocks of this many pixels, so other sizes would be resized on reading.
const BLOCK: usize = 28;
/// Highest level of difficulty.
const MOST_LEVEL: u8 = 5;

/// Parameters of `synthesize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// What is asked: a table per kind of question, by any name; the name is the task unless `task` says otherwise.
    pub tasks: BTreeMap<String, Entry>,
    /// Rows of the output `train`; 0 leaves the output out.
    pub train: usize,
    /// Rows of the output `test`, which may never be trained on; 0 leaves the output out.
    pub test: usize,
    /// Side of a drawing in pixels, a multiple of 28; at 84 a grid's cell is one image token.
    pub image_size: usize,
    /// Changes every item; for a second set from the same parameters.
    pub salt: u64,
}

/// One kind of question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Entry {
    /// The task; the table's name where it is left out.
    pub task: Option<Task>,
    /// Share of the rows, relative to the other tables.
    pub weight: f64,
    /// Levels of difficulty from 1 to 5, each as frequent.
    pub levels: Vec<u8>,
    /// Share of the rows whose reasoning is written out; the others answer at once.
    pub reasoning: f64,
    /// Text added to every prompt.
    pub instruction: Option<String>,
}

impl Default for Params {
    fn default() -> Self {
        Self { tasks: BTreeMap::new(), train: 1000, test: 0, image_size: 84, salt: 0 }
    }
}

impl Default for Entry {
    fn default() -> Self {
        Self { task: None, weight: 1.0, levels: vec![1, 2], reasoning: 1.0, instruction: None }
    }
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Sums and products of several numbers.
    Arithmetic,
    /// The largest or smallest of several numbers or sums.
    Compare,
    /// Small word problems.
    Word,
    /// Describe coloured shapes on a grid; a text, no checkable answer.
    Caption,
    /// How many shapes of a colour or form a grid holds.
    Count,
    /// Which of two colours has more shapes, or how many more.
    More,
    /// Which shape is next to another.
    Relate,
    /// Describe a bar chart; a text, no checkable answer.
    CaptionBars,
    /// Read a bar, or add two.
    BarValue,
    /// Which bar is tallest or shortest.
    BarTallest,
    /// How much taller one bar is than another.
    BarDifference,
    /// Describe a figure with labelled lengths; a text, no checkable answer.
    CaptionFigure,
    /// The perimeter of a rectangle or triangle with labelled lengths.
    Perimeter,
    /// The area of a rectangle or right triangle with labelled lengths.
    Area,
}

impl Task {
    /// Every task.
    const ALL: [Self; 14] = [
        Self::Arithmetic,
        Self::Compare,
        Self::Word,
        Self::Caption,
        Self::Count,
        Self::More,
        Self::Relate,
        Self::CaptionBars,
        Self::BarValue,
        Self::BarTallest,
        Self::BarDifference,
        Self::CaptionFigure,
        Self::Perimeter,
        Self::Area,
    ];

    /// Its name in a recipe.
    fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Compare => "compare",
            Self::Word => "word",
            Self::Caption => "caption",
            Self::Count => "count",
            Self::More => "more",
            Self::Relate => "relate",
            Self::CaptionBars => "caption-bars",
            Self::BarValue => "bar-value",
            Self::BarTallest => "bar-tallest",
            Self::BarDifference => "bar-difference",
            Self::CaptionFigure => "caption-figure",
            Self::Perimeter => "perimeter",
            Self::Area => "area",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// Are its questions about a drawing?
    pub(crate) fn has_images(self) -> bool {
        !matches!(self, Self::Arithmetic | Self::Compare | Self::Word)
    }

    /// Can its answers be checked?
    pub(crate) fn has_answers(self) -> bool {
        !matches!(self, Self::Caption | Self::CaptionBars | Self::CaptionFigure)
    }
}

impl Params {
    /// The tasks asked, each with its entry; entries without a known task are left to `validate`.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (&str, Task, &Entry)> {
        let task = |(name, entry): (&'_ String, &'_ Entry)| entry.task.or_else(|| Task::named(name));
        self.tasks.iter().filter_map(move |(name, entry)| Some((name.as_str(), task((name, entry))?, entry)))
    }

    /// The outputs that hold rows, and how many.
    fn sets(&self) -> impl Iterator<Item = (&'static str, Role, usize)> {
        // The held-out rows are made first, so that they don't change with the number of rows to train on.
        [("test", Role::Eval, self.test), ("train", Role::Train, self.train)].into_iter().filter(|set| set.2 > 0)
    }

    /// What is known of the rows before they are made. A column counts as present when every row has it, but `images`
    /// when any row has.
    fn rows(&self, role: Role) -> DataType {
        let mut columns = BTreeSet::from(["prompt", "task", "level"].map(str::to_owned));
        let images = self.asked().any(|(_, task, _)| task.has_images());
        let answers = self.asked().all(|(_, task, _)| task.has_answers());
        let facts = [
            ("images", images),
            ("answer", answers),
            ("reasoning", answers && self.asked().all(|(_, _, entry)| entry.reasoning >= 1.0)),
            ("response", !answers),
        ];
        columns.extend(facts.iter().filter(|(_, present)| *present).map(|(name, _)| (*name).to_owned()));
        let rows = match role {
            Role::Train => Fact::param(self.train, "train"),
            Role::Eval => Fact::param(self.test, "test"),
        };
        DataType {
            images: Fact::param(images, "tasks"),
            role,
            columns: Fact::param(columns, "tasks"),
            rows,
            image_pixels: Fact::param(self.image_size * self.image_size, "image_size"),
            ..DataType::default()
        }
    }
}

impl StageKind for Synthesize {
    const NAME: &'static str = "synthesize";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "questions with checkable answers and written reasoning, as text and drawings, from a seed";
    const COMPUTES: bool = false;
    type Params = Params;

    fn ports(params: &Params) -> Ports {
        let ports = Ports::new().optional("exclude", ArtifactKind::Data);
        params.sets().fold(ports, |ports, (name, _, _)| ports.output(name, ArtifactKind::Data))
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.tasks.is_empty() {
            problems.param("tasks", "names no task", "for example `tasks.count = { levels = [1, 2] }`");
        }
        if params.sets().count() == 0 {
            problems.stage("makes no rows", "set `train` or `test` above 0");
        }
        let size = params.image_size;
        if !size.is_multiple_of(BLOCK) || !(LEAST_SIZE..=MOST_SIZE).contains(&size) {
            let message = format!("`{size}` is no multiple of {BLOCK} from {LEAST_SIZE} to {MOST_SIZE}");
            problems.param("image_size", message, "84 is nine image tokens, 336 is 144");
        }
        for (name, entry) in &params.tasks {
            let at = |field: &str| format!("tasks.{name}.{field}");
            if entry.task.is_none() && Task::named(name).is_none() {
                let names: Vec<_> = Task::ALL.iter().map(|task| task.name()).collect();
                let help = format!("use a task's name or add `task = \"…\"`; tasks are {}", names.join(", "));
                problems.param(format!("tasks.{name}"), format!("`{name}` is no task"), help);
            }
            if entry.weight <= 0.0 {
                problems.param(at("weight"), "must be above 0", "leave the table out to ask nothing of it");
            }
            if entry.levels.is_empty() || entry.levels.iter().any(|level| !(1..=MOST_LEVEL).contains(level)) {
                problems.param(at("levels"), "must be levels from 1 to 5", "for example `levels = [1, 2]`");
            }
            if !(0.0..=1.0).contains(&entry.reasoning) {
                let help = "1 writes all reasoning out, 0 none";
                problems.param(at("reasoning"), "must be a share from 0 to 1", help);
            }
        }
    }

    fn types(params: &Params, _inputs: &PortTypes, _problems: &mut Problems) -> PortTypes {
        params.sets().fold(PortTypes::default(), |types, (name, role, _)| {
            types.with(name, ArtifactType::Data(params.rows(role)))
        })
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::synthesize::estimate(params, facts)
    }

    fn tiny(params: &mut Params) {
        crate::tiny::synthesize(params);
    }

    fn stand_in(ty: &ArtifactType, salt: u64) -> Option<StandIn<Params>> {
        crate::tiny::rows(ty, salt)
    }

    fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        run(params, context)
    }
}

#[cfg(not(feature = "rows"))]
fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
    Err(crate::no_rows())
}

/// Makes each set in turn, drawing images as it goes. Nothing is kept of an interrupted attempt: making it anew is quick
/// and gives the same rows.
#[cfg(feature = "rows")]
fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
    use curricle_datasets::leak::Taken;
    use curricle_datasets::{rows, synth};

    /// Rows between two reports.
    const REPORT_EVERY: usize = 100;
    let seed = context.seed() ^ params.salt.rotate_left(32);
    let mut taken = Taken::default();
    if let Some(exclude) = context.optional("exclude") {
        let view = crate::inputs::view(&exclude.view)?;
        let rows = rows::load(&exclude.path, &view)
            .map_err(|error| StageError::while_doing("reading the rows to exclude", error))?;
        taken.add(&rows);
    }
    let entries: Vec<synth::Entry> = params
        .asked()
        .filter_map(|(name, task, entry)| {
            Some(synth::Entry {
                name: name.to_owned(),
                task: synth::task(task.name())?,
                weight: entry.weight,
                levels: entry.levels.clone(),
                reasoning: entry.reasoning,
                instruction: entry.instruction.clone(),
            })
        })
        .collect();
    let total = params.train + params.test;
    let mut before = 0;
    for (name, _, rows) in params.sets() {
        let spec = synth::Spec { entries: entries.clone(), rows, seed, set: name.to_owned() };
        let made = synth::generate(&spec, &taken).map_err(|error| StageError::while_doing("making rows", error))?;
        taken.add(made.iter().map(|one| &one.row));
        let dir = context.output(name)?;
        let mut go_on = |done: usize| {
            if done > 0 && done.is_multiple_of(REPORT_EVERY) {
                context.progress(before + done, total, &[]);
            }
            !context.interrupted()
        };
        let finished = synth::write(&dir, &made, params.image_size, &mut go_on)
            .map_err(|error| StageError::while_doing("writing rows", error))?;
        if !finished {
            return Err(StageError::Interrupted { step: before });
        }
        before += rows;
        context.progress(before, total, &[]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(json: &str) -> Params {
        serde_json::from_str(json).unwrap()
    }

    fn mistakes(json: &str) -> Vec<String> {
        let mut problems = Problems::default();
        Synthesize::validate(&params(json), &mut problems);
        problems.into_vec().into_iter().map(|problem| format!("{:?}: {}", problem.at, problem.message)).collect()
    }

    #[test]
    fn outputs_follow_the_sizes_and_types_follow_the_tasks() {
        let both = params(r#"{"tasks": {"count": {"reasoning": 0.5}, "caption": {}}, "train": 10, "test": 5}"#);
        let ports = Synthesize::ports(&both);
        assert_eq!(ports.outputs.iter().map(|port| &*port.name).collect::<Vec<_>>(), ["test", "train"]);
        let types = Synthesize::types(&both, &PortTypes::default(), &mut Problems::default());
        let (train, test) = (types.data("train").unwrap(), types.data("test").unwrap());
        assert_eq!((train.role, test.role), (Role::Train, Role::Eval));
        assert!(train.images.is(&true));
        let columns: Vec<_> = train.columns.get().into_iter().flatten().map(String::as_str).collect();
        assert_eq!(columns, ["images", "level", "prompt", "response", "task"]);
        let text = params(r#"{"tasks": {"easy": {"task": "word"}}, "train": 10}"#);
        let columns: Vec<_> = text.rows(Role::Train).columns.get().into_iter().flatten().cloned().collect();
        assert_eq!(columns, ["answer", "level", "prompt", "reasoning", "task"]);
    }

    #[test]
    fn every_mistake_is_reported_at_its_place() {
        let json = r#"{"tasks": {"cuont": {}, "word": {"weight": 0, "levels": [6], "reasoning": 2}}, "train": 0, "image_size": 80}"#;
        let found = mistakes(json);
        let places = ["Stage", "image_size", "tasks.cuont", "word.weight", "word.levels", "word.reasoning"];
        assert_eq!(found.len(), places.len(), "{found:?}");
        assert!(found.iter().zip(places).all(|(found, place)| found.contains(place)), "{found:?}");
        assert_eq!(mistakes("{}"), [r#"Param("tasks"): names no task"#]);
    }

    #[test]
    fn names_are_those_of_recipes() {
        for task in Task::ALL {
            assert_eq!(serde_json::to_value(task).unwrap(), task.name());
            assert_eq!(Task::named(task.name()), Some(task));
        }
    }

    #[cfg(feature = "rows")]
    mod running {
        use std::path::Path;
        use std::sync::Arc;
        use std::sync::atomic::AtomicBool;

        use curricle_engine::stage::{DataView, InputArtifact, Runtime, StageRequest};

        use super::*;

        fn request(dir: &Path, params: &Params, exclude: Option<&Path>) -> StageRequest {
            let exclude = exclude.map(|path| InputArtifact {
                path: path.to_owned(),
                ty: ArtifactType::Data(DataType::default()),
                view: DataView::default(),
                reference: "held_out.test".into(),
            });
            StageRequest {
                stage: "made".into(),
                kind: "synthesize".into(),
                params: serde_json::to_value(params).unwrap(),
                key: "00".into(),
                seed: 3,
                inputs: exclude.into_iter().map(|input| ("exclude".to_owned(), input)).collect(),
                output_dir: dir.to_owned(),
                work_dir: dir.join("work"),
                runtime: Runtime::default(),
            }
        }

        fn make(dir: &Path, params: &Params, exclude: Option<&Path>, stop: bool) -> Result<usize, StageError> {
            let request = request(dir, params, exclude);
            let mut events = 0;
            let mut emit = |_| events += 1;
            let mut context = StageContext::new(&request, Arc::new(AtomicBool::new(stop)), &mut emit);
            Synthesize::run(params, &mut context)?;
            Ok(events)
        }

        fn ids(dir: &Path) -> BTreeSet<String> {
            let rows = curricle_datasets::rows::load(dir, &curricle_datasets::RowsView::default()).unwrap();
            rows.into_iter().map(|row| row.id).collect()
        }

        #[test]
        fn tasks_are_those_of_the_data_crate() {
            let known: Vec<_> = Task::ALL.iter().map(|t| (t.name(), t.has_images(), t.has_answers())).collect();
            let made: Vec<_> = curricle_datasets::synth::TASKS.iter().map(|t| (t.name, t.images, t.answers)).collect();
            assert_eq!(known, made);
        }

        #[test]
        fn excluded_rows_are_not_made_again() {
            let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
            let held_out = params(r#"{"tasks": {"arithmetic": {"levels": [1]}, "count": {}}, "train": 0, "test": 40}"#);
            make(dirs[0].path(), &held_out, None, false).unwrap();
            let test = dirs[0].path().join("test");
            assert!(!dirs[0].path().join("train").exists());
            let train = params(r#"{"tasks": {"arithmetic": {"levels": [1]}}, "train": 100}"#);
            assert!(make(dirs[1].path(), &train, Some(&test), false).unwrap() > 0);
            make(dirs[2].path(), &train, None, false).unwrap();
            let held = ids(&test);
            assert!(ids(&dirs[1].path().join("train")).is_disjoint(&held));
            assert!(!ids(&dirs[2].path().join("train")).is_disjoint(&held), "without the port they meet");
        }

        #[test]
        fn an_interrupt_leaves_no_rows() {
            let dir = tempfile::tempdir().unwrap();
            let result = make(dir.path(), &params(r#"{"tasks": {"count": {}}, "train": 10}"#), None, true);
            assert!(matches!(result, Err(StageError::Interrupted { step: 0 })));
            assert!(!dir.path().join("train/rows.jsonl").exists());
        }
    }
}
