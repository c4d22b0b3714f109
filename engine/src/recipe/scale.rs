//! `scale = "tiny"` and `[scales.tiny]` → the layer that lies under the rest of its file. A choice made outside (`--set
//! scale=tiny`, or the file that extends this one) goes before the file's own. Knows nothing of what a layer holds.

use super::source::{At, Span};
use super::tree::{Entry, Node, Table};
use crate::diagnostic::{Diagnostic, suggest};

/// Every scale met so far, and every choice that has to be one of them.
#[derive(Default)]
pub(super) struct Scales {
    /// The command line's choice.
    asked: Option<At<String>>,
    /// Choices that nothing outside overrules, and whether a scale of that name was found.
    choices: Vec<(At<String>, bool)>,
    /// Names and places.
    known: Vec<At<String>>,
}

/// What a table says about scales.
pub(super) struct Scaled {
    /// The choice for this table and what it extends.
    pub choice: Option<At<String>>,
    /// The layer chosen.
    pub fragment: Option<Table>,
}

impl Scales {
    /// Takes `scale` out of an edit of the command line; the last one counts.
    pub fn ask(&mut self, edit: &mut Table, mistakes: &mut Vec<Diagnostic>) {
        if let Some(choice) = word(edit, mistakes) {
            self.choices.clear();
            self.choices.push((choice.clone(), false));
            self.asked = Some(choice);
        }
    }

    /// Takes `scale` and `scales` out of a table, and the layer chosen out of those.
    pub fn take(&mut self, table: &mut Table, asked: Option<&At<String>>, mistakes: &mut Vec<Diagnostic>) -> Scaled {
        let own = word(table, mistakes);
        let outside = asked.or(self.asked.as_ref()).cloned();
        if let (None, Some(own)) = (&outside, &own) {
            self.choices.push((own.clone(), false));
        }
        let choice = outside.clone().or(own.clone());
        let Some(entry) = table.0.remove("scales") else { return Scaled { choice, fragment: None } };
        let Node::Table(mut layers) = entry.value.value else {
            let message = format!("`scales` is a table of layers, not {}", entry.value.value.type_name());
            let help = "write `[scales.NAME]` and what it lays under the rest of the file";
            mistakes.push(Diagnostic::error("wrong-type", message).at(entry.value.span, "").help(help));
            return Scaled { choice, fragment: None };
        };
        let names: Vec<_> =
            layers.in_order().iter().map(|(name, entry)| At::new((*name).to_owned(), entry.key)).collect();
        self.known.extend(names);
        let chosen = [outside, own].into_iter().flatten().find_map(|name| Some((layers.0.remove(&name.value)?, name)));
        if let Some((entry, name)) = chosen {
            self.found(&name);
            return Scaled { choice, fragment: layer(&name.value, entry, mistakes) };
        }
        // A choice that is none of these is reported when everything was read.
        if choice.is_none() {
            let help = format!("choose one: `{}`, or `--set scale=NAME`", self.example());
            let message = "this recipe has scales and chooses none of them";
            mistakes.push(Diagnostic::error("scale", message).at(entry.key, "").help(help));
        }
        Scaled { choice, fragment: None }
    }

    /// Every name, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in &self.known {
            if !names.contains(&name.value) {
                names.push(name.value.clone());
            }
        }
        names
    }

    /// Reports choices of scales that there are not.
    pub fn finish(&self, mistakes: &mut Vec<Diagnostic>) {
        for (choice, _) in self.choices.iter().filter(|(_, found)| !found) {
            let mut unknown = Diagnostic::error("scale", format!("there is no scale `{}`", choice.value))
                .at(choice.span, "chosen here");
            for known in &self.known {
                unknown = unknown.at(known.span, "");
            }
            let help = match self.known.as_slice() {
                [] => "no file of this recipe has `[scales.NAME]` tables".to_owned(),
                known => suggest(&choice.value, "scales", known.iter().map(|name| name.value.as_str())),
            };
            mistakes.push(unknown.help(help));
        }
    }

    fn found(&mut self, name: &At<String>) {
        for (choice, found) in &mut self.choices {
            *found |= choice == name;
        }
    }

    fn example(&self) -> String {
        self.known.first().map_or_else(String::new, |name| format!("scale = \"{}\"", name.value))
    }
}

/// Takes `scale` out of a table.
fn word(table: &mut Table, mistakes: &mut Vec<Diagnostic>) -> Option<At<String>> {
    let Entry { value, .. } = table.0.remove("scale")?;
    match value.value {
        Node::String(name) => Some(At::new(name, value.span)),
        Node::Invalid => None,
        other => {
            let message = format!("`scale` is the name of one of the `[scales]`, not {}", other.type_name());
            mistakes.push(Diagnostic::error("wrong-type", message).at(value.span, "").help("write `scale = \"NAME\"`"));
            None
        }
    }
}

/// The layer itself, which has no scales of its own.
fn layer(name: &str, entry: Entry, mistakes: &mut Vec<Diagnostic>) -> Option<Table> {
    let refuse = |code, message: String, span: Span| Diagnostic::error(code, message).at(span, "");
    let Node::Table(table) = entry.value.value else {
        let message = format!("`scales.{name}` is a table, not {}", entry.value.value.type_name());
        mistakes.push(refuse("wrong-type", message, entry.value.span));
        return None;
    };
    for key in ["scale", "scales"] {
        if let Some(entry) = table.get(key) {
            mistakes.push(refuse("unknown-key", format!("`[scales.{name}]` takes no `{key}`"), entry.key));
            return None;
        }
    }
    Some(table)
}
