//! `filter`: rows → those that can be used at all: whose answer can be checked, that ask for no proof, whose prompt is neither
//! too short nor too long, in the wanted script, with images that can be read. Refuses to know what is easy or worth learning.
//!
//! The first step of GRAMMAR (arXiv 2506.04207, §3.2): "excluding items like proof problems and those with difficult-to-verify
//! ground truths". The rules themselves: `curricle_datasets::curate::filter`.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Fact, Facts, PortTypes, Ports, Problems, StageContext, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::curation::some_of;

/// The kind `filter`.
pub struct Filter;

/// Parameters of `filter`. Each row is dropped for the first rule that it breaks, in this order: `min_prompt` and `max_prompt`,
/// `no_proofs`, `answers` and `max_answer`, `scripts`, `images`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Fewest characters of a prompt.
    pub min_prompt: usize,
    /// Most characters of a prompt.
    pub max_prompt: usize,
    /// Drop what asks for a proof: "prove that", "show that", "证明" where a sentence begins, or an answer such as "Q.E.D.".
    pub no_proofs: bool,
    /// Forms of answers that can be checked; a row without an answer, or with another one, is dropped. Empty takes any row.
    pub answers: Vec<Answer>,
    /// Most characters of an answer.
    pub max_answer: usize,
    /// Scripts that the letters of a prompt have to be of; empty takes any. A script is no language: Latin letters may be French.
    pub scripts: Vec<Script>,
    /// Share of a prompt's letters that has to be of these scripts.
    pub script_share: f64,
    /// Drop rows with an image that can't be decoded.
    pub images: bool,
    /// Most pixels of an image; checked with `images`.
    pub max_pixels: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            min_prompt: 1,
            max_prompt: 20_000,
            no_proofs: true,
            answers: vec![Answer::Number, Answer::Choice, Answer::Expression],
            max_answer: 200,
            scripts: Vec::new(),
            script_share: 0.8,
            images: true,
            max_pixels: 40_000_000,
        }
    }
}

/// A form of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A number, with or without a unit.
    Number,
    /// A letter, or one of the row's options.
    Choice,
    /// Mathematics of any other kind that the answer checker can read: expressions, equations, lists, intervals, matrices.
    Expression,
    /// Words; they are compared letter by letter.
    Text,
}

/// A script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Script {
    /// Latin letters, with all their accents.
    Latin,
    /// Greek letters; mathematics in a Latin text has them, too.
    Greek,
    /// Cyrillic letters.
    Cyrillic,
    /// Chinese characters; Japanese texts have them, too.
    Han,
    /// Hiragana and katakana.
    Kana,
    /// Korean syllables.
    Hangul,
    /// Arabic letters.
    Arabic,
    /// Hebrew letters.
    Hebrew,
    /// Devanagari.
    Devanagari,
    /// Thai letters.
    Thai,
}

impl StageKind for Filter {
    const NAME: &'static str = "filter";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "rows whose answers can be checked, without proofs, extreme lengths and broken images";
    const COMPUTES: bool = false;
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        Ports::new().input("data", ArtifactKind::Data).output("rows", ArtifactKind::Data)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.min_prompt > params.max_prompt {
            let message = format!("`{}` is more than `max_prompt` {}", params.min_prompt, params.max_prompt);
            problems.param("min_prompt", message, "no row would be left");
            problems.see_param("max_prompt", "the most");
        }
        if params.max_prompt == 0 {
            problems.param("max_prompt", "must be at least 1", "no row would be left");
        }
        if params.max_answer == 0 && !params.answers.is_empty() {
            problems.param("max_answer", "must be at least 1", "`answers = []` does not look at answers");
        }
        if !(params.script_share > 0.0 && params.script_share <= 1.0) {
            problems.param(
                "script_share",
                "must be a share above 0, up to 1",
                "0.8 leaves room for formulas and names",
            );
        }
        if params.max_pixels == 0 {
            problems.param("max_pixels", "must be at least 1", "`images = false` does not look at images");
        }
    }

    fn types(params: &Params, inputs: &PortTypes, _problems: &mut Problems) -> PortTypes {
        let mut data = inputs.data("data").map(some_of).unwrap_or_default();
        if let Some(columns) = data.columns.get().filter(|_| !params.answers.is_empty()) {
            // What is left has an answer, whatever else the set had.
            let mut columns = columns.clone();
            if columns.insert("answer".to_owned()) {
                data.columns = Fact::param(columns, "answers");
            }
        }
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
    use curricle_datasets::Row;
    use curricle_datasets::curate::filter::{RULES, Rules, Script as Letters};
    use curricle_datasets::curate::keep::Dropped;
    use curricle_engine::stage::{StageContext, StageError};

    use super::{Answer, Params, Script};
    use crate::curation::desk::{Desk, keep, parallel};
    use crate::rl::reward::answer::{Form, form, matches};

    pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let input = context.input("data")?;
        let judge = |row: &Row| judge(params, row);
        let rules = Rules {
            least_prompt: params.min_prompt,
            most_prompt: params.max_prompt,
            proofs: params.no_proofs,
            answer: (!params.answers.is_empty()).then_some(&judge),
            scripts: params.scripts.iter().map(|script| letters(*script)).collect(),
            script_share: params.script_share,
            images: params.images,
            most_pixels: params.max_pixels,
        };
        let mut desk = Desk::open(context, 1, &RULES)?;
        let mut writer = desk.writer("rows")?;
        desk.batches(input, |desk, rows| {
            desk.came("data", rows.len());
            let broken = parallel(&rows, |row| rules.broken(row));
            for (row, broken) in rows.into_iter().zip(broken) {
                match broken {
                    None => keep(&mut writer, &row, input)?,
                    Some(broken) => desk.drop(&Dropped {
                        id: row.id,
                        source: None,
                        reason: broken.rule.to_owned(),
                        evidence: broken.evidence,
                        other: None,
                    })?,
                }
            }
            Ok(())
        })?;
        desk.finish(vec![("rows".to_owned(), writer)])
    }

    fn judge(params: &Params, row: &Row) -> Result<(), String> {
        let Some(answer) = row.answer.as_deref().map(str::trim).filter(|answer| !answer.is_empty()) else {
            return Err("has no answer".to_owned());
        };
        let characters = answer.chars().count();
        if characters > params.max_answer {
            return Err(format!("its answer has {characters} characters"));
        }
        let is_option = || row.choices.iter().any(|choice| matches(choice, &[], answer));
        let found = match form(answer) {
            _ if !row.choices.is_empty() && is_option() => Answer::Choice,
            Some(Form::Number) => Answer::Number,
            Some(Form::Letter) => Answer::Choice,
            Some(Form::Expression) => Answer::Expression,
            Some(Form::Text) | None => Answer::Text,
        };
        if params.answers.contains(&found) {
            return Ok(());
        }
        let what = match found {
            Answer::Number => "a number",
            Answer::Choice => "a choice",
            Answer::Expression => "an expression",
            Answer::Text => "text",
        };
        Err(format!("`{}` is {what}", curricle_datasets::leak::words::clipped(answer)))
    }

    fn letters(script: Script) -> Letters {
        match script {
            Script::Latin => Letters::Latin,
            Script::Greek => Letters::Greek,
            Script::Cyrillic => Letters::Cyrillic,
            Script::Han => Letters::Han,
            Script::Kana => Letters::Kana,
            Script::Hangul => Letters::Hangul,
            Script::Arabic => Letters::Arabic,
            Script::Hebrew => Letters::Hebrew,
            Script::Devanagari => Letters::Devanagari,
            Script::Thai => Letters::Thai,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_has_answers() {
        let of = |params: &Params, columns: &[&str]| {
            let columns = columns.iter().map(|name| (*name).to_owned()).collect();
            let data = curricle_engine::stage::DataType { columns: Fact::known(columns), ..Default::default() };
            let inputs = PortTypes::default().with("data", ArtifactType::Data(data));
            let types = Filter::types(params, &inputs, &mut Problems::default());
            types.data("rows").unwrap().columns.get().unwrap().iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(of(&Params::default(), &["prompt"]), ["answer", "prompt"]);
        assert_eq!(of(&Params { answers: Vec::new(), ..Params::default() }, &["prompt"]), ["prompt"]);
    }

    #[cfg(feature = "rows")]
    mod running {
        use super::*;
        use crate::curation::bench::Bench;

        #[test]
        fn rows_go_for_the_first_rule_they_break_and_the_others_stay_as_they_are() {
            let bench = Bench::new();
            bench.rows(
                "data",
                r#"{"id": "a", "prompt": "What is 2 + 3?", "answer": "5", "task": "sum", "level": 2}
{"id": "b", "prompt": "Prove that 2 > 1.", "answer": "5"}
{"id": "c", "prompt": "Why?", "answer": "because of the weather"}
{"id": "d", "prompt": "Which is red?", "answer": "the square", "choices": ["the circle", "the square"]}
{"id": "e", "prompt": "Say something."}
{"id": "f", "prompt": "三角形的面积是多少", "answer": "6"}
"#,
            );
            let params = Params { scripts: vec![Script::Latin], ..Params::default() };
            bench.run::<Filter>(&params).unwrap();
            assert_eq!(bench.ids("rows"), ["a", "d"]);
            let dropped: Vec<_> = bench.dropped().into_iter().map(|row| (row.id, row.reason, row.evidence)).collect();
            let expected = [
                ("b", "proof", "it says `prove that`"),
                ("c", "answer", "`because of the weather` is text"),
                ("e", "answer", "has no answer"),
                ("f", "script", "0.00 of its letters: 三角形的面积是多少"),
            ];
            assert_eq!(dropped, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
            let counts = bench.counts();
            assert_eq!((counts.came(), counts.left()), (6, 2));
            let by_reason: Vec<_> = counts.dropped.iter().map(|of| (of.reason.as_str(), of.rows)).collect();
            assert_eq!(by_reason, [("prompt", 0), ("proof", 1), ("answer", 2), ("script", 1), ("image", 0)]);
            let row = &bench.output("rows")[0];
            assert_eq!((row.task.as_deref(), row.level), (Some("sum"), Some(2)));
        }

        #[test]
        fn a_stage_that_is_asked_to_stop_stops() {
            let bench = Bench::new();
            let row = |at: usize| format!("{{\"id\": \"{at}\", \"prompt\": \"x\", \"answer\": \"1\"}}\n");
            bench.rows("data", &(0..5000).map(row).collect::<String>());
            let stopped = bench.interrupted::<Filter>(&Params::default());
            assert!(matches!(stopped, Err(StageError::Interrupted { .. })), "{stopped:?}");
        }
    }
}
