//! What can be seen of models and data sets without running anything, and what `assume` says of the rest. What can be seen
//! counts; a declaration that it contradicts is reported. Reads headers and first rows, never weights.

mod data;
mod model;
mod tokenizer;

pub(super) use data::data;
pub(super) use model::model;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::Origin;
use crate::diagnostic::Diagnostic;
use crate::fs;
use crate::hub::Held;
use crate::recipe::{Location, Span};
use crate::stage::{DataView, Fact, Said, Source, Tokenizer};

/// What was read, so that the arms of a recipe read each file once.
#[derive(Default)]
pub(super) struct Seen {
    tokenizers: Once<Result<Arc<Tokenizer>, String>>,
    rows: Once<data::First>,
}

struct Once<T>(RefCell<BTreeMap<PathBuf, Rc<T>>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Once<T> {
    fn get(&self, path: &Path, read: impl FnOnce(&Path) -> T) -> Rc<T> {
        Rc::clone(self.0.borrow_mut().entry(path.to_owned()).or_insert_with(|| Rc::new(read(path))))
    }
}

/// A model or data set from outside.
pub(super) struct Outside<T> {
    /// Where it is; its view takes every row.
    pub origin: Origin,
    /// What is known of it.
    pub ty: T,
}

/// What stages will say that they were made from.
fn named(title: &str, origin: &Origin, licence: Option<&String>) -> Source {
    let address = match origin {
        Origin::Remote { name, commit, .. } => match commit {
            Some(commit) => Some(format!("{}@{commit}", name.source())),
            None => Some(name.to_string()),
        },
        Origin::File { .. } | Origin::Stage { .. } => None,
    };
    Source { name: title.to_owned(), address, licence: licence.cloned() }
}

/// Where an entry is, and the files of it that are there.
fn origin(entry: &str, location: &Location, view: DataView, held: &Held) -> (Origin, Option<PathBuf>) {
    match location {
        Location::File(path) => {
            let files = Some(path.clone()).filter(|path| fs::exists(path));
            (Origin::File { path: fs::absolute(path), view }, files)
        }
        Location::Hub(name) => {
            let (commit, copy) = held.find(entry, name);
            (Origin::Remote { name: name.clone(), commit, copy: copy.clone(), view }, copy)
        }
    }
}

/// Why nothing of it can be seen.
fn unseen(location: &Location) -> &'static str {
    match location {
        Location::File(_) => "is not there",
        Location::Hub(_) => "is on a hub",
    }
}

fn unverified(title: &str, span: Span, why: &str, assumes: bool) -> Diagnostic {
    let message = format!("could not verify `{title}`: it {why}");
    let (label, help) = if assumes {
        ("taken as `assume` describes it", "")
    } else {
        (
            "nothing is known of it",
            "say what it is with `assume = { … }`, so that `check` can follow it through the graph",
        )
    };
    Diagnostic::note("unverified", message).at(span, label).help(help)
}

/// What was seen, or else what was assumed; warns where they differ.
fn settle<T: PartialEq>(
    seen: Fact<T>,
    assumed: Fact<T>,
    say: impl Fn(&T) -> String,
    title: &str,
    mistakes: &mut Vec<Diagnostic>,
) -> Fact<T> {
    if let (Some(is), Some(was)) = (seen.get(), assumed.get())
        && is != was
        && let (Said::At { span: here, file }, Said::At { span: there, .. }) = (seen.said(), assumed.said())
    {
        let message = format!("`{title}` is not what `assume` says");
        let label = if file.is_empty() { say(is) } else { format!("{}, says its `{file}`", say(is)) };
        let help = "correct it, or leave it out: `assume` is for what can't be seen";
        mistakes.push(Diagnostic::warning("assume", message).at(*there, say(was)).at(*here, label).help(help));
    }
    seen.or(assumed)
}
