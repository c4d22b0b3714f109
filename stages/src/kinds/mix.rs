//! `mix`: several sets of rows → one, with a share of each. Refuses to know what is in them.
//!
//! How much of which: `curricle_datasets::curate::mix`.

use std::collections::BTreeMap;

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Facts, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::curation::together;

/// The kind `mix`.
pub struct Mix;

/// Parameters of `mix`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Weight of each set, by the name of its input: `{ text = 2.0, images = 1.0 }` makes the inputs `text` and `images`.
    pub weights: BTreeMap<String, f64>,
    /// Multiply every weight with the size of its set.
    pub by_size: bool,
    /// Weights are raised to one over this: 1 leaves them as they are, more makes them more alike.
    pub temperature: f64,
    /// Rows in all. Without `rows` and `tokens`: as many as there are without taking a row twice or leaving the shares.
    pub rows: Option<usize>,
    /// Tokens in all instead of rows, roughly counted without a tokenizer over prompts and what is to be said; shares are shares
    /// of tokens then.
    pub tokens: Option<usize>,
    /// Take rows several times where a set is too small for its share; otherwise the other sets make up for it.
    pub repeat: bool,
    /// Changes which rows are drawn; `salt = "${seed}"` does so for each seed of a recipe.
    pub salt: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            weights: BTreeMap::new(),
            by_size: false,
            temperature: 1.0,
            rows: None,
            tokens: None,
            repeat: false,
            salt: 0,
        }
    }
}

impl StageKind for Mix {
    const NAME: &'static str = "mix";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "one set of rows from several, by weights, up to a number of rows or tokens";
    const COMPUTES: bool = false;
    type Params = Params;

    fn ports(params: &Params) -> Ports {
        let inputs = params.weights.keys();
        let ports = inputs.fold(Ports::new(), |ports, name| ports.input(name.clone(), ArtifactKind::Data));
        ports.output("rows", ArtifactKind::Data)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.weights.is_empty() {
            problems.param("weights", "names no set", "for example `weights = { text = 2.0, images = 1.0 }`");
        }
        for (name, weight) in &params.weights {
            if *weight <= 0.0 {
                problems.param(format!("weights.{name}"), "must be above 0", "leave a set out to take nothing of it");
            }
            if !crate::curation::is_port(name) {
                let help = "letters, digits, `_` and `-`, beginning with a letter";
                problems.param(format!("weights.{name}"), format!("`{name}` can't be the name of an input"), help);
            }
        }
        if params.temperature <= 0.0 {
            problems.param("temperature", "must be above 0", "1 leaves the weights as they are");
        }
        for (name, value) in [("rows", params.rows), ("tokens", params.tokens)] {
            if value == Some(0) {
                problems.param(name, "must be at least 1", "leave it out to take as much as there is");
            }
        }
        if params.rows.is_some() && params.tokens.is_some() {
            problems.param("tokens", "can't be set beside `rows`", "set one of them");
            problems.see_param("rows", "the other");
        }
        if params.repeat && params.rows.is_none() && params.tokens.is_none() {
            problems.param(
                "repeat",
                "repeats nothing without `rows` or `tokens`",
                "say how much there is to be in all",
            );
        }
    }

    fn types(params: &Params, inputs: &PortTypes, _problems: &mut Problems) -> PortTypes {
        let sets: Vec<_> = params.weights.keys().filter_map(|name| inputs.data(name)).collect();
        let mut data = together(&sets);
        if let Some(columns) = data.columns.get() {
            let columns = columns.iter().cloned().chain(["source".to_owned()]).collect();
            data.columns = curricle_engine::stage::Fact::param(columns, "weights");
        }
        PortTypes::default().with("rows", ArtifactType::Data(data))
    }

    fn estimate(params: &Params, _facts: &Facts<'_>) -> Estimate {
        crate::estimate::rows::together(params.rows.map(|rows| rows as f64))
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
    use std::collections::HashMap;

    use curricle_datasets::Row;
    use curricle_datasets::curate::keep::{Dropped, Renamed};
    use curricle_datasets::curate::mix::{Rules, choose, interleave, shares, targets};
    use curricle_datasets::curate::rank;
    use curricle_engine::report::Table;
    use curricle_engine::stage::{InputArtifact, StageContext, StageError, rough_tokens};

    use super::Params;
    use crate::curation::desk::{Desk, keep};
    use crate::inputs;

    /// A set, by what is kept of its rows.
    struct Set<'a> {
        name: &'a str,
        input: &'a InputArtifact,
        /// Rows (1 each) or tokens.
        costs: Vec<u32>,
        ranks: Vec<u64>,
        /// How often each row is taken.
        times: Vec<u32>,
    }

    /// Reads each set twice: to count it, and to write what was drawn, all sets in turn.
    pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let mut sets = Vec::new();
        for name in params.weights.keys() {
            let (costs, ranks, times) = (Vec::new(), Vec::new(), Vec::new());
            sets.push(Set { name, input: context.input(name)?, costs, ranks, times });
        }
        let mut desk = Desk::open(context, 2, &["share"])?;
        // Ids that two sets have: by digest, with the set that had it first.
        let mut known: HashMap<u64, (u32, bool)> = HashMap::new();
        for (at, set) in sets.iter_mut().enumerate() {
            let (name, input) = (set.name, set.input);
            desk.each(input, |desk, row| {
                desk.came(name, 1);
                set.costs.push(if params.tokens.is_some() { tokens(&row) } else { 1 });
                set.ranks.push(rank(params.salt, &["mix", name, &row.id]));
                let seen = known.entry(rank(0, &[&row.id])).or_insert((at as u32, false));
                seen.1 |= seen.0 != at as u32;
                Ok(())
            })?;
        }
        known.retain(|_, (_, twice)| *twice);
        draw(params, &mut sets, &mut desk);
        let mut writer = desk.writer("rows")?;
        let counts: Vec<usize> = sets.iter().map(|set| set.times.iter().map(|times| *times as usize).sum()).collect();
        let mut streams: Vec<Drawn<'_>> = sets.iter().map(Drawn::new).collect();
        for at in interleave(&counts) {
            let set = &sets[at];
            while let Some((row, round)) = streams[at].next(&mut desk)? {
                let Some(round) = round else {
                    let evidence = format!(
                        "{} of {} rows of `{}` taken",
                        counts[at].min(set.costs.len()),
                        set.costs.len(),
                        set.name
                    );
                    let (id, source) = (row.id, Some(set.name.to_owned()));
                    desk.drop(&Dropped { id, source, reason: "share".to_owned(), evidence, other: None })?;
                    continue;
                };
                let row = named(row, set.name, round, &known, &mut desk)?;
                keep(&mut writer, &row, set.input)?;
                break;
            }
        }
        // What stands behind the last row that was taken of a set.
        for (at, set) in sets.iter().enumerate() {
            while let Some((row, _)) = streams[at].rest(&mut desk)? {
                let evidence =
                    format!("{} of {} rows of `{}` taken", counts[at].min(set.costs.len()), set.costs.len(), set.name);
                let (id, source) = (row.id, Some(set.name.to_owned()));
                desk.drop(&Dropped { id, source, reason: "share".to_owned(), evidence, other: None })?;
            }
        }
        desk.finish(vec![("rows".to_owned(), writer)])
    }

    /// Decides how often each row is taken, and says so.
    fn draw(params: &Params, sets: &mut [Set<'_>], desk: &mut Desk<'_, '_>) {
        let rules = Rules {
            by_size: params.by_size,
            temperature: params.temperature,
            budget: params.rows.or(params.tokens),
            repeat: params.repeat,
        };
        let sum = |set: &Set<'_>| set.costs.iter().map(|cost| *cost as usize).sum::<usize>();
        let sizes: Vec<usize> = sets.iter().map(sum).collect();
        let weights: Vec<f64> = params.weights.values().copied().collect();
        let wanted = shares(&sizes, &weights, rules);
        for (set, target) in sets.iter_mut().zip(targets(&sizes, &weights, rules)) {
            set.times = choose(&set.costs, &set.ranks, target);
        }
        let unit = if params.tokens.is_some() { "tokens" } else { "rows" };
        let taken = |set: &Set<'_>| {
            set.costs.iter().zip(&set.times).map(|(cost, times)| *cost as usize * *times as usize).sum::<usize>()
        };
        let all: usize = sets.iter().map(taken).sum();
        let head =
            ["set", "weight", "share asked for", "share", unit, "rows", "rows there"].map(str::to_owned).to_vec();
        let line = |((set, weight), wanted): ((&Set<'_>, &f64), &f64)| {
            let rows: u32 = set.times.iter().sum();
            vec![
                set.name.to_owned(),
                weight.to_string(),
                format!("{:.1} %", 100.0 * wanted),
                format!("{:.1} %", 100.0 * taken(set) as f64 / all.max(1) as f64),
                taken(set).to_string(),
                rows.to_string(),
                set.costs.len().to_string(),
            ]
        };
        let lines = sets.iter().zip(&weights).zip(&wanted).map(line);
        desk.table(Table { title: "shares".to_owned(), cells: std::iter::once(head).chain(lines).collect() });
    }

    fn tokens(row: &Row) -> u32 {
        let said = row.history.iter().map(|turn| rough_tokens(&turn.content)).sum::<f64>();
        let target = row.target().as_deref().map_or(0.0, rough_tokens);
        (said + rough_tokens(&row.prompt) + target).ceil().max(1.0) as u32
    }

    /// A row under a name that no other row has, with the set it is from.
    fn named(
        mut row: Row,
        set: &str,
        round: u32,
        known: &HashMap<u64, (u32, bool)>,
        desk: &mut Desk<'_, '_>,
    ) -> Result<Row, StageError> {
        let was = row.id.clone();
        if known.contains_key(&rank(0, &[&row.id])) {
            row.id = format!("{set}/{}", row.id);
        }
        if round > 0 {
            row.id = format!("{}@{}", row.id, round + 1);
        }
        if row.id != was {
            desk.rename(&Renamed { id: row.id.clone(), source: set.to_owned(), was })?;
        }
        row.source = Some(set.to_owned());
        Ok(row)
    }

    /// The rows of a set that were drawn, in its order; from its beginning again for rows that are taken several times.
    struct Drawn<'a> {
        set: &'a Set<'a>,
        rows: Option<Box<dyn Iterator<Item = Result<Row, StageError>>>>,
        at: usize,
        round: u32,
    }

    impl<'a> Drawn<'a> {
        fn new(set: &'a Set<'a>) -> Self {
            Self { set, rows: None, at: 0, round: 0 }
        }

        /// The next row, and the round that takes it; no round for a row that is not taken at all.
        fn next(&mut self, desk: &mut Desk<'_, '_>) -> Result<Option<(Row, Option<u32>)>, StageError> {
            let most = self.set.times.iter().copied().max().unwrap_or_default().max(1);
            while self.round < most {
                let Some(row) = self.row(desk)? else {
                    (self.rows, self.at, self.round) = (None, 0, self.round + 1);
                    continue;
                };
                let times = self.set.times[self.at - 1];
                if times > self.round {
                    return Ok(Some((row, Some(self.round))));
                }
                if times == 0 && self.round == 0 {
                    return Ok(Some((row, None)));
                }
            }
            Ok(None)
        }

        /// What the first round left: nothing that is taken comes any more.
        fn rest(&mut self, desk: &mut Desk<'_, '_>) -> Result<Option<(Row, Option<u32>)>, StageError> {
            if self.round > 0 { Ok(None) } else { self.next(desk) }
        }

        fn row(&mut self, desk: &mut Desk<'_, '_>) -> Result<Option<Row>, StageError> {
            let rows = match &mut self.rows {
                Some(rows) => rows,
                none => none.insert(Box::new(inputs::each(self.set.input)?)),
            };
            let Some(row) = rows.next().transpose()? else { return Ok(None) };
            self.at += 1;
            desk.step()?;
            Ok(Some(row))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_inputs_and_roles_flow() {
        use curricle_engine::stage::{DataType, Role};

        let params: Params = serde_json::from_str(r#"{"weights": {"a": 1, "b": 2}}"#).unwrap();
        assert_eq!(Mix::ports(&params).inputs.iter().map(|port| &*port.name).collect::<Vec<_>>(), ["a", "b"]);
        let of = |role| ArtifactType::Data(DataType { role, ..DataType::default() });
        let inputs = PortTypes::default().with("a", of(Role::Train)).with("b", of(Role::Eval));
        let types = Mix::types(&params, &inputs, &mut Problems::default());
        assert_eq!(types.data("rows").unwrap().role, Role::Eval);
        let mut problems = Problems::default();
        let json = r#"{"weights": {"a b": 1, "c": 0}, "rows": 1, "tokens": 0, "temperature": 0}"#;
        Mix::validate(&serde_json::from_str(json).unwrap(), &mut problems);
        let found: Vec<_> = problems.into_vec().into_iter().map(|problem| format!("{:?}", problem.at)).collect();
        let places = ["weights.a b", "weights.c", "temperature", "tokens", "tokens"];
        assert_eq!(found, places.map(|place| format!("Param({place:?})")));
    }

    #[cfg(feature = "rows")]
    mod running {
        use super::*;
        use crate::curation::bench::Bench;

        fn rows(from: usize, to: usize) -> String {
            (from..to).map(|at| format!("{{\"id\": \"{at}\", \"prompt\": \"x\"}}\n")).collect::<Vec<_>>().concat()
        }

        #[test]
        fn sets_are_mixed_evenly_and_ids_stay_apart() {
            let bench = Bench::new();
            bench.rows("a", &rows(0, 100));
            bench.rows("b", &rows(90, 150));
            let params: Params = serde_json::from_str(r#"{"weights": {"a": 3, "b": 1}, "rows": 80}"#).unwrap();
            bench.run::<Mix>(&params).unwrap();
            let mixed = bench.output("rows");
            let from = |set: &str| mixed.iter().filter(|row| row.source.as_deref() == Some(set)).count();
            assert_eq!((from("a"), from("b")), (60, 20));
            let first = mixed[..8].iter().filter(|row| row.source.as_deref() == Some("b")).count();
            assert_eq!(first, 2, "they follow each other evenly");
            for row in &mixed {
                let (set, id) = row.id.split_once('/').unwrap_or((row.source.as_deref().unwrap(), &row.id));
                assert_eq!(row.source.as_deref(), Some(set));
                assert_eq!((90..100).contains(&id.parse::<usize>().unwrap()), row.id.contains('/'), "{}", row.id);
            }
            assert_eq!(bench.dropped().len(), 80);
            let counts = bench.counts();
            assert_eq!((counts.came(), counts.left()), (160, 80));
            assert_eq!(counts.tables[0].cells[1], ["a", "3", "75.0 %", "75.0 %", "60", "60", "100"]);
        }

        #[test]
        fn a_set_that_is_too_small_is_taken_again_or_made_up_for() {
            let bench = Bench::new();
            bench.rows("a", &rows(0, 10));
            bench.rows("b", &rows(100, 200));
            let mut params: Params = serde_json::from_str(r#"{"weights": {"a": 1, "b": 1}, "rows": 50}"#).unwrap();
            bench.run::<Mix>(&params).unwrap();
            let from_a = |bench: &Bench| {
                bench
                    .output("rows")
                    .into_iter()
                    .filter(|row| row.source.as_deref() == Some("a"))
                    .map(|row| row.id)
                    .collect::<Vec<_>>()
            };
            assert_eq!(from_a(&bench).len(), 10);
            assert_eq!(bench.output("rows").len(), 50);
            params.repeat = true;
            bench.run::<Mix>(&params).unwrap();
            let ids = from_a(&bench);
            assert_eq!(ids.len(), 25);
            assert_eq!(ids[0], "0");
            assert_eq!(ids[10], "0@2");
            assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 25, "no id twice");
        }

        #[test]
        fn tokens_are_a_budget_too() {
            let bench = Bench::new();
            let long = "word ".repeat(50);
            bench.rows("a", &rows(0, 100));
            bench.rows(
                "b",
                &(200..300)
                    .map(|at| format!("{{\"id\": \"{at}\", \"prompt\": \"{long}\"}}\n"))
                    .collect::<Vec<_>>()
                    .concat(),
            );
            let params: Params = serde_json::from_str(r#"{"weights": {"a": 1, "b": 20}, "tokens": 1050}"#).unwrap();
            bench.run::<Mix>(&params).unwrap();
            let mixed = bench.output("rows");
            let from = |set: &str| mixed.iter().filter(|row| row.source.as_deref() == Some(set)).count();
            assert!((15..=30).contains(&from("b")) && (20..=50).contains(&from("a")), "{} {}", from("a"), from("b"));
        }
    }
}
