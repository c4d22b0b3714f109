//! `cluster`: rows and their vectors → the same rows, each with the number of the cluster it lies in as its topic. Refuses to
//! know where vectors come from. The algorithm: `curricle_datasets::curate::cluster`.
//!
//! A part of the fourth step of GRAMMAR (arXiv 2506.04207, §3.2): "HDBSCAN" on encodings; its parameters and the number of
//! clusters are not stated there. Names for the clusters are given by `topics`.

use curricle_engine::stage::{
    ArtifactKind, ArtifactType, Estimate, Facts, PortTypes, Ports, Problems, Source, StageContext, StageError,
    StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::curation::with_topic;

/// The kind `cluster`.
pub struct Cluster;

/// What becomes of rows that lie in no cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// They stay without a topic.
    #[default]
    Keep,
    /// They go to the cluster of their nearest neighbour in one.
    Join,
    /// They are dropped.
    Drop,
}

/// Parameters of `cluster`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Fewest rows of a cluster.
    pub min_cluster: usize,
    /// Neighbours that make a place dense; more make more rows noise.
    pub neighbours: usize,
    /// Dimensions that vectors are projected onto; from 50 on distances stay as they are up to a few percent.
    pub dimensions: usize,
    /// Rows that are clustered; the others go where their nearest clustered row is. The work grows with its square.
    pub sample: usize,
    /// What becomes of rows that lie in no cluster.
    pub noise: Noise,
}

impl Default for Params {
    fn default() -> Self {
        Self { min_cluster: 50, neighbours: 10, dimensions: 64, sample: 10_000, noise: Noise::Keep }
    }
}

impl StageKind for Cluster {
    const NAME: &'static str = "cluster";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "groups of rows whose vectors lie close together, by HDBSCAN";
    const COMPUTES: bool = false;
    type Params = Params;

    fn ports(_params: &Params) -> Ports {
        let ports = Ports::new().input("data", ArtifactKind::Data).input("embeddings", ArtifactKind::Embeddings);
        ports.output("rows", ArtifactKind::Data)
    }

    fn validate(params: &Params, problems: &mut Problems) {
        if params.min_cluster < 2 {
            problems.param("min_cluster", "must be at least 2", "");
        }
        for (name, value) in
            [("neighbours", params.neighbours), ("dimensions", params.dimensions), ("sample", params.sample)]
        {
            if value == 0 {
                problems.param(name, "must be at least 1", "");
            }
        }
        if (1..params.min_cluster).contains(&params.sample) {
            let message = format!("is less than `min_cluster` {}: no cluster could be found", params.min_cluster);
            problems.param("sample", message, "cluster more rows, or take smaller clusters");
            problems.see_param("min_cluster", "the fewest rows of a cluster");
        }
    }

    fn types(params: &Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        if let (Some(data), Some(vectors)) = (inputs.data("data"), inputs.embeddings("embeddings")) {
            let known = |source: &&Source| vectors.sources.iter().any(|other| other.name == source.name);
            if let (Some(other), Some(of)) =
                (data.sources.iter().find(|source| !known(source)), vectors.sources.first())
            {
                let message = format!("has vectors of `{}`, and none of rows of `{}`", of.name, other.name);
                let help = "connect the vectors of these rows: an `embed` stage that reads the same data";
                problems.input("embeddings", message, help);
                problems.see_input("data", format!("has rows of `{}`", other.name));
            }
        }
        if let Some(rows) =
            inputs.data("data").and_then(|data| data.rows.get()).filter(|rows| **rows < params.min_cluster)
        {
            let message = format!("is more than all {rows} rows: no cluster can be found");
            problems.param("min_cluster", message, "take smaller clusters, or more rows");
        }
        let data = inputs.data("data").map(|data| with_topic(data, "min_cluster")).unwrap_or_default();
        PortTypes::default().with("rows", ArtifactType::Data(data))
    }

    fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
        match params.noise {
            Noise::Drop => crate::estimate::rows::some(facts, None),
            Noise::Keep | Noise::Join => crate::estimate::rows::all(facts),
        }
    }

    fn tiny(params: &mut Params) {
        crate::tiny::cluster(params);
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
    use curricle_datasets::curate::cluster::{Settings, clusters};
    use curricle_datasets::curate::keep::Dropped;
    use curricle_engine::report::Table;
    use curricle_engine::stage::{StageContext, StageError};

    use super::{Noise, Params};
    use crate::curation::desk::{Desk, keep};
    use crate::curation::vectors::Vectors;
    use crate::inputs;

    pub fn run(params: &Params, context: &mut StageContext<'_>) -> Result<(), StageError> {
        let data = context.input("data")?;
        let rows = inputs::rows(data)?;
        let all = Vectors::read(&context.input("embeddings")?.path)?;
        let vectors = all.of(rows.iter().map(|row| row.id.as_str()))?;
        let settings = Settings {
            least: params.min_cluster,
            neighbours: params.neighbours,
            dimensions: params.dimensions,
            sample: params.sample,
            join: params.noise == Noise::Join,
        };
        context.progress(0, rows.len(), &[]);
        let found = clusters(&vectors, all.width, &settings, context.seed()).map_err(|row| {
            StageError::Failed(format!("the vector of row `{}` has a number that is none", rows[row].id))
        })?;
        let mut desk = Desk::open(context, 1, &["noise"])?;
        let mut writer = desk.writer("rows")?;
        desk.came("data", rows.len());
        let mut sizes = Vec::new();
        let mut alone = 0;
        for (mut row, cluster) in rows.into_iter().zip(found) {
            if let Some(cluster) = cluster {
                sizes.resize(sizes.len().max(cluster + 1), 0);
                sizes[cluster] += 1;
            } else {
                alone += 1;
                if params.noise == Noise::Drop {
                    let evidence = "lies in no cluster".to_owned();
                    desk.drop(&Dropped { id: row.id, source: None, reason: "noise".into(), evidence, other: None })?;
                    continue;
                }
            }
            row.topic = cluster.map(|cluster| format!("cluster {}", cluster + 1));
            keep(&mut writer, &row, data)?;
        }
        let head = ["cluster", "rows"].map(str::to_owned).to_vec();
        let of = |(cluster, size): (usize, &usize)| vec![(cluster + 1).to_string(), size.to_string()];
        let none = vec!["none".to_owned(), alone.to_string()];
        let cells = std::iter::once(head).chain(sizes.iter().enumerate().map(of)).chain([none]).collect();
        desk.table(Table { title: "rows by cluster".to_owned(), cells });
        desk.finish(vec![("rows".to_owned(), writer)])
    }
}

#[cfg(all(test, feature = "rows"))]
mod tests {
    use curricle_engine::stage::Fact;

    use super::*;
    use crate::curation::bench::Bench;
    use crate::curation::vectors::Vectors;

    /// Two bundles of directions, and one row between them.
    fn bench() -> Bench {
        let bench = Bench::new();
        let row = |at: usize| format!("{{\"id\": \"r{at}\", \"prompt\": \"x\", \"answer\": \"1\"}}\n");
        bench.rows("data", &(0..21).map(row).collect::<String>());
        let vector = |at: usize| match at {
            20 => [-1.0, 0.0],
            at if at < 8 => [1.0, 0.01 * at as f32],
            at => [0.01 * at as f32, 1.0],
        };
        // In another order than the rows.
        let ids: Vec<usize> = (0..21).rev().collect();
        let values = ids.iter().flat_map(|at| vector(*at)).collect();
        let ids = ids.iter().map(|at| format!("r{at}")).collect();
        Vectors { ids, width: 2, values }.write(&bench.input("embeddings")).expect("a test's folder can be used");
        bench
    }

    fn topics(bench: &Bench) -> Vec<Option<String>> {
        bench.output("rows").into_iter().map(|row| row.topic).collect()
    }

    #[test]
    fn rows_get_the_number_of_their_cluster() {
        let bench = bench();
        let params = |noise| Params { min_cluster: 4, neighbours: 2, noise, ..Params::default() };
        bench.run::<Cluster>(&params(Noise::Keep)).unwrap();
        let found = topics(&bench);
        assert_eq!(found[..8], vec![Some("cluster 2".to_owned()); 8]);
        assert_eq!(found[8..20], vec![Some("cluster 1".to_owned()); 12]);
        assert_eq!(found[20], None);
        assert_eq!(bench.counts().tables[0].cells[1..], [["1", "12"], ["2", "8"], ["none", "1"]]);

        bench.run::<Cluster>(&params(Noise::Drop)).unwrap();
        assert_eq!(topics(&bench).len(), 20);
        assert_eq!(bench.dropped()[0].id, "r20");

        bench.run::<Cluster>(&params(Noise::Join)).unwrap();
        assert!(topics(&bench)[20].is_some());
    }

    #[test]
    fn a_row_without_a_vector_is_named() {
        let bench = bench();
        bench.rows("data", "{\"id\": \"new\", \"prompt\": \"x\"}\n");
        let error = bench.run::<Cluster>(&Params::default()).unwrap_err().to_string();
        assert!(error.starts_with("row `new` has no vector"), "{error}");
    }

    #[test]
    fn what_comes_out_has_topics() {
        let columns = ["prompt".to_owned()].into();
        let data = curricle_engine::stage::DataType { columns: Fact::known(columns), ..Default::default() };
        let inputs = PortTypes::default().with("data", ArtifactType::Data(data));
        let types = Cluster::types(&Params::default(), &inputs, &mut Problems::default());
        assert!(types.data("rows").unwrap().columns.get().unwrap().contains("topic"));
    }
}
