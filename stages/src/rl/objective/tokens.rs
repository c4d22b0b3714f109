//! The tokens of a micro-batch, what an objective sees of them, and the sum of the loss's terms. Refuses to know any
//! objective's formula.

use burn::tensor::{Bool, Tensor};

use super::cispo::Cispo;
use super::clip::Clip;
use super::entropy::EntropyKind;
use super::gspo::Gspo;
use super::kl::Kl;
use super::sapo::Sapo;
use super::{LOG_RATIO_BOUND, ObjectiveKind};

/// The completion tokens of a micro-batch.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Log-probability under the model that learns, `[n]`; gradients flow through it.
    pub logp_n: Tensor<1>,
    /// Entropy of the distribution that the token was drawn from, in nats, `[n]`; gradients flow through it where the loss
    /// has a term for it.
    pub entropy_n: Tensor<1>,
    /// Under the model that sampled, by a forward pass of training, `[n]`; `None`: the model has not moved since.
    pub old_n: Option<Tensor<1>>,
    /// Under the reference, `[n]`; `None`: no KL term.
    pub reference_n: Option<Tensor<1>>,
    /// The sample's advantage, `[n]`.
    pub advantage_n: Tensor<1>,
    /// Share of the mean, `[n]`; 0 hides a token, whatever stands in the other tensors.
    pub weight_n: Tensor<1>,
    /// Tokens of each completion; they sum to `n`.
    pub lengths: Vec<usize>,
    /// One over the tokens of the whole optimizer step: the share of each in what is reported, and in the entropy.
    pub share: f64,
}

/// What the loss is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// The objective.
    pub kind: ObjectiveKind,
    /// Its settings, if it is `clip`.
    pub clip: Clip,
    /// Its settings, if it is `gspo`.
    pub gspo: Gspo,
    /// Its settings, if it is `cispo`.
    pub cispo: Cispo,
    /// Its settings, if it is `sapo`.
    pub sapo: Sapo,
    /// The pull towards the reference.
    pub kl: Kl,
    /// Which entropy is rewarded.
    pub entropy: EntropyKind,
    /// Its coefficient in this update.
    pub entropy_coef: f64,
}

/// A loss and what it is made of; all are this micro-batch's part of the optimizer step's, `[1]`.
#[derive(Debug, Clone)]
pub struct Loss {
    /// What to differentiate.
    pub loss: Tensor<1>,
    /// Share of tokens whose gradient the objective's bounds take away or cap; detached.
    pub clipped: Tensor<1>,
    /// KL to the reference per token, unweighted by its coefficient; detached. `None` without a reference.
    pub kl: Option<Tensor<1>>,
    /// Entropy per token; detached.
    pub entropy: Tensor<1>,
    /// What [`Ratios`](super::ratio::Ratios) are of, `[3, n]`, detached: of each token its log-ratio, where the bounds act on it
    /// (−1, 0, 1) and its weight. `None` where the model has not moved since it sampled.
    pub ratios_3n: Option<Tensor<2>>,
}

/// What an objective sees; hidden tokens hold 0 everywhere.
pub(super) struct Seen {
    /// log π, `[n]`.
    pub logp_n: Tensor<1>,
    /// log π less the old one, bounded, `[n]`; the gradient is that of log π within the bounds.
    pub log_ratio_n: Tensor<1>,
    /// A, `[n]`.
    pub advantage_n: Tensor<1>,
    /// 1 where a token is not hidden, `[n]`.
    shown_n: Tensor<1>,
    lengths: Vec<usize>,
}

impl Seen {
    /// Mean over the shown tokens of each completion, at each of its tokens, `[n]`.
    pub fn mean_of_completion(&self, values_n: &Tensor<1>) -> Tensor<1> {
        let mut start = 0;
        let filled = self.lengths.iter().filter(|&&length| length > 0);
        let means = filled.map(|&length| {
            let range = start..start + length;
            start += length;
            let count = self.shown_n.clone().slice([range.clone()]).sum().clamp_min(1.0);
            (values_n.clone().slice([range]).sum() / count).expand([length])
        });
        Tensor::cat(means.collect(), 0)
    }
}

/// The part of the loss that differs between objectives.
pub(super) struct Surrogate {
    /// `[n]`.
    pub loss_n: Tensor<1>,
    /// Where the bounds act: −1 the lower, 1 the upper, else 0, `[n]`; detached.
    pub clipped_n: Tensor<1>,
}

pub(super) type Objective = fn(&Seen, &Terms) -> Surrogate;

impl Tokens {
    /// The loss of a micro-batch.
    ///
    /// Without old log-probabilities the ratio is 1 and its gradient that of log π: one update per rollout needs no second
    /// forward pass.
    pub fn loss(&self, terms: &Terms) -> Loss {
        let hidden_n = self.weight_n.clone().equal_scalar(0.0);
        let shown = |tensor_n: &Tensor<1>| tensor_n.clone().mask_fill(hidden_n.clone(), 0.0);
        let seen = self.seen(&hidden_n);
        let Surrogate { loss_n, clipped_n } = (terms.kind.surrogate())(&seen, terms);
        let total = |values_n: Tensor<1>| values_n.sum() * self.share;
        let mut loss_n = loss_n;
        let mut kl = None;
        if let Some(reference_n) = &self.reference_n {
            let reference_n = shown(reference_n);
            let kl_n = terms.kl.estimator.of(&seen.logp_n, &reference_n, &seen.log_ratio_n);
            kl = Some(total(kl_n.clone().detach()));
            loss_n = loss_n + kl_n * terms.kl.coef;
        }
        let mut loss = (loss_n * self.weight_n.clone()).sum();
        let entropy_n = shown(&self.entropy_n);
        if terms.entropy_coef != 0.0 {
            let bonus_n = match terms.entropy {
                EntropyKind::Full => entropy_n.clone(),
                EntropyKind::Sampled => seen.logp_n.clone().neg(),
            };
            loss = loss - total(bonus_n) * terms.entropy_coef;
        }
        let clipped_n = clipped_n.mask_fill(hidden_n.clone(), 0.0);
        let rows = || [seen.log_ratio_n.clone().detach(), clipped_n.clone(), self.weight_n.clone()].to_vec();
        let ratios_3n = self.old_n.is_some().then(|| Tensor::stack(rows(), 0));
        Loss { loss, clipped: total(clipped_n.abs()), kl, entropy: total(entropy_n.detach()), ratios_3n }
    }

    fn seen(&self, hidden_n: &Tensor<1, Bool>) -> Seen {
        let shown = |tensor_n: &Tensor<1>| tensor_n.clone().mask_fill(hidden_n.clone(), 0.0);
        let logp_n = shown(&self.logp_n);
        let old_n = shown(self.old_n.as_ref().unwrap_or(&self.logp_n)).detach();
        let log_ratio_n = (logp_n.clone() - old_n).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND);
        let shown_n = hidden_n.clone().bool_not().float();
        let (advantage_n, lengths) = (shown(&self.advantage_n), self.lengths.clone());
        Seen { logp_n, log_ratio_n, advantage_n, shown_n, lengths }
    }
}
