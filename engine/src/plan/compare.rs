//! Two preimages → every difference as a [`Reason`].

use serde_json::Value;

use super::Reason;
use crate::stage::DataView;
use crate::store::{InputIdentity, KeyPreimage};

/// Digits of a digest shown to people.
const SHORT: usize = 8;

/// What a port of the new preimage is connected to.
pub(super) struct Connection {
    /// As the recipe says it.
    pub reference: String,
    /// The producer, if it runs in the same plan.
    pub rebuilt: Option<String>,
}

/// Differences in a fixed order: format, kind, version, seed, parameters, inputs. `connection` tells of ports of `new`.
pub(super) fn compare(old: &KeyPreimage, new: &KeyPreimage, connection: impl Fn(&str) -> Connection) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if old.format != new.format {
        reasons.push(Reason::FormatChanged { old: old.format, new: new.format });
    }
    if old.kind == new.kind {
        if old.version != new.version {
            let kind = new.kind.clone();
            reasons.push(Reason::VersionChanged { kind, old: old.version, new: new.version });
        }
        params("", &old.params, &new.params, &mut reasons);
    } else {
        // Parameters of two kinds have nothing to compare.
        reasons.push(Reason::KindChanged { old: old.kind.clone(), new: new.kind.clone() });
    }
    if old.seed != new.seed {
        reasons.push(Reason::SeedChanged { old: old.seed, new: new.seed });
    }
    for (port, identity) in &new.inputs {
        let Connection { reference, rebuilt } = connection(port);
        match old.inputs.get(port) {
            None => reasons.push(Reason::InputAdded { port: port.clone(), reference }),
            Some(before) if before == identity => {}
            Some(before) => input(port, reference, rebuilt, before, identity, &mut reasons),
        }
    }
    let gone = old.inputs.keys().filter(|port| !new.inputs.contains_key(*port));
    reasons.extend(gone.map(|port| Reason::InputRemoved { port: port.clone() }));
    reasons
}

fn params(path: &str, old: &Value, new: &Value, reasons: &mut Vec<Reason>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            for (name, value) in new {
                match old.get(name) {
                    Some(before) => params(&below(name), before, value, reasons),
                    None => reasons.push(Reason::ParamAdded { param: below(name), new: value.clone() }),
                }
            }
            for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
                reasons.push(Reason::ParamRemoved { param: below(name), old: value.clone() });
            }
        }
        (old, new) if old == new => {}
        (old, new) => {
            let param = if path.is_empty() { "params" } else { path }.to_owned();
            reasons.push(Reason::ParamChanged { param, old: old.clone(), new: new.clone() });
        }
    }
}

fn input(
    port: &str,
    reference: String,
    rebuilt: Option<String>,
    old: &InputIdentity,
    new: &InputIdentity,
    reasons: &mut Vec<Reason>,
) {
    let port = port.to_owned();
    match (old, new) {
        (_, InputIdentity::Absent { source, .. }) => {
            reasons.push(Reason::FilesMissing { port, reference, source: source.clone() });
        }
        (InputIdentity::File { digest: old, view: old_view }, InputIdentity::File { digest: new, view: new_view }) => {
            contents(&port, &reference, [old, new], [old_view, new_view], reasons);
        }
        (
            InputIdentity::Hub { source: old_source, commit: old, view: old_view },
            InputIdentity::Hub { source, commit: new, view },
        ) if old_source == source => {
            contents(&port, &reference, [old, new], [old_view, view], reasons);
        }
        (_, new) => reasons.push(match rebuilt {
            Some(stage) => Reason::InputRebuilt { port, reference, stage },
            None => Reason::InputChanged { port, reference, old: name_of(old), new: name_of(new) },
        }),
    }
}

/// Files whose bytes, or the way to read them, may be others; `digests` and `views` are the old and the new one.
fn contents(port: &str, reference: &str, digests: [&str; 2], views: [&DataView; 2], reasons: &mut Vec<Reason>) {
    let [old, new] = digests;
    let (port, reference) = (port.to_owned(), reference.to_owned());
    if old != new {
        let [old, new] = digests.map(|digest| digest[..SHORT.min(digest.len())].to_owned());
        reasons.push(Reason::FilesChanged { port: port.clone(), reference: reference.clone(), old, new });
    }
    let [old, new] = views.map(fields);
    let empty = Value::Null;
    let names = new.keys().chain(old.keys().filter(|name| !new.contains_key(*name)));
    for field in names {
        let (before, after) = (old.get(field).unwrap_or(&empty), new.get(field).unwrap_or(&empty));
        if before != after {
            let (port, reference, field) = (port.clone(), reference.clone(), field.clone());
            let (old, new) = (before.clone(), after.clone());
            reasons.push(Reason::ViewChanged { port, reference, field, old, new });
        }
    }
}

fn fields(view: &DataView) -> serde_json::Map<String, Value> {
    match serde_json::to_value(view) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    }
}

fn name_of(identity: &InputIdentity) -> String {
    match identity {
        InputIdentity::Stage { key, port } => format!("`{port}` of {}", key.short()),
        InputIdentity::File { digest, .. } => format!("files {}", &digest[..SHORT.min(digest.len())]),
        InputIdentity::Hub { source, commit, .. } => format!("`{source}` at {}", &commit[..SHORT.min(commit.len())]),
        InputIdentity::Absent { source, .. } => format!("absent `{source}`"),
    }
}
