//! `curricle adopt`: something made elsewhere becomes the result of a stage.

use std::path::{Path, PathBuf};

use curricle_engine::fs;
use curricle_engine::graph::{StageNode, check};
use curricle_engine::recipe::Recipe;
use curricle_engine::stage::{ArtifactKind, OutputPort};
use curricle_engine::store::{Adopted, Store};
use curricle_stages::KINDS;

use crate::args::{AdoptArgs, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};
use crate::plan;

/// Copies it into the store.
pub fn run(args: &AdoptArgs, paint: Paint) -> Result<Exit, Failure> {
    let recipe = Recipe::load(&args.recipe, &args.layers.overrides())?;
    let graph = check(&recipe, KINDS)?.graph;
    let store = Store::open(&args.store.store);
    let select = SelectArgs { until: vec![args.stage.clone()], ..SelectArgs::default() };
    let plan = plan::make(&graph, &store, &select)?;
    let Some(node) = graph.find(&args.stage) else {
        let message = format!("`{}` is several stages; name one: `{}[…]`", args.stage, args.stage);
        return Err(Failure::new(Exit::Usage, message));
    };
    let step = plan.step(node.id);
    let outputs = outputs(&args.path, node)?;
    let unknown = plan.steps.iter().filter(|step| !step.missing.is_empty()).flat_map(|step| &step.missing);
    for missing in unknown {
        paint.complain(&format!(
            "{} `{}` is not on this machine; once it is, the stage has another key and runs",
            paint.err_tint(Tint::Yellow, "warning:"),
            missing.reference
        ));
    }
    let adopted = Adopted { from: fs::absolute(&args.path), note: args.note.clone() };
    let made = store
        .adopt(&step.name, &step.preimage, &outputs, adopted, args.replace)
        .map_err(|error| Failure::new(Exit::Store, format!("{error}\n  help: {}", error.help())))?;
    let Some(made) = made else {
        let message = format!("stage `{}` has a result with key {}", step.name, step.key.short());
        return Err(Failure::new(Exit::Failed, format!("{message}\n  help: `--replace` puts this in its place")));
    };
    paint.say(&format!("stage `{}` is adopted: {}", step.name, made.dir().display()));
    Ok(Exit::Done)
}

/// Which part of the path becomes which output; refuses what the stage's readers could not read.
fn outputs(path: &Path, node: &StageNode) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    if !fs::exists(path) {
        return Err(Failure::new(Exit::Usage, format!("there is nothing at `{}`", path.display())));
    }
    let mut found = Vec::new();
    for port in &node.ports.outputs {
        let part = match node.ports.outputs.len() {
            1 if !fs::is_dir(&path.join(&*port.name)) => path.to_owned(),
            _ => path.join(&*port.name),
        };
        // Rows may come as a file of any name.
        if port.kind == ArtifactKind::Data && fs::exists(&part) && !fs::is_dir(&part) {
            found.push((Path::new(&*port.name).join("rows.jsonl"), part));
            continue;
        }
        if let Some(missing) = lacking(port, &part) {
            let message = format!("`{}` is no {} for output `{}`: {missing}", part.display(), noun(port), port.name);
            return Err(Failure::new(Exit::Usage, message));
        }
        found.push(((&*port.name).into(), part));
    }
    Ok(found)
}

fn noun(port: &OutputPort) -> &'static str {
    port.kind.with_article().trim_start_matches("a ").trim_start_matches("an ")
}

/// What a reader of such an output would not find.
fn lacking(port: &OutputPort, path: &Path) -> Option<String> {
    let names = fs::list(path).unwrap_or_default();
    let any = |ending: &str| names.iter().any(|name| Path::new(name).extension().is_some_and(|it| it == ending));
    let need = |file: &str| (!names.iter().any(|name| name == file)).then(|| format!("it has no `{file}`"));
    match port.kind {
        _ if !fs::exists(path) => Some("there is nothing".into()),
        ArtifactKind::Model => need("config.json")
            .or_else(|| need("tokenizer.json"))
            .or_else(|| (!any("safetensors")).then(|| "it has no safetensors".into())),
        ArtifactKind::Data => need("rows.jsonl"),
        ArtifactKind::Metrics => need("metrics.json"),
        _ => None,
    }
}
