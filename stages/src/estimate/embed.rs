//! What `embed` would cost: every row is read once, and nothing is written but vectors.

use curricle_engine::stage::{Estimate, Facts, Memory, Phase};

use super::activations::{self, Form, Micro};
use super::operations::{Way, text, vision};
use super::questions::Questions;
use super::{PROCESS, WIDE, bytes_of, model, whole};
use crate::kinds::embed::Params;

/// As [`curricle_engine::stage::StageKind::estimate`].
pub fn estimate(params: &Params, facts: &Facts<'_>) -> Estimate {
    let (sizes, input) = match model(facts, "model") {
        Ok(found) => found,
        Err(note) => return Estimate::unknown(note),
    };
    let data = Questions::of(facts.input("data"), input, params.instruction.as_ref());
    let mut notes = data.notes.clone();
    if data.rows.is_none() {
        notes.push("how many rows there are is unknown".to_owned());
    }
    let known = data.rows.zip(data.prompt);
    let form = Form::of(params.precision, facts.gpu);
    let parameters = sizes.parameters() + input.adapter.unwrap_or(0);
    let width = data.prompt.map_or(0.0, |prompt| prompt.longest_of(data.rows.unwrap_or(f64::INFINITY)));
    let micro = Micro { rows: params.batch as f64, width, patches: data.patches, image: data.image };
    let lanes = if facts.gpu { 1.0 } else { facts.threads as f64 };
    let vectors = data.rows.map(|rows| whole(rows * sizes.hidden as f64 * WIDE as f64));
    let reading = Memory {
        weights: bytes_of(params.precision) * parameters,
        activations: whole(lanes * activations::passing(&sizes, &micro, form)),
        // All vectors are there together when they are written.
        other: PROCESS + whole(data.cached(data.rows.unwrap_or(0.0))) + vectors.unwrap_or(0),
        ..Memory::default()
    };
    Estimate {
        parameters: Some(parameters),
        phases: vec![Phase { name: "reading".to_owned(), memory: reading }],
        bound: data.prompt.is_none(),
        flops: known.map(|(rows, prompt)| {
            text(&sizes, rows * prompt.mean, prompt.mean, Way::Forward)
                + vision(&sizes, rows * data.patches, data.image, Way::Forward)
        }),
        tokens: known.map(|(rows, prompt)| rows * prompt.mean),
        output_bytes: vectors,
        // Vectors so far.
        checkpoint_bytes: vectors,
        notes,
        ..Estimate::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use curricle_engine::stage::{Extent, Length, Runtime};
    use serde_json::json;

    use super::*;

    #[test]
    fn every_token_is_read_once_and_every_row_leaves_a_vector() {
        let config = json!({
            "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "intermediate_size": 128, "vocab_size": 300, "tie_word_embeddings": true, "vision_config": {
                "depth": 1, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 64,
                "fullatt_block_indexes": [0], "window_size": 112
            }
        });
        let model = Extent { config: Some(Arc::new(config)), template: Some(10.0), ..Extent::default() };
        let data =
            Extent { rows: Some(100.0), prompt: Some(Length::always(20.0)), images: Some(0.0), ..Extent::default() };
        let of = |data: Extent| {
            let inputs = BTreeMap::from([("model".to_owned(), model.clone()), ("data".to_owned(), data)]);
            estimate(
                &Params::default(),
                &Facts { inputs: &inputs, runtime: &Runtime::default(), threads: 1, gpu: false },
            )
        };
        let found = of(data.clone());
        assert_eq!((found.tokens, found.output_bytes), (Some(3000.0), Some(100 * 64 * 4)), "{:?}", found.notes);
        assert!(found.flops.unwrap() > 0.0 && found.notes.is_empty() && !found.bound);
        let twice = of(Extent { rows: Some(200.0), ..data });
        assert!((twice.flops.unwrap() / found.flops.unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(of(Extent::default()).work(), None);
    }
}
