//! Parameters of a stage → what is wrong or odd with its advantages, its objective and the terms beside it. Refuses to know
//! rewards and the optimizer.

use curricle_engine::stage::Problems;

use super::ObjectiveKind;
use super::clip::Clip;
use super::entropy::EntropyKind;
use super::kl::{Estimator, Place};
use super::mean::Mean;
use crate::kinds::grpo::Params;
use crate::rl::advantage::AdvantageKind;
use crate::rl::select::SelectKind;

/// Reports every mistake, and warns of what can be meant but seldom is.
pub fn report(params: &Params, problems: &mut Problems) {
    bounds(params, problems);
    if params.advantage.epsilon < 0.0 {
        problems.param("advantage.epsilon", "must not be negative", "the release has 1e-6");
    }
    for (path, message, help) in params.entropy.problems() {
        problems.param(format!("entropy.{path}"), message, help);
    }
    if params.entropy.kind == EntropyKind::Sampled && params.entropy.coef > 0.0 {
        problems.warn(
            "entropy.kind",
            "is `sampled`, the released estimator: its gradient is zero in expectation, so it raises no entropy",
            "use `full`, −Σ p log p over the vocabulary, unless the release itself is studied",
        );
    }
    kl(params, problems);
    combinations(params, problems);
}

fn bounds(params: &Params, problems: &mut Problems) {
    let Clip { low, high, dual } = params.clip;
    for (table, low, high, usual) in [
        ("clip", low, high, ["the usual value is 0.2", "the usual value is 0.2, DAPO's is 0.28"]),
        ("gspo", params.gspo.low, params.gspo.high, ["the paper has 3e-4", "the paper has 4e-4"]),
    ] {
        if !(0.0..=1.0).contains(&low) {
            let message = "must be from 0 to 1: the ratio counts from `1 − low`";
            problems.param(format!("{table}.low"), message, usual[0]);
        }
        if high < 0.0 {
            problems.param(format!("{table}.high"), "must not be negative", usual[1]);
        }
    }
    if dual.is_some_and(|dual| dual <= 1.0 + high) {
        problems.param("clip.dual", "must be above `1 + high`, where the ordinary clip ends", "the usual value is 3.0");
    }
    if params.cispo.cap <= 0.0 {
        problems.param("cispo.cap", "must be above 0: nothing would be learnt", "the usual value is 5.0");
    }
    for (path, tau) in [("sapo.positive", params.sapo.positive), ("sapo.negative", params.sapo.negative)] {
        if tau <= 0.0 {
            problems.param(path, "a temperature must be above 0", "the paper has 1.0 and 1.05");
        }
    }
}

fn kl(params: &Params, problems: &mut Problems) {
    let kl = params.kl;
    if kl.coef < 0.0 {
        problems.param("kl.coef", "must not be negative", "0 turns the KL term and its reference off");
    }
    if kl.coef == 0.0 {
        return;
    }
    match (kl.place, kl.estimator) {
        (Place::Loss, Estimator::K1) => problems.warn(
            "kl.estimator",
            "is `k1`, whose gradient in the loss is zero in expectation: it holds nothing back",
            "use `k2` or `k3` in the loss, or `in = \"reward\"`",
        ),
        (Place::Reward, Estimator::K3Corrected) => problems.param(
            "kl.estimator",
            "is `k3-corrected`, which corrects a gradient, and a reward has none",
            "use `k3`, or `k1` as TRL does in rewards",
        ),
        _ => {}
    }
    if kl.place == Place::Reward && params.advantage.kind == AdvantageKind::PerReward {
        problems.param(
            "kl.in",
            "can't be `reward` with `per-reward` advantages: they give every reward its own scale, and `kl.coef` none",
            "put the KL in the loss",
        );
    }
}

fn combinations(params: &Params, problems: &mut Problems) {
    let again = params.updates * params.epochs > 1 || params.select.kind == SelectKind::Ssr;
    if params.objective == ObjectiveKind::Reinforce && again {
        problems.warn(
            "objective",
            "is `reinforce`, which has no ratio, and here updates use samples of an earlier model",
            "use `clip`, or one update per rollout without replay",
        );
    }
    if params.objective == ObjectiveKind::Gspo && params.mean != Mean::Sequence {
        problems.warn("mean", "is not over completions, as `gspo` is defined", "set `mean = \"sequence\"`");
    }
}
