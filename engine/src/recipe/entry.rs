//! `[models.x]` and `[data.x]` → entries: where they lie, how rows are read, and what `assume` says of what can't be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::read::{ROW_FIELDS, Reader};
use super::source::{At, Span};
use super::tree::{Node, Table};
use super::{Fields, LAYOUTS, Layout, Location, assume};
use crate::diagnostic::{Diagnostic, suggest};
use crate::hub::{HubName, RepoKind};
use crate::stage::{
    Adapter, Answers, DataType, DataView, Extent, Fact, Licence, ModelType, Pixels, Role, Said, Tokenizer,
};

/// A `[models.x]` entry.
#[derive(Debug)]
pub(crate) struct ModelEntry {
    /// `x`.
    pub name: At<String>,
    /// `file:…` or `hf:…`; none if it is missing or wrong.
    pub source: Option<At<Location>>,
    /// What `check` may assume of a model that it can't see, and its declared licence.
    pub assume: ModelType,
    /// What estimates may assume of it besides.
    pub extent: Option<Arc<Extent>>,
}

/// A `[data.x]` entry.
#[derive(Debug)]
pub(crate) struct DataEntry {
    /// `x`.
    pub name: At<String>,
    /// `file:…` or `hf:…`; none if it is missing or wrong.
    pub source: Option<At<Location>>,
    /// How to read its rows; no split taken yet.
    pub view: DataView,
    /// Where the layout, the columns of `columns`, the shares of `splits`, `group_by` and `limit` were written.
    pub places: Places,
    /// May it be trained on?
    pub role: At<Role>,
    /// Why rows that are also in another entry do no harm, by its name.
    pub waive: BTreeMap<String, At<String>>,
    /// What `check` may assume of rows that it can't see, and their declared licence.
    pub assume: DataType,
    /// What estimates may assume of them besides.
    pub extent: Option<Arc<Extent>>,
}

/// Places of what says how to read rows.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Value of each `columns` key.
    pub columns: BTreeMap<String, Span>,
    /// Value of each `splits` key.
    pub splits: BTreeMap<String, Span>,
    /// Value of `layout`.
    pub layout: Option<Span>,
    /// Value of `group_by`.
    pub group_by: Option<Span>,
    /// Value of `limit`.
    pub limit: Option<Span>,
}

impl ModelEntry {
    /// Does it say anything with `assume`?
    pub fn assumes(&self) -> bool {
        ModelType { licences: Vec::new(), ..self.assume.clone() } != ModelType::default()
    }
}

impl DataEntry {
    /// Does it say anything with `assume`?
    pub fn assumes(&self) -> bool {
        DataType { licence: Fact::default(), ..self.assume.clone() } != DataType::default()
    }
}

fn fact<T>(found: Option<At<T>>) -> Fact<T> {
    found.map_or_else(Fact::default, |at| Fact::new(at.value, Said::at(at.span)))
}

impl Reader<'_> {
    pub(super) fn model(&mut self, name: At<String>, table: &Table) -> ModelEntry {
        let title = format!("`[models.{}]`", name.value);
        let mut fields = Fields::new(table, title.as_str(), &mut self.mistakes);
        let source = fields.string("source");
        let revision = fields.string("revision").map(|at| at.value);
        let licence = fields.string("licence");
        let assumed = fields.table("assume").map(|at| at.value);
        fields.finish();
        let (mut assume, mut extent) = (ModelType::default(), None);
        if let Some(assumed) = assumed {
            let mut fields = Fields::new(assumed, format!("`assume` of {title}"), &mut self.mistakes);
            assume.architecture = fact(fields.string("architecture"));
            assume.images = fact(fields.boolean("images"));
            assume.max_length = fact(fields.count("max_length"));
            assume.tokenizer = tokenizer(&mut fields);
            assume.embedding = fact(fields.count("embedding"));
            assume.tied = fact(fields.boolean("tied"));
            assume.template = fact(fields.boolean("template"));
            assume.pixels = pixels(&mut fields);
            assume.adapter =
                fact(fields.boolean("adapter").map(|at| At::new(at.value.then(Adapter::default), at.span)));
            extent = assume::model(&mut fields);
            assume.precision = fact(fields.string("precision").map(|at| At::new(at.value.to_uppercase(), at.span)));
            fields.finish();
        }
        assume.licences.extend(licence.map(|at| Licence { name: at.value, said: Said::at(at.span) }));
        let source = self.location(&title, &name, table, source, revision, None);
        ModelEntry { name, source, assume, extent }
    }

    pub(super) fn data(&mut self, name: At<String>, table: &Table) -> DataEntry {
        let title = format!("`[data.{}]`", name.value);
        let mut fields = Fields::new(table, title.as_str(), &mut self.mistakes);
        let source = fields.string("source");
        let revision = fields.string("revision").map(|at| at.value);
        let (layout, files) = (fields.string("layout"), fields.string("files").map(|at| at.value));
        let columns = fields.table("columns");
        let splits = fields.table("splits");
        let assumed = fields.table("assume").map(|at| at.value);
        let role = fields.string("role");
        let answer_marker = fields.string("answer_marker").map(|at| at.value);
        let (group_by, limit) = (fields.string("group_by"), fields.count("limit"));
        let licence = fields.string("licence");
        let waive = fields.table("waive");
        fields.finish();
        if let Some(at) = layout.as_ref().filter(|at| Layout::named(&at.value).is_none()) {
            let help = suggest(&at.value, "layouts", LAYOUTS.map(|layout| layout.name));
            let message = format!("there is no layout `{}`", at.value);
            self.mistakes.push(Diagnostic::error("wrong-type", message).at(at.span, "unknown").help(help));
        }
        let mut places = Places {
            layout: layout.as_ref().map(|at| at.span),
            group_by: group_by.as_ref().map(|at| at.span),
            limit: limit.as_ref().map(|at| at.span),
            ..Places::default()
        };
        if let Some(at) = limit.as_ref().filter(|at| at.value == 0) {
            let message = format!("{title} takes none of its rows");
            let help = "leave `limit` out to take every row";
            self.mistakes.push(Diagnostic::error("rows", message).at(at.span, "").help(help));
        }
        let mut view = DataView {
            layout: layout.map(|at| at.value),
            files,
            answer_marker,
            group_by: group_by.map(|at| at.value),
            limit: limit.map(|at| at.value),
            ..DataView::default()
        };
        let spans = |table: &Table| {
            let spans = table.0.iter().map(|(key, entry)| (key.clone(), entry.value.span));
            spans.collect::<BTreeMap<_, _>>()
        };
        if let Some(columns) = &columns {
            view.columns = self.columns(&title, columns.value);
            places.columns = spans(columns.value);
        }
        if let Some(splits) = &splits {
            view.splits = self.splits(&title, splits);
            places.splits = spans(splits.value);
        }
        let (mut assume, mut extent) = (DataType::default(), None);
        if let Some(assumed) = assumed {
            (assume, extent) = self.assumed_rows(&title, assumed);
        }
        assume.licence = fact(licence);
        let waive = waive.map(|waive| self.waived(&title, waive.value)).unwrap_or_default();
        let role = self.role(role, name.span);
        let source = self.location(&title, &name, table, source, revision, view.files.clone());
        // Who wrote such rows knows nothing of this machine's files.
        view.confined = source.as_ref().is_some_and(|at| matches!(at.value, Location::Hub(_)));
        DataEntry { name, source, view, places, role, waive, assume, extent }
    }

    fn assumed_rows(&mut self, title: &str, table: &Table) -> (DataType, Option<Arc<Extent>>) {
        let mut fields = Fields::new(table, format!("`assume` of {title}"), &mut self.mistakes);
        let images = fact(fields.boolean("images"));
        let listed = fields.strings("columns");
        let (rows, prompt_tokens) = (fact(fields.count("rows")), fact(fields.count("prompt_tokens")));
        let extent = assume::data(&mut fields);
        let answers = fields.string("answers");
        let answers = answers.and_then(|at| match at.value.as_str() {
            "number" => Some(At::new(Answers::Number, at.span)),
            "letter" => Some(At::new(Answers::Letter, at.span)),
            "text" => Some(At::new(Answers::Text, at.span)),
            "mixed" => Some(At::new(Answers::Mixed, at.span)),
            other => {
                let help = suggest(other, "choices", ["number", "letter", "text", "mixed"]);
                let message = format!("answers can't be `{other}`");
                fields.report(Diagnostic::error("wrong-type", message).at(at.span, "").help(help));
                None
            }
        });
        fields.finish();
        let columns = listed.map(|listed| {
            listed.value.iter().for_each(|field| self.row_field(&field.value, field.span));
            At::new(listed.value.into_iter().map(|field| field.value).collect::<BTreeSet<_>>(), listed.span)
        });
        let (columns, answers) = (fact(columns), fact(answers));
        (DataType { images, columns, rows, answers, prompt_tokens, ..DataType::default() }, extent)
    }

    fn role(&mut self, role: Option<At<String>>, absent: Span) -> At<Role> {
        match role {
            None => At::new(Role::Train, absent),
            Some(At { value, span }) => match value.as_str() {
                "train" => At::new(Role::Train, span),
                "eval" => At::new(Role::Eval, span),
                other => {
                    let help = suggest(other, "roles", ["train", "eval"]);
                    let message = format!("there is no role `{other}`");
                    self.mistakes.push(Diagnostic::error("wrong-type", message).at(span, "").help(help));
                    At::new(Role::Train, span)
                }
            },
        }
    }

    fn columns(&mut self, title: &str, table: &Table) -> BTreeMap<String, String> {
        let mut columns = BTreeMap::new();
        for (field, entry) in table.in_order() {
            self.row_field(field, entry.key);
            if let Node::String(column) = &entry.value.value {
                columns.insert(field.to_owned(), column.clone());
            } else {
                let message = format!("a column of {title} is a string, not {}", entry.value.value.type_name());
                let help = format!("write the name of the column that holds it: `{field} = \"…\"`");
                self.mistakes.push(Diagnostic::error("wrong-type", message).at(entry.value.span, "").help(help));
            }
        }
        columns
    }

    fn waived(&mut self, title: &str, table: &Table) -> BTreeMap<String, At<String>> {
        let mut reasons = BTreeMap::new();
        for (name, entry) in table.in_order() {
            match &entry.value.value {
                Node::String(reason) if !reason.trim().is_empty() => {
                    reasons.insert(name.to_owned(), At::new(reason.clone(), entry.value.span));
                }
                _ => {
                    let message = format!("`waive` of {title} gives no reason for `{name}`");
                    let help = format!("say why it does no harm: `{name} = \"…\"`");
                    self.mistakes.push(Diagnostic::error("wrong-type", message).at(entry.value.span, "").help(help));
                }
            }
        }
        reasons
    }

    fn row_field(&mut self, field: &str, span: Span) {
        if !ROW_FIELDS.contains(&field) {
            let help = suggest(field, "fields of a row", ROW_FIELDS);
            let message = format!("a row has no field `{field}`");
            self.mistakes.push(Diagnostic::error("unknown-key", message).at(span, "unknown").help(help));
        }
    }

    fn splits(&mut self, title: &str, table: &At<&Table>) -> BTreeMap<String, f64> {
        let mut splits = BTreeMap::new();
        let mut bad = false;
        for (name, entry) in table.value.in_order() {
            self.name("splits", name, entry.key);
            let share = match entry.value.value {
                Node::Float(share) => share,
                Node::Integer(share) => share as f64,
                _ => f64::NAN,
            };
            splits.insert(name.to_owned(), share);
            if !(share > 0.0 && share <= 1.0) {
                let message = format!("the share of split `{name}` is a number above 0 and up to 1");
                self.mistakes.push(Diagnostic::error("splits", message).at(entry.value.span, ""));
                bad = true;
            }
        }
        let sum: f64 = splits.values().sum();
        if !bad && (sum - 1.0).abs() > 1e-6 {
            let message = format!("the splits of {title} share out {sum:.4} of its rows, not 1");
            let help = "make them add up to 1; name rows that nobody should get `unused`";
            self.mistakes.push(Diagnostic::error("splits", message).at(table.span, "").help(help));
        }
        splits
    }

    fn location(
        &mut self,
        title: &str,
        name: &At<String>,
        table: &Table,
        source: Option<At<String>>,
        revision: Option<String>,
        part: Option<String>,
    ) -> Option<At<Location>> {
        let help = "write `source = \"file:PATH\"` or `source = \"hf:ORG/NAME\"`";
        let Some(At { value, span }) = source else {
            if table.get("source").is_none() {
                let message = format!("{title} does not say where it is");
                let missing = Diagnostic::error("missing-key", message).at(name.span, "`source` is missing");
                self.mistakes.push(missing.help(help));
            }
            return None;
        };
        let location = match value.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Location::File(self.sources.get(span.source).dir.join(path)),
            Some(("hf", id)) => {
                let kind = if title.starts_with("`[models") { RepoKind::Model } else { RepoKind::Data };
                match HubName::parse(kind, id, revision, part) {
                    Ok(name) => Location::Hub(name),
                    Err(error) => {
                        let message = format!("`{value}` is not a place that {title} can come from");
                        let wrong = Diagnostic::error("source", message).at(span, error.to_string());
                        self.mistakes.push(wrong.help(help));
                        return None;
                    }
                }
            }
            _ => {
                let message = format!("`{value}` is not a place that {title} can come from");
                self.mistakes.push(Diagnostic::error("source", message).at(span, "").help(help));
                return None;
            }
        };
        Some(At::new(location, span))
    }
}

/// `vocabulary`, the number of tokens, and `added_tokens`.
fn tokenizer(fields: &mut Fields<'_, '_>) -> Fact<Arc<Tokenizer>> {
    let (size, added) = (fields.count("vocabulary"), fields.strings("added_tokens"));
    let Some(span) = added.as_ref().map(|at| at.span).or(size.as_ref().map(|at| at.span)) else {
        return Fact::default();
    };
    let tokens = added.iter().flat_map(|at| at.value.iter().map(|token| (token.value.clone(), None))).collect();
    let size = size.map(|at| at.value);
    Fact::new(Arc::new(Tokenizer { base: None, added: tokens, all_added: added.is_some(), size }), Said::at(span))
}

/// `min_pixels` and `max_pixels`; one alone says nothing of the other.
fn pixels(fields: &mut Fields<'_, '_>) -> Fact<Option<Pixels>> {
    let (min, max) = (fields.count("min_pixels"), fields.count("max_pixels"));
    match (min, max) {
        (None, None) => Fact::default(),
        (min, Some(max)) => {
            let pixels = Pixels { min: min.map_or(0, |at| at.value), max: max.value };
            Fact::new(Some(pixels), Said::at(max.span))
        }
        (Some(min), None) => Fact::new(Some(Pixels { min: min.value, max: usize::MAX }), Said::at(min.span)),
    }
}
