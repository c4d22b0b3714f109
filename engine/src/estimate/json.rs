//! Estimates → the document that `estimate --json` prints. Fields are added, never renamed, under one `schema_version`.

use serde_json::{Value, json};

use super::{Estimates, StageEstimate};

impl Estimates {
    /// The document.
    pub fn to_json(&self, recipe: &str) -> Value {
        json!({
            "schema_version": 1,
            "recipe": recipe,
            "total": self.total_json(),
            "stages": self.stages.iter().map(stage).collect::<Vec<_>>(),
        })
    }

    /// What all stages would cost together, with how many of them each number covers.
    pub fn total_json(&self) -> Value {
        let total = self.total();
        let known = |count: usize, value: Value| if count > 0 { value } else { Value::Null };
        json!({
            "stages": total.stages,
            "seconds": known(total.timed, json!(total.seconds)),
            "stages_with_time": total.timed,
            "flops": known(total.counted, json!(total.flops)),
            "stages_with_flops": total.counted,
            "tokens": known(total.counted, json!(total.tokens)),
            "output_bytes": known(total.weighed, json!(total.output_bytes)),
            "stages_with_output_bytes": total.weighed,
            "checkpoint_bytes": total.checkpoint_bytes,
            "peak_memory_bytes": known(usize::from(total.memory > 0), json!(total.memory)),
        })
    }
}

fn stage(stage: &StageEstimate) -> Value {
    let estimate = &stage.estimate;
    json!({
        "stage": stage.name,
        "kind": stage.kind,
        "device": stage.device,
        "gpu": stage.gpu,
        "parameters": estimate.parameters,
        "trained": estimate.trained,
        "peak_memory_bytes": estimate.peak().map(|phase| phase.memory.total()),
        "memory_is_a_bound": estimate.bound,
        "phases": estimate.phases,
        "flops": estimate.flops,
        "tokens": estimate.tokens,
        "output_bytes": estimate.output_bytes,
        "checkpoint_bytes": estimate.checkpoint_bytes,
        "time": stage.time,
        "notes": estimate.notes,
    })
}
