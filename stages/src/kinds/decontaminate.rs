//! `decontaminate`: rows → those that are in none of the sets that are kept for measuring. Refuses to know what is measured.
//!
//! Five signs, each with evidence for every row that goes; which, and what they can't see (a cropped image):
//! `curricle_datasets::curate::decontaminate`. The report shows pairs of every sign, to judge how many are true, and how the
//! shares of common words are distributed, to judge where the threshold lies.

use std::collections::BTreeSet;

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Facts, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::curation::some_of;

/// The kind `decontaminate`.
pub struct Decontaminate;

/// Parameters of `decontaminate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Sets that are kept for measuring, as names of inputs: `["math500", "aime"]` makes the inputs `math500` and `aime`.
    pub against: Vec<String>,
    /// Words of a run: 13 as for GPT-3, 8 is stricter.
    pub run: usize,
    /// Share of a kept prompt's words that has to stand in the row, in such runs; 0 where one run is enough.
    pub share: f64,
    /// Drop rows with the numbers and operators of a kept prompt, in any order, and this share of its other words: paraphrases.
    /// Left out, numbers show nothing.
    pub numbers: Option<f64>,
    /// Compare images: the same file, or one that looks the same after re-encoding or resizing.
    pub images: bool,
    /// Drop rows of a group that a kept set has: where groups mean the same in all sets.
    pub groups: bool,
    /// Pairs of each sign that the report shows.
    pub shown: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            against: vec!["eval".to_owned()],
            run: 13,
            share: 0.5,
            numbers: Some(0.6),
            images: true,
            groups: false,
            shown: 5,
        }
    }
}

impl StageKind for Decontaminate {
    const NAME: &'static str = "decontaminate";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "rows that are in none of the sets kept for measuring, by words, numbers and images";
    const COMPUTES: bool = false;
    type Params = Params;

    fn ports(params: &Params) -> Ports {
        let ports = Ports::new().input("data", ArtifactKind::Data);
        let ports = params.against.iter().fold(ports, |ports, name| ports.input(name.clone(), ArtifactKind::Data));
        ports.output("rows", ArtifactKind::Data)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.against.is_empty() {
            problems.param(
                "against",
                "names no set",
                "for example `against = [\"math500\"]`, and an input of that name",
            );
        }
        for name in &params.against {
            if !crate::curation::is_port(name) || name == "data" {
                let help = "letters, digits, `_` and `-`, beginning with a letter; `data` is the rows themselves";
                problems.param("against", format!("`{name}` can't be the name of an input"), help);
            }
        }
        if params.against.iter().collect::<BTreeSet<_>>().len() < params.against.len() {
            problems.param("against", "names a set twice", "once is enough");
        }
        if params.run < 3 {
            problems.param("run", "must be at least 3", "runs this short are everywhere; 8 and 13 are usual");
        }
        for (name, share) in [("share", Some(params.share)), ("numbers", params.numbers)] {
            if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
                problems.param(name, "must be a share from 0 to 1", "");
            }
        }
    }

    fn types(_params: &Params, inputs: &PortTypes, _problems: &mut Problems) -> PortTypes {
        let data = inputs.data("data").map(some_of).unwrap_or_default();
        PortTypes::default().with("rows", ArtifactType::Data(data))
    }

    fn estimate(_params: &Params, facts: &Facts<'_>) -> Estimate {
        crate::estimate::rows::some(facts, None)
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
    use std::collections::BTreeMap;

    use curricle_datasets::Row;
    use curricle_datasets::curate::decontaminate::{BARS, Found, Index, Reason, Rules, histogram};
    use curricle_datasets::curate::keep::Dropped;
    use curricle_datasets::leak::words::clipped;
    use curricle_engine::report::Table;
    use curricle_engine::stage::{StageContext, StageError};

    use super::Params;
    use crate::curation::desk::{Desk, keep, parallel};
    use crate::inputs;

    /// Reads the kept sets into memory, and the rows once.
    pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let input = context.input("data")?;
        let mut kept: Vec<Vec<Row>> = Vec::new();
        for name in &params.against {
            kept.push(inputs::rows(context.input(name)?)?);
        }
        let rules = Rules {
            run: params.run,
            share: params.share,
            numbers: params.numbers,
            images: params.images,
            groups: params.groups,
        };
        let index = Index::new(&kept, rules);
        let sizes: Vec<usize> = kept.iter().map(Vec::len).collect();
        drop(kept);
        let mut told = Told::new(params, sizes);
        let mut desk = Desk::open(context, 1, &Reason::ALL.map(Reason::name))?;
        let mut writer = desk.writer("rows")?;
        desk.batches(input, |desk, rows| {
            desk.came("data", rows.len());
            let verdicts = parallel(&rows, |row| index.judge(row));
            for (row, verdict) in rows.into_iter().zip(verdicts) {
                told.shares.push(verdict.share as f32);
                let Some(found) = verdict.found else {
                    keep(&mut writer, &row, input)?;
                    continue;
                };
                told.see(params, &row, &found, index.prompt(&found).unwrap_or_default());
                desk.drop(&Dropped {
                    id: row.id,
                    source: None,
                    reason: found.reason.name().to_owned(),
                    evidence: format!("{:.2}: {}", found.score, found.shown),
                    other: Some(format!("{}:{}", params.against[found.set], found.kept)),
                })?;
            }
            Ok(())
        })?;
        for table in told.tables(params) {
            desk.table(table);
        }
        desk.finish(vec![("rows".to_owned(), writer)])
    }

    /// What reports show: how many of each set, how sure, and some pairs to judge by.
    struct Told {
        sizes: Vec<usize>,
        /// Rows dropped for each set, by reason; and rows of the set that were found.
        counts: Vec<BTreeMap<Reason, usize>>,
        found: Vec<std::collections::BTreeSet<String>>,
        shares: Vec<f32>,
        pairs: BTreeMap<Reason, Vec<Vec<String>>>,
    }

    impl Told {
        fn new(params: &Params, sizes: Vec<usize>) -> Self {
            let sets = params.against.len();
            let (counts, found) = (vec![BTreeMap::new(); sets], vec![std::collections::BTreeSet::new(); sets]);
            Self { sizes, counts, found, shares: Vec::new(), pairs: BTreeMap::new() }
        }

        fn see(&mut self, params: &Params, row: &Row, found: &Found, prompt: &str) {
            *self.counts[found.set].entry(found.reason).or_default() += 1;
            self.found[found.set].insert(found.kept.clone());
            let pairs = self.pairs.entry(found.reason).or_default();
            if pairs.len() < params.shown {
                pairs.push(vec![
                    found.reason.name().to_owned(),
                    format!("{:.2}", found.score),
                    row.id.clone(),
                    clipped(&row.prompt),
                    format!("{}:{}", params.against[found.set], found.kept),
                    clipped(prompt),
                ]);
            }
        }

        fn tables(self, params: &Params) -> Vec<Table> {
            let mut head = vec!["kept set".to_owned(), "rows".to_owned(), "of them found".to_owned()];
            head.extend(Reason::ALL.map(|reason| format!("dropped: {}", reason.name())));
            let line = |at: usize| {
                let count = |reason| self.counts[at].get(&reason).copied().unwrap_or_default().to_string();
                let first = [params.against[at].clone(), self.sizes[at].to_string(), self.found[at].len().to_string()];
                first.into_iter().chain(Reason::ALL.map(count)).collect()
            };
            let sets = std::iter::once(head).chain((0..self.sizes.len()).map(line)).collect();
            let bars = histogram(self.shares.iter().map(|share| f64::from(*share)));
            let bar = |(at, rows): (usize, &usize)| {
                let edge = |at: usize| at as f64 / BARS as f64;
                vec![format!("{:.1} to {:.1}", edge(at), edge(at + 1)), rows.to_string()]
            };
            let scores = std::iter::once(vec!["largest share of a kept prompt's words".to_owned(), "rows".to_owned()]);
            let scores = scores.chain(bars.iter().enumerate().map(bar)).collect();
            let head = ["sign", "score", "row", "its prompt", "kept row", "its prompt"].map(str::to_owned).to_vec();
            let pairs: Vec<_> = std::iter::once(head).chain(self.pairs.into_values().flatten()).collect();
            let mut tables = vec![
                Table { title: "kept sets".to_owned(), cells: sets },
                Table { title: format!("shares in runs of {} words", params.run), cells: scores },
            ];
            if pairs.len() > 1 {
                tables.push(Table { title: "pairs, to judge the signs by".to_owned(), cells: pairs });
            }
            tables
        }
    }
}

#[cfg(all(test, feature = "rows"))]
mod tests;
