//! The sections on variation → [`Variation`]. Whether a path leads anywhere shows when an arm is made.

use std::collections::BTreeSet;

use super::chain::{self, Wish};
use super::matrix::{self, Axis};
use super::names::{self, AS_WRITTEN};
use super::{Ablation, Chain, Seeds, Setting, Variation};
use crate::diagnostic::{Diagnostic, suggest};
use crate::recipe::{At, Entry, Fields, Node, Span, Table};

const PATH_HELP: &str = "a path is written in quotes: `\"stages.NAME.params.KEY\" = …`";

impl Variation {
    /// Takes the sections on variation out of a recipe's values, so that the rest is the recipe as written.
    pub fn take(table: &mut Table, mistakes: &mut Vec<Diagnostic>) -> Self {
        let mut reader = Reader { mistakes };
        let [seeds, matrix, ablations] = Self::SECTIONS.map(|section| reader.section(table, section));
        Self {
            seeds: seeds.and_then(|(key, table)| reader.seeds(key, &table)),
            cells: matrix.map(|(key, table)| reader.matrix(key, &table)).unwrap_or_default(),
            ablations: ablations.map(|(_, table)| reader.ablations(&table)).unwrap_or_default(),
        }
    }
}

struct Reader<'m> {
    mistakes: &'m mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn section(&mut self, table: &mut Table, section: &str) -> Option<(Span, Table)> {
        let Entry { key, value } = table.0.remove(section)?;
        match value.value {
            Node::Table(table) => Some((key, table)),
            Node::Invalid => None,
            other => {
                let message = format!("`{section}` is a table, not {}", other.type_name());
                self.refuse("wrong-type", message, value.span, &format!("write `[{section}]` and its keys below it"));
                None
            }
        }
    }

    fn seeds(&mut self, key: Span, table: &Table) -> Option<Seeds> {
        let mut fields = Fields::new(table, "`[seeds]`", self.mistakes);
        let listed = fields.any("values");
        let count = fields.count("count");
        let first = fields.count("first");
        let from = fields.strings("from").map(|at| at.value);
        fields.finish();
        let values = match (listed, count) {
            (Some(listed), None) => {
                if let Some(first) = first {
                    self.refuse("seeds", "`first` goes with `count`", first.span, "remove it, or `values`");
                }
                self.seed_values(&listed.value)?
            }
            (None, Some(count)) => {
                let first = first.map_or(1, |at| at.value as u64);
                if count.value == 0 || count.value > chain::LIMIT {
                    let message = format!("`count` is {}", count.value);
                    self.refuse("seeds", message, count.span, &format!("use 1 to {}", chain::LIMIT));
                    return None;
                }
                (first..first + count.value as u64).collect()
            }
            (Some(listed), Some(count)) => {
                let both = Diagnostic::error("seeds", "seeds are listed and counted").at(count.span, "counted here");
                self.mistakes.push(both.at(listed.key, "listed here").help("keep `values` or `count`"));
                return None;
            }
            (None, None) => {
                self.refuse("seeds", "`[seeds]` has no seeds", key, "write `values = [1, 2, 3]` or `count = 3`");
                return None;
            }
        };
        Some(Seeds { values, from })
    }

    fn seed_values(&mut self, list: &At<Node>) -> Option<Vec<u64>> {
        let help = "write whole numbers from 0, each once: `values = [1, 2, 3]`";
        let Node::Array(items) = &list.value else {
            let message = format!("`values` of `[seeds]` is a list, not {}", list.value.type_name());
            self.refuse("wrong-type", message, list.span, help);
            return None;
        };
        let mut values = Vec::new();
        for item in items {
            match item.value {
                Node::Integer(seed) if seed >= 0 && !values.contains(&(seed as u64)) => values.push(seed as u64),
                Node::Integer(seed) => {
                    let why = if seed < 0 { "is below 0" } else { "is listed twice" };
                    self.refuse("seeds", format!("the seed {seed} {why}"), item.span, help);
                }
                Node::Invalid => {}
                ref other => {
                    self.refuse(
                        "wrong-type",
                        format!("a seed is a whole number, not {}", other.type_name()),
                        item.span,
                        help,
                    );
                }
            }
        }
        if items.is_empty() {
            self.refuse("seeds", "`values` of `[seeds]` is empty", list.span, help);
        }
        (!values.is_empty()).then_some(values)
    }

    fn matrix(&mut self, key: Span, table: &Table) -> Vec<Vec<Setting>> {
        let mut axes: Vec<Axis> = Vec::new();
        let (mut include, mut exclude) = (Vec::new(), Vec::new());
        for (name, entry) in table.in_order() {
            match name {
                "include" => include = self.cells(name, entry),
                "exclude" => exclude = self.cells(name, entry),
                _ => axes.extend(self.axis("`[matrix]`", name, entry)),
            }
        }
        for one in exclude.iter().flatten() {
            if !axes.iter().any(|(path, _)| path.value == one.path.value) {
                let help = suggest(&one.path.value, "`[matrix]` has", axes.iter().map(|(path, _)| path.value.as_str()));
                self.refuse("matrix", format!("`[matrix]` has no `{}`", one.path.value), one.path.span, &help);
            }
        }
        if axes.len() + ["include", "exclude"].iter().filter(|key| table.get(key).is_some()).count() < table.0.len() {
            return Vec::new(); // some list is wrong, and reported
        }
        match matrix::cells(&axes, &include, &exclude) {
            Some(cells) if cells.is_empty() => {
                self.refuse("matrix", "`[matrix]` leaves no combination", key, "remove it, or part of `exclude`");
                Vec::new()
            }
            Some(cells) => cells,
            None => {
                let message = format!("`[matrix]` has more than {} combinations", matrix::LIMIT);
                self.refuse("matrix", message, key, "shorten its lists");
                Vec::new()
            }
        }
    }

    /// `include` or `exclude`: a list of tables of paths and values.
    fn cells(&mut self, name: &str, entry: &Entry) -> Vec<Vec<Setting>> {
        let help = format!("write `{name} = [{{ \"params.KEY\" = VALUE }}]`");
        let Node::Array(items) = &entry.value.value else {
            let message = format!("`{name}` of `[matrix]` is a list, not {}", entry.value.value.type_name());
            self.refuse("wrong-type", message, entry.value.span, &help);
            return Vec::new();
        };
        let mut cells = Vec::new();
        for item in items {
            if let Node::Table(table) = &item.value {
                cells.push(self.settings(&format!("`{name}` of `[matrix]`"), table));
            } else {
                let message = format!("`{name}` of `[matrix]` lists tables, and this is {}", item.value.type_name());
                self.refuse("wrong-type", message, item.span, &help);
            }
        }
        cells
    }

    /// A path and its values.
    fn axis(&mut self, title: &str, name: &str, entry: &Entry) -> Option<Axis> {
        let path = self.path(title, name, entry.key)?;
        match &entry.value.value {
            Node::Array(values) if !values.is_empty() => {
                let mut seen: Vec<&At<Node>> = Vec::new();
                for value in values {
                    if let Some(first) = seen.iter().find(|other| other.value.to_json() == value.value.to_json()) {
                        let twice = Diagnostic::error("matrix", format!("`{name}` lists the same value twice"));
                        let twice = twice.at(value.span, "again").at(first.span, "first");
                        self.mistakes.push(twice.help("its arms would be the same; remove one"));
                        return None;
                    }
                    seen.push(value);
                }
                Some((path, values.clone()))
            }
            Node::Invalid => None,
            other => {
                let what = if matches!(other, Node::Array(_)) { "an empty list" } else { other.type_name() };
                let message = format!("`{name}` of {title} is a list of values, not {what}");
                self.refuse("wrong-type", message, entry.value.span, "list the values: one arm for each");
                None
            }
        }
    }

    /// Paths and what they are set to.
    fn settings(&mut self, title: &str, table: &Table) -> Vec<Setting> {
        let entries = table.in_order();
        let read = entries.into_iter().filter_map(|(name, entry)| {
            let path = self.path(title, name, entry.key)?;
            Some(Setting { path, value: Some(entry.value.clone()) })
        });
        read.collect()
    }

    fn path(&mut self, title: &str, name: &str, span: Span) -> Option<At<String>> {
        let section = name.split('.').next().unwrap_or_default();
        let known = ["recipe", "params", "models", "data", "stages", "gates", "runtime"];
        if !name.contains('.') || name.split('.').any(str::is_empty) {
            let message = format!("`{name}` in {title} is not a path to a value");
            self.refuse("path", message, span, PATH_HELP);
            return None;
        }
        if !known.contains(&section) || name == "recipe.seed" {
            let message = format!("an arm can't set `{name}`");
            let help = if name == "recipe.seed" {
                "seeds are for `[seeds]`".to_owned()
            } else {
                suggest(section, "a path begins with", known)
            };
            self.refuse("path", message, span, &help);
            return None;
        }
        Some(At::new(name.to_owned(), span))
    }

    fn ablations(&mut self, table: &Table) -> Vec<Ablation> {
        let mut ablations = Vec::new();
        for (name, entry) in table.in_order() {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(allowed) || name == AS_WRITTEN {
                let message = format!("`{name}` can't be the name of an ablation");
                let help = if name == AS_WRITTEN {
                    "it is the name of the recipe as written; choose another".to_owned()
                } else {
                    "names are made of `a`-`z`, `0`-`9`, `_` and `-`".to_owned()
                };
                self.refuse("name", message, entry.key, &help);
                continue;
            }
            let Node::Table(table) = &entry.value.value else {
                let message = format!("`ablations.{name}` is a table, not {}", entry.value.value.type_name());
                let help = format!("write `[ablations.{name}]` and its keys below it");
                self.refuse("wrong-type", message, entry.value.span, &help);
                continue;
            };
            ablations.extend(self.ablation(At::new(name.to_owned(), entry.key), table));
        }
        ablations
    }

    fn ablation(&mut self, name: At<String>, table: &Table) -> Option<Ablation> {
        let title = format!("`[ablations.{}]`", name.value);
        let mut fields = Fields::new(table, title.as_str(), self.mistakes);
        let _ = fields.string("description");
        let set = fields.table("set").map(|at| at.value);
        let unset = fields.strings("unset").map(|at| at.value).unwrap_or_default();
        let each = fields.table("each").map(|at| at.value);
        let members = fields.strings("chain");
        let fixed = fields.strings("fixed").map(|at| at.value).unwrap_or_default();
        let permute = fields.boolean("permute").is_some_and(|at| at.value);
        let subsets = fields.boolean("subsets").is_some_and(|at| at.value);
        let drop = fields.any("drop");
        let swap = fields.any("swap");
        fields.finish();
        let mut settings = Vec::new();
        for path in unset {
            settings.extend(self.path(&title, &path.value, path.span).map(|path| Setting { path, value: None }));
        }
        settings.extend(set.map(|table| self.settings(&title, table)).unwrap_or_default());
        let mut axes: Vec<Axis> = Vec::new();
        for (path, entry) in each.map(Table::in_order).unwrap_or_default() {
            axes.extend(self.axis(&title, path, entry));
        }
        let arranged = ["fixed", "permute", "subsets", "drop", "swap"].iter().find_map(|key| table.get(key));
        let chain = if let Some(members) = members {
            let wish = Wish { permute, subsets, ..Wish::default() };
            Some(self.chain(&title, members, &fixed, wish, drop, swap)?)
        } else if let Some(entry) = arranged {
            let help = "write `chain = [\"…\", \"…\"]`: stages that start from each other's models";
            self.refuse("chain", format!("{title} arranges stages and names none"), entry.key, help);
            return None;
        } else {
            None
        };
        let each = each_arms(&name.value, &axes);
        if ["set", "unset", "each", "chain"].iter().all(|key| table.get(key).is_none()) {
            let help = "say what is different: `set`, `unset`, `each` or `chain`";
            self.refuse("ablation", format!("{title} changes nothing"), name.span, help);
            return None;
        }
        Some(Ablation { name, settings, each, chain })
    }

    fn chain(
        &mut self,
        title: &str,
        members: At<Vec<At<String>>>,
        fixed: &[At<String>],
        mut wish: Wish,
        drop: Option<&Entry>,
        swap: Option<&Entry>,
    ) -> Option<Chain> {
        let At { value: members, span } = members;
        for (place, member) in members.iter().enumerate() {
            if let Some(first) = members[..place].iter().find(|other| other.value == member.value) {
                let twice = Diagnostic::error("chain", format!("`chain` lists `{}` twice", member.value));
                self.mistakes.push(twice.at(member.span, "again").at(first.span, "first").help("remove one of them"));
                return None;
            }
        }
        if members.len() < 2 {
            self.refuse("chain", "a chain has at least two stages", span, "list them in the order of the recipe");
            return None;
        }
        wish.count = members.len();
        wish.fixed = fixed.iter().map(|name| self.member(&members, name)).collect::<Option<BTreeSet<_>>>()?;
        wish.drop = match drop.map(|entry| &entry.value) {
            None | Some(At { value: Node::Boolean(false), .. }) => Vec::new(),
            Some(At { value: Node::Boolean(true), .. }) => {
                (0..wish.count).filter(|member| !wish.fixed.contains(member)).collect()
            }
            Some(list) => self.members(&members, "drop", list)?,
        };
        if let Some(entry) = swap {
            let help = "write `swap = [[\"a\", \"b\"]]`: pairs of stages that change places";
            let Node::Array(pairs) = &entry.value.value else {
                let message = format!("`swap` is a list of pairs, not {}", entry.value.value.type_name());
                self.refuse("wrong-type", message, entry.value.span, help);
                return None;
            };
            for pair in pairs {
                let listed = match pair.value {
                    Node::Array(_) => self.members(&members, "swap", pair)?,
                    _ => Vec::new(),
                };
                let [a, b] = listed[..] else {
                    self.refuse("chain", "what changes places is a pair of stages", pair.span, help);
                    return None;
                };
                wish.swap.push((a, b));
            }
        }
        if !(wish.permute || wish.subsets) && wish.drop.is_empty() && wish.swap.is_empty() {
            let help = "add `permute = true`, `subsets = true`, `drop = true` or `swap = [[…]]`";
            self.refuse("chain", format!("{title} has a chain and does nothing with it"), span, help);
            return None;
        }
        let Some(orders) = chain::arrangements(&wish) else {
            let message = format!("{title} makes more than {} arms", chain::LIMIT);
            self.refuse("chain", message, span, "hold some of its stages `fixed`, or list fewer");
            return None;
        };
        Some(Chain { members, span, orders })
    }

    fn members(&mut self, members: &[At<String>], key: &str, list: &At<Node>) -> Option<Vec<usize>> {
        let help = format!("write `{key} = [\"…\"]` with names from `chain`");
        let Node::Array(items) = &list.value else {
            let message = format!("`{key}` is a list of stages, not {}", list.value.type_name());
            self.refuse("wrong-type", message, list.span, &help);
            return None;
        };
        let mut found = Vec::new();
        for item in items {
            let Node::String(name) = &item.value else {
                let message = format!("`{key}` is a list of stages, and this is {}", item.value.type_name());
                self.refuse("wrong-type", message, item.span, &help);
                return None;
            };
            found.push(self.member(members, &At::new(name.clone(), item.span))?);
        }
        Some(found)
    }

    fn member(&mut self, members: &[At<String>], name: &At<String>) -> Option<usize> {
        let place = members.iter().position(|member| member.value == name.value);
        if place.is_none() {
            let help = suggest(&name.value, "`chain` has", members.iter().map(|member| member.value.as_str()));
            self.refuse("chain", format!("`chain` has no `{}`", name.value), name.span, &help);
        }
        place
    }

    fn refuse(&mut self, code: &'static str, message: impl Into<String>, span: Span, help: &str) {
        self.mistakes.push(Diagnostic::error(code, message).at(span, "").help(help));
    }
}

/// One arm per value of every path, with its name.
fn each_arms(ablation: &str, axes: &[Axis]) -> Vec<(String, Setting)> {
    let paths: Vec<&str> = axes.iter().map(|(path, _)| path.value.as_str()).collect();
    let mut arms = Vec::new();
    for (path, values) in axes {
        let prefix = match paths.len() {
            1 => ablation.to_owned(),
            _ => format!("{ablation}.{}", names::key(&path.value, &paths)),
        };
        for (place, value) in values.iter().enumerate() {
            let name = format!("{prefix}={}", names::value(&value.value, place + 1));
            arms.push((name, Setting { path: path.clone(), value: Some(value.clone()) }));
        }
    }
    arms
}
