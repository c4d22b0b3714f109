//! A model, a batch and a loss of log-probabilities and entropies → the gradients of what learns. Refuses to know what the loss is, and
//! how the layers are differentiated ([`crate::model::tape`]).
//!
//! ```text
//! batch ──layers──▶ h ──head, part by part──▶ log p, H ──loss──▶ L
//!       ◀──tape── ∂L/∂h ◀── once more, part by part ── ∂L/∂(log p, H)
//! ```
//!
//! The tape of the head is as wide as the vocabulary, so it never covers more tokens than one part has. Where one part is
//! enough, the head runs once.

use std::ops::Range;

use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::freeze::{Part, tracked};
use super::logprob::{Entropies, Positions, Scores, tempered};
use crate::model::tape::{Keep, collect};
use crate::model::{Batch, Qwen2_5Vl};

/// One forward and backward pass.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// Plain weights.
    pub model: &'a Qwen2_5Vl,
    /// Parts that stay as they are.
    pub freeze: &'a [Part],
    /// Rows.
    pub batch: &'a Batch,
    /// Tokens whose log-probability the loss is of; at least one.
    pub positions: &'a Positions,
    /// Divides the logits.
    pub temperature: f64,
    /// What the loss wants to know besides log-probabilities.
    pub entropies: Entropies,
    /// What the forward pass keeps.
    pub keep: Keep,
}

impl Pass<'_> {
    /// Gradients in float32, and what `loss` says besides the loss `[1]`, given the scores `[N]` of the chosen tokens.
    ///
    /// No parameter has a gradient where the pass reaches none that learns: rows of text do not reach the vision tower.
    pub fn run<T>(self, loss: impl FnOnce(Scores) -> (Tensor<1>, T)) -> (GradientsParams, T) {
        self.run_in(&self.positions.parts(self.model.text().vocabulary()), loss)
    }

    fn run_in<T>(self, parts: &[Range<usize>], loss: impl FnOnce(Scores) -> (Tensor<1>, T)) -> (GradientsParams, T) {
        let leaves = tracked(self.model.clone(), self.freeze);
        let (h_nd, tape) = leaves.learn(self.model, self.batch, self.keep);
        let tokens = h_nd.dims()[0];
        let states_nd = self.positions.states(h_nd);
        let mut head =
            Head { pass: self, leaves: &leaves, wanted: tape.is_tracked(), gradients: GradientsParams::new() };
        let (cotangent, told) = match parts {
            [part] => head.whole(states_nd, part.clone(), loss),
            parts => head.in_parts(&states_nd, parts, loss),
        };
        let mut gradients = head.gradients;
        if let Some(cotangent_nd) = cotangent {
            tape.backward(self.positions.spread(cotangent_nd, tokens), &mut gradients);
        }
        (gradients, told)
    }
}

/// The head's share of a pass.
struct Head<'a> {
    pass: Pass<'a>,
    leaves: &'a Qwen2_5Vl,
    /// Whether somebody before the head wants the gradient of its input.
    wanted: bool,
    gradients: GradientsParams,
}

impl Head<'_> {
    /// The gradient of the states, if somebody wants it; the head runs once.
    fn whole<T>(
        &mut self,
        states_nd: Tensor<2>,
        part: Range<usize>,
        loss: impl FnOnce(Scores) -> (Tensor<1>, T),
    ) -> (Option<Tensor<2>>, T) {
        let states_nd = self.leaf(states_nd);
        let (loss, told) = loss(self.scores(self.leaves, states_nd.clone(), part, self.pass.entropies));
        if !loss.is_tracked() {
            return (None, told);
        }
        let mut raw = loss.backward();
        collect(self.leaves, &mut raw, &mut self.gradients);
        (states_nd.grad_remove(&mut raw), told)
    }

    /// As [`Self::whole`]; the head runs once for the log-probabilities and once for each part's gradient.
    fn in_parts<T>(
        &mut self,
        states_nd: &Tensor<2>,
        parts: &[Range<usize>],
        loss: impl FnOnce(Scores) -> (Tensor<1>, T),
    ) -> (Option<Tensor<2>>, T) {
        let of = |part: &Range<usize>| states_nd.clone().slice([part.clone()]);
        let entropies = self.pass.entropies;
        let scores = parts.iter().map(|part| self.scores(self.pass.model, of(part), part.clone(), entropies));
        let (logp, entropy): (Vec<_>, Vec<_>) = scores.map(|scores| (scores.logp_n, scores.entropy_n)).unzip();
        let leaf = |parts| Tensor::<1>::cat(parts, 0).autodiff().require_grad();
        let scores = Scores { logp_n: leaf(logp), entropy_n: leaf(entropy) };
        let (loss, told) = loss(scores.clone());
        if !loss.is_tracked() {
            return (None, told);
        }
        let mut raw = loss.backward();
        let cotangents_n = [scores.logp_n.grad_remove(&mut raw), scores.entropy_n.grad_remove(&mut raw)];
        // What was only to be looked at has been.
        let again = if entropies == Entropies::Learned { entropies } else { Entropies::Off };
        let mut cotangents = Vec::with_capacity(parts.len());
        for part in parts {
            let states_nd = self.leaf(of(part));
            let scores = self.scores(self.leaves, states_nd.clone(), part.clone(), again);
            let pulled =
                [scores.logp_n, scores.entropy_n].into_iter().zip(&cotangents_n).filter_map(|(score_n, by_n)| {
                    let by_n = by_n.clone()?.slice([part.clone()]);
                    score_n.is_tracked().then(|| (score_n * by_n).sum())
                });
            let Some(pulled) = pulled.reduce(|sum, more| sum + more) else { return (None, told) };
            let mut raw = pulled.backward();
            collect(self.leaves, &mut raw, &mut self.gradients);
            cotangents.extend(states_nd.grad_remove(&mut raw));
        }
        (self.wanted.then(|| Tensor::cat(cotangents, 0)), told)
    }

    fn leaf(&self, states_nd: Tensor<2>) -> Tensor<2> {
        if self.wanted { states_nd.autodiff().require_grad() } else { states_nd }
    }

    fn scores(&self, model: &Qwen2_5Vl, states_nd: Tensor<2>, part: Range<usize>, entropies: Entropies) -> Scores {
        let logits_nv = tempered(model.logits_of(states_nd), self.pass.temperature);
        self.pass.positions.score(logits_nv, part, entropies)
    }
}

#[cfg(test)]
mod tests;
