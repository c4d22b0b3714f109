//! `split`: rows → parts that share nothing, an output for each. Refuses to know what the parts are for, but for the role that
//! the recipe gives them.
//!
//! A group's part follows from its name alone, so that adding rows never moves others: `curricle_datasets::curate::group`.

use std::collections::{BTreeMap, BTreeSet};

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Facts, PortTypes, Ports, Problems, Role, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::curation::some_of;

/// The kind `split`.
pub struct Split;

/// Rounding that shares such as 0.7 + 0.2 + 0.1 may add.
const SLACK: f64 = 1e-9;

/// Parameters of `split`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Share of the rows of each part, by the name of its output; what they leave over of 1 is dropped.
    pub shares: BTreeMap<String, f64>,
    /// Parts that may never be trained on.
    pub eval: Vec<String>,
    /// What keeps rows together: any of these that two rows share. A row that shares nothing is alone.
    pub together: Vec<Together>,
    /// Changes which rows go where; `salt = "${seed}"` does so for each seed of a recipe.
    pub salt: u64,
}

impl Default for Params {
    fn default() -> Self {
        let shares = BTreeMap::from([("train".to_owned(), 0.95), ("test".to_owned(), 0.05)]);
        Self { shares, eval: vec!["test".to_owned()], together: vec![Together::Group, Together::Images], salt: 0 }
    }
}

/// What keeps rows together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Together {
    /// The row's group.
    Group,
    /// The same file of an image.
    Images,
    /// The same text of the prompt.
    Prompt,
}

impl StageKind for Split {
    const NAME: &'static str = "split";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "rows in parts that share no group and no image, one output for each part";
    const COMPUTES: bool = false;
    type Params = Params;

    fn ports(params: &Params) -> Ports {
        let ports = Ports::new().input("data", ArtifactKind::Data);
        params.shares.keys().fold(ports, |ports, name| ports.output(name.clone(), ArtifactKind::Data))
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.shares.is_empty() {
            problems.param("shares", "names no part", "for example `shares = { train = 0.9, test = 0.1 }`");
        }
        let sum: f64 = params.shares.values().sum();
        if params.shares.values().any(|share| !(*share > 0.0 && *share <= 1.0)) || sum > 1.0 + SLACK {
            problems.param("shares", format!("must be above 0 and add up to at most 1, not {sum}"), "");
        }
        for name in params.shares.keys().filter(|name| !crate::curation::is_port(name)) {
            let help = "letters, digits, `_` and `-`, beginning with a letter";
            problems.param(format!("shares.{name}"), format!("`{name}` can't be the name of an output"), help);
        }
        for name in params.eval.iter().filter(|name| !params.shares.contains_key(*name)) {
            problems.param("eval", format!("`{name}` is no part"), "name parts that `shares` has");
        }
        if params.together.iter().collect::<BTreeSet<_>>().len() < params.together.len() {
            problems.param("together", "names the same twice", "once is enough");
        }
    }

    fn types(params: &Params, inputs: &PortTypes, _problems: &mut Problems) -> PortTypes {
        let data = inputs.data("data").map(some_of).unwrap_or_default();
        params.shares.keys().fold(PortTypes::default(), |types, name| {
            let role = if params.eval.contains(name) { Role::Eval } else { data.role };
            let mut part = data.clone();
            part.role = role;
            types.with(name, ArtifactType::Data(part))
        })
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::rows::shares(facts, params.shares.iter().map(|(name, share)| (name.as_str(), *share)))
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
    use std::collections::BTreeSet;

    use curricle_datasets::curate::group::{Groups, Tie, split};
    use curricle_datasets::curate::keep::Dropped;
    use curricle_datasets::jsonl::Writer;
    use curricle_engine::report::Table;
    use curricle_engine::stage::{StageContext, StageError};

    use super::{Params, Together};
    use crate::curation::desk::{Desk, keep};

    /// Reads the rows twice: to find what belongs together, and to write them.
    pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let input = context.input("data")?;
        let tie = |together: &Together| match together {
            Together::Group => Tie::Group,
            Together::Images => Tie::Images,
            Together::Prompt => Tie::Prompt,
        };
        let mut desk = Desk::open(context, 2, &["left over"])?;
        let mut groups = Groups::new(params.together.iter().map(tie).collect());
        desk.each(input, |desk, row| {
            desk.came("data", 1);
            groups.add(&row);
            Ok(())
        })?;
        let names = groups.names();
        let shares: Vec<f64> = params.shares.values().copied().collect();
        let parts: Vec<Option<usize>> = names.iter().map(|name| split(*name, params.salt, &shares)).collect();
        desk.table(table(params, &names, &parts));
        let mut writers: Vec<(String, Writer)> = Vec::new();
        for name in params.shares.keys() {
            writers.push((name.clone(), desk.writer(name)?));
        }
        let mut at = 0;
        desk.each(input, |desk, row| {
            let part = parts[at];
            at += 1;
            if let Some(part) = part {
                return keep(&mut writers[part].1, &row, input);
            }
            let (reason, evidence) = ("left over".to_owned(), "`shares` take less than all".to_owned());
            desk.drop(&Dropped { id: row.id, source: None, reason, evidence, other: None })
        })?;
        desk.finish(writers)
    }

    fn table(params: &Params, names: &[u64], parts: &[Option<usize>]) -> Table {
        let head = ["part", "share", "rows", "groups"].map(str::to_owned).to_vec();
        let line = |(at, (name, share)): (usize, (&String, &f64))| {
            let own = || names.iter().zip(parts).filter(move |(_, part)| **part == Some(at));
            let groups: BTreeSet<&u64> = own().map(|(name, _)| name).collect();
            vec![name.clone(), share.to_string(), own().count().to_string(), groups.len().to_string()]
        };
        let cells = std::iter::once(head).chain(params.shares.iter().enumerate().map(line)).collect();
        Table { title: "parts".to_owned(), cells }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(json: &str) -> Vec<String> {
        let mut problems = Problems::default();
        Split::validate(&serde_json::from_str(json).unwrap(), &mut problems);
        problems.into_vec().into_iter().map(|problem| format!("{:?}", problem.at)).collect()
    }

    #[test]
    fn parts_are_outputs_with_roles() {
        let params: Params = serde_json::from_str(r#"{"shares": {"a": 0.5, "b": 0.5}, "eval": ["b"]}"#).unwrap();
        assert_eq!(Split::ports(&params).outputs.iter().map(|port| &*port.name).collect::<Vec<_>>(), ["a", "b"]);
        let types = Split::types(&params, &PortTypes::default(), &mut Problems::default());
        assert_eq!((types.data("a").unwrap().role, types.data("b").unwrap().role), (Role::Train, Role::Eval));
        assert!(mistakes("{}").is_empty());
        assert_eq!(
            mistakes(r#"{"shares": {"a b": 0.5, "c": 0.6}}"#),
            [r#"Param("shares")"#, r#"Param("shares.a b")"#, r#"Param("eval")"#]
        );
        assert_eq!(mistakes(r#"{"shares": {}, "eval": []}"#), [r#"Param("shares")"#]);
    }

    #[cfg(feature = "rows")]
    #[test]
    fn groups_never_part_and_what_is_left_over_is_dropped() {
        use crate::curation::bench::Bench;

        let bench = Bench::new();
        let row = |at: usize| format!("{{\"id\": \"r{at}\", \"prompt\": \"x\", \"group\": \"g{}\"}}\n", at / 5);
        bench.rows("data", &(0..500).map(row).collect::<String>());
        let params: Params =
            serde_json::from_str(r#"{"shares": {"train": 0.6, "val": 0.2}, "eval": ["val"]}"#).unwrap();
        bench.run::<Split>(&params).unwrap();
        let groups = |port: &str| bench.output(port).into_iter().filter_map(|row| row.group).collect::<BTreeSet<_>>();
        let (train, val) = (groups("train"), groups("val"));
        assert!(train.is_disjoint(&val));
        assert_eq!(bench.output("train").len(), train.len() * 5, "whole groups");
        let dropped = bench.dropped().len();
        assert_eq!(dropped + bench.output("train").len() + bench.output("val").len(), 500);
        assert!((50..150).contains(&dropped), "{dropped}");
        assert_eq!(bench.counts().dropped[0].rows, dropped);
    }
}
