//! `balance`: rows → as many of each kind as the recipe wants, drawn from a seed. Refuses to know what the kinds are: rows
//! say it of themselves (`topic`, `task`, `level`, …).
//!
//! The last step of GRAMMAR (arXiv 2506.04207, §3.2): "balanced sampling across both topics and difficulty strata". The paper
//! states no quota. How rows are shared out: `curricle_datasets::curate::balance`.

use std::collections::BTreeSet;

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Facts, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::curation::some_of;
use crate::fit;

/// The kind `balance`.
pub struct Balance;

/// Parameters of `balance`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Fields whose values make a kind of row: one kind for each combination.
    pub by: Vec<Field>,
    /// How rows are shared out among kinds.
    pub strategy: Strategy,
    /// Rows in all; left out, as many as the strategy gives by itself.
    pub rows: Option<usize>,
    /// With `cap`: most rows of each kind.
    pub cap: Option<usize>,
    /// Drop rows that lack one of the fields; otherwise they are a kind of their own.
    pub complete: bool,
    /// Changes which rows are drawn; `salt = "${seed}"` does so for each seed of a recipe.
    pub salt: u64,
}

impl Default for Params {
    fn default() -> Self {
        let by = vec![Field::Topic, Field::Level];
        Self { by, strategy: Strategy::Uniform, rows: None, cap: None, complete: false, salt: 0 }
    }
}

/// A field of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// What it is about; the `task` where nobody has said it.
    Topic,
    /// What kind of question it is.
    Task,
    /// How difficult it is.
    Level,
    /// Which of several mixed sets it is from.
    Source,
    /// Has it images (`image`) or not (`text`)?
    Modality,
}

/// How rows are shared out among kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// As many of each. Kinds with fewer give all they have, and the others make up for it; without `rows`, each kind gives as
    /// many as the smallest has.
    Uniform,
    /// At most `cap` of each.
    Cap,
    /// The same share of each: it only makes the set smaller.
    Proportional,
}

impl StageKind for Balance {
    const NAME: &'static str = "balance";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "rows drawn so that no topic or level outweighs the others";
    const COMPUTES: bool = false;
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        Ports::new().input("data", ArtifactKind::Data).output("rows", ArtifactKind::Data)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.by.is_empty() {
            problems.param("by", "names no field", "for example `by = [\"topic\", \"level\"]`");
        }
        if params.by.iter().collect::<BTreeSet<_>>().len() < params.by.len() {
            problems.param("by", "names a field twice", "once is enough");
        }
        if params.rows == Some(0) {
            problems.param("rows", "must be at least 1", "leave it out to take what the strategy gives");
        }
        match (params.strategy, params.cap) {
            (Strategy::Cap, None | Some(0)) => {
                problems.param("cap", "must say how many rows of a kind there may be", "for example `cap = 500`");
            }
            (Strategy::Uniform | Strategy::Proportional, Some(_)) => {
                problems.param("cap", "does nothing with this strategy", "set `strategy = \"cap\"`, or leave it out");
                problems.see_param("strategy", "shares out otherwise");
            }
            _ => {}
        }
        if params.strategy == Strategy::Proportional && params.rows.is_none() {
            problems.param("strategy", "keeps every row unless `rows` says how many", "add `rows`");
        }
    }

    fn types(params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        if let Some(data) = inputs.data("data") {
            for field in &params.by {
                let fields: &[&str] = match field {
                    Field::Topic => &["topic", "task"],
                    Field::Task => &["task"],
                    Field::Level => &["level"],
                    Field::Source => &["source"],
                    Field::Modality => continue,
                };
                fit::lacks(data, "data", fields, "to tell kinds by", problems);
            }
        }
        let data = inputs.data("data").map(some_of).unwrap_or_default();
        PortTypes::default().with("rows", ArtifactType::Data(data))
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::rows::some(facts, params.rows.map(|rows| rows as f64))
    }

    #[cfg(not(feature = "rows"))]
    fn run(_params: &Params, _context: &mut StageContext<'_>) -> Result<(), StageError> {
        Err(crate::no_rows())
    }

    #[cfg(feature = "rows")]
    fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        running::run(params, context)
    }
}

#[cfg(feature = "rows")]
mod running {
    use std::collections::{BTreeMap, BTreeSet};

    use curricle_datasets::Row;
    use curricle_datasets::curate::balance::{Cells, Strategy as Sharing, quotas};
    use curricle_datasets::curate::keep::Dropped;
    use curricle_datasets::curate::rank;
    use curricle_engine::report::Table;
    use curricle_engine::stage::{StageContext, StageError};

    use super::{Field, Params, Strategy};
    use crate::curation::desk::{Desk, keep};

    /// What a row without a field has instead.
    const NONE: &str = "(none)";

    /// Reads the rows twice: to count them, and to write those that were drawn.
    pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let input = context.input("data")?;
        let mut desk = Desk::open(context, 2, &["quota", "incomplete"])?;
        let mut cells = Cells::default();
        let mut seen = BTreeSet::new();
        desk.each(input, |desk, row| {
            desk.came("data", 1);
            let kind: Vec<_> = params.by.iter().map(|field| value(*field, &row)).collect();
            seen.extend(params.by.iter().zip(&kind).filter(|(_, value)| value.is_some()).map(|(field, _)| *field));
            if params.complete && kind.contains(&None) {
                return Ok(());
            }
            cells.add(
                kind.into_iter().map(|value| value.unwrap_or_else(|| NONE.into())).collect(),
                rank(params.salt, &["balance", &row.id]),
            );
            Ok(())
        })?;
        if let Some(field) = params.by.iter().find(|field| !seen.contains(field)).filter(|_| !cells.is_empty()) {
            let message =
                format!("no row has a `{}`: take it out of `by`, or add the stage that finds it", name(*field));
            return Err(StageError::Failed(message));
        }
        let counts = cells.counts();
        let strategy = match params.strategy {
            Strategy::Uniform => Sharing::Uniform,
            Strategy::Cap => Sharing::Cap(params.cap.unwrap_or(usize::MAX)),
            Strategy::Proportional => Sharing::Proportional,
        };
        let sizes: Vec<usize> = counts.iter().map(|(_, _, rows)| *rows).collect();
        let shares = quotas(&sizes, strategy, params.rows);
        desk.table(table(&params.by, &counts, &shares));
        let by_cell: BTreeMap<u32, usize> =
            counts.iter().zip(&shares).map(|((_, cell, _), quota)| (*cell, *quota)).collect();
        let said: BTreeMap<u32, String> = counts
            .iter()
            .zip(&shares)
            .map(|((kind, cell, rows), quota)| (*cell, format!("{quota} of {rows} of {}", kind.join(" × "))))
            .collect();
        let kept = cells.keep(&by_cell);
        let mut writer = desk.writer("rows")?;
        let mut at = 0;
        desk.each(input, |desk, row| {
            let dropped = |reason: &str, evidence: String| Dropped {
                id: row.id.clone(),
                source: None,
                reason: reason.into(),
                evidence,
                other: None,
            };
            if params.complete && params.by.iter().any(|field| value(*field, &row).is_none()) {
                return desk.drop(&dropped("incomplete", "it lacks a field of `by`".into()));
            }
            let here = at;
            at += 1;
            if kept[here] {
                return keep(&mut writer, &row, input);
            }
            desk.drop(&dropped("quota", said.get(&cells.of(here)).cloned().unwrap_or_default()))
        })?;
        desk.finish(vec![("rows".to_owned(), writer)])
    }

    fn value(field: Field, row: &Row) -> Option<String> {
        match field {
            Field::Topic => row.topic.clone().or_else(|| row.task.clone()),
            Field::Task => row.task.clone(),
            // Two digits, so that ten levels are in their order.
            Field::Level => row.level.map(|level| format!("{level:>2}")),
            Field::Source => row.source.clone(),
            Field::Modality => Some(if row.images.is_empty() { "text" } else { "image" }.to_owned()),
        }
    }

    fn name(field: Field) -> &'static str {
        match field {
            Field::Topic => "topic",
            Field::Task => "task",
            Field::Level => "level",
            Field::Source => "source",
            Field::Modality => "modality",
        }
    }

    /// The kinds with what each had and gave: of two fields, one down and the other across.
    fn table(by: &[Field], counts: &[(&[String], u32, usize)], quotas: &[usize]) -> Table {
        let names: Vec<_> = by.iter().map(|field| name(*field)).collect();
        let title = format!("{}, rows in → out", names.join(" × "));
        let cell = |rows: usize, quota: usize| format!("{rows} → {quota}");
        let [down, across] = by else {
            let mut head: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            head.push("rows in → out".to_owned());
            let rows = counts.iter().zip(quotas).map(|((kind, _, rows), quota)| {
                kind.iter().map(|value| value.trim().to_owned()).chain([cell(*rows, *quota)]).collect()
            });
            return Table { title, cells: std::iter::once(head).chain(rows).collect() };
        };
        let columns: BTreeSet<&String> = counts.iter().map(|(kind, ..)| &kind[1]).collect();
        let lines: BTreeSet<&String> = counts.iter().map(|(kind, ..)| &kind[0]).collect();
        let mut head = vec![format!("{} \\ {}", name(*down), name(*across))];
        head.extend(columns.iter().map(|column| column.trim().to_owned()));
        let line = |line: &&String| {
            let found = |column: &&String| {
                let mut all = counts.iter().zip(quotas);
                let one = all.find(|((kind, ..), _)| kind[0] == **line && kind[1] == **column);
                one.map_or_else(String::new, |((_, _, rows), quota)| cell(*rows, *quota))
            };
            std::iter::once(line.trim().to_owned()).chain(columns.iter().map(found)).collect()
        };
        Table { title, cells: std::iter::once(head).chain(lines.iter().map(line)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_goes_with_its_strategy() {
        let mistakes = |json: &str| {
            let mut problems = Problems::default();
            Balance::validate(&serde_json::from_str(json).unwrap(), &mut problems);
            problems.into_vec().into_iter().map(|problem| format!("{:?}", problem.at)).collect::<Vec<_>>()
        };
        assert!(mistakes("{}").is_empty());
        assert!(mistakes(r#"{"strategy": "cap", "cap": 3}"#).is_empty());
        assert_eq!(mistakes(r#"{"strategy": "cap"}"#), [r#"Param("cap")"#]);
        assert_eq!(
            mistakes(r#"{"cap": 3, "by": [], "rows": 0}"#),
            [r#"Param("by")"#, r#"Param("rows")"#, r#"Param("cap")"#]
        );
        assert_eq!(mistakes(r#"{"strategy": "proportional"}"#), [r#"Param("strategy")"#]);
        assert_eq!(mistakes(r#"{"by": ["level", "level"]}"#), [r#"Param("by")"#]);
    }

    #[cfg(feature = "rows")]
    mod running {
        use super::*;
        use crate::curation::bench::Bench;

        fn rows(count: usize) -> String {
            let row = |at: usize| {
                let task = if at.is_multiple_of(10) { "rare" } else { "common" };
                format!("{{\"id\": \"r{at}\", \"prompt\": \"x\", \"task\": \"{task}\", \"level\": {}}}\n", 1 + at % 2)
            };
            (0..count).map(row).collect()
        }

        #[test]
        fn each_kind_gives_its_quota_and_the_table_says_so() {
            let bench = Bench::new();
            bench.rows("data", &rows(200));
            // Multiples of 10 are even, so that the rare ones have one level only.
            bench.run::<Balance>(&Params { rows: Some(60), ..Params::default() }).unwrap();
            let kept = bench.output("rows");
            let of = |task: &str, level: u8| {
                kept.iter().filter(|row| row.task.as_deref() == Some(task) && row.level == Some(level)).count()
            };
            assert_eq!([of("rare", 1), of("common", 1), of("common", 2)], [20, 20, 20]);
            let counts = bench.counts();
            assert_eq!((counts.came(), counts.left(), counts.dropped[0].rows), (200, 60, 140));
            let table = &counts.tables[0];
            assert_eq!(
                table.cells,
                [["topic \\ level", "1", "2"], ["common", "80 → 20", "100 → 20"], ["rare", "20 → 20", ""]]
            );
            assert_eq!(bench.dropped()[0].evidence.split(' ').next(), Some("20"));
        }

        #[test]
        fn a_salt_draws_other_rows_and_the_order_of_rows_does_not() {
            let draw = |text: &str, salt: u64| {
                let bench = Bench::new();
                bench.rows("data", text);
                bench.run::<Balance>(&Params { rows: Some(60), salt, ..Params::default() }).unwrap();
                bench.ids("rows").into_iter().collect::<BTreeSet<_>>()
            };
            let text = rows(200);
            let backwards = text.lines().rev().collect::<Vec<_>>().join("\n");
            assert_eq!(draw(&text, 0), draw(&backwards, 0));
            assert_ne!(draw(&text, 0), draw(&text, 1));
        }

        #[test]
        fn rows_without_a_field_are_a_kind_or_go() {
            let text = rows(20) + "{\"id\": \"bare\", \"prompt\": \"x\"}\n";
            let bench = Bench::new();
            bench.rows("data", &text);
            let cap = Params { strategy: Strategy::Cap, cap: Some(100), ..Params::default() };
            bench.run::<Balance>(&cap).unwrap();
            assert_eq!(bench.ids("rows").len(), 21);
            bench.run::<Balance>(&Params { complete: true, ..cap }).unwrap();
            assert_eq!(bench.ids("rows").len(), 20);
            assert_eq!(bench.dropped()[0].reason, "incomplete");
            let absent = Params { by: vec![Field::Source], ..Params::default() };
            let error = bench.run::<Balance>(&absent).unwrap_err().to_string();
            assert!(error.contains("no row has a `source`"), "{error}");
        }
    }
}
