//! Numbers of a step → findings, one per episode. The table of rules is [`RULES`]. Refuses to know where the numbers come
//! from and what a finding leads to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::params::{Action, Health};
use super::series::Series;

/// How far a number must be back on the right side of its threshold, as a share of the threshold, for an episode to end.
const MARGIN: f64 = 0.1;

/// Numbers of a step; each a mean or a share over its samples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// Reward.
    pub reward: f64,
    /// Right answers.
    pub right: f64,
    /// Groups whose answers are all right.
    pub all_right: f64,
    /// Groups whose answers are all wrong.
    pub all_wrong: f64,
    /// Tokens per completion.
    pub length: f64,
    /// Completions that were cut.
    pub truncated: f64,
    /// Nats per token; `None` where no update took place.
    pub entropy: Option<f64>,
    /// Tokens that the objective's bounds act on; `None` where no update took place.
    pub clipped: Option<f64>,
}

/// Something that a detector found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which detector.
    pub detector: &'static str,
    /// What follows.
    pub action: Action,
    /// What it saw.
    pub message: String,
}

/// What detectors have seen; part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Monitor {
    reward: Series,
    right: Series,
    all_right: Series,
    all_wrong: Series,
    length: Series,
    truncated: Series,
    entropy: Series,
    clipped: Series,
    /// Detectors that have spoken and whose numbers have not been well since.
    episodes: BTreeSet<String>,
}

/// What a rule makes of the numbers.
enum Verdict {
    /// The window is not full yet, or the number is near its threshold.
    Undecided,
    Well,
    Wrong(String),
}

/// One line of [`RULES`].
struct Rule {
    name: &'static str,
    action: fn(&Health) -> Action,
    judge: fn(&Health, &Monitor) -> Verdict,
}

static RULES: &[Rule] = &[
    Rule { name: "stagnation", action: |health| health.stagnation.action, judge: stagnation },
    Rule { name: "reward_collapse", action: |health| health.reward_collapse.action, judge: reward_collapse },
    Rule { name: "entropy_collapse", action: |health| health.entropy_collapse.action, judge: entropy_collapse },
    Rule { name: "entropy_blow_up", action: |health| health.entropy_blow_up.action, judge: entropy_blow_up },
    Rule { name: "length_blow_up", action: |health| health.length_blow_up.action, judge: length_blow_up },
    Rule { name: "clip_ratio", action: |health| health.clip_ratio.action, judge: clip_ratio },
    Rule { name: "solved", action: |health| health.solved.action, judge: solved },
];

impl Monitor {
    /// Learns the numbers of a step. True where the mean reward of the window is a new best.
    pub fn learn(&mut self, window: usize, reading: &Reading) -> bool {
        let Reading { reward, right, all_right, all_wrong, length, truncated, entropy, clipped } = *reading;
        for (series, value) in [
            (&mut self.right, Some(right)),
            (&mut self.all_right, Some(all_right)),
            (&mut self.all_wrong, Some(all_wrong)),
            (&mut self.length, Some(length)),
            (&mut self.truncated, Some(truncated)),
            (&mut self.entropy, entropy),
            (&mut self.clipped, clipped),
        ] {
            if let Some(value) = value {
                series.push(window, value);
            }
        }
        self.reward.push(window, reward)
    }

    /// Mean reward over the window, once it is full.
    pub fn mean_reward(&self, window: usize) -> Option<f64> {
        self.reward.mean(window)
    }

    /// What is found now that was not found before.
    pub fn findings(&mut self, health: &Health) -> Vec<Finding> {
        let mut found = Vec::new();
        for rule in RULES {
            let action = (rule.action)(health);
            if action == Action::Off {
                continue;
            }
            match (rule.judge)(health, self) {
                Verdict::Undecided => {}
                Verdict::Well => _ = self.episodes.remove(rule.name),
                Verdict::Wrong(message) => {
                    if self.episodes.insert(rule.name.to_owned()) {
                        found.push(Finding { detector: rule.name, action, message });
                    }
                }
            }
        }
        found
    }
}

fn at_least(value: f64, limit: f64, message: impl FnOnce() -> String) -> Verdict {
    match value {
        _ if value >= limit => Verdict::Wrong(message()),
        _ if value < limit * (1.0 - MARGIN) => Verdict::Well,
        _ => Verdict::Undecided,
    }
}

fn at_most(value: f64, limit: f64, message: impl FnOnce() -> String) -> Verdict {
    match value {
        _ if value <= limit => Verdict::Wrong(message()),
        _ if value > limit * (1.0 + MARGIN) => Verdict::Well,
        _ => Verdict::Undecided,
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn stagnation(health: &Health, seen: &Monitor) -> Verdict {
    let window = health.window;
    let (Some(right), Some(wrong)) = (seen.all_right.mean(window), seen.all_wrong.mean(window)) else {
        return Verdict::Undecided;
    };
    // Shares of counted groups: rounding must not make less than none of them.
    let differing = (1.0 - right - wrong).max(0.0);
    let differing = if differing < 1e-12 { 0.0 } else { differing };
    at_most(differing, health.stagnation.below, || {
        format!(
            "in {window} steps {} of the groups have answers that differ; {} are all right, {} all wrong",
            percent(differing),
            percent(right),
            percent(wrong)
        )
    })
}

fn reward_collapse(health: &Health, seen: &Monitor) -> Verdict {
    match (seen.reward.mean(health.window), seen.reward.best()) {
        (Some(mean), Some(best)) if best > 0.0 => at_most(mean, health.reward_collapse.share * best, || {
            format!("the mean reward of {} steps is {mean:.3}, and was {best:.3} at its best", health.window)
        }),
        _ => Verdict::Undecided,
    }
}

fn entropy_collapse(health: &Health, seen: &Monitor) -> Verdict {
    let Some(mean) = seen.entropy.mean(health.window) else { return Verdict::Undecided };
    at_most(mean, health.entropy_collapse.below, || {
        format!("the entropy per token is {mean:.4} nats, over {} steps", health.window)
    })
}

fn entropy_blow_up(health: &Health, seen: &Monitor) -> Verdict {
    let (Some(mean), Some(start)) = (seen.entropy.mean(health.window), seen.entropy.start()) else {
        return Verdict::Undecided;
    };
    let limit = (health.entropy_blow_up.factor * start).max(health.entropy_blow_up.above);
    at_least(mean, limit, || {
        format!("the entropy per token is {mean:.2} nats over {} steps, and began at {start:.2}", health.window)
    })
}

fn length_blow_up(health: &Health, seen: &Monitor) -> Verdict {
    let window = health.window;
    let (Some(mean), Some(start), Some(truncated)) =
        (seen.length.mean(window), seen.length.start(), seen.truncated.mean(window))
    else {
        return Verdict::Undecided;
    };
    let longer = at_least(mean, health.length_blow_up.factor * start, || {
        format!("completions have {mean:.0} tokens over {window} steps, and began with {start:.0}")
    });
    let cut = at_least(truncated, health.length_blow_up.truncated, || {
        format!("{} of the completions are cut at `max_new_tokens`, over {window} steps", percent(truncated))
    });
    match (longer, cut) {
        (Verdict::Wrong(message), _) | (_, Verdict::Wrong(message)) => Verdict::Wrong(message),
        (Verdict::Well, Verdict::Well) => Verdict::Well,
        _ => Verdict::Undecided,
    }
}

fn clip_ratio(health: &Health, seen: &Monitor) -> Verdict {
    let Some(mean) = seen.clipped.mean(health.window) else { return Verdict::Undecided };
    at_least(mean, health.clip_ratio.above, || {
        format!("the objective's bounds act on {} of the tokens, over {} steps", percent(mean), health.window)
    })
}

/// The start does not change, so this speaks once, when the first window is full.
fn solved(health: &Health, seen: &Monitor) -> Verdict {
    let Some(start) = seen.right.start() else { return Verdict::Undecided };
    at_least(start, health.solved.above, || {
        format!("{} of the answers of the first {} steps are right already", percent(start), health.window)
    })
}

#[cfg(test)]
mod tests;
