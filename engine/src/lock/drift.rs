//! Two locks → every entry that is no longer what it was.

use std::fmt;

use serde::Serialize;

use super::{Lock, LockedInput, LockedStage};

/// Digits of a digest shown to people.
const SHORT: usize = 8;

/// One entry that is no longer what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// `data.mm`, `stages.mrl`.
    pub entry: String,
    /// `content`, `key`, `settings`, …; `entry` for one that is new or gone.
    pub what: &'static str,
    /// As locked; none for a new entry.
    pub old: Option<String>,
    /// As it is; none for one that is gone.
    pub new: Option<String>,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &String| match self.what {
            "content" | "commit" | "key" | "settings" => text.chars().take(SHORT).collect(),
            _ => text.clone(),
        };
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{}: {} {} → {}", self.entry, self.what, short(old), short(new)),
            (None, _) if self.what == "entry" => write!(f, "{}: not locked", self.entry),
            (_, None) if self.what == "entry" => write!(f, "{}: locked, and no longer in the recipe", self.entry),
            (None, Some(new)) => write!(f, "{}: {} was not known, now {}", self.entry, self.what, short(new)),
            (_, None) => write!(f, "{}: {} is gone", self.entry, self.what),
        }
    }
}

impl Lock {
    /// Every difference to what there is now, inputs first. What is not on this machine now can't be compared and is none.
    pub fn drift(&self, now: &Self) -> Vec<Drift> {
        let mut found = Vec::new();
        let mut said = |entry: &str, what: &'static str, old: Option<String>, new: Option<String>| {
            found.push(Drift { entry: entry.to_owned(), what, old, new });
        };
        for (name, new) in &now.inputs {
            match self.inputs.get(name) {
                None => said(name, "entry", None, Some(new.source.clone())),
                Some(old) => input(old, new, &mut |what, old, new| said(name, what, old, new)),
            }
        }
        for (name, old) in self.inputs.iter().filter(|(name, _)| !now.inputs.contains_key(*name)) {
            said(name, "entry", Some(old.source.clone()), None);
        }
        for (name, new) in &now.stages {
            let entry = format!("stages.{name}");
            match self.stages.get(name) {
                None => said(&entry, "entry", None, Some(new.kind.clone())),
                Some(old) => stage(old, new, &mut |what, old, new| said(&entry, what, old, new)),
            }
        }
        for (name, old) in self.stages.iter().filter(|(name, _)| !now.stages.contains_key(*name)) {
            said(&format!("stages.{name}"), "entry", Some(old.kind.clone()), None);
        }
        found
    }
}

type Say<'a> = dyn FnMut(&'static str, Option<String>, Option<String>) + 'a;

fn input(old: &LockedInput, new: &LockedInput, say: &mut Say<'_>) {
    // Where files lie is not what they are: only a hub's name says what is there.
    let on_hub = |it: &LockedInput| it.source.starts_with("hf:");
    if old.source != new.source && on_hub(old) && on_hub(new) {
        say("source", Some(old.source.clone()), Some(new.source.clone()));
    }
    if old.revision != new.revision && on_hub(old) && on_hub(new) {
        let spelled = |it: &LockedInput| Some(it.revision.clone().unwrap_or_else(|| "the newest".into()));
        say("revision", spelled(old), spelled(new));
    }
    if new.commit.is_some() && old.commit != new.commit {
        say("commit", old.commit.clone(), new.commit.clone());
    }
    if new.content.is_some() && old.content != new.content {
        say("content", old.content.clone(), new.content.clone());
    }
}

fn stage(old: &LockedStage, new: &LockedStage, say: &mut Say<'_>) {
    if old.kind != new.kind {
        say("kind", Some(old.kind.clone()), Some(new.kind.clone()));
    } else if old.version != new.version {
        let spelled = |it: &LockedStage| Some(format!("version {} of `{}`", it.version, it.kind));
        say("kind", spelled(old), spelled(new));
    }
    // A key says it all; where one side has none, what the recipe says of the stage can still be compared.
    if (old.key.is_none() || new.key.is_none()) && old.settings != new.settings {
        say("settings", Some(old.settings.clone()), Some(new.settings.clone()));
    }
    if new.key.is_some() && old.key != new.key {
        let hex = |it: &LockedStage| it.key.map(|key| key.hex());
        say("key", hex(old), hex(new));
    }
}
