//! A stage of rows, run for a test in a folder of its own. Knows no kind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use curricle_datasets::curate::keep::{DROPPED, Dropped};
use curricle_datasets::{Row, RowsView, fs, rows};
use curricle_engine::report::{COUNTS, CURATION, Counts};
use curricle_engine::stage::{
    ArtifactType, DataType, DataView, InputArtifact, Runtime, StageContext, StageError, StageKind, StageRequest,
};

/// A folder with a folder for each input below `in`, and outputs below `out`.
pub struct Bench(tempfile::TempDir);

impl Bench {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a test's folder can be used"))
    }

    /// Writes the rows of an input.
    pub fn rows(&self, port: &str, text: &str) {
        fs::write(&self.input(port).join("rows.jsonl"), text.as_bytes()).expect("a test's folder can be used");
    }

    /// The folder of an input.
    pub fn input(&self, port: &str) -> PathBuf {
        self.0.path().join("in").join(port)
    }

    pub fn run<K: StageKind>(&self, params: &K::Params) -> Result<(), StageError> {
        self.attempt::<K>(params, false)
    }

    pub fn interrupted<K: StageKind>(&self, params: &K::Params) -> Result<(), StageError> {
        self.attempt::<K>(params, true)
    }

    fn attempt<K: StageKind>(&self, params: &K::Params, stop: bool) -> Result<(), StageError> {
        let input = |port: &str| InputArtifact {
            path: self.input(port),
            ty: ArtifactType::Data(DataType::default()),
            view: DataView::default(),
            reference: format!("{port}.rows"),
        };
        let ports = K::ports(params).inputs;
        let there = ports.iter().filter(|port| self.input(&port.name).exists());
        let inputs: BTreeMap<_, _> = there.map(|port| (port.name.to_string(), input(&port.name))).collect();
        let request = StageRequest {
            stage: "s".into(),
            kind: K::NAME.into(),
            params: serde_json::to_value(params).expect("a test's folder can be used"),
            key: "00".into(),
            seed: 3,
            inputs,
            output_dir: self.out(),
            work_dir: self.0.path().join("work"),
            runtime: Runtime::default(),
        };
        let mut emit = |_| {};
        K::run(params, &mut StageContext::new(&request, Arc::new(AtomicBool::new(stop)), &mut emit))
    }

    fn out(&self) -> PathBuf {
        self.0.path().join("out")
    }

    fn read(&self, path: impl AsRef<Path>) -> String {
        fs::read_text(&self.out().join(path)).expect("a test's folder can be used")
    }

    /// The rows of an output.
    pub fn output(&self, port: &str) -> Vec<Row> {
        rows::load(&self.out().join(port), &RowsView::default()).expect("a test's folder can be used")
    }

    /// Their ids.
    pub fn ids(&self, port: &str) -> Vec<String> {
        self.output(port).into_iter().map(|row| row.id).collect()
    }

    pub fn dropped(&self) -> Vec<Dropped> {
        let text = self.read(Path::new(CURATION).join(DROPPED));
        text.lines().map(|line| serde_json::from_str(line).expect("a test's folder can be used")).collect()
    }

    pub fn counts(&self) -> Counts {
        serde_json::from_str(&self.read(Path::new(CURATION).join(COUNTS))).expect("a test's folder can be used")
    }
}
