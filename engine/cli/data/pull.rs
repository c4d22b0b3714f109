//! `curricle data pull`: what recipes take from the hub, fetched.

use curricle_engine::hub::{HubName, Order, Progress, Pulled, RepoKind, Shelf, pull};
use curricle_stages::hub::HuggingFace;
use serde_json::json;
use std::path::Path;

use crate::args::data::PullArgs;
use crate::check;
use crate::exit::{Exit, Failure};
use crate::fetch::{Talk, failure};
use crate::paint::Paint;
use crate::table::bytes;

/// Fetches everything that was asked for.
pub fn run(args: &PullArgs, as_json: bool, paint: Paint) -> Result<Exit, Failure> {
    let (mut wanted, mut shelf): (Vec<(String, Order)>, _) = (Vec::new(), Shelf::from_env());
    for what in &args.what {
        if let Some(id) = what.strip_prefix("hf:") {
            let kind = if args.model { RepoKind::Model } else { RepoKind::Data };
            let name = HubName::parse(kind, id, None, args.files.clone())
                .map_err(|error| Failure::new(Exit::Usage, format!("`{what}`: {error}")))?;
            let commit = shelf.commit(&name);
            wanted.push((what.clone(), Order { name, commit }));
        } else {
            let recipe = check::recipe(Path::new(what), &args.layers)?;
            shelf = recipe.shelf().clone();
            let entries = recipe.entries().into_iter();
            wanted.extend(entries.filter_map(|entry| Some((entry.name, entry.hub?))));
        }
    }
    let hub = HuggingFace::from_env(&shelf);
    let mut talk = Talk::new(paint);
    let mut done = Vec::new();
    for (name, order) in &wanted {
        let say = &mut |progress: Progress<'_>| talk.show(progress);
        let pulled = pull(&hub, &shelf, order, args.update, say);
        talk.end();
        let pulled = pulled.map_err(|trouble| failure(&trouble))?;
        if !as_json {
            paint.data(&line(name, order, &pulled))?;
        }
        done.push(json!({
            "name": name, "source": order.name.to_string(), "commit": pulled.commit,
            "path": pulled.path.display().to_string(), "files": pulled.files, "bytes": pulled.bytes,
        }));
    }
    if as_json {
        paint.json(&json!({ "schema_version": 1, "pulled": done }))?;
    } else if wanted.is_empty() {
        paint.say("nothing of this is on the hub");
    }
    Ok(Exit::Done)
}

fn line(name: &str, order: &Order, pulled: &Pulled) -> String {
    let source = if name.starts_with("hf:") { String::new() } else { format!("  {}", order.name) };
    let how = match pulled.files {
        0 => "already here".to_owned(),
        files => format!("{files} file{}, {}", if files == 1 { "" } else { "s" }, bytes(pulled.bytes)),
    };
    format!("{name}{source}  {}  {how}  {}\n", &pulled.commit[..8], pulled.path.display())
}
