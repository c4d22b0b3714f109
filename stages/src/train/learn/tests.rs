use burn::tensor::DType;
use curricle_datasets::Encoded;

use super::*;
use crate::model::dtype::cast;
use crate::model::lora::Lora;
use crate::model::weights::parameters;
use crate::model::{ModelConfig, Padding, fixture};
use crate::testing::peak;
use crate::train::checkpoint::names;
use crate::train::gradients::Gradients;
use crate::train::loss::nll_sum;

/// Gradients by name.
type Flat = Vec<(String, Option<Vec<f32>>)>;

/// A model, and a batch of rows with no, one and two images.
struct Case {
    config: ModelConfig,
    model: Qwen2_5Vl,
    rows: Vec<Encoded>,
    entropies: Entropies,
}

impl Case {
    fn new(tied: bool) -> Self {
        let config = ModelConfig { tie_word_embeddings: tied, ..fixture::config() };
        Self { model: fixture::model_of(&config), config, rows: fixture::rows(), entropies: Entropies::Learned }
    }

    fn batch(&self) -> (Batch, Positions) {
        let rows: Vec<&Encoded> = self.rows.iter().collect();
        let batch = Batch::new(&rows, Padding::Right, 0, &self.config, &fixture::device());
        let positions = Positions::new(batch.width, rows.iter().map(|row| (&row.ids[..], &row.target[..], 0)));
        (batch, positions)
    }

    /// Gradients by name, flat, and the loss: a weighted sum, as an objective of reinforcement learning is.
    fn pass(&self, freeze: &[Part], keep: Keep, parts: Option<usize>) -> (Flat, f32) {
        let (batch, positions) = self.batch();
        let (model, entropies) = (&self.model, self.entropies);
        let pass = Pass { model, freeze, batch: &batch, positions: &positions, temperature: 0.7, entropies, keep };
        let size = parts.unwrap_or(positions.len());
        let parts: Vec<_> = (0..positions.len()).step_by(size).map(|i| i..positions.len().min(i + size)).collect();
        let (raw, loss) = pass.run_in(&parts, |scores| {
            let loss = weighted(scores);
            (loss.clone(), loss.into_scalar::<f32>())
        });
        (named(&self.model, Gradients::take(&self.model, raw)), loss)
    }

    /// The same by one graph from the ids to the loss.
    fn one_graph(&self) -> Flat {
        let (batch, positions) = self.batch();
        let model = tracked(self.model.clone(), &[]);
        let states_nd = positions.states(model.hidden(&batch).flatten(0, 1));
        let scores = positions.score(model.logits_of(states_nd) / 0.7, 0..positions.len(), self.entropies);
        let raw = GradientsParams::from_grads(weighted(scores).backward(), &model);
        named(&self.model, Gradients::take(&self.model, raw))
    }
}

fn weighted(Scores { logp_n, entropy_n }: Scores) -> Tensor<1> {
    let [n] = logp_n.dims();
    let weights: Vec<f32> = (0..n).map(|i| (i % 5) as f32 * 0.3 - 0.5).collect();
    nll_sum((logp_n.powi_scalar(2) - entropy_n * 0.3) * Tensor::<1>::from_floats(&weights[..], &fixture::device()))
}

fn named(model: &Qwen2_5Vl, gradients: Gradients) -> Flat {
    let values = |gradient: Tensor<1>| gradient.into_data().iter::<f32>().collect();
    names(model).into_iter().zip(gradients.0.into_iter().map(|gradient| gradient.map(values))).collect()
}

/// Largest distance of two gradients of one parameter, by norm.
fn apart(one: &Flat, other: &Flat) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let mut worst = 0.0_f64;
    for ((name, one), (_, other)) in one.iter().zip(other) {
        let (one, other) = (one.as_ref().expect(name), other.as_ref().expect(name));
        let (diff, whole) = (norm(&mut one.iter().zip(other).map(|(a, b)| a - b)), norm(&mut other.iter().copied()));
        assert!(whole > 0.0, "the gradient of {name} is zero");
        worst = worst.max(diff / whole);
    }
    worst
}

#[test]
fn the_pass_differentiates_the_model() {
    for tied in [true, false] {
        let case = Case::new(tied);
        let (ours, _) = case.pass(&[], Keep::All, None);
        let apart = apart(&ours, &case.one_graph());
        assert!(apart < 1e-6, "tied {tied}: {apart:e}");
    }
}

/// Every set of frozen parts but the whole: bit by bit, and nothing for what is frozen.
#[test]
fn keeping_inputs_only_changes_no_bit_of_a_gradient() {
    for tied in [true, false] {
        let case = Case::new(tied);
        for set in 0..(1 << Part::ALL.len()) - 1 {
            let freeze: Vec<Part> = (0..Part::ALL.len()).filter(|i| set >> i & 1 == 1).map(|i| Part::ALL[i]).collect();
            let (all, loss) = case.pass(&freeze, Keep::All, None);
            let (inputs, again) = case.pass(&freeze, Keep::Inputs, None);
            assert_eq!(loss.to_bits(), again.to_bits(), "{freeze:?}");
            for ((name, one), (_, other)) in all.iter().zip(&inputs) {
                assert_eq!(one.is_none(), freeze.contains(&Part::of(name)), "{name} with {freeze:?} frozen");
                assert!(one == other, "{name} with {freeze:?} frozen, tied {tied}");
            }
        }
    }
}

#[test]
fn text_that_reaches_nothing_that_learns_has_no_gradients() {
    let mut case = Case::new(true);
    case.rows.truncate(1);
    for keep in [Keep::All, Keep::Inputs] {
        let (gradients, loss) = case.pass(&[Part::Text, Part::Embed], keep, None);
        assert!(loss.is_finite() && gradients.iter().all(|(_, gradient)| gradient.is_none()));
    }
}

#[test]
fn the_head_in_parts_changes_rounding_only() {
    for tied in [true, false] {
        let case = Case::new(tied);
        let (whole, loss) = case.pass(&[], Keep::Inputs, None);
        let (parts, again) = case.pass(&[], Keep::Inputs, Some(4));
        assert!((loss - again).abs() <= 1e-6 * loss.abs(), "{loss} {again}");
        let apart = apart(&parts, &whole);
        assert!(apart < 5e-6, "tied {tied}: {apart:e}");
        // With everything before it frozen, the head still learns part by part.
        let before = [Part::Vision, Part::Merger, Part::Text, Part::Embed];
        let only_head = case.pass(&before, Keep::Inputs, Some(4)).0;
        assert_eq!(only_head.iter().filter(|(_, gradient)| gradient.is_some()).count(), usize::from(!tied));
    }
}

fn many(times: usize) -> Vec<Encoded> {
    (0..times).flat_map(|_| fixture::rows()).collect()
}

/// The fixture in bfloat16: its weights are rounded once, so both models are compared on the rounded ones.
#[test]
#[expect(clippy::print_stderr, reason = "the measured differences are worth seeing")]
fn bfloat16_stays_near_float32() {
    for tied in [true, false] {
        let mut wide = Case { entropies: Entropies::Off, ..Case::new(tied) };
        wide.model = cast(cast(wide.model, DType::BF16), DType::F32);
        let narrow =
            Case { model: cast(wide.model.clone(), DType::BF16), entropies: Entropies::Off, ..Case::new(tied) };
        let logits = |case: &Case| {
            let (batch, positions) = case.batch();
            let h_btd = case.model.hidden(&batch);
            assert_eq!(h_btd.dtype(), case.model.dtype());
            let logits = case.model.logits_of(positions.states(h_btd.flatten(0, 1)));
            assert_eq!(logits.dtype(), DType::F32);
            logits.into_data().iter::<f32>().collect::<Vec<_>>()
        };
        let (one, other) = (logits(&narrow), logits(&wide));
        let spread = (other.iter().map(|v| v * v).sum::<f32>() / other.len() as f32).sqrt();
        let worst = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / spread;
        let likelihood = |logits: &[f32], case: &Case| {
            let (_, positions) = case.batch();
            let logits_nv = Tensor::<1>::from_floats(logits, &fixture::device()).reshape([positions.len() as i32, -1]);
            nll_sum(positions.pick(logits_nv, 0..positions.len())).into_scalar::<f32>()
        };
        let loss = (likelihood(&one, &narrow) / likelihood(&other, &wide) - 1.0).abs();
        let (all, _) = narrow.pass(&[], Keep::All, None);
        let apart = apart(&all, &wide.pass(&[], Keep::All, None).0);
        eprintln!("bfloat16, tied {tied}: logits {worst:e}, loss {loss:e}, gradients {apart:e}");
        assert!(worst < 0.05 && loss < 0.005 && apart < 0.1, "logits {worst}, loss {loss}, gradients {apart}");
        assert!(all == narrow.pass(&[], Keep::Inputs, None).0, "keeping inputs changed a gradient");
    }
}

/// A deep model, so that layers weigh more than anything else.
fn deep() -> Case {
    let mut config = fixture::config();
    config.text.num_hidden_layers = 12;
    config.vision.depth = 12;
    Case { model: fixture::model_of(&config), config, rows: many(4), entropies: Entropies::Off }
}

/// Bytes that live at the worst moment of a pass, on its own thread, above those before it.
fn peak_of(case: &Case, keep: Keep, parts: Option<usize>) -> usize {
    peak_frozen(case, &[], keep, parts)
}

/// Bytes are counted by thread, and Burn may free what is left of one thread's tape in another's pass: a few passes in the
/// middle of others are 3 % off, in either direction.
fn peak_frozen(case: &Case, freeze: &[Part], keep: Keep, parts: Option<usize>) -> usize {
    let pool = crate::train::lanes::single().unwrap();
    pool.install(|| {
        case.pass(freeze, keep, parts);
        let mut peaks = [(); 5].map(|()| peak(|| drop(case.pass(freeze, keep, parts))));
        peaks.sort_unstable();
        peaks[2]
    })
}

#[test]
#[expect(clippy::print_stderr, reason = "the measurement is worth seeing")]
fn keeping_inputs_only_saves_most_of_the_memory() {
    let case = deep();
    let (all, inputs) = (peak_of(&case, Keep::All, None), peak_of(&case, Keep::Inputs, None));
    eprintln!("peak of a pass: {all} bytes keeping all, {inputs} keeping inputs");
    assert!(2 * inputs < all, "{inputs} of {all} bytes");
}

#[test]
#[expect(clippy::print_stderr, reason = "the measurement is worth seeing")]
fn the_head_in_parts_saves_most_of_the_logits() {
    let mut config = fixture::config();
    config.text.vocab_size = 2000;
    let case = Case { model: fixture::model_of(&config), config, rows: many(8), entropies: Entropies::Off };
    let targets = case.rows.iter().flat_map(|row| &row.target).filter(|target| **target).count();
    let logits = targets * 2000 * size_of::<f32>();
    let (whole, parts) = (peak_of(&case, Keep::Inputs, None), peak_of(&case, Keep::Inputs, Some(4)));
    eprintln!("peak of a pass: {whole} bytes with all of {logits} bytes of logits, {parts} in parts of 4 of {targets}");
    assert!(parts + logits < whole, "{parts} of {whole} bytes");
}

/// Neither gradients nor saved inputs: a tower of six times the depth costs nothing more once it is frozen.
#[test]
#[expect(clippy::print_stderr, reason = "the measurement is worth seeing")]
fn frozen_parts_cost_neither_gradients_nor_saved_inputs() {
    let tower = |depth: usize| {
        let mut config = fixture::config();
        (config.vision.depth, config.vision.fullatt_block_indexes) = (depth, (0..depth).collect());
        Case { model: fixture::model_of(&config), config, rows: many(4), entropies: Entropies::Off }
    };
    let (shallow, deep) = (tower(2), tower(12));
    let more = |freeze: &[Part]| {
        peak_frozen(&deep, freeze, Keep::All, None).saturating_sub(peak_frozen(&shallow, freeze, Keep::All, None))
    };
    let (learning, frozen) = (more(&[]), more(&[Part::Vision, Part::Merger]));
    eprintln!("ten more blocks cost {learning} bytes while they learn, {frozen} while they are frozen");
    // What is left are the nodes of the module itself.
    assert!(10 * frozen < learning, "{frozen} of {learning} bytes");
}

#[test]
#[expect(clippy::print_stderr, reason = "the measurement is worth seeing")]
fn adapters_save_the_gradients_of_the_weights() {
    let mut config = fixture::config();
    (config.text.hidden_size, config.vision.out_hidden_size, config.text.intermediate_size) = (64, 64, 512);
    config.text.mrope_section = [4, 2, 2];
    // One short row, so that gradients are most of what is held.
    let row = || fixture::rows().into_iter().take(1).collect();
    let full = Case { model: fixture::model_of(&config), config, rows: row(), entropies: Entropies::Off };
    let mut model = full.model.clone();
    let lora = Lora { rank: 1, targets: vec!["*".to_owned()], ..Lora::default() };
    assert_eq!(model.attach(&lora, &[], 7, &fixture::device()), 26);
    let adapted = Case { model, config: full.config.clone(), rows: row(), entropies: Entropies::Off };
    let linear = parameters(&full.model).into_iter().filter(|named| named.path.contains("_proj.weight"));
    let reached = linear.filter(|named| named.path.starts_with("text."));
    let weights: usize = reached.map(|named| 4 * named.shape.iter().product::<usize>()).sum();
    let (all, few) = (peak_of(&full, Keep::Inputs, None), peak_of(&adapted, Keep::Inputs, None));
    eprintln!("peak of a pass: {all} bytes with gradients of {weights} bytes of weights, {few} with those of adapters");
    assert!(few + weights * 2 / 3 < all, "{few} of {all} bytes");
    for keep in [Keep::All, Keep::Inputs] {
        for (name, gradient) in adapted.pass(&[], keep, None).0 {
            // An adapter begins with a `B` of zeros, so the gradient of its `A` is zero, and there.
            assert_eq!(gradient.is_some(), name.contains(".lora.") && name.starts_with("text."), "{name}");
        }
    }
}
