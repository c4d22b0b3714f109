//! Rows of text → token ids, by the tokenizer of a model folder: text alone, and as a chat with its answer as `sft` reads it.

use curricle_datasets::bpe::{ProcessorFiles, TINY_IMAGES};
use curricle_datasets::leak::Taken;
use curricle_datasets::synth::{Entry, Spec, generate, task};
use curricle_datasets::{Processor, Row};
use curricle_stages::train::lanes::Lanes;

use crate::case::{Answer, Case, Figure};

pub fn cases() -> Vec<Case> {
    let small = Case { name: "quickstart's tokenizer".into(), rows: 4000, repeats: 5, ..Case::default() };
    let folder = std::env::var_os("CURRICLE_BENCH_MODEL").map(std::path::PathBuf::from);
    let given =
        folder.map(|model| Case { name: format!("`{}`", model.display()), model: Some(model), ..small.clone() });
    [small].into_iter().chain(given).collect()
}

/// Questions in words, with written reasoning.
fn rows(count: usize) -> Vec<Row> {
    let entry = |name: &str| Entry {
        name: name.to_owned(),
        task: task(name).unwrap(),
        weight: 1.0,
        levels: vec![1, 2, 3],
        reasoning: 1.0,
        instruction: None,
    };
    let spec =
        Spec { entries: ["arithmetic", "word"].map(entry).to_vec(), rows: count, seed: 1, set: "train".to_owned() };
    generate(&spec, &Taken::default()).unwrap().into_iter().map(|made| made.row).collect()
}

pub fn measure(case: &Case) -> Answer {
    let rows = rows(case.rows);
    let folder = case.model.clone().unwrap_or_else(|| case.folder.join("model"));
    if case.model.is_none() {
        let corpus: Vec<String> =
            rows.iter().map(|row| format!("{}\n{}", row.prompt, row.target().unwrap_or_default())).collect();
        std::fs::create_dir_all(&folder).unwrap();
        ProcessorFiles::train(&corpus, case.size.vocabulary, TINY_IMAGES).unwrap().write(&folder).unwrap();
    }
    let lines = rows.iter().map(|row| {
        serde_json::json!({ "prompt": row.prompt, "target": row.target().unwrap_or_default() }).to_string() + "\n"
    });
    std::fs::write(case.folder.join("rows.jsonl"), lines.collect::<String>()).unwrap();

    let lanes = Lanes::of_host(case.threads).unwrap();
    let text = |processor: &Processor| -> usize {
        lanes.map(&rows, |_, row| processor.encode(&row.prompt).unwrap().len()).into_iter().sum()
    };
    let open = || Processor::open(&folder).unwrap();
    let processor = open();
    let alone = case.median(|| assert!(text(&processor) > case.rows));
    // A processor may keep the rows that it has encoded: each call has one of its own, which knows the words.
    let fresh = || {
        let processor = open();
        text(&processor);
        processor
    };
    let chat = case.median_of(fresh, |processor| {
        lanes.map(&rows, |_, row| processor.example(row).unwrap().ids.len()).into_iter().sum::<usize>()
    });
    let rate = |seconds| case.rows as f64 / seconds;
    case.answer(vec![Figure::new("text", rate(alone), "rows/s"), Figure::new("chat", rate(chat), "rows/s")])
}
