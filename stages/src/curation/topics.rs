//! The work of a `topics` stage: clusters get names, and rows the names of their clusters. Refuses to know how clusters were
//! found.

use std::collections::BTreeMap;

use curricle_datasets::Row;
use curricle_datasets::curate::terms::Terms;
use curricle_engine::report::Table;
use curricle_engine::stage::{StageContext, StageError};

use super::desk::{Desk, keep};
use crate::inputs;
use crate::kinds::topics::{By, Params};
use crate::train::precision::Precision;

/// Runs the stage.
///
/// # Errors
/// Where inputs can't be read or outputs not written, or the model is asked in a build that can't.
pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
    let data = context.input("data")?;
    let rows = inputs::rows(data)?;
    let clusters = clusters(&rows);
    let named = match params.by {
        By::Terms => by_terms(&rows, &clusters, params.terms),
        By::Model => by_model(&rows, &clusters, params, context)?,
    };
    let names = apart(named, &params.other);
    let mut sizes = vec![0; clusters.len()];
    let mut alone = 0;
    let mut desk = Desk::open(context, 1, &[])?;
    let mut writer = desk.writer("rows")?;
    desk.came("data", rows.len());
    for mut row in rows {
        let cluster = row.topic.as_ref().and_then(|topic| clusters.get(topic));
        match cluster {
            Some(&cluster) => sizes[cluster] += 1,
            None => alone += 1,
        }
        row.topic = Some(cluster.map_or_else(|| params.other.clone(), |&cluster| names[cluster].clone()));
        keep(&mut writer, &row, data)?;
    }
    let head = ["cluster", "topic", "rows"].map(str::to_owned).to_vec();
    let mut cells = vec![head];
    let mut listed: Vec<_> = clusters.iter().collect();
    listed.sort_by_key(|(_, number)| std::cmp::Reverse(sizes[**number]));
    cells.extend(listed.iter().map(|(old, at)| vec![(*old).clone(), names[**at].clone(), sizes[**at].to_string()]));
    cells.push(vec!["none".to_owned(), params.other.clone(), alone.to_string()]);
    desk.table(Table { title: "names of clusters".to_owned(), cells });
    desk.finish(vec![("rows".to_owned(), writer)])
}

/// Clusters by the topic that their rows have so far, numbered by alphabet.
fn clusters(rows: &[Row]) -> BTreeMap<String, usize> {
    let mut clusters: BTreeMap<String, usize> = rows.iter().filter_map(|row| Some((row.topic.clone()?, 0))).collect();
    clusters.values_mut().zip(0..).for_each(|(number, at)| *number = at);
    clusters
}

fn of(row: &Row, clusters: &BTreeMap<String, usize>) -> Option<usize> {
    clusters.get(row.topic.as_ref()?).copied()
}

fn by_terms(rows: &[Row], clusters: &BTreeMap<String, usize>, count: usize) -> Vec<String> {
    let mut terms = Terms::default();
    for row in rows {
        if let Some(cluster) = of(row, clusters) {
            terms.add(cluster, &row.prompt);
        }
    }
    let mut names: Vec<String> = terms.best(count).into_iter().map(|words| words.join(", ")).collect();
    names.resize(clusters.len(), String::new());
    names
}

/// Names that differ: one that is empty, taken, or the name for what has no cluster gets a number.
fn apart(names: Vec<String>, other: &str) -> Vec<String> {
    let mut taken = vec![other.to_owned()];
    for name in names {
        let name = if name.is_empty() { "unnamed".to_owned() } else { name };
        let numbered = (2..).map(|number| format!("{name} {number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
        taken.extend(free);
    }
    taken.split_off(1)
}

/// Prompts of a cluster that a model reads: as good as random, and the same whatever other clusters there are.
#[cfg(any(test, feature = "compute"))]
fn examples(rows: &[Row], clusters: &BTreeMap<String, usize>, params: &Params, seed: u64) -> Vec<Row> {
    let mut by_cluster: Vec<Vec<&Row>> = vec![Vec::new(); clusters.len()];
    for row in rows {
        if let Some(cluster) = of(row, clusters) {
            by_cluster[cluster].push(row);
        }
    }
    let ask = |(number, mut rows): (usize, Vec<&Row>)| {
        rows.sort_by_key(|row| curricle_datasets::curate::rank(seed, &["topics", &row.id]));
        let mut prompt = params.question.clone();
        for row in rows.iter().take(params.examples) {
            let text: String = row.prompt.replace("<image>", "").chars().take(params.characters).collect();
            prompt += &format!("\n\n- {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        Row { id: format!("cluster {}", number + 1), prompt, ..Row::default() }
    };
    by_cluster.into_iter().enumerate().map(ask).collect()
}

#[cfg(not(feature = "compute"))]
fn by_model(
    _rows: &[Row],
    _clusters: &BTreeMap<String, usize>,
    _params: &Params,
    _context: &StageContext<'_>,
) -> Result<Vec<String>, StageError> {
    Err(StageError::NoCompute)
}

#[cfg(feature = "compute")]
fn by_model(
    rows: &[Row],
    clusters: &BTreeMap<String, usize>,
    params: &Params,
    context: &StageContext<'_>,
) -> Result<Vec<String>, StageError> {
    use crate::infer::{Completer, Wishes};

    let failed = |error: crate::infer::InferError| StageError::Failed(error.to_string());
    let runtime = context.runtime();
    let model = &context.input("model")?.path;
    let completer = Completer::open(model, &runtime.device, Precision::F32, runtime.threads).map_err(failed)?;
    let wishes = Wishes { greedy: true, max_new_tokens: Some(params.max_new_tokens), ..Wishes::default() };
    let asked = examples(rows, clusters, params, context.seed());
    let sampling = completer.sampling(&wishes);
    let said = completer.complete(&asked, 0, &sampling, asked.len().max(1), context.seed()).map_err(failed)?;
    Ok(said.iter().map(|completion| name(&completer.text(&completion.ids))).collect())
}

/// The name in what a model said: its first line, without quotes and the full stop.
#[cfg(feature = "compute")]
fn name(said: &str) -> String {
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.trim_matches(|c: char| c.is_whitespace() || "\"'`*.:#-".contains(c)).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::bench::Bench;
    use crate::kinds::topics::Topics;

    fn rows() -> String {
        let row = |id: &str, topic: &str, prompt: &str| {
            let topic = if topic.is_empty() { String::new() } else { format!(", \"topic\": \"{topic}\"") };
            format!("{{\"id\": \"{id}\", \"prompt\": \"{prompt}\"{topic}}}\n")
        };
        [
            row("a", "cluster 1", "The area of a triangle with the base 2"),
            row("b", "cluster 1", "Which triangle is right-angled?"),
            row("c", "cluster 2", "The farmer has apples and the apples are red"),
            row("d", "cluster 3", "Solve the equation"),
            row("e", "", "Anything else"),
        ]
        .concat()
    }

    #[test]
    fn clusters_are_named_by_the_words_that_set_them_apart() {
        let bench = Bench::new();
        bench.rows("data", &rows());
        bench.run::<Topics>(&Params { terms: 1, ..Params::default() }).unwrap();
        let found: Vec<_> = bench.output("rows").into_iter().filter_map(|row| row.topic).collect();
        assert_eq!(found, ["triangle", "triangle", "apples", "equation", "other"]);
        let table = &bench.counts().tables[0].cells;
        assert_eq!(table[1], ["cluster 1", "triangle", "2"]);
        assert_eq!(table[4], ["none", "other", "1"]);
    }

    #[test]
    fn names_differ() {
        let names = ["sums", "other", "sums", "", "sums", ""].map(str::to_owned).to_vec();
        assert_eq!(apart(names, "other"), ["sums", "other 2", "sums 2", "unnamed", "sums 3", "unnamed 2"]);
    }

    #[cfg(feature = "compute")]
    #[test]
    fn a_model_names_what_it_reads() {
        use curricle_engine::stage::{Kind, Runtime};

        let bench = crate::testing::Bench::sums();
        std::fs::write(bench.rows().join("rows.jsonl"), rows()).unwrap();
        let params = serde_json::json!({ "by": "model", "max_new_tokens": 3, "examples": 1, "characters": 10 });
        bench.run(&Kind::<Topics>::NEW, &params, "t", &Runtime::default(), None).unwrap();
        let rows = curricle_datasets::rows::load(&bench.output("t", "rows"), &curricle_datasets::RowsView::default());
        let topics: Vec<_> = rows.unwrap().into_iter().filter_map(|row| row.topic).collect();
        assert_eq!((topics.len(), &topics[0], topics[4].as_str()), (5, &topics[1], "other"));
        assert!(topics[0] != topics[2] && topics[2] != topics[3], "{topics:?}");
        assert_eq!(name("\n \"Plane Geometry.\"\nand more"), "plane geometry");
    }

    #[test]
    fn a_model_reads_a_part_of_some_prompts() {
        let rows: Vec<Row> = rows().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let params = Params { examples: 1, characters: 8, question: "Which?".into(), ..Params::default() };
        let asked = examples(&rows, &clusters(&rows), &params, 1);
        assert_eq!(asked.len(), 3);
        assert!(["Which?\n\n- The area", "Which?\n\n- Which tr"].contains(&asked[0].prompt.as_str()), "{asked:?}");
        assert_eq!(asked[2].prompt, "Which?\n\n- Solve th");
    }
}
