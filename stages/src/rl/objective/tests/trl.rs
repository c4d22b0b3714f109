//! TRL's losses and gradients of a small Qwen2.5-VL with images, where its fixtures are at hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Param;
use burn::optim::GradientsParams;
use curricle_datasets::{Encoded, ImagePatches};
use safetensors::SafeTensors;

use super::*;
use crate::model::config::PATCH_VALUES;
use crate::model::tape::Keep;
use crate::model::weights::{Pick, export_with, load};
use crate::model::{Batch, ModelConfig, Padding};
use crate::train::learn::Pass;
use crate::train::logprob::{Entropies, Positions};

/// A fixture's name, and what it is here.
struct Variant {
    name: &'static str,
    kind: ObjectiveKind,
    mean: Mean,
    high: f64,
    dual: Option<f64>,
    kl: f64,
}

const PLAIN: Variant =
    Variant { name: "", kind: ObjectiveKind::Clip, mean: Mean::Sequence, high: 0.2, dual: None, kl: 0.0 };

const VARIANTS: [Variant; 9] = [
    Variant { name: "grpo.token.beta0.0.deltaNone.eh0.2", ..PLAIN },
    Variant { name: "grpo.token.beta0.04.deltaNone.eh0.2", kl: 0.04, ..PLAIN },
    Variant { name: "grpo.token.beta0.0.delta1.3.eh0.28", high: 0.28, dual: Some(1.3), ..PLAIN },
    Variant { name: "bnpo.token.beta0.0.deltaNone.eh0.2", mean: Mean::Token, ..PLAIN },
    Variant { name: "dr_grpo.token.beta0.0.deltaNone.eh0.2", mean: Mean::Constant, ..PLAIN },
    Variant { name: "dapo.token.beta0.0.deltaNone.eh0.28", mean: Mean::Token, high: 0.28, ..PLAIN },
    Variant { name: "grpo.sequence.beta0.0.deltaNone.eh0.2", kind: ObjectiveKind::Gspo, ..PLAIN },
    Variant {
        name: "cispo.token.beta0.0.deltaNone.eh1.5",
        kind: ObjectiveKind::Cispo,
        mean: Mean::Token,
        high: 1.5,
        ..PLAIN
    },
    Variant { name: "sapo.token.beta0.0.deltaNone.eh0.2", kind: ObjectiveKind::Sapo, ..PLAIN },
];

impl Variant {
    fn terms(&self) -> Terms {
        let (low, high) = (0.2, self.high);
        Terms {
            clip: clip::Clip { low, high, dual: self.dual },
            gspo: gspo::Gspo { low, high },
            cispo: cispo::Cispo { cap: high },
            // TRL weighs k3 by the ratio.
            kl: Kl { coef: self.kl, estimator: Estimator::K3Corrected, ..Kl::default() },
            ..terms(self.kind)
        }
    }
}

struct Golden {
    folder: PathBuf,
    bytes: Vec<u8>,
    numbers: serde_json::Value,
}

impl Golden {
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    fn open() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let Some(folder) = root.ancestors().map(|dir| dir.join("shared/golden")).find(|dir| dir.join("trl").is_dir())
        else {
            eprintln!("SKIPPED: no `shared/golden/trl` above {}", root.display());
            return None;
        };
        let bytes = std::fs::read(folder.join("trl/grpo_golden.safetensors")).unwrap();
        let numbers = serde_json::from_slice(&std::fs::read(folder.join("trl/grpo_golden.json")).unwrap()).unwrap();
        Some(Self { folder, bytes, numbers })
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap();
        view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap();
        view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
    }

    fn number(&self, variant: &Variant, what: &str) -> f32 {
        self.numbers["golden"][variant.name][what].as_f64().unwrap() as f32
    }

    /// Tokens of each completion.
    fn lengths(&self) -> Vec<usize> {
        self.integers("in.completion_mask").chunks_exact(12).map(|row| row.iter().sum::<i64>() as usize).collect()
    }

    /// A padded `[8, 12]` tensor without its padding.
    fn flat(&self, name: &str) -> Vec<f32> {
        let values = self.floats(name);
        self.lengths().iter().zip(values.chunks_exact(12)).flat_map(|(&length, row)| row[..length].to_vec()).collect()
    }

    fn tokens(&self, variant: &Variant, logp_n: Tensor<1>, entropy_n: Tensor<1>) -> Tokens {
        let lengths = self.lengths();
        let spread = |values: &[f32]| -> Vec<f32> {
            values.iter().zip(&lengths).flat_map(|(&value, &length)| vec![value; length]).collect()
        };
        Tokens {
            logp_n,
            entropy_n,
            old_n: Some(tensor(&self.flat("in.old_per_token_logps"))),
            reference_n: (variant.kl > 0.0).then(|| tensor(&self.flat("in.ref_per_token_logps"))),
            advantage_n: tensor(&spread(&self.floats("in.advantages"))),
            weight_n: tensor(&spread(&token_weights(variant.mean, &lengths, 12))),
            share: 1.0 / lengths.iter().sum::<usize>() as f64,
            lengths,
        }
    }

    /// Prompts, each with its picture, and completions.
    fn rows(&self) -> Vec<Encoded> {
        let (prompts, mask) = (self.integers("in.prompt_ids"), self.integers("in.prompt_mask"));
        let (completions, pixels) = (self.integers("in.completion_ids"), self.floats("in.pixel_values"));
        let (width, lengths) = (prompts.len() / 8, self.lengths());
        let patches = PATCH_VALUES * 64;
        let row = |i: usize| {
            let prompt = prompts[i * width..(i + 1) * width].iter().zip(&mask[i * width..(i + 1) * width]);
            let mut ids: Vec<u32> = prompt.filter(|(_, mask)| **mask == 1).map(|(id, _)| *id as u32).collect();
            let mut target = vec![false; ids.len()];
            ids.extend(completions[i * 12..i * 12 + lengths[i]].iter().map(|&id| id as u32));
            target.resize(ids.len(), true);
            let patches = pixels[i * patches..(i + 1) * patches].to_vec();
            Encoded { ids, target, images: vec![Arc::new(ImagePatches { grid: [1, 8, 8], patches })] }
        };
        (0..8).map(row).collect()
    }
}

fn relative(found: f32, expected: f32) -> f32 {
    (found - expected).abs() / expected.abs()
}

/// From TRL's own log-probabilities. Beside 1e-5, one rounding of terms of size 1: they all but cancel in some losses.
#[test]
fn losses_are_trls() {
    let Some(golden) = Golden::open() else { return };
    for variant in &VARIANTS {
        let logp = golden.flat("logps");
        let found = golden.tokens(variant, leaf(&logp), tensor(&golden.flat("entropies"))).loss(&variant.terms());
        let (found, expected) = (scalar(&found.loss), golden.number(variant, "loss"));
        let apart = (found - expected).abs();
        assert!(apart < 1e-5 * expected.abs() + f32::EPSILON, "{}: {found}, not {expected}", variant.name);
    }
}

struct Of(GradientsParams);

impl Pick for Of {
    fn pick<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
        self.0.remove::<D>(param.id)
    }
}

/// From the pictures and tokens, through the whole model and back.
#[test]
#[expect(clippy::print_stderr, reason = "the measurement is worth seeing")]
fn gradients_are_trls() {
    let Some(golden) = Golden::open() else { return };
    let folder = golden.folder.join("tiny/model");
    let device = crate::device::resolve("cpu").unwrap();
    let config = ModelConfig::read(&folder).unwrap();
    let model = load(&folder, &config, &device).unwrap();
    let rows = golden.rows();
    let batch = Batch::new(&rows.iter().collect::<Vec<_>>(), Padding::Right, 0, &config, &device);
    let positions = Positions::new(batch.width, rows.iter().map(|row| (&row.ids[..], &row.target[..], 0)));
    let entropies = Entropies::Learned;
    let (model, batch, positions) = (&model, &batch, &positions);
    let pass = Pass { model, freeze: &[], batch, positions, temperature: 1.0, entropies, keep: Keep::All };
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt() as f32;
    for variant in &VARIANTS {
        let (raw, (loss, entropy)) = pass.run(|scores| {
            let found = golden.tokens(variant, scores.logp_n, scores.entropy_n).loss(&variant.terms());
            let told = (scalar(&found.loss), scalar(&found.entropy));
            (found.loss, told)
        });
        let entropies = golden.flat("entropies");
        assert!(relative(entropy, entropies.iter().sum::<f32>() / entropies.len() as f32) < 1e-5);
        let ours = export_with(model, &mut Of(raw));
        let whole = norm(&mut ours.values().flat_map(|(_, values)| values.iter().copied()));
        let mut worst = relative(whole, golden.number(variant, "grad_norm"));
        for name in ["visual.patch_embed.proj", "model.layers.1.self_attn.q_proj", "model.norm"] {
            let kind = if name.ends_with("q_proj") { "bias" } else { "weight" };
            let name = format!("{name}.{kind}");
            let theirs = match name.strip_prefix("model.") {
                Some(rest) => format!("model.language_model.{rest}"),
                None => format!("model.{name}"),
            };
            let theirs = golden.floats(&format!("grad.{}.{theirs}", variant.name));
            let (_, ours) = &ours[&name];
            let apart = norm(&mut ours.iter().zip(&theirs).map(|(a, b)| a - b)) / norm(&mut theirs.iter().copied());
            worst = worst.max(apart);
        }
        let loss = relative(loss, golden.number(variant, "loss"));
        eprintln!("{}: gradient {worst:e}, loss {loss:e}", variant.name);
        assert!(worst < 1e-5, "{}: {worst:e}", variant.name);
    }
}
