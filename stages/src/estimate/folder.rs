//! What `merge` and `export` would cost: a model is read and written.

use curricle_engine::stage::{Estimate, Extent, Facts, Memory, Phase};

use super::{PROCESS, WIDE, model};
use crate::kinds::export::{self, Adapter, Dtype};

/// As [`curricle_engine::stage::StageKind::estimate`], of `merge`.
pub fn merge(facts: &Facts<'_>) -> Estimate {
    written(facts, |parameters, _| WIDE * parameters, |input| Extent { adapter: Some(0), ..input.clone() })
}

/// As [`curricle_engine::stage::StageKind::estimate`], of `export`.
pub fn export(params: &export::Params, facts: &Facts<'_>) -> Estimate {
    let bytes = if params.dtype == Dtype::F32 { WIDE } else { 2 };
    let size = |parameters, adapter| match params.adapter {
        Adapter::Merge => bytes * parameters,
        Adapter::Peft => WIDE * adapter,
    };
    let mut estimate = written(facts, size, Extent::clone);
    estimate.makes.clear();
    estimate
}

/// A model is read whole and written tensor by tensor; the largest is there three times: as it was read, turned, as bytes.
fn written(facts: &Facts<'_>, size: impl Fn(u64, u64) -> u64, makes: impl Fn(&Extent) -> Extent) -> Estimate {
    let (sizes, input) = match model(facts, "model") {
        Ok(found) => found,
        Err(note) => return Estimate::unknown(note),
    };
    let (parameters, adapter) = (sizes.parameters(), input.adapter.unwrap_or(0));
    let largest = sizes.table().max(sizes.hidden * sizes.inner);
    let memory =
        Memory { weights: WIDE * (parameters + adapter), other: PROCESS + 3 * WIDE * largest, ..Memory::default() };
    Estimate {
        parameters: Some(parameters + adapter),
        phases: vec![Phase { name: "writing".to_owned(), memory }],
        output_bytes: Some(size(parameters, adapter)),
        checkpoint_bytes: Some(0),
        ..Estimate::default()
    }
    .making("model", makes(input))
}
