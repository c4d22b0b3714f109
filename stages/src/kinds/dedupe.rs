//! `dedupe`: rows → the first of each that are the same: by text, by most of the text, by images. Refuses to know which of
//! several is the best; the order of the rows decides.
//!
//! What is the same as what: `curricle_datasets::curate::dedupe`.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Facts, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::curation::some_of;

/// The kind `dedupe`.
pub struct Dedupe;

/// Parameters of `dedupe`. The first of several rows that are the same stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Drop rows with the same text: prompt and turns before it, but for case, blanks and the sign at the end.
    pub exact: bool,
    /// Drop rows with nearly the same text.
    pub near: Near,
    /// What images have to do with it.
    pub images: Images,
}

/// When texts are nearly the same: `MinHash` over runs of words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Near {
    /// Drop rows with nearly the same text.
    pub enabled: bool,
    /// Share of the runs of words of both texts that both have (Jaccard), above 0 and up to 1, as `MinHash` estimates it.
    pub threshold: f64,
    /// Words of a run.
    pub words: usize,
    /// Hashes of a signature, 16 to 1024: each takes four bytes of memory per row, and more of them estimate better.
    pub permutations: usize,
    /// Numbers and operators have to be the same, in the same order. Without, questions made from one template are the same.
    pub same_numbers: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { exact: true, near: Near::default(), images: Images::WithText }
    }
}

impl Default for Near {
    fn default() -> Self {
        Self { enabled: true, threshold: 0.8, words: 3, permutations: 128, same_numbers: true }
    }
}

/// What images have to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Images {
    /// The same text about another image is another row. Images are compared by what they show, so re-encoding hides nothing.
    WithText,
    /// As `with-text`; and of rows with the same images only the first stays, whatever the others ask.
    Alone,
    /// Images are not looked at: the same text is the same row.
    Ignore,
}

impl StageKind for Dedupe {
    const NAME: &'static str = "dedupe";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "the first of rows that are the same, or nearly, by text and images";
    const COMPUTES: bool = false;
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        Ports::new().input("data", ArtifactKind::Data).output("rows", ArtifactKind::Data)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        let near = &params.near;
        if !(near.threshold > 0.0 && near.threshold <= 1.0) {
            problems.param("near.threshold", "must be a share above 0, up to 1", "0.8 is usual; lower drops more");
        }
        if near.words == 0 {
            problems.param("near.words", "must be at least 1", "3 suits questions, 5 and more long texts");
        }
        if !(16..=1024).contains(&near.permutations) {
            problems.param("near.permutations", "must be from 16 to 1024", "128 takes 0.5 GB for a million rows");
        }
        if !params.exact && !near.enabled && params.images != Images::Alone {
            problems.stage("compares nothing", "leave `exact` or `near.enabled` on, or set `images = \"alone\"`");
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
    use std::collections::{BTreeMap, BTreeSet};

    use curricle_datasets::curate::dedupe::{Dedupe, Images as Compared, Near, Reason, Rules};
    use curricle_datasets::curate::keep::Dropped;
    use curricle_engine::stage::{StageContext, StageError};

    use super::{Images, Params};
    use crate::curation::desk::{Desk, keep};

    /// Reads the rows twice: to compare them, and to write those that stay.
    pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let input = context.input("data")?;
        let near = Near {
            threshold: params.near.threshold,
            words: params.near.words,
            permutations: params.near.permutations,
            same_numbers: params.near.same_numbers,
        };
        let rules = Rules {
            exact: params.exact,
            near: params.near.enabled.then_some(near),
            images: match params.images {
                Images::WithText => Compared::WithText,
                Images::Alone => Compared::Alone,
                Images::Ignore => Compared::Ignore,
            },
        };
        let mut desk = Desk::open(context, 2, &[Reason::Exact, Reason::Image, Reason::Near].map(Reason::name))?;
        let mut dedupe = Dedupe::new(rules);
        desk.batches(input, |desk, rows| {
            desk.came("data", rows.len());
            dedupe.see(&rows);
            Ok(())
        })?;
        let repeats = dedupe.repeats();
        drop(dedupe);
        // Of rows that stay, only the ids that evidence will name are kept.
        let named: BTreeSet<u32> = repeats.iter().flatten().map(|repeat| repeat.of).collect();
        let mut ids: BTreeMap<u32, String> = BTreeMap::new();
        let mut writer = desk.writer("rows")?;
        let mut at = 0_u32;
        desk.each(input, |desk, row| {
            let repeat = repeats.get(at as usize).copied().flatten();
            if named.contains(&at) {
                ids.insert(at, row.id.clone());
            }
            at += 1;
            let Some(repeat) = repeat else { return keep(&mut writer, &row, input) };
            let evidence = match repeat.reason {
                Reason::Exact => "the same text".to_owned(),
                Reason::Image => "the same images".to_owned(),
                Reason::Near => format!("about {:.2} of its runs of words", repeat.alike),
            };
            let (reason, other) = (repeat.reason.name().to_owned(), ids.get(&repeat.of).cloned());
            desk.drop(&Dropped { id: row.id, source: None, reason, evidence, other })
        })?;
        desk.finish(vec![("rows".to_owned(), writer)])
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "rows")]
    #[test]
    fn the_first_of_each_stays_and_the_others_say_which() {
        use super::*;
        use crate::curation::bench::Bench;

        let text = "A farmer walks from his barn to the mill with 12 sacks of grain and comes back with 3";
        let bench = Bench::new();
        let row = |id: &str, prompt: &str| format!("{{\"id\": \"{id}\", \"prompt\": \"{prompt}\"}}\n");
        bench.rows(
            "data",
            &[
                row("a", &format!("{text}. How many did he sell?")),
                row("b", "What is 2 + 3?"),
                row("c", &format!("{text}: how many did he sell?")),
                row("d", "what is 2  + 3"),
                row("e", "What is 2 + 4?"),
                row("f", &format!("{text}. How many did he sell?").replace("12", "15")),
            ]
            .concat(),
        );
        bench.run::<Dedupe>(&Params::default()).unwrap();
        assert_eq!(bench.ids("rows"), ["a", "b", "e", "f"]);
        let dropped: Vec<_> = bench.dropped().into_iter().map(|row| (row.id, row.reason, row.other.unwrap())).collect();
        assert_eq!(dropped, [("c", "near", "a"), ("d", "exact", "b")].map(|(a, b, c)| (a.into(), b.into(), c.into())));
        let templates =
            Params { near: Near { same_numbers: false, threshold: 0.6, ..Near::default() }, ..Params::default() };
        bench.run::<Dedupe>(&templates).unwrap();
        assert_eq!(bench.ids("rows"), ["a", "b", "e"]);
    }
}
