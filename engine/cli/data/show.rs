//! `curricle data show`: what is known of a public data set, or of an entry of a recipe.

use curricle_engine::diagnostic::suggest;
use curricle_engine::recipe::OutsideEntry;
use curricle_stages::data::{Manifest, manifests};
use serde_json::{Value, json};

use super::ls::document;
use crate::args::data::DataShowArgs;
use crate::check;
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};

/// Shows one.
pub fn run(args: &DataShowArgs, as_json: bool, paint: Paint) -> Result<Exit, Failure> {
    if let Some(file) = &args.recipe {
        let entries = check::recipe(file, &args.layers)?.entries();
        let of = |entry: &&OutsideEntry| entry.name == args.name || entry.name.ends_with(&format!(".{}", args.name));
        let Some(entry) = entries.iter().find(of) else {
            return Err(unknown(&args.name, "the recipe has", entries.iter().map(|entry| entry.name.as_str())));
        };
        let document = document(entry);
        if as_json {
            paint.json(&json!({ "schema_version": 1, "entry": document }))?;
        } else {
            paint.data(&fields(&document, paint))?;
        }
        return Ok(Exit::Done);
    }
    let all = manifests();
    let Some(manifest) = all.iter().find(|manifest| manifest.name == args.name) else {
        return Err(unknown(&args.name, "data sets", all.iter().map(|manifest| manifest.name.as_str())));
    };
    if as_json {
        paint.json(&json!({ "schema_version": 1, "manifest": manifest, "entry": manifest.entry() }))?;
    } else {
        paint.data(&text(manifest, paint))?;
    }
    Ok(Exit::Done)
}

fn unknown<'a>(name: &str, what: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let message = format!("there is no `{name}`\n  help: {}", suggest(name, what, known));
    Failure::new(Exit::Usage, message)
}

fn text(manifest: &Manifest, paint: Paint) -> String {
    let mut document = serde_json::to_value(manifest).unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        let said = fields.remove("paper");
        fields.insert("paper".into(), said.map_or(Value::Null, |said| said["sentence"].clone()));
    }
    let text = fields(&document, paint);
    match manifest.entry() {
        Some(entry) => text + &format!("\nin a recipe:\n{entry}"),
        None => text + "\nno address is known: put its files somewhere and write `source = \"file:PATH\"`\n",
    }
}

/// A line per field that says something.
fn fields(document: &Value, paint: Paint) -> String {
    let fields = document.as_object().into_iter().flatten();
    let said = fields.filter(|(_, value)| match value {
        Value::Null => false,
        Value::Object(inner) => !inner.is_empty(),
        _ => true,
    });
    let line = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{} {value}\n", paint.out_tint(Tint::Dim, &format!("{name:<9}")))
    };
    said.map(line).collect()
}
