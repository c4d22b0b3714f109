//! References → edges: `cold_start.model`, `score[mrl].metrics`, `models.base`, `data.gsm8k.train`.

use std::collections::{BTreeMap, BTreeSet};

use super::Origin;
use super::expand::{Draft, Names};
use super::facts::{self, Outside, Seen};
use crate::diagnostic::{Diagnostic, suggest};
use crate::recipe::{At, DataEntry, Recipe};
use crate::stage::{AnyKind, AnyStage, ArtifactKind, ArtifactType, DataType, Fact, InputPort, ModelType, Ports, Said};

/// A draft whose kind and parameters are known.
pub(super) struct Decoded {
    pub kind: &'static dyn AnyKind,
    pub stage: Box<dyn AnyStage>,
    pub ports: Ports,
}

/// A connected input, before types flow.
pub(super) struct Edge {
    pub port: InputPort,
    pub reference: At<String>,
    pub from: From,
}

/// What an input is connected to.
pub(super) enum From {
    /// An output port of another draft.
    Draft { index: usize, port: String },
    /// A model or data set from outside; none if what is known of it is wrong.
    Outside(Option<Box<(Origin, ArtifactType)>>),
}

/// Models and data sets from outside, each looked at once.
pub(super) struct World<'a> {
    recipe: &'a Recipe,
    models: BTreeMap<&'a str, Option<Outside<ModelType>>>,
    data: BTreeMap<&'a str, Option<Outside<DataType>>>,
    used: BTreeSet<(&'static str, &'a str)>,
}

impl<'a> World<'a> {
    /// Looks at everything.
    pub fn new(recipe: &'a Recipe, disk: &Seen, mistakes: &mut Vec<Diagnostic>) -> Self {
        let models = recipe.models.iter();
        let models =
            models.map(|(name, entry)| (name.as_str(), facts::model(entry, &recipe.held, disk, mistakes))).collect();
        let data = recipe.data.iter();
        let data =
            data.map(|(name, entry)| (name.as_str(), facts::data(entry, &recipe.held, disk, mistakes))).collect();
        for entry in recipe.data.values() {
            for (name, reason) in entry.waive.iter().filter(|(name, _)| !recipe.data.contains_key(*name)) {
                let help = suggest(name, "`[data]` has", recipe.data.keys().map(String::as_str));
                mistakes.push(unknown(reason, format!("there is no data set `{name}`"), help));
            }
        }
        Self { recipe, models, data, used: BTreeSet::new() }
    }

    /// Warns of what no stage reads.
    pub fn unused(&self, mistakes: &mut Vec<Diagnostic>) {
        let models = self.recipe.models.values().map(|entry| ("models", &entry.name));
        let data = self.recipe.data.values().map(|entry| ("data", &entry.name));
        for (section, name) in
            models.chain(data).filter(|(section, name)| !self.used.contains(&(*section, &name.value)))
        {
            let message = format!("no stage reads `{section}.{}`", name.value);
            let help = "connect it to a stage's input, or remove it";
            mistakes.push(Diagnostic::warning("unused", message).at(name.span, "").help(help));
        }
    }

    fn model(&mut self, parts: &[&str], at: &At<String>) -> Result<From, Diagnostic> {
        let [name] = parts else {
            let help = "a model from outside is `models.NAME`";
            return Err(unknown(at, format!("`{}` has too many parts", at.value), help));
        };
        let Some((&name, outside)) = self.models.get_key_value(*name) else {
            let help = suggest(name, "`[models]` has", self.models.keys().copied());
            return Err(unknown(at, format!("there is no model `{name}`"), help));
        };
        self.used.insert(("models", name));
        let known = outside.as_ref();
        Ok(From::Outside(
            known.map(|outside| Box::new((outside.origin.clone(), ArtifactType::Model(outside.ty.clone())))),
        ))
    }

    fn data(&mut self, parts: &[&str], at: &At<String>, mistakes: &mut Vec<Diagnostic>) -> Result<From, Diagnostic> {
        let (name, split) = match parts {
            [name] => (name, None),
            [name, split] => (name, Some(*split)),
            _ => {
                let help = "data from outside is `data.NAME` or `data.NAME.SPLIT`";
                return Err(unknown(at, format!("`{}` has too many parts", at.value), help));
            }
        };
        let Some((&name, outside)) = self.data.get_key_value(*name) else {
            let help = suggest(name, "`[data]` has", self.data.keys().copied());
            return Err(unknown(at, format!("there is no data set `{name}`"), help));
        };
        self.used.insert(("data", name));
        let entry = &self.recipe.data[name];
        let splits = &entry.view.splits;
        if let Some(split) = split.filter(|split| !splits.contains_key(*split)) {
            let help = if splits.is_empty() {
                format!("write `data.{name}`, or give it `splits = {{ {split} = 1.0 }}`")
            } else {
                suggest(split, "it has", splits.keys().map(String::as_str))
            };
            return Err(unknown(at, format!("`data.{name}` has no split `{split}`"), help));
        }
        if let Some((split, outside)) = split.zip(outside.as_ref()) {
            mistakes.extend(too_small(entry, split, &outside.ty, at));
        }
        Ok(From::Outside(outside.as_ref().map(|outside| {
            let mut origin = outside.origin.clone();
            if let Origin::File { view, .. } | Origin::Remote { view, .. } = &mut origin {
                view.split = split.map(str::to_owned);
            }
            // How many rows a split gets is decided by their hashes.
            let rows = if split.is_some() { Fact::default() } else { outside.ty.rows.clone() };
            Box::new((origin, ArtifactType::Data(DataType { rows, ..outside.ty.clone() })))
        })))
    }
}

/// Warns of a split that is likely to get no row at all.
fn too_small(entry: &DataEntry, split: &str, ty: &DataType, at: &At<String>) -> Option<Diagnostic> {
    let (rows, share) = (*ty.rows.get()?, *entry.view.splits.get(split)?);
    let expected = rows as f64 * share;
    if expected >= 1.0 {
        return None;
    }
    let message = format!("`{}` probably gets no row: {share} of {rows} rows is less than one", at.value);
    let mut warning = Diagnostic::warning("splits", message).at(at.span, "taken here");
    if let Some(span) = entry.places.splits.get(split) {
        warning = warning.at(*span, "its share");
    }
    if let Said::At { span, .. } = ty.rows.said() {
        warning = warning.at(*span, format!("{rows} rows"));
    }
    Some(warning.help("give it a larger share, or take a file of its own for it"))
}

/// Connects every input of a draft; none of the returned edges has a mistake in its names.
pub(super) fn inputs(
    own: usize,
    drafts: &[Draft<'_>],
    decoded: &[Option<Decoded>],
    names: &Names,
    world: &mut World<'_>,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<Edge> {
    let draft = &drafts[own];
    let mut edges = Vec::new();
    for (port, reference) in &draft.inputs {
        // Ports of a stage whose parameters are wrong are unknown; its references can be judged all the same.
        let known =
            decoded[own].as_ref().map(|own| (own, own.ports.inputs.iter().find(|known| known.name == port.value)));
        if let Some((own, None)) = known {
            let message = format!(
                "stage `{}` (kind `{}`) has no input `{}`",
                draft.entry.name.value,
                own.kind.name(),
                port.value
            );
            let help = suggest(&port.value, "its inputs", own.ports.inputs.iter().map(|port| &*port.name));
            mistakes.push(Diagnostic::error("unknown-port", message).at(port.span, "unknown").help(help));
        }
        let from = match origin(own, drafts, decoded, names, world, reference, mistakes) {
            Ok(from) => from,
            Err(mut diagnostic) => {
                // The text says `${each}`: show what that came to.
                if let Some(label) = diagnostic.labels.first_mut().filter(|_| draft.entry.each.is_some()) {
                    label.text = format!("here `{}`", reference.value);
                }
                mistakes.push(diagnostic);
                continue;
            }
        };
        let Some((_, Some(port))) = known else { continue };
        let made = match &from {
            From::Draft { index, port } => decoded[*index].as_ref().and_then(|made| output(&made.ports, port)),
            From::Outside(known) => known.as_ref().map(|known| known.1.kind()),
        };
        if let Some(made) = made.filter(|made| *made != port.kind) {
            let message = format!("input `{}` of stage `{}` takes {}", port.name, draft.name, port.kind.with_article());
            let label = format!("this is {}", made.with_article());
            mistakes.push(Diagnostic::error("artifact", message).at(reference.span, label));
            continue;
        }
        edges.push(Edge { port: port.clone(), reference: reference.clone(), from });
    }
    if let Some(own) = &decoded[own] {
        let given = |port: &InputPort| draft.inputs.iter().any(|(given, _)| given.value == port.name);
        for port in own.ports.inputs.iter().filter(|port| port.required && !given(port)) {
            let message = format!(
                "stage `{}` (kind `{}`) needs the input `{}`",
                draft.entry.name.value,
                own.kind.name(),
                port.name
            );
            let missing = Diagnostic::error("missing-input", message).at(draft.entry.name.span, "not connected");
            mistakes.push(missing.help(format!("add `{} = \"…\"` to its `inputs`: {}", port.name, example(port.kind))));
        }
    }
    edges
}

/// Resolves `after`.
pub(super) fn after(own: usize, drafts: &[Draft<'_>], names: &Names, mistakes: &mut Vec<Diagnostic>) -> Vec<usize> {
    let draft = &drafts[own];
    let mut stages = BTreeSet::new();
    for name in &draft.entry.after {
        let one = names.drafts.get(&name.value).map(std::slice::from_ref);
        match one.or_else(|| names.entries.get(&name.value).map(Vec::as_slice)) {
            Some(found) if found.contains(&own) => {
                let message = format!("stage `{}` can't come after itself", draft.entry.name.value);
                mistakes.push(Diagnostic::error("cycle", message).at(name.span, "").help("remove it"));
            }
            Some(found) => stages.extend(found.iter().copied()),
            None => {
                let help = suggest(&name.value, "stages", names.entries.keys().map(String::as_str));
                mistakes.push(unknown(name, format!("there is no stage `{}`", name.value), help));
            }
        }
    }
    stages.into_iter().collect()
}

fn origin(
    own: usize,
    drafts: &[Draft<'_>],
    decoded: &[Option<Decoded>],
    names: &Names,
    world: &mut World<'_>,
    at: &At<String>,
    mistakes: &mut Vec<Diagnostic>,
) -> Result<From, Diagnostic> {
    let reference = at.value.as_str();
    if reference.is_empty() || reference.contains("${") {
        return Ok(From::Outside(None)); // already reported
    }
    // Items of `each` may hold dots, so that the name ends after the bracket.
    let name_end = match reference.find(']') {
        Some(bracket) => bracket + 1,
        None => reference.find('.').unwrap_or(reference.len()),
    };
    let (name, rest) = reference.split_at(name_end);
    let rest: Vec<_> = rest.strip_prefix('.').map(|rest| rest.split('.').collect()).unwrap_or_default();
    match name {
        "models" => return world.model(&rest, at),
        "data" => return world.data(&rest, at, mistakes),
        _ => {}
    }
    let Some(&index) = names.drafts.get(name) else { return Err(no_such_stage(name, &rest, names, drafts, at)) };
    let made = decoded[index].as_ref();
    let outputs: Vec<&str> =
        made.map(|made| made.ports.outputs.iter().map(|port| &*port.name).collect()).unwrap_or_default();
    let [port] = rest[..] else {
        let help = match outputs[..] {
            [] => format!("write `{name}.PORT`"),
            [only] => format!("write `{name}.{only}`"),
            _ => format!("write `{name}.PORT`; {}", suggest("", "ports", outputs.iter().copied())),
        };
        return Err(unknown(at, format!("`{reference}` does not name an output of stage `{name}`"), help));
    };
    let port = port.strip_suffix("@last").unwrap_or(port);
    if let Some(made) = made.filter(|_| !outputs.contains(&port)) {
        if let Some((port, state)) = port.split_once('@').filter(|(port, _)| outputs.contains(port)) {
            return Err(not_kept(&drafts[index], made, port, state, at));
        }
        let help = suggest(port, "its outputs", outputs.iter().copied());
        let message = format!("stage `{name}` has no output `{port}`");
        return Err(Diagnostic::error("unknown-port", message).at(at.span, "").help(help));
    }
    if index == own {
        let message = format!("stage `{name}` can't read its own output");
        let help = "connect it to another stage, or to `models.NAME` or `data.NAME`";
        return Err(Diagnostic::error("cycle", message).at(at.span, "").help(help));
    }
    Ok(From::Draft { index, port: port.to_owned() })
}

/// Refuses a state that nobody keeps, and says how a stage would.
fn not_kept(draft: &Draft<'_>, made: &Decoded, port: &str, state: &str, at: &At<String>) -> Diagnostic {
    let (name, kind) = (&draft.name, made.kind.name());
    let last = format!("write `{name}.{port}`, its last state");
    let step = state.strip_prefix("step=").map(str::parse::<usize>);
    if !matches!((state, &step), ("best", _) | (_, Some(Ok(_)))) {
        let message = format!("`@{state}` chooses nothing");
        let help = format!("`@best`, `@step=400` and `@last` choose a state; {last}");
        return Diagnostic::error("checkpoint", message).at(at.span, "").help(help);
    }
    let message = format!("stage `{name}` keeps no `{port}@{state}`");
    // A kind whose stages keep states has a parameter that says which, and an output for each.
    let keeps = made.kind.schema().pointer("/properties/keep").is_some() && port == "model";
    let help = if !keeps {
        let what = if port == "model" { format!("a stage of kind `{kind}`") } else { format!("of `{port}` a stage") };
        format!("{what} keeps its last state only: {last}")
    } else if let Some(Ok(step)) = step {
        format!("add `keep = {{ steps = [{step}] }}` to its `params`, or {last}")
    } else {
        let more = format!("`curricle kinds show {kind}` lists what a best state is chosen by");
        format!("add `keep = {{ best = \"…\" }}` to its `params` ({more}), or {last}")
    };
    Diagnostic::error("checkpoint", message).at(at.span, "").at(draft.entry.name.span, "this stage").help(help)
}

fn no_such_stage(name: &str, rest: &[&str], names: &Names, drafts: &[Draft<'_>], at: &At<String>) -> Diagnostic {
    let base = name.split('[').next().unwrap_or(name);
    if let Some(found) = names.entries.get(base) {
        let full: Vec<_> = found.iter().map(|&index| drafts[index].name.as_str()).collect();
        if name == base {
            let message = format!("`{base}` is one stage per item of its `each`");
            let help = suggest("", "say which", full);
            return unknown(at, message, help);
        }
        return unknown(at, format!("there is no stage `{name}`"), suggest(name, "its stages", full));
    }
    let candidates = names.entries.keys().map(String::as_str);
    let help = match rest {
        [] => "a reference is `STAGE.PORT`, `models.NAME`, `data.NAME` or `data.NAME.SPLIT`".to_owned(),
        _ => suggest(name, "stages", candidates),
    };
    unknown(at, format!("there is no stage `{name}`"), help)
}

fn unknown(at: &At<String>, message: String, help: impl Into<String>) -> Diagnostic {
    Diagnostic::error("unknown-reference", message).at(at.span, "").help(help)
}

fn output(ports: &Ports, name: &str) -> Option<ArtifactKind> {
    ports.outputs.iter().find(|port| port.name == name).map(|port| port.kind)
}

fn example(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::Model => "a model such as `models.NAME` or `STAGE.model`",
        ArtifactKind::Data => "data such as `data.NAME` or `data.NAME.train`",
        ArtifactKind::Metrics => "metrics such as `STAGE.metrics`",
        ArtifactKind::Export => "an export such as `STAGE.export`",
        ArtifactKind::Embeddings => "vectors of rows such as `STAGE.embeddings`, of an `embed` stage",
        ArtifactKind::Optimizer => "an optimizer's state such as `STAGE.optimizer`, of a stage with `save_optimizer`",
    }
}
