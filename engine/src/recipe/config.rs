//! Every text of a recipe → one text that says the same, each value with the place that set it. Secrets are asterisks
//! here. Knows of the sections' meaning only their usual order, where paths start, and what a kind fills in.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::compose::compose;
use super::interpolate::{self, Seeds};
use super::source::{At, Sources, Span};
use super::tree::{Entry, Node, Table};
use super::{Overrides, Texts, on_disk, secret};
use crate::diagnostic::{Diagnostics, Severity};
use crate::fs;
use crate::stage::AnyKind;

/// Order of the sections; `[runtime]` stands last, and what is not named here before it.
const SECTIONS: [&str; 10] =
    ["schema", "recipe", "params", "models", "data", "stages", "gates", "seeds", "matrix", "ablations"];
/// Longest line with a table in it.
const WIDTH: usize = 100;
const MASK: &str = "********";

/// A recipe in one piece: what its file, the files it extends, overlays and edits come to.
#[derive(Debug)]
pub struct Config {
    sources: Sources,
    table: Table,
    /// Absolute folder of the recipe's file.
    dir: PathBuf,
}

/// A line of a recipe in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// TOML.
    pub text: String,
    /// Who set the value; none for lines without one.
    pub origin: Option<String>,
}

impl Config {
    /// Reads a recipe's file, what it extends, and what is laid over it.
    ///
    /// # Errors
    /// A text that can't be read or is not TOML, or an edit that makes no sense.
    pub fn load(file: &Path, overrides: &Overrides) -> Result<Self, Diagnostics> {
        Self::load_from(file, overrides, &on_disk)
    }

    /// [`Self::load`] with texts from elsewhere.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_from(file: &Path, overrides: &Overrides, texts: Texts<'_>) -> Result<Self, Diagnostics> {
        let mut composed = compose(file, overrides, texts);
        let secrets = secret::find(&composed.table, &mut Vec::new());
        for place in &secrets {
            composed.sources.mask(*place);
        }
        if !composed.whole || composed.mistakes.iter().any(|mistake| mistake.severity == Severity::Error) {
            return Err(Diagnostics::new(Arc::new(composed.sources), composed.mistakes));
        }
        hide(&mut composed.table, &secrets);
        let dir = fs::absolute(file).parent().unwrap_or(Path::new("/")).to_owned();
        let mut config = Self { sources: composed.sources, table: composed.table, dir };
        config.move_paths();
        Ok(config)
    }

    /// Replaces every `${…}` by what it names, and fills in the defaults of the stages' kinds. `${each}` stays, and
    /// `[params]`, which nothing names any more, goes where nothing varies it.
    ///
    /// # Errors
    /// References that name nothing.
    pub fn resolved(mut self, kinds: &[&dyn AnyKind]) -> Result<Self, Diagnostics> {
        let seed = match self.table.descend(&["recipe", "seed"]).map(|entry| &entry.value.value) {
            Some(Node::Integer(seed)) => *seed,
            _ => 0,
        };
        let mut mistakes = Vec::new();
        let seeds = Seeds { root: seed, behind: None };
        interpolate::whole(&mut self.table, &self.dir.to_string_lossy(), &seeds, &mut mistakes);
        if mistakes.iter().any(|mistake| mistake.severity == Severity::Error) {
            return Err(Diagnostics::new(Arc::new(self.sources), mistakes));
        }
        if !["ablations", "matrix", "seeds"].iter().any(|section| self.table.get(section).is_some()) {
            self.table.remove(&["params"]);
        }
        if let Some(Node::Table(stages)) = self.table.0.get_mut("stages").map(|entry| &mut entry.value.value) {
            for stage in stages.0.values_mut() {
                if let Node::Table(stage) = &mut stage.value.value {
                    fill_in(stage, kinds, &mut self.sources);
                }
            }
        }
        Ok(self)
    }

    /// The values without places.
    pub fn values(&self) -> Value {
        self.table.to_json()
    }

    /// Who set each value, by dotted path.
    pub fn origins(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        leaves(&self.table, "", &mut |path, entry| found.push((path, self.origin(entry.value.span))));
        found.sort();
        found
    }

    /// One JSON document.
    pub fn to_json(&self) -> Value {
        let origins: Map<String, Value> = self.origins().into_iter().map(|(path, who)| (path, who.into())).collect();
        json!({ "schema_version": 1, "values": self.values(), "origins": origins })
    }

    /// As TOML. With `apart`, every value has a line of its own, so that its origin can stand behind it.
    pub fn lines(&self, apart: bool) -> Vec<Line> {
        let mut writer = Writer { config: self, apart, lines: Vec::new() };
        let rank = |name: &str| match SECTIONS.iter().position(|section| *section == name) {
            Some(place) => place,
            None if name == "runtime" => SECTIONS.len() + 1,
            None => SECTIONS.len(),
        };
        let mut top = self.table.in_order();
        top.sort_by_key(|(name, _)| rank(name));
        let (tables, plain): (Vec<_>, Vec<_>) =
            top.into_iter().partition(|(_, entry)| matches!(entry.value.value, Node::Table(_)));
        writer.block(plain.into_iter().map(|(name, entry)| (key(name), entry)).collect());
        for (name, entry) in tables {
            if let Node::Table(table) = &entry.value.value {
                writer.section(&[name], table);
            }
        }
        writer.lines
    }

    /// `recipes/base.toml:12`, `--set`, `default of sft`.
    fn origin(&self, span: Span) -> String {
        let source = self.sources.get(span.source);
        match source.text.split_once(' ') {
            _ if source.text.is_empty() => source.name.clone(),
            Some((option, _)) if source.name == super::compose::COMMAND_LINE => option.to_owned(),
            _ => format!("{}:{}", source.name, self.sources.position(span.source, span.start).line),
        }
    }

    /// Paths start from the file that says them; in one piece they all start from the recipe's folder.
    fn move_paths(&mut self) {
        for section in ["models", "data"] {
            let Some(Node::Table(entries)) = self.table.0.get_mut(section).map(|entry| &mut entry.value.value) else {
                continue;
            };
            for entry in entries.0.values_mut() {
                let Node::Table(entry) = &mut entry.value.value else { continue };
                let Some(At { value: Node::String(source), span }) =
                    entry.0.get_mut("source").map(|entry| &mut entry.value)
                else {
                    continue;
                };
                let Some(path) = source.strip_prefix("file:") else { continue };
                let dir = &self.sources.get(span.source).dir;
                // The folder of a file given without one is the current folder, which has no absolute form of its own.
                let from = fs::absolute(if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
                if path.starts_with(['/', '$']) || from == self.dir {
                    continue;
                }
                *source = format!("file:{}", way(&self.dir, &from).join(path).display());
            }
        }
    }
}

/// The relative way from one absolute folder to another.
fn way(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

fn hide(table: &mut Table, secrets: &[Span]) {
    fn look(node: &mut At<Node>, secrets: &[Span]) {
        match &mut node.value {
            _ if secrets.contains(&node.span) => node.value = Node::String(MASK.into()),
            Node::Array(items) => items.iter_mut().for_each(|item| look(item, secrets)),
            Node::Table(table) => hide(table, secrets),
            Node::String(_) | Node::Integer(_) | Node::Float(_) | Node::Boolean(_) | Node::Invalid => {}
        }
    }
    table.0.values_mut().for_each(|entry| look(&mut entry.value, secrets));
}

/// Adds what a stage's kind fills in. What can't be decoded stays as it is: `check` has the words for it.
fn fill_in(stage: &mut Table, kinds: &[&dyn AnyKind], sources: &mut Sources) {
    let Some(Node::String(word)) = stage.get("kind").map(|entry| &entry.value.value) else { return };
    let Some(kind) = kinds.iter().find(|kind| kind.name() == word) else { return };
    let written = stage.get("params").map_or_else(|| json!({}), |entry| entry.value.value.to_json());
    let Ok(decoded) = kind.decode(&written) else { return };
    let source = sources.add(format!("default of {}", kind.name()), Path::new(""), "");
    let span = Span::new(source, 0..0);
    let defaults = node_of(&decoded.params(), span);
    let params = stage.0.entry("params".into());
    let params = params.or_insert_with(|| Entry { key: span, value: At::new(Node::Table(Table::default()), span) });
    if let (Node::Table(params), Some(Node::Table(defaults))) = (&mut params.value.value, defaults) {
        add_absent(params, defaults);
    }
}

fn add_absent(written: &mut Table, defaults: Table) {
    for (name, entry) in defaults.0 {
        match (written.0.get_mut(&name).map(|entry| &mut entry.value.value), entry.value.value) {
            (None, value) => {
                let value = At::new(value, entry.value.span);
                written.0.insert(name, Entry { key: entry.key, value });
            }
            (Some(Node::Table(written)), Node::Table(defaults)) => add_absent(written, defaults),
            (Some(_), _) => {}
        }
    }
}

/// A value from a kind; none for null, which TOML has no word for: left out means the same.
fn node_of(value: &Value, span: Span) -> Option<Node> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => Node::Boolean(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Node::Integer(whole),
            None => Node::Float(number.as_f64()?),
        },
        Value::String(text) => Node::String(text.clone()),
        Value::Array(items) => {
            Node::Array(items.iter().filter_map(|item| Some(At::new(node_of(item, span)?, span))).collect())
        }
        Value::Object(fields) => {
            let entries = fields.iter().filter_map(|(name, value)| {
                let value = At::new(node_of(value, span)?, span);
                Some((name.clone(), Entry { key: span, value }))
            });
            Node::Table(Table(entries.collect()))
        }
    })
}

/// Every value that is no table, and every empty table, with its dotted path.
fn leaves<'a>(table: &'a Table, prefix: &str, found: &mut impl FnMut(String, &'a Entry)) {
    for (name, entry) in table.in_order() {
        let path = format!("{prefix}{}", key(name));
        match &entry.value.value {
            Node::Table(below) if !below.0.is_empty() => leaves(below, &format!("{path}."), found),
            _ => found(path, entry),
        }
    }
}

struct Writer<'a> {
    config: &'a Config,
    apart: bool,
    lines: Vec<Line>,
}

impl Writer<'_> {
    /// A table under a header, then the tables in it that want headers of their own.
    fn section(&mut self, path: &[&str], table: &Table) {
        let mut block = Vec::new();
        let mut below = Vec::new();
        for (name, entry) in table.in_order() {
            match &entry.value.value {
                Node::Table(inner) if self.wants_header(path, table, name, inner) => below.push((name, inner)),
                Node::Table(inner) if !self.fits(name, inner) => {
                    leaves(inner, &format!("{}.", key(name)), &mut |path, entry| block.push((path, entry)));
                }
                _ => block.push((key(name), entry)),
            }
        }
        if !block.is_empty() || below.is_empty() {
            // What belongs to one stage stands together.
            if !(path.len() > 2 && self.lines.last().is_some_and(|line| line.origin.is_some())) {
                self.lines.push(Line { text: String::new(), origin: None });
            }
            let header = path.iter().map(|name| key(name)).collect::<Vec<_>>().join(".");
            self.lines.push(Line { text: format!("[{header}]"), origin: None });
            self.block(block);
        }
        for (name, inner) in below {
            let path: Vec<_> = path.iter().copied().chain([name]).collect();
            self.section(&path, inner);
        }
    }

    fn wants_header(&self, path: &[&str], table: &Table, name: &str, inner: &Table) -> bool {
        match path {
            // `[models.base]`: a section of named tables.
            [_] => table.0.values().all(|entry| matches!(entry.value.value, Node::Table(_))),
            [_, _] => !inner.0.is_empty() && !self.fits(name, inner),
            _ => false,
        }
    }

    /// Can a table stand in one line?
    fn fits(&self, name: &str, table: &Table) -> bool {
        table.0.is_empty() || !self.apart && name.len() + 3 + written_table(table).chars().count() <= WIDTH
    }

    /// Values with their equals signs below each other.
    fn block(&mut self, entries: Vec<(String, &Entry)>) {
        let width = entries.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
        for (key, entry) in entries {
            let pad = " ".repeat(width - key.chars().count());
            let text = format!("{key}{pad} = {}", written(&entry.value.value));
            self.lines.push(Line { text, origin: Some(self.config.origin(entry.value.span)) });
        }
    }
}

fn written(node: &Node) -> String {
    match node {
        Node::String(text) => quoted(text),
        Node::Integer(number) => number.to_string(),
        Node::Float(number) => format!("{number:?}"),
        Node::Boolean(flag) => flag.to_string(),
        Node::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| written(&item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Node::Table(table) => written_table(table),
        Node::Invalid => "\"\"".into(),
    }
}

fn written_table(table: &Table) -> String {
    let fields = table.in_order().into_iter();
    let fields: Vec<_> =
        fields.map(|(name, entry)| format!("{} = {}", key(name), written(&entry.value.value))).collect();
    if fields.is_empty() { "{}".into() } else { format!("{{ {} }}", fields.join(", ")) }
}

/// A key as TOML spells it.
pub(crate) fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { quoted(name) }
}

/// A string as TOML spells it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            '\r' => out += "\\r",
            c if c.is_control() => out += &format!("\\u{:04X}", c as u32),
            c => out.push(c),
        }
    }
    out + "\""
}
