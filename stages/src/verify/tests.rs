//! Every committed fixture within its bounds, a fixture of another maker where there is one, and what is said of broken ones.

#![expect(clippy::print_stderr, reason = "skipped comparisons and measured differences must be seen")]

use std::path::{Path, PathBuf};

use curricle_datasets::{Encoded, Processor};

use super::{Outcome, Quantity, Report, verify};
use crate::model::{ModelConfig, Sampling, generate, weights};

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

/// Prints what was measured, and fails where it is over a bound.
fn hold(name: &str, report: &Report) {
    for entry in &report.entries {
        let (measure, bound) = entry.quantity.bound();
        match &entry.outcome {
            Outcome::Compared { largest, entries, at } => {
                let measure = measure.as_str();
                let quantity = entry.quantity;
                eprintln!("{name}: {quantity:<24} {largest:.1e} of {bound:.0e} {measure} ({entries}) {at}");
            }
            Outcome::Absent(missing) => eprintln!("{name}: {:<24} not in the fixtures: {missing}", entry.quantity),
        }
    }
    let over: Vec<_> = report.entries.iter().filter(|entry| !entry.holds()).collect();
    assert!(over.is_empty(), "{name}: {over:?}");
}

/// Verifies a committed fixture and says which quantities it does not hold.
fn case(name: &str) -> Vec<Quantity> {
    let folder = committed().join(name);
    let report = verify(&folder.join("model"), &folder).unwrap();
    hold(name, &report);
    let absent = report.entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Absent(_)));
    absent.map(|entry| entry.quantity).collect()
}

#[test]
fn tied_head_and_padding_before() {
    assert_eq!(case("tied"), []);
}

#[test]
fn own_head_shards_and_small_windows() {
    assert_eq!(case("untied"), []);
}

#[test]
fn rounded_weights_and_padding_after() {
    assert_eq!(case("bfloat16"), []);
}

#[test]
fn text_without_pictures() {
    use Quantity::{Grids, Merger, PatchEmbedding, Pixels, VisionBlock};
    assert_eq!(case("text"), [Grids, Pixels, PatchEmbedding, VisionBlock(0), VisionBlock(1), Merger]);
}

#[test]
fn fixtures_that_lie_beside_the_checkout() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let Some(dir) = root.ancestors().map(|dir| dir.join("shared/golden/tiny")).find(|dir| dir.is_dir()) else {
        eprintln!("SKIPPED: no `shared/golden/tiny` above {}", root.display());
        return;
    };
    let report = verify(&dir.join("model"), &dir).unwrap();
    hold("tiny", &report);
    assert_eq!(report.compared(), report.entries.len());
}

/// Copies a fixture without its model, with its tensors and facts changed.
fn changed(
    name: &str,
    change: impl Fn(&str, &mut Vec<u8>) -> bool,
    facts: impl Fn(&mut serde_json::Value),
) -> tempfile::TempDir {
    let (from, to) = (committed().join(name), tempfile::tempdir().unwrap());
    for file in std::fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        std::fs::copy(&file, to.path().join(file.file_name().unwrap())).unwrap();
    }
    let bytes = std::fs::read(from.join("golden.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut kept = Vec::new();
    for (name, view) in file.iter() {
        let mut data = view.data().to_vec();
        if change(name, &mut data) {
            kept.push((name.to_owned(), view.dtype(), view.shape().to_vec(), data));
        }
    }
    let views = kept.iter().map(|(name, dtype, shape, data)| {
        (name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    std::fs::write(to.path().join("golden.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    let mut json = serde_json::from_slice(&std::fs::read(from.join("golden.json")).unwrap()).unwrap();
    facts(&mut json);
    std::fs::write(to.path().join("golden.json"), json.to_string()).unwrap();
    to
}

/// The quantities over their bounds.
fn over(report: &Report) -> Vec<Quantity> {
    report.entries.iter().filter(|entry| !entry.holds()).map(|entry| entry.quantity).collect()
}

/// Adds to the first number of a tensor of floats.
fn nudge(data: &mut [u8], by: f32) {
    let value = f32::from_le_bytes(data[..4].try_into().unwrap()) + by;
    data[..4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn a_wrong_number_is_found_where_it_is() {
    let model = committed().join("bfloat16/model");
    let cases = [
        ("proc.0.pixel_values", 4e-6, Quantity::Pixels),
        ("act.vis.patch_embed", 3e-4, Quantity::PatchEmbedding),
        ("act.vis.block1", 3e-4, Quantity::VisionBlock(1)),
        ("act.vis.merger_windowed_order", f32::NAN, Quantity::Merger),
        ("act.txt.layer0", 3e-4, Quantity::TextLayer(0)),
        ("out.logits", 3e-4, Quantity::Logits),
        ("out.token_logps", 3e-4, Quantity::LogProbabilities),
        ("out.loss", 3e-5, Quantity::Loss),
        ("grad.model.language_model.norm.weight", 0.1, Quantity::Gradients),
        ("adamw.model.language_model.norm.weight", 1e-3, Quantity::Update),
    ];
    for (tensor, by, quantity) in cases {
        let dir = changed(
            "bfloat16",
            |name, data| {
                if name == tensor {
                    nudge(data, by);
                }
                true
            },
            |_| (),
        );
        let report = verify(&model, dir.path()).unwrap();
        let over = over(&report);
        // The pixels are also what the model is shown.
        assert_eq!(over.first(), Some(&quantity), "{tensor}: {over:?}");
        assert!(tensor.starts_with("proc") || over.len() == 1, "{tensor}: {over:?}");
    }
}

#[test]
fn a_wrong_whole_number_is_found_where_it_is() {
    let model = committed().join("bfloat16/model");
    for (tensor, quantities) in [
        ("batch.position_ids", &[Quantity::Positions][..]),
        ("batch.rope_deltas", &[Quantity::Deltas]),
        ("gen.output_ids", &[Quantity::Greedy, Quantity::GreedyUncached]),
    ] {
        let dir = changed(
            "bfloat16",
            |name, data| {
                if name == tensor {
                    // The first position, or the last token that was made: both are no padding.
                    let at = if name.starts_with("gen") { data.len() - 8 } else { 0 };
                    data[at] ^= 1;
                }
                true
            },
            |_| (),
        );
        let report = verify(&model, dir.path()).unwrap();
        let over = over(&report);
        assert_eq!(over, quantities, "{tensor}");
    }
    for (fact, quantity) in [("loss_after_step", Quantity::LossAfter), ("grad_norm", Quantity::GradientNorm)] {
        let nudged = |facts: &mut serde_json::Value| facts[fact] = (facts[fact].as_f64().unwrap() * 1.001).into();
        let dir = changed("bfloat16", |_, _| true, nudged);
        let report = verify(&model, dir.path()).unwrap();
        assert_eq!(over(&report), [quantity], "{fact}");
    }
    let dir = changed("bfloat16", |_, _| true, |facts| facts["texts"][0] = "<|im_start|>user\nHow?<|im_end|>\n".into());
    let report = verify(&model, dir.path()).unwrap();
    assert_eq!(over(&report), [Quantity::ChatText, Quantity::TokenIds]);
}

#[test]
fn what_is_absent_is_listed() {
    let dir = changed(
        "untied",
        |name, _| ["batch.input_ids", "batch.attention_mask", "out.logits", "batch.image_grid_thw"].contains(&name),
        |_| (),
    );
    let report = verify(&committed().join("untied/model"), dir.path()).unwrap();
    // The pixels of the batch were `proc.*`.
    let missing = |quantity| match report.entries.iter().find(|entry| entry.quantity == quantity).unwrap().outcome {
        Outcome::Absent(ref missing) => missing.clone(),
        Outcome::Compared { .. } => String::new(),
    };
    assert_eq!(missing(Quantity::Logits), "`proc.0.pixel_values`");
    assert_eq!(missing(Quantity::Greedy), "`gen.input_ids`");
    assert_eq!(missing(Quantity::ChatText), "");
}

#[test]
fn fixtures_that_can_not_be_used_say_why() {
    let model = committed().join("text/model");
    let error = |folder: &Path, against: &Path| verify(folder, against).unwrap_err().to_string();
    let empty = tempfile::tempdir().unwrap();
    assert!(error(&model, empty.path()).contains("golden.safetensors` is not there"));
    assert!(error(&model.join("absent"), &committed().join("text")).contains("folder of a checkpoint"));
    assert!(error(&empty.path().join("."), &committed().join("text")).contains("config.json"));
    let dir = changed("text", |_, _| false, |facts| *facts = serde_json::json!({}));
    assert!(error(&model, dir.path()).contains("nothing that can be compared"));
    let dir = changed(
        "text",
        |name, data| {
            if name == "batch.input_ids" {
                data[4] = 1;
            }
            true
        },
        |_| (),
    );
    assert!(error(&model, dir.path()).contains("the checkpoint has 320 words"));
    let tied = committed().join("tied/model");
    let image = ModelConfig::read(&tied).unwrap().tokens.image;
    for (tensor, at, value, why) in [
        ("batch.image_grid_thw", 8, 3, "frames, rows and columns"),
        // The last token of the row of text.
        ("batch.input_ids", (3 * 52 - 1) * 8, image as u16, "that are no image's"),
        ("batch.attention_mask", 20 * 8, 0, "holes"),
        ("batch.labels", 0, 384, "which is no token"),
    ] {
        let dir = changed(
            "tied",
            |name, data| {
                if name == tensor {
                    data[at..at + 8].copy_from_slice(&i64::from(value).to_le_bytes());
                }
                true
            },
            |_| (),
        );
        let found = error(&tied, dir.path());
        assert!(found.contains(why), "{tensor}: {found}");
    }
    // A checkpoint and the fixtures of another one.
    let found = error(&model, &committed().join("tied"));
    assert!(found.contains("tied/golden.safetensors"), "{found}");
    std::fs::write(dir.path().join("golden.safetensors"), b"none").unwrap();
    assert!(error(&model, dir.path()).contains("not a whole safetensors file"));
}

/// A real text model in this architecture, in float32: the continuations of `smollm2.json`, one prompt at a time and all
/// in one padded batch.
#[test]
fn a_real_checkpoint_goes_on_as_in_the_reference() {
    let Some(folder) = std::env::var_os("CURRICLE_SMOLLM2").map(PathBuf::from) else {
        eprintln!("SKIPPED: `CURRICLE_SMOLLM2` does not name the folder of the checkpoint");
        return;
    };
    let file = std::fs::read_to_string(committed().join("smollm2.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    let ids = |value: &serde_json::Value| serde_json::from_value::<Vec<u32>>(value.clone()).unwrap();
    let rows = file["rows"].as_array().unwrap();
    let rules =
        Sampling::greedy(file["new_tokens"].as_u64().unwrap() as usize, vec![file["stop"].as_u64().unwrap() as u32]);

    let (device, config) = (crate::device::resolve("cpu").unwrap(), ModelConfig::read(&folder).unwrap());
    let (model, processor) = (weights::load(&folder, &config, &device).unwrap(), Processor::open(&folder).unwrap());
    let prompts: Vec<Encoded> = rows
        .iter()
        .map(|row| {
            let found = processor.encode(row["prompt"].as_str().unwrap()).unwrap();
            assert_eq!(found, ids(&row["prompt_ids"]), "{}", row["prompt"]);
            Encoded { target: vec![false; found.len()], ids: found, images: vec![] }
        })
        .collect();
    assert_eq!(prompts.len(), 20);
    let prompts: Vec<&Encoded> = prompts.iter().collect();
    let complete = |prompts: &[&Encoded]| {
        let began = std::time::Instant::now();
        let found = generate(&model, &config, prompts, &rules, &vec![0; prompts.len()], &device);
        eprintln!("{} prompts: {:.1} s", prompts.len(), began.elapsed().as_secs_f64());
        found
    };
    let alone = prompts.iter().flat_map(|prompt| complete(&[*prompt])).collect::<Vec<_>>();
    for found in [alone, complete(&prompts)] {
        for (row, found) in rows.iter().zip(found) {
            assert_eq!(found.ids, ids(&row["ids"]), "{}: lead {}", row["prompt"], row["smallest_lead"]);
        }
    }
}
