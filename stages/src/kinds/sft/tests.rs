use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{
    AnyKind, ArtifactType, DataType, DataView, InputArtifact, Kind, ModelType, Runtime, StageContext, StageError,
    StageRequest,
};
use serde_json::{Value, json};

use super::Sft;
use crate::kinds::init::Init;

/// A folder with rows of sums and the model that `init` makes of them.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rows: String = (0..12)
            .map(|n| format!("{}\n", json!({ "id": n.to_string(), "prompt": format!("{n} + {}", n * n), "answer": (n + n * n).to_string() })))
            .collect();
        std::fs::create_dir(dir.path().join("rows")).unwrap();
        std::fs::write(dir.path().join("rows/rows.jsonl"), rows).unwrap();
        let bench = Self { dir };
        let params = json!({
            "hidden_size": 16, "layers": 2, "heads": 2, "kv_heads": 1, "intermediate": 32, "vocab_size": 300,
            "vision": { "depth": 1, "hidden": 8, "heads": 2, "intermediate": 16, "fullatt": [0] }, "template": "bare",
        });
        bench.run(&Kind::<Init>::NEW, &params, "base", Runtime::default(), None).unwrap();
        bench
    }

    fn model(&self, name: &str) -> PathBuf {
        self.dir.path().join(name).join("out/model")
    }

    fn weights(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.model(name).join("model.safetensors")).unwrap()
    }

    /// Runs a stage under `name`; asks it to stop as soon as it reports step `stop`.
    fn run(
        &self,
        kind: &dyn AnyKind,
        params: &Value,
        name: &str,
        runtime: Runtime,
        stop: Option<usize>,
    ) -> Result<Vec<StageEvent>, StageError> {
        let place = self.dir.path().join(name);
        let (output_dir, work_dir) = (place.join("out"), place.join("work"));
        std::fs::create_dir_all(&output_dir).unwrap();
        std::fs::create_dir_all(&work_dir).unwrap();
        let input = |path: &Path, ty: ArtifactType| InputArtifact {
            path: path.to_owned(),
            ty,
            view: DataView::default(),
            reference: "test".to_owned(),
        };
        let rows = self.dir.path().join("rows");
        let request = StageRequest {
            stage: name.to_owned(),
            kind: kind.name().to_owned(),
            params: params.clone(),
            key: "00".to_owned(),
            seed: 7,
            inputs: BTreeMap::from([
                ("data".to_owned(), input(&rows, ArtifactType::Data(DataType::default()))),
                ("val".to_owned(), input(&rows, ArtifactType::Data(DataType::default()))),
                ("model".to_owned(), input(&self.model("base"), ArtifactType::Model(ModelType::default()))),
            ]),
            output_dir,
            work_dir,
            runtime: Runtime { device: "cpu".to_owned(), ..runtime },
        };
        let flag = Arc::new(AtomicBool::new(false));
        let mut events = Vec::new();
        let mut emit = |event: StageEvent| {
            if let StageEvent::Progress { step, .. } = &event
                && stop == Some(*step)
            {
                flag.store(true, Ordering::Relaxed);
            }
            events.push(event);
        };
        let mut context = StageContext::new(&request, Arc::clone(&flag), &mut emit);
        kind.decode(params).unwrap().run(&mut context)?;
        Ok(events)
    }

    fn sft(&self, name: &str, threads: usize, stop: Option<usize>) -> Result<Vec<StageEvent>, StageError> {
        let runtime = Runtime { threads, checkpoint_every: 4, ..Runtime::default() };
        self.run(&Kind::<Sft>::NEW, &params(), name, runtime, stop)
    }
}

fn params() -> Value {
    json!({
        "steps": 60, "batch": 5, "micro_batch": 2, "lr": 1e-2, "schedule": "cosine", "warmup": 2.0, "weight_decay": 0.1,
        "look_every": 7,
    })
}

#[test]
fn it_learns_and_says_so() {
    let bench = Bench::new();
    let events = bench.sft("tuned", 1, None).unwrap();
    let seen = |name: &str| -> Vec<f64> {
        let number = |event: &StageEvent| match event {
            StageEvent::Progress { metrics, .. } => metrics.get(name).copied(),
            _ => None,
        };
        events.iter().filter_map(number).collect()
    };
    let losses = seen("loss");
    assert_eq!(losses.len(), 60);
    assert!(losses[59] < 0.5 * losses[0], "{losses:?}");
    assert_eq!(seen("val_loss").len(), 9);
    assert!(bench.model("tuned").join("tokenizer.json").is_file());
}

#[test]
fn the_number_of_lanes_changes_no_byte() {
    let bench = Bench::new();
    bench.sft("one", 1, None).unwrap();
    bench.sft("three", 3, None).unwrap();
    assert_eq!(bench.weights("one"), bench.weights("three"));
}

#[test]
fn interrupted_twice_and_resumed_it_ends_in_the_same_bytes() {
    let bench = Bench::new();
    bench.sft("straight", 2, None).unwrap();
    for stop in [3, 20] {
        assert!(matches!(bench.sft("broken", 2, Some(stop)), Err(StageError::Interrupted { .. })));
    }
    let events = bench.sft("broken", 2, None).unwrap();
    assert!(matches!(events[0], StageEvent::Resumed { step } if step >= 20), "{:?}", events[0]);
    assert_eq!(bench.weights("straight"), bench.weights("broken"));
}

#[test]
fn frozen_parts_keep_their_bytes_and_early_stopping_stops() {
    let bench = Bench::new();
    let mut params = params();
    params["freeze"] = json!(["text", "vision", "merger"]);
    params["lr"] = json!(1e-12);
    params["early_stop"] = json!({ "metric": "loss", "patience": 1 });
    let events = bench.run(&Kind::<Sft>::NEW, &params, "frozen", Runtime::default(), None).unwrap();
    let last = events.iter().filter_map(|event| match event {
        StageEvent::Progress { step, .. } => Some(*step),
        _ => None,
    });
    assert!(last.max().unwrap() < 60);
    let tensor = |name: &str, tensor: &str| {
        let bytes = bench.weights(name);
        safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor(tensor).unwrap().data().to_vec()
    };
    let norm = "model.layers.0.mlp.up_proj.weight";
    assert_eq!(tensor("base", norm), tensor("frozen", norm));
}
