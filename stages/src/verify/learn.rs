//! One step of learning on the batch: loss, every gradient, the clipped update by AdamW, and the loss after it.
//!
//! The update is made of the reference's gradients, with which ours were compared before: AdamW's first step is
//! `g / (|g| + ε)`, so of a sum that nearly cancels (most of all in the biases of keys) it makes a whole step, in the
//! direction that rounding left.
//!
//! Two things that transformers does and training here never meets are imitated, so that fixtures which contain them can be
//! compared: the first token of a row may be predicted from padding before it, which sees everything alike
//! ([`Batch::with_blind_padding`]); and the embedding of the padding token gets no gradient from where it stands in a row.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Param;
use burn::optim::GradientsParams;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use super::VerifyError;
use super::inputs::Inputs;
use super::report::Quantity;
use super::sheet::{Difference, Sheet, Stop, Subject};
use crate::model::tape::Keep;
use crate::model::weights::{Pick, arranged, export, export_with, hub_name};
use crate::model::{Batch, Qwen2_5Vl};
use crate::train::clip::global_norm;
use crate::train::gradients::Gradients;
use crate::train::learn::Pass;
use crate::train::logprob::{Entropies, Positions, Scores};
use crate::train::loss::nll_sum;
use crate::train::optimizer::{AdamW, AdamWConfig};
use crate::train::told::Told;

/// Largest global norm of the fixtures' step.
const CLIP: f64 = 1.0;
/// Learning rate of the fixtures' step.
const RATE: f64 = 1e-3;
/// The rest of it; as in `torch.optim.AdamW`, every parameter decays.
const ADAMW: AdamWConfig = AdamWConfig { betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.1, decay_matrices_only: false };

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// What is learnt from: the batch, and which tokens count.
struct Lesson {
    batch: Batch,
    positions: Positions,
    /// The padding token, where its embedding would get a gradient.
    padding: Option<u32>,
    /// Whether the head uses the embedding too.
    tied: bool,
}

/// What one pass makes.
struct Step {
    loss: f64,
    gradients: Tensors,
    norm: f64,
}

/// What the reference's gradients make of the model.
struct Update {
    before: Tensors,
    after: Tensors,
    loss: f64,
}

impl Lesson {
    fn read(subject: &Subject, inputs: &Inputs) -> Result<Self, Stop> {
        let batch = inputs.batch(subject);
        let width = batch.width;
        let (shape, labels) = subject.fixtures.ints("batch.labels")?;
        if shape != [batch.rows, width] {
            return Err(subject.fixtures.wrong("batch.labels", "has not the shape of `batch.input_ids`").into());
        }
        let known = 0..subject.config.text.vocab_size as i64;
        if let Some(label) = labels.iter().find(|label| **label != -100 && !known.contains(label)) {
            return Err(subject.fixtures.wrong("batch.labels", format!("holds {label}, which is no token")).into());
        }
        let wanted: Vec<bool> = labels.iter().map(|&label| label != -100).collect();
        let ids: Vec<u32> = labels.iter().map(|&label| label.max(0) as u32).collect();
        let rows = ids.chunks_exact(width).zip(wanted.chunks_exact(width)).map(|(ids, wanted)| (ids, wanted, 0));
        let positions = Positions::new(width, rows);
        if positions.is_empty() {
            return Err(Stop::Absent("a token to learn in `batch.labels`".to_owned()));
        }
        let blind = (0..wanted.len()).any(|token| token % width > 0 && wanted[token] && !inputs.real[token - 1]);
        let pad = subject.config.tokens.pad;
        let stands = |token: usize| Some(batch.ids[token]) == pad && (blind || inputs.real[token]);
        let padding = pad.filter(|_| (0..batch.ids.len()).any(stands));
        let batch = if blind { batch.with_blind_padding(&subject.device) } else { batch };
        Ok(Self { batch, positions, padding, tied: subject.config.tie_word_embeddings })
    }

    /// Mean negative log-probability of the tokens that count.
    fn loss(&self, model: &Qwen2_5Vl) -> Tensor<1> {
        let states_nd = self.positions.states(model.hidden(&self.batch).flatten(0, 1));
        let logp_n = self.positions.logprobs(&states_nd, model.text().vocabulary(), |h_nd| model.logits_of(h_nd));
        self.mean(logp_n)
    }

    fn mean(&self, logp_n: Tensor<1>) -> Tensor<1> {
        nll_sum(logp_n) / self.positions.len() as f64
    }

    fn step(&self, model: &Qwen2_5Vl) -> Step {
        let pass = Pass {
            model,
            freeze: &[],
            batch: &self.batch,
            positions: &self.positions,
            temperature: 1.0,
            entropies: Entropies::Off,
            keep: Keep::All,
        };
        let (mut raw, loss) = pass.run(|Scores { logp_n, .. }| {
            let loss = self.mean(logp_n);
            (loss.clone(), scalar(loss.inner()))
        });
        if let Some(padding) = self.padding {
            self.without_padding(model, padding, &mut raw);
        }
        let gradients = export_with(model, &mut GradientOf(&raw));
        let (_, norm, _) = global_norm(Gradients::take(model, raw), Told::default(), 0.0);
        Step { loss, gradients, norm }
    }

    fn update(&self, subject: &Subject) -> Result<Update, Stop> {
        let (model, fixtures) = (&subject.model, &subject.fixtures);
        let mut stored = BTreeMap::new();
        for (hub, name) in named(subject, "grad.")? {
            stored.insert(hub, fixtures.floats(&name)?);
        }
        let gradients = Gradients::from(arranged(model, |hub| stored.get(hub).copied(), &subject.device));
        let (clipped, _, _) = global_norm(gradients, Told::default(), CLIP);
        let moved = AdamW::new(ADAMW).step(model.clone(), clipped, RATE);
        Ok(Update { before: export(model), after: export(&moved), loss: scalar(self.loss(&moved)) })
    }

    /// Takes from the gradient of the embedding what it got where the padding token stands.
    fn without_padding(&self, model: &Qwen2_5Vl, padding: u32, raw: &mut GradientsParams) {
        let table = &model.text().embed_tokens;
        let x_nd = model.embed(&self.batch).autodiff().require_grad();
        let h_nd = model.text().forward(x_nd.clone(), self.batch.context(), None);
        let logits_nv = model.logits_of(self.positions.states(h_nd));
        let loss = self.mean(self.positions.pick(logits_nv, 0..self.positions.len()));
        let (Some(x_nd), Some(gradient_vd)) = (x_nd.grad(&loss.backward()), raw.remove::<2>(table.id)) else { return };
        let stands = |at: &usize| self.batch.ids[*at] == padding;
        let places: Vec<i32> = (0..self.batch.ids.len()).filter(stands).map(|at| at as i32).collect();
        let ints = |values: &[i32]| Tensor::<1, Int>::from_data(TensorData::from(values), &gradient_vd.device());
        let row = ints(&[padding as i32]);
        // A row that nothing else uses must be left with nothing at all: the optimizer's step is the same for the smallest
        // gradient as for the largest.
        let excess_1d = if self.tied {
            x_nd.select(0, ints(&places)).sum_dim(0)
        } else {
            gradient_vd.clone().select(0, row.clone())
        };
        let gradient_vd = gradient_vd.clone().select_assign(0, row, excess_1d.neg(), IndexingUpdateOp::Add);
        raw.register(table.id, gradient_vd);
    }
}

/// Chooses a parameter's gradient.
pub(super) struct GradientOf<'a>(pub &'a GradientsParams);

impl Pick for GradientOf<'_> {
    fn pick<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
        self.0.get(param.id)
    }
}

fn scalar(tensor: Tensor<1>) -> f64 {
    f64::from(tensor.into_scalar::<f32>())
}

/// Compares loss, gradients, the update and the loss after it.
pub(super) fn compare(subject: &Subject, inputs: Result<&Inputs, &str>, sheet: &mut Sheet) -> Result<(), VerifyError> {
    let fixtures = &subject.fixtures;
    let lesson = inputs.map_err(Stop::from).and_then(|inputs| Lesson::read(subject, inputs));
    let lesson = settled(lesson)?;
    let lesson = lesson.as_ref().map_err(String::as_str);
    let step = lesson.map(|lesson| lesson.step(&subject.model));
    let step = step.as_ref().map_err(|missing| *missing);
    let near = |ours: f64, theirs: f64| Difference {
        largest: if ours.is_finite() && theirs.is_finite() { (ours - theirs).abs() } else { f64::INFINITY },
        entries: 1,
        at: String::new(),
    };

    let loss = || {
        let theirs = fixtures.shaped("out.loss", &[1])?[0];
        Ok(near(step?.loss, f64::from(theirs)))
    };
    sheet.enter(Quantity::Loss, loss())?;
    let reached = || {
        let theirs: BTreeSet<String> = named(subject, "grad.")?.into_keys().collect();
        let ours: BTreeSet<String> = step?.gradients.keys().cloned().collect();
        let differ: Vec<&String> = ours.symmetric_difference(&theirs).collect();
        let at = differ.first().map_or_else(String::new, |name| (*name).clone());
        Ok(Difference { largest: differ.len() as f64, entries: theirs.len(), at })
    };
    sheet.enter(Quantity::Reached, reached())?;

    let gradients = || {
        let (step, mut found) = (step?, Vec::new());
        for (hub, theirs) in named(subject, "grad.")? {
            let Some((shape, ours)) = step.gradients.get(&hub) else { continue };
            let theirs = fixtures.shaped(&theirs, shape)?;
            found.push((relative(ours, theirs, |_| 0.0), hub));
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(found)
    };
    let found = gradients();
    let (largest, median) = match found {
        Ok(found) => (Ok(ranked(&found, found.len().saturating_sub(1))), Ok(ranked(&found, found.len() / 2))),
        Err(Stop::Absent(missing)) => (Err(Stop::Absent(missing.clone())), Err(Stop::Absent(missing))),
        Err(Stop::Fatal(error)) => return Err(error),
    };
    sheet.enter(Quantity::Gradients, largest)?;
    sheet.enter(Quantity::MedianGradient, median)?;
    let norm = || {
        let theirs = fixtures.number("grad_norm")?;
        let Difference { largest, .. } = near(step?.norm, theirs);
        Ok(Difference { largest: largest / theirs, entries: 1, at: String::new() })
    };
    sheet.enter(Quantity::GradientNorm, norm())?;

    let update = settled(lesson.map_err(Stop::from).and_then(|lesson| lesson.update(subject)))?;
    let update = update.as_ref().map_err(String::as_str);
    let moved = || {
        let (update, mut found) = (update?, Vec::new());
        for (hub, theirs) in named(subject, "adamw.")? {
            let (Some((shape, ours)), Some((_, before))) = (update.after.get(&hub), update.before.get(&hub)) else {
                return Err(fixtures.wrong(&theirs, "is no parameter of the checkpoint").into());
            };
            found.push((relative(ours, fixtures.shaped(&theirs, shape)?, |index| before[index]), hub));
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(ranked(&found, found.len().saturating_sub(1)))
    };
    sheet.enter(Quantity::Update, moved())?;
    let loss_after = || Ok(near(update?.loss, fixtures.number("loss_after_step")?));
    sheet.enter(Quantity::LossAfter, loss_after())
}

/// What is there, or what is missing; whatever else is wrong ends the comparison.
fn settled<T>(found: Result<T, Stop>) -> Result<Result<T, String>, VerifyError> {
    match found {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Absent(missing)) => Ok(Err(missing)),
        Err(Stop::Fatal(error)) => Err(error),
    }
}

/// Tensors that begin so: name on the hub → name in the fixtures.
fn named(subject: &Subject, prefix: &str) -> Result<BTreeMap<String, String>, Stop> {
    let names = subject.fixtures.names(prefix).map(|name| (hub_name(name), format!("{prefix}{name}")));
    let names: BTreeMap<_, _> = names.collect();
    if names.is_empty() { Err(Stop::Absent(format!("`{prefix}*`"))) } else { Ok(names) }
}

/// `‖ours − theirs‖ / ‖theirs − origin‖`; infinite where a value is not a number, or where only the reference is at its
/// origin.
fn relative(ours: &[f32], theirs: &[f32], origin: impl Fn(usize) -> f32) -> f64 {
    let (mut difference, mut size) = (0.0, 0.0);
    for (index, (a, b)) in ours.iter().zip(theirs).enumerate() {
        difference += (f64::from(*a) - f64::from(*b)).powi(2);
        size += (f64::from(*b) - f64::from(origin(index))).powi(2);
    }
    if difference == 0.0 {
        return 0.0;
    }
    let ratio = (difference / size).sqrt();
    if ratio.is_finite() { ratio } else { f64::INFINITY }
}

/// The entry of that rank, of a sorted list.
fn ranked(found: &[(f64, String)], rank: usize) -> Difference {
    let Some((largest, at)) = found.get(rank) else { return Difference::none() };
    Difference { largest: *largest, entries: found.len(), at: at.clone() }
}

#[cfg(test)]
mod tests {
    use super::relative;

    #[test]
    fn relative_to_the_reference_or_to_its_change() {
        let plain = |ours: &[f32], theirs: &[f32]| relative(ours, theirs, |_| 0.0);
        assert!((plain(&[3.0, 5.0], &[3.0, 4.0]) - 0.2).abs() < 1e-12);
        assert!((relative(&[3.0, 5.0], &[3.0, 4.0], |index| [3.0, 2.0][index]) - 0.5).abs() < 1e-12);
        assert!(plain(&[1.0], &[0.0]).is_infinite());
        assert!(plain(&[f32::NAN], &[1.0]).is_infinite());
        assert_eq!(plain(&[0.0], &[0.0]).to_bits(), 0.0_f64.to_bits());
    }
}
