//! Tree → [`Recipe`]: one function per section. Unknown keys, wrong types and bad names are collected, and reading goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compose::Composed;
use super::interpolate::{self, Seeds};
use super::{At, Fields, Node, Origin, Recipe, Reseed, SCHEMA, Sources, Span, StageEntry, Table, secret, wiring};
use crate::diagnostic::{Diagnostic, Diagnostics, suggest};
use crate::fs;
use crate::hub::Held;
use crate::stage::{DeviceName, Runtime};
use crate::vary::Variation;

/// Fields of a row that `columns` may map; those that the reader of rows knows.
pub const ROW_FIELDS: [&str; 15] = [
    "id",
    "prompt",
    "system",
    "images",
    "answer",
    "reasoning",
    "response",
    "choices",
    "group",
    "task",
    "topic",
    "source",
    "level",
    "messages",
    "history",
];
const RESERVED: [&str; 6] = ["data", "models", "params", "seeds", "runtime", "recipe"];

/// What makes an arm of a recipe: read again, the recipe is changed on the way.
pub(crate) trait Change {
    /// Edits values as they were written.
    fn edit(&self, table: &mut Table, mistakes: &mut Vec<Diagnostic>);
    /// Edits stages after references were replaced.
    fn rewire(&mut self, table: &mut Table, mistakes: &mut Vec<Diagnostic>);
    /// `[recipe] seed`, where it is another.
    fn seed(&self) -> Option<u64>;
    /// Stages with a seed of their own.
    fn reseed(&self) -> Option<Reseed>;
}

/// The recipe as written.
struct AsWritten;

impl Change for AsWritten {
    fn edit(&self, _: &mut Table, _: &mut Vec<Diagnostic>) {}
    fn rewire(&mut self, _: &mut Table, _: &mut Vec<Diagnostic>) {}
    fn seed(&self) -> Option<u64> {
        None
    }
    fn reseed(&self) -> Option<Reseed> {
        None
    }
}

pub(super) fn recipe(file: &Path, composed: Composed) -> Result<Recipe, Diagnostics> {
    let Composed { mut sources, mut table, file: source, scales, whole, mut mistakes } = composed;
    let Some(source) = source.filter(|_| whole) else {
        return Err(Diagnostics::new(Arc::new(sources), mistakes));
    };
    for place in secret::find(&table, &mut mistakes) {
        sources.mask(place);
    }
    let variation = Variation::take(&mut table, &mut mistakes);
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let known = Known {
        sources: Arc::new(sources),
        origin: Arc::new(Origin { source, stem, table }),
        variation: Arc::new(variation),
        scales,
        dir: fs::absolute(file).parent().unwrap_or(Path::new("/")).to_owned(),
        held: Arc::default(),
    };
    Ok(read(known, &mut AsWritten, mistakes))
}

impl Recipe {
    /// Reads the recipe again with a change; its mistakes are those of this reading alone.
    pub(crate) fn changed(&self, change: &mut dyn Change) -> Self {
        let known = Known {
            sources: Arc::clone(&self.sources),
            origin: Arc::clone(&self.origin),
            variation: Arc::clone(&self.variation),
            scales: self.scales.clone(),
            dir: self.dir.clone(),
            held: Arc::clone(&self.held),
        };
        read(known, change, Vec::new())
    }
}

/// What stays the same however often a recipe is read.
struct Known {
    sources: Arc<Sources>,
    origin: Arc<Origin>,
    variation: Arc<Variation>,
    scales: Vec<String>,
    dir: PathBuf,
    held: Arc<Held>,
}

fn read(known: Known, change: &mut dyn Change, mut mistakes: Vec<Diagnostic>) -> Recipe {
    let Known { sources, origin, variation, scales, dir, held } = known;
    let mut table = origin.table.clone();
    change.edit(&mut table, &mut mistakes);
    let written = match table.descend(&["recipe", "seed"]).map(|entry| &entry.value.value) {
        Some(Node::Integer(seed)) => *seed,
        _ => 0,
    };
    let seed = change.seed().map_or(written, |seed| seed as i64);
    let reseed = change.reseed();
    let text = dir.to_string_lossy();
    let behind = reseed.as_ref().map(|reseed| {
        let mut probe = table.clone();
        interpolate::whole(&mut probe, &text, &Seeds { root: seed, behind: None }, &mut Vec::new());
        (reseed.seed as i64, wiring::behind(&probe, &reseed.from))
    });
    let params = interpolate::whole(&mut table, &text, &Seeds { root: seed, behind }, &mut mistakes);
    change.rewire(&mut table, &mut mistakes);

    let mut reader = Reader { sources: &sources, mistakes };
    let mut top = Fields::new(&table, "a recipe", &mut reader.mistakes);
    schema_number(&mut top, Span::new(origin.source, 0..0));
    let _ = top.any("params");
    let [recipe, models, data, stages, gates, runtime] =
        ["recipe", "models", "data", "stages", "gates", "runtime"].map(|key| top.table(key).map(|at| at.value));
    for section in Variation::SECTIONS {
        let _ = top.any(section);
    }
    top.finish();

    let (name, description) = reader.header(recipe);
    let models = reader.section("models", models, Reader::model);
    let data = reader.section("data", data, Reader::data);
    let mut stages: Vec<_> = reader.section("stages", stages, Reader::stage).into_values().collect();
    stages.sort_by_key(|stage| stage.name.span);
    let mut gates: Vec<_> = reader.section("gates", gates, Reader::gate).into_values().collect();
    gates.sort_by_key(|gate| gate.name.span);
    if stages.is_empty() && reader.mistakes.is_empty() {
        let help = "add a `[stages.NAME]` table; `curricle kinds` lists the kinds";
        let nothing = Diagnostic::error("missing-key", "this recipe has no stages");
        reader.mistakes.push(nothing.at(Span::new(origin.source, 0..0), "").help(help));
    }
    let (jobs, runtime, runtime_stages) = reader.runtime(runtime);
    let mistakes = reader.mistakes;
    Recipe {
        name: name.unwrap_or_else(|| origin.stem.clone()),
        description,
        seed: u64::try_from(seed).unwrap_or(0),
        reseed,
        dir,
        params,
        models,
        data,
        stages,
        gates,
        runtime,
        runtime_stages,
        jobs,
        held,
        mistakes,
        sources,
        origin,
        variation,
        scales,
    }
}

fn schema_number(top: &mut Fields<'_, '_>, start: Span) {
    let help = format!("this version of curricle reads `schema = {SCHEMA}`");
    match top.any("schema").map(|entry| &entry.value) {
        None => {
            let missing = Diagnostic::error("schema", "this recipe does not say which format it has");
            top.report(missing.at(start, format!("`schema = {SCHEMA}` is missing")).help("put it on the first line"));
        }
        Some(At { value: Node::Integer(SCHEMA), .. }) => {}
        Some(At { value: Node::Integer(other), span }) if *other > SCHEMA => {
            let newer = Diagnostic::error(
                "schema",
                format!("this recipe has format {other}, which is newer than this program"),
            );
            top.report(newer.at(*span, "").help(format!("{help}; a newer version is needed")));
        }
        Some(other) => {
            top.report(Diagnostic::error("schema", "this format does not exist").at(other.span, "").help(help));
        }
    }
}

/// Reads sections; what is wrong with them is collected.
pub(super) struct Reader<'a> {
    pub(super) sources: &'a Sources,
    pub(super) mistakes: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn header(&mut self, table: Option<&Table>) -> (Option<String>, Option<String>) {
        let Some(table) = table else { return (None, None) };
        let mut fields = Fields::new(table, "`[recipe]`", &mut self.mistakes);
        let name = fields.string("name").map(|at| at.value);
        let description = fields.string("description").map(|at| at.value);
        let _ = fields.count("seed");
        fields.finish();
        (name, description)
    }

    /// Reads every table of a section of named tables.
    fn section<T>(
        &mut self,
        section: &str,
        table: Option<&Table>,
        read: fn(&mut Self, At<String>, &Table) -> T,
    ) -> BTreeMap<String, T> {
        let mut entries = BTreeMap::new();
        for (name, entry) in table.map(Table::in_order).unwrap_or_default() {
            self.name(section, name, entry.key);
            match &entry.value.value {
                Node::Invalid => {}
                Node::Table(table) => {
                    entries.insert(name.to_owned(), read(self, At::new(name.to_owned(), entry.key), table));
                }
                other => {
                    let message = format!("`{section}.{name}` is a table, not {}", other.type_name());
                    let help = format!("write `[{section}.{name}]` and its keys below it");
                    self.mistakes.push(Diagnostic::error("wrong-type", message).at(entry.value.span, "").help(help));
                }
            }
        }
        entries
    }

    pub(super) fn name(&mut self, section: &str, name: &str, span: Span) {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(allowed) {
            let message = format!("`{name}` can't be a name");
            let help = "names are made of `a`-`z`, `0`-`9`, `_` and `-`: they become names of folders";
            self.mistakes.push(Diagnostic::error("name", message).at(span, "").help(help));
        } else if section == "stages" && RESERVED.contains(&name) {
            let message = format!("a stage can't be called `{name}`");
            let help = format!("`{name}.…` already means something in a reference; choose another name");
            self.mistakes.push(Diagnostic::error("name", message).at(span, "reserved").help(help));
        }
    }

    fn stage(&mut self, name: At<String>, table: &Table) -> StageEntry {
        let title = format!("`[stages.{}]`", name.value);
        let mut fields = Fields::new(table, title.as_str(), &mut self.mistakes);
        let kind = fields.string("kind");
        let inputs = fields.table("inputs");
        let params = fields.table("params").map(|at| At::new(at.value.clone(), at.span));
        let each = fields.strings("each").map(|at| at.value);
        let after = fields.strings("after").map(|at| at.value).unwrap_or_default();
        let _ = fields.string("description");
        fields.finish();
        if kind.is_none() && table.get("kind").is_none() {
            let message = format!("{title} does not say what it does");
            let missing = Diagnostic::error("missing-key", message).at(name.span, "`kind` is missing");
            self.mistakes.push(missing.help("write `kind = \"…\"`; `curricle kinds` lists the kinds"));
        }
        let mut references = Vec::new();
        for (port, entry) in inputs.map(|at| at.value.in_order()).unwrap_or_default() {
            let port = At::new(port.to_owned(), entry.key);
            // An empty reference stands for one that was already reported.
            let reference = match &entry.value.value {
                Node::String(reference) => {
                    if reference.is_empty() {
                        let message = format!("input `{}` of {title} names nothing", port.value);
                        let help = "write `STAGE.PORT`, `models.NAME`, `data.NAME` or `data.NAME.SPLIT`, or remove it";
                        let empty = Diagnostic::error("wrong-type", message).at(entry.value.span, "");
                        self.mistakes.push(empty.help(help));
                    }
                    reference.clone()
                }
                Node::Invalid => String::new(),
                other => {
                    let message = format!("an input is a reference in quotes, not {}", other.type_name());
                    let help = "write `STAGE.PORT`, `models.NAME`, `data.NAME` or `data.NAME.SPLIT`";
                    self.mistakes.push(Diagnostic::error("wrong-type", message).at(entry.value.span, "").help(help));
                    String::new()
                }
            };
            references.push((port, At::new(reference, entry.value.span)));
        }
        let params = params.unwrap_or_else(|| At::new(Table::default(), name.span));
        StageEntry { name, kind, inputs: references, params, each, after }
    }

    fn runtime(&mut self, table: Option<&Table>) -> (Option<usize>, Runtime, Overridden) {
        let Some(table) = table else { return (None, Runtime::default(), Vec::new()) };
        let mut fields = Fields::new(table, "`[runtime]`", &mut self.mistakes);
        let runtime = settings(&mut fields, &Runtime::default());
        let jobs = fields.count("jobs").map(|at| at.value).filter(|&jobs| jobs > 0);
        let stages = fields.table("stages").map(|at| at.value);
        fields.finish();
        let mut overrides = Vec::new();
        for (name, entry) in stages.map(Table::in_order).unwrap_or_default() {
            let title = format!("[runtime.stages.{name}]");
            let Node::Table(table) = &entry.value.value else {
                let message = format!("`{title}` is a table, not {}", entry.value.value.type_name());
                self.mistakes.push(Diagnostic::error("wrong-type", message).at(entry.value.span, ""));
                continue;
            };
            let mut fields = Fields::new(table, format!("`{title}`"), &mut self.mistakes);
            overrides.push((At::new(name.to_owned(), entry.key), settings(&mut fields, &runtime)));
            fields.finish();
        }
        (jobs, runtime, overrides)
    }
}

/// `[runtime.stages.x]` by name, laid over `[runtime]`.
type Overridden = Vec<(At<String>, Runtime)>;

/// Reads what a runtime table says, over what holds otherwise.
fn settings(fields: &mut Fields<'_, '_>, base: &Runtime) -> Runtime {
    let device = fields.string("device");
    if let Some(At { value, span }) = &device
        && DeviceName::parse(value).is_none()
    {
        let message = format!("there is no device `{value}`");
        let help = suggest(value, "devices", ["auto", "cpu", "cuda", "cuda:0", "cuda:0,1", "cuda:all", "cpu*2"]);
        fields.report(Diagnostic::error("device", message).at(*span, "").help(help));
    }
    Runtime {
        device: device.map_or_else(|| base.device.clone(), |at| at.value),
        threads: fields.count("threads").map_or(base.threads, |at| at.value),
        checkpoint_every: fields.count("checkpoint_every").map_or(base.checkpoint_every, |at| at.value),
        gradient_checkpointing: fields
            .boolean("gradient_checkpointing")
            .map_or(base.gradient_checkpointing, |at| at.value),
        tui: fields.boolean("tui").map_or(base.tui, |at| at.value),
    }
}
