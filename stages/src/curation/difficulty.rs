//! The work of a `difficulty` stage: rows asked until their level is certain. Refuses to know how ([`crate::rl`]) and what a
//! level is ([`curricle_datasets::curate::level`]).
//!
//! What was found of each wave of rows is a file of the work folder, so that an attempt goes on where the one before ended.
//! Every draw follows from the stage's seed, the row and the try: neither waves nor attempts change a level.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use curricle_datasets::curate::keep::Dropped;
use curricle_datasets::curate::level::{Levels, Verdict};
use curricle_datasets::{Encoded, fs};
use curricle_engine::exec::StageEvent;
use curricle_engine::report::{CURATION, Table};
use curricle_engine::stage::{StageContext, StageError};
use serde::{Deserialize, Serialize};

use super::desk::{Desk, keep};
use crate::kinds::difficulty::Params;
use crate::model::ModelConfig;
use crate::phases::{Phase, Phases};
use crate::prompt::Instruction;
use crate::rl::questions::{Draws, Questions};
use crate::rl::reward::accuracy;
use crate::rl::rollout::Generator;
use crate::rl::seed::{Purpose, derive};
use crate::train::lanes::Lanes;

/// Rounds in which a row's tries are asked: between them it may turn out that no more are needed.
const ROUNDS: usize = 4;
/// File of the folder `curation` with the tries of each row.
const TRIES: &str = "tries.jsonl";

/// The tries of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tries {
    right: usize,
    asked: usize,
}

/// A row that needs no further try.
#[derive(Debug, Clone, Copy)]
struct Judged {
    tries: Tries,
    verdict: Verdict,
}

impl Judged {
    /// None where a further try may change the verdict; all of them never leave a doubt.
    fn of(levels: &Levels, tries: Tries, all: usize) -> Option<Self> {
        let verdict = levels.certain(tries.right, tries.asked, all)?;
        Some(Self { tries, verdict })
    }
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    right: usize,
    asked: usize,
    verdict: Verdict,
}

/// Runs the stage.
///
/// # Errors
/// Where inputs can't be read or outputs not written; [`StageError::Interrupted`] when asked to stop.
pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
    let bounds = params.bounds.clone().unwrap_or_else(|| Levels::equal(params.levels));
    let levels = Levels::new(bounds, params.least, params.most);
    let data = context.input("data")?;
    let rows = crate::inputs::rows(data)?;
    let judged = ask(params, &levels, context)?;

    let lines = rows.iter().zip(&judged).map(|(row, &Judged { tries: Tries { right, asked }, verdict })| {
        let line = Line { id: &row.id, right, asked, verdict };
        serde_json::to_string(&line).expect("plain data") + "\n"
    });
    let file = context.output(CURATION)?.join(TRIES);
    fs::write(&file, lines.collect::<String>().as_bytes()).map_err(|error| StageError::Failed(error.to_string()))?;
    let mut desk = Desk::open(context, 1, &["too-easy", "too-hard"])?;
    let mut writer = desk.writer("rows")?;
    desk.came("data", rows.len());
    for (mut row, Judged { tries, verdict }) in rows.into_iter().zip(&judged) {
        let reason = match verdict {
            Verdict::Level(level) => {
                row.level = Some(*level);
                keep(&mut writer, &row, data)?;
                continue;
            }
            Verdict::TooEasy => "too-easy",
            Verdict::TooHard => "too-hard",
        };
        let evidence = format!("{} of {} right", tries.right, tries.asked);
        desk.drop(&Dropped { id: row.id, source: None, reason: reason.to_owned(), evidence, other: None })?;
    }
    desk.table(table(&levels, &judged));
    desk.finish(vec![("rows".to_owned(), writer)])
}

/// Asks every row until its level is certain.
fn ask(params: &Params, levels: &Levels, context: &mut StageContext<'_>) -> Result<Vec<Judged>, StageError> {
    let lanes = Lanes::of(context.runtime())?;
    let device = lanes.first().device;
    let (model_dir, data) = (&context.input("model")?.path, context.input("data")?);
    let reading = |error: &dyn std::fmt::Display| StageError::while_doing("reading the model", error);
    let config = ModelConfig::read(model_dir).map_err(|error| reading(&error))?;
    params.precision.check(device)?;
    let model = params.precision.read(model_dir, &config, device).map_err(|error| reading(&error))?;
    let model = lanes.copies(model);
    let instruction = params.instruction.as_ref().map(Instruction::text);
    let questions = Arc::new(Questions::open(data, model_dir, &config, params.max_new_tokens, instruction)?);
    let Params { temperature, top_p, top_k, max_new_tokens, .. } = *params;
    let sampling = questions.sampling(&config, Draws { temperature, top_p, top_k, max_new_tokens });
    let (batch, phases) = (params.batch, Phases::on(lanes.devices()));
    let generator = Generator { model: &model, config: &config, sampling: &sampling, batch, lanes: &lanes };

    let total = questions.rows().len();
    let mut found = read(context.work_dir(), total, levels, params.tries);
    if !found.is_empty() {
        context.emit(StageEvent::Resumed { step: found.len() });
    }
    let before = found.len();
    let ahead = questions.ahead(context.runtime().threads, before..total)?;
    let wave = (batch * lanes.count()).div_ceil(params.tries.div_ceil(ROUNDS));
    while found.len() < total {
        if context.interrupted() {
            return Err(StageError::Interrupted { step: found.len() });
        }
        let rows: Vec<usize> = (found.len()..total.min(found.len() + wave)).collect();
        let encoded = ahead.take_all(rows[0] - before..rows[0] - before + rows.len())?;
        let decide = || decide(params, levels, &questions, &generator, (&rows, &encoded), context.seed());
        let judged = phases.during(Phase::Answering, decide);
        write(context.work_dir(), found.len(), &judged)?;
        found.extend(judged);
        let (right, asked) =
            found.iter().fold((0, 0), |sum, Judged { tries, .. }| (sum.0 + tries.right, sum.1 + tries.asked));
        let tries = asked as f64 / found.len() as f64;
        context.progress(found.len(), total, &[("accuracy", right as f64 / asked.max(1) as f64), ("tries", tries)]);
    }
    phases.told().into_iter().for_each(|event| context.emit(event));
    Ok(found)
}

/// Asks some rows in rounds, until the level of each is certain.
fn decide(
    params: &Params,
    levels: &Levels,
    questions: &Questions,
    generator: &Generator<'_>,
    (rows, encoded): (&[usize], &[Encoded]),
    seed: u64,
) -> Vec<Judged> {
    let mut tries = vec![Tries::default(); rows.len()];
    loop {
        let judged: Vec<Option<Judged>> = tries.iter().map(|tries| Judged::of(levels, *tries, params.tries)).collect();
        let open: Vec<usize> = (0..rows.len()).filter(|&at| judged[at].is_none()).collect();
        if open.is_empty() {
            return judged.into_iter().flatten().collect();
        }
        let more = params.tries.div_ceil(ROUNDS);
        let asked: Vec<(usize, usize)> = open
            .iter()
            .flat_map(|&at| (tries[at].asked..params.tries.min(tries[at].asked + more)).map(move |one| (at, one)))
            .collect();
        let prompts: Vec<&Encoded> = asked.iter().map(|&(at, _)| &encoded[at]).collect();
        let seeds: Vec<u64> =
            asked.iter().map(|&(at, one)| derive(seed, Purpose::Evaluate, &[rows[at] as u64, one as u64])).collect();
        for (&(at, _), completion) in asked.iter().zip(generator.complete(&prompts, &seeds)) {
            let text = questions.decode(&completion.ids);
            let right = accuracy(&questions.answered(rows[at], &text, completion.ids.len())) > 0.5;
            tries[at].asked += 1;
            tries[at].right += usize::from(right);
        }
    }
}

/// What an attempt before this one found of the first rows; from the first file on that is not whole, or leaves a row in
/// doubt, nothing.
fn read(dir: &Path, total: usize, levels: &Levels, all: usize) -> Vec<Judged> {
    let mut found: Vec<Judged> = Vec::new();
    while found.len() < total {
        let wave = fs::read_text(&file(dir, found.len())).ok().and_then(|text| serde_json::from_str(&text).ok());
        let wave = wave.filter(|wave: &Vec<Tries>| (1..=total - found.len()).contains(&wave.len())).unwrap_or_default();
        let judged: Vec<Judged> = wave.iter().map_while(|tries| Judged::of(levels, *tries, all)).collect();
        if wave.is_empty() || judged.len() < wave.len() {
            break;
        }
        found.extend(judged);
    }
    found
}

fn write(dir: &Path, first: usize, judged: &[Judged]) -> Result<(), StageError> {
    let tries: Vec<Tries> = judged.iter().map(|judged| judged.tries).collect();
    let text = serde_json::to_string(&tries).expect("plain data");
    fs::write(&file(dir, first), text.as_bytes()).map_err(|error| StageError::Failed(error.to_string()))
}

fn file(dir: &Path, first: usize) -> PathBuf {
    dir.join(format!("tries-{first:09}.json"))
}

/// Rows by level.
fn table(levels: &Levels, judged: &[Judged]) -> Table {
    let count = |wanted: Verdict| judged.iter().filter(|judged| judged.verdict == wanted).count().to_string();
    let head = ["level", "share of right answers", "rows"].map(str::to_owned).to_vec();
    let row = |level: usize| vec![level.to_string(), levels.range(level), count(Verdict::Level(level as u8))];
    let cells = std::iter::once(head).chain((1..=levels.count()).map(row)).collect();
    Table { title: "rows by level".to_owned(), cells }
}

#[cfg(test)]
mod tests {
    use curricle_datasets::{RowsView, rows};
    use curricle_engine::stage::{Kind, Runtime};
    use serde_json::json;

    use super::*;
    use crate::kinds::difficulty::Difficulty;
    use crate::testing::Bench;

    fn levels_of(bench: &Bench, stage: &str) -> Vec<(String, Option<u8>)> {
        let rows = rows::load(&bench.output(stage, "rows"), &RowsView::default()).unwrap();
        rows.into_iter().map(|row| (row.id, row.level)).collect()
    }

    #[test]
    fn a_model_that_knows_nothing_finds_everything_hard() {
        let bench = Bench::sums();
        let params = json!({ "tries": 4, "max_new_tokens": 4, "batch": 2, "levels": 2 });
        bench.run(&Kind::<Difficulty>::NEW, &params, "d", &Runtime::default(), None).unwrap();
        assert_eq!(levels_of(&bench, "d"), (0..12).map(|row| (row.to_string(), Some(2))).collect::<Vec<_>>());
        // Half of four are two: after three wrong answers the fourth changes nothing.
        let tries = fs::read_text(&bench.output("d", CURATION).join(TRIES)).unwrap();
        assert!(tries.lines().all(|line| line.ends_with(r#""right":0,"asked":3,"verdict":{"level":2}}"#)), "{tries}");

        let params = json!({ "tries": 2, "max_new_tokens": 4, "least": 0.1 });
        bench.run(&Kind::<Difficulty>::NEW, &params, "none", &Runtime::default(), None).unwrap();
        assert_eq!(levels_of(&bench, "none"), []);
        let dropped = fs::read_text(&bench.output("none", CURATION).join("dropped.jsonl")).unwrap();
        assert_eq!(dropped.lines().count(), 12);
        assert!(dropped.contains(r#""reason":"too-hard","evidence":"0 of 2 right""#), "{dropped}");
    }

    #[test]
    fn threads_waves_and_attempts_change_no_level() {
        let bench = Bench::drawn();
        let params = |batch: usize| json!({ "tries": 3, "max_new_tokens": 3, "batch": batch });
        let threads = |threads: usize| Runtime { threads, ..Runtime::default() };
        let run = |name: &str, batch, count, stop| {
            bench.run(&Kind::<Difficulty>::NEW, &params(batch), name, &threads(count), stop)
        };
        run("one", 12, 1, None).unwrap();
        let file = |name: &str| fs::read_text(&bench.output(name, CURATION).join(TRIES)).unwrap();
        let stopped = run("two", 2, 2, Some(4));
        assert!(matches!(stopped, Err(StageError::Interrupted { step: 4 })), "{stopped:?}");
        let events = run("two", 2, 1, None).unwrap();
        assert!(events.contains(&StageEvent::Resumed { step: 4 }), "{events:?}");
        assert_eq!(file("one"), file("two"));
        assert_eq!(levels_of(&bench, "one"), levels_of(&bench, "two"));
    }
}
