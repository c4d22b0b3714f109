//! For this crate's tests: a folder with rows and a small model, and stages run on them as a worker would; and a count of
//! the bytes that a thread holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{
    AnyKind, ArtifactType, DataType, DataView, InputArtifact, Kind, ModelType, OptimizerType, Runtime, StageContext,
    StageError, StageRequest,
};
use serde_json::{Value, json};

use crate::kinds::init::Init;
use crate::kinds::synthesize::Synthesize;
use crate::phases::heap::CountingAllocator;

/// A folder with rows and the model `base` that `init` makes of them.
pub struct Bench {
    dir: tempfile::TempDir,
    rows: PathBuf,
    /// The stage whose model is connected to the port `reference`.
    pub reference: Option<String>,
    /// The stage whose optimizer's state is connected to the port `optimizer`.
    pub optimizer: Option<String>,
}

impl Bench {
    /// Twelve rows of sums.
    pub fn sums() -> Self {
        let bench = Self::empty("rows");
        let row = |n: u32| {
            let (id, prompt, answer) = (n.to_string(), format!("{n} + {}", n * n), (n + n * n).to_string());
            json!({ "id": id, "prompt": prompt, "answer": answer }).to_string() + "\n"
        };
        let rows: String = (0..12).map(row).collect();
        std::fs::create_dir(bench.rows()).unwrap();
        std::fs::write(bench.rows().join("rows.jsonl"), rows).unwrap();
        bench.with_base()
    }

    /// Twelve rows of sums and of drawings to count on.
    pub fn drawn() -> Self {
        let bench = Self::empty("drawn/out/train");
        let tasks = json!({ "count": { "levels": [1] }, "arithmetic": { "levels": [1] } });
        let params = json!({ "train": 12, "image_size": 56, "tasks": tasks });
        bench.run(&Kind::<Synthesize>::NEW, &params, "drawn", &Runtime::default(), None).unwrap();
        bench.with_base()
    }

    fn empty(rows: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rows = dir.path().join(rows);
        Self { dir, rows, reference: None, optimizer: None }
    }

    fn with_base(self) -> Self {
        let params = json!({
            "hidden_size": 16, "layers": 2, "heads": 2, "kv_heads": 1, "intermediate": 32, "vocab_size": 300,
            "vision": { "depth": 1, "hidden": 8, "heads": 2, "intermediate": 16, "fullatt": [0] }, "template": "bare",
        });
        self.run(&Kind::<Init>::NEW, &params, "base", &Runtime::default(), None).unwrap();
        self
    }

    /// The folder of the rows.
    pub fn rows(&self) -> PathBuf {
        self.rows.clone()
    }

    /// The model that the stage `name` left.
    pub fn model(&self, name: &str) -> PathBuf {
        self.output(name, "model")
    }

    /// What the stage `name` left on a port.
    pub fn output(&self, name: &str, port: &str) -> PathBuf {
        self.dir.path().join(name).join("out").join(port)
    }

    /// Its weights.
    pub fn weights(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.model(name).join("model.safetensors")).unwrap()
    }

    /// Its tensors by name.
    pub fn tensors(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let bytes = self.weights(name);
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        tensors.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect()
    }

    /// Runs a stage under `name` on the rows and the model `base`.
    pub fn run(
        &self,
        kind: &dyn AnyKind,
        params: &Value,
        name: &str,
        runtime: &Runtime,
        stop: Option<usize>,
    ) -> Result<Vec<StageEvent>, StageError> {
        self.run_on("base", kind, params, name, runtime, stop)
    }

    /// Runs a stage under `name` on the rows and a model; asks it to stop as soon as it reports step `stop`.
    pub fn run_on(
        &self,
        model: &str,
        kind: &dyn AnyKind,
        params: &Value,
        name: &str,
        runtime: &Runtime,
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
        let rows = self.rows();
        let mut inputs = BTreeMap::from([
            ("data".to_owned(), input(&rows, ArtifactType::Data(DataType::default()))),
            ("val".to_owned(), input(&rows, ArtifactType::Data(DataType::default()))),
            ("watch".to_owned(), input(&rows, ArtifactType::Data(DataType::default()))),
            ("model".to_owned(), input(&self.model(model), ArtifactType::Model(ModelType::default()))),
        ]);
        if let Some(name) = &self.reference {
            let model = input(&self.model(name), ArtifactType::Model(ModelType::default()));
            inputs.insert("reference".to_owned(), model);
        }
        if let Some(name) = &self.optimizer {
            let state = self.output(name, "optimizer");
            let ty = ArtifactType::Optimizer(OptimizerType::default());
            inputs.insert("optimizer".to_owned(), input(&state, ty));
        }
        let request = StageRequest {
            stage: name.to_owned(),
            kind: kind.name().to_owned(),
            params: params.clone(),
            key: "00".to_owned(),
            seed: 7,
            inputs,
            output_dir,
            work_dir,
            // A build for GPUs is tested on the CPU too.
            runtime: Runtime { device: runtime.device.replace("auto", "cpu"), ..runtime.clone() },
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
}

/// A number of every step that has it.
pub fn seen(events: &[StageEvent], name: &str) -> Vec<f64> {
    let number = |event: &StageEvent| match event {
        StageEvent::Progress { metrics, .. } => metrics.get(name).copied(),
        _ => None,
    };
    events.iter().filter_map(number).collect()
}

/// Step, detector and action of every alert.
pub fn alerts(events: &[StageEvent]) -> Vec<(usize, &str, &str)> {
    let mut alerts = Vec::new();
    for event in events {
        if let StageEvent::Alert { step, detector, action, .. } = event {
            alerts.push((*step, detector.as_str(), action.as_str()));
        }
    }
    alerts
}

/// The system's allocator, counting what each thread holds.
struct Counting;

#[global_allocator]
static ALLOCATOR: CountingAllocator<Counting> = CountingAllocator(Counting);

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static WORST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    WORST.set(WORST.get().max(held));
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Most bytes that `work` holds at a time, of those that this thread allocates; above what is held before.
pub fn peak(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    WORST.set(before);
    work();
    (WORST.get() - before) as usize
}
