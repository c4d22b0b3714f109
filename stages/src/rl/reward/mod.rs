//! Completions and their gold answers → rewards. [`REWARDS`] is the table: a new reward is one file, one field of
//! [`Rewards`] and one line there.
//!
//! | reward | value | about | source |
//! | --- | --- | --- | --- |
//! | `accuracy` | 0, 1 | the boxed answer | ReVisual-R1 (arXiv 2506.04207), eq. 1 |
//! | `format` | 0, 1 | `<think>…</think>` and a box | its prompt; the release's `format_reward` |
//! | `efficient_length` | [0, 1] | length against a budget | its v1, eqs. 5 and 6 |
//! | `repetition` | [−1, 0] | n-grams said again | arXiv 2502.03373, appendix C.2, as in open-r1 |
//! | `multiple_choice` | 0, 1 | the option chosen, boxed or not | ours |
//! | `numeric` | 0, 1 | the boxed number, with a tolerance | ours |
//! | `command` | any | what a program of the user says | ours |
//! | `luck` | 0, 1 | nothing | ours |
//!
//! A recipe weighs the rewards; each is also logged alone, so a rising total can be told from a rising accuracy. Only
//! rewards that say whether an answer is right decide which groups are informative ([`Reward::decides`]): terms of style
//! give all-wrong groups advantages of 0.5 and more. Host code over text; knows neither groups nor tensors.

mod accuracy;
pub mod answer;
pub mod command;
pub mod efficient_length;
mod format;
mod luck;
mod multiple_choice;
pub mod numeric;
pub mod repetition;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use accuracy::accuracy;
pub use command::RewardError;

use self::command::Command;
use self::efficient_length::EfficientLength;
use self::numeric::Numeric;
use self::repetition::Repetition;

/// A completion next to what was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answered<'a> {
    /// What was asked.
    pub prompt: &'a str,
    /// The completion, without special tokens.
    pub text: &'a str,
    /// Its length in tokens.
    pub tokens: usize,
    /// The gold answer.
    pub answer: &'a str,
    /// Options of a choice question; empty for others.
    pub choices: &'a [String],
}

/// The rewards of a stage: a weight each, and settings where a reward has some. The sum is what advantages are made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rewards {
    /// 1 if the boxed answer equals the gold answer.
    pub accuracy: f64,
    /// 1 if the completion is `<think>…</think>` and then `\boxed{…}`.
    pub format: f64,
    /// From 1 for completions well below a budget of tokens to 0 for those well above.
    pub efficient_length: Option<EfficientLength>,
    /// From 0 where no n words follow each other twice, towards −1.
    pub repetition: Option<Repetition>,
    /// 1 if the chosen option is the gold one, by letter or text, boxed or not.
    pub multiple_choice: f64,
    /// 1 if the boxed number is near enough to the gold number.
    pub numeric: Option<Numeric>,
    /// What a program says, which is connected as the input `program`.
    pub command: Option<Command>,
    /// 1 for half of all completions, right or wrong: what tiny runs learn from, and a control.
    #[serde(skip_serializing_if = "is_zero")]
    pub luck: f64,
}

impl Default for Rewards {
    fn default() -> Self {
        Self {
            accuracy: 1.0,
            format: 0.0,
            efficient_length: None,
            repetition: None,
            multiple_choice: 0.0,
            numeric: None,
            command: None,
            luck: 0.0,
        }
    }
}

/// Completions to be scored together.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The completions.
    pub answered: &'a [Answered<'a>],
    /// What is rewarded.
    pub rewards: &'a Rewards,
    /// The file behind the input `program`.
    pub program: Option<&'a Path>,
}

impl Asked<'_> {
    fn each(&self, score: impl Fn(&Answered<'_>) -> f32) -> Vec<f32> {
        self.answered.iter().map(score).collect()
    }
}

/// What is wrong with a reward's settings: dotted path below `reward`, message, help.
pub type Problem = (String, String, &'static str);

/// One line of [`REWARDS`].
pub struct Reward {
    /// Its name in recipes and logs.
    pub name: &'static str,
    /// Its weight; `None` if the recipe does not ask for it, and it is neither computed nor logged.
    pub weight: fn(&Rewards) -> Option<f64>,
    /// Does it say whether an answer is right? Only then it takes part in deciding which groups are informative.
    pub decides: fn(&Rewards) -> bool,
    /// Rules on its settings.
    pub problems: fn(&Rewards) -> Vec<Problem>,
    /// Its value for each completion; higher is better.
    pub score: fn(&Asked<'_>) -> Result<Vec<f32>, RewardError>,
}

/// Every reward.
pub static REWARDS: &[Reward] = &[
    Reward {
        name: "accuracy",
        weight: |rewards| Some(rewards.accuracy),
        decides: |_| true,
        problems: |_| Vec::new(),
        score: |asked| Ok(asked.each(accuracy)),
    },
    Reward {
        name: "format",
        weight: |rewards| Some(rewards.format),
        decides: |_| false,
        problems: |_| Vec::new(),
        score: |asked| Ok(asked.each(format::format)),
    },
    Reward {
        name: "efficient_length",
        weight: |rewards| rewards.efficient_length.map(|settings| settings.weight),
        decides: |_| false,
        problems: |rewards| settled(rewards.efficient_length.as_ref(), EfficientLength::problems),
        score: |asked| Ok(with(asked, asked.rewards.efficient_length.as_ref(), EfficientLength::score)),
    },
    Reward {
        name: "repetition",
        weight: |rewards| rewards.repetition.map(|settings| settings.weight),
        decides: |_| false,
        problems: |rewards| settled(rewards.repetition.as_ref(), Repetition::problems),
        score: |asked| Ok(with(asked, asked.rewards.repetition.as_ref(), Repetition::score)),
    },
    Reward {
        name: "multiple_choice",
        weight: |rewards| (rewards.multiple_choice != 0.0).then_some(rewards.multiple_choice),
        decides: |_| true,
        problems: |_| Vec::new(),
        score: |asked| Ok(asked.each(multiple_choice::multiple_choice)),
    },
    Reward {
        name: "numeric",
        weight: |rewards| rewards.numeric.map(|settings| settings.weight),
        decides: |_| true,
        problems: |rewards| settled(rewards.numeric.as_ref(), Numeric::problems),
        score: |asked| Ok(with(asked, asked.rewards.numeric.as_ref(), Numeric::score)),
    },
    Reward {
        name: "command",
        weight: |rewards| rewards.command.as_ref().map(|settings| settings.weight),
        decides: |rewards| rewards.command.as_ref().is_some_and(|settings| settings.decides),
        problems: |rewards| settled(rewards.command.as_ref(), Command::problems),
        score: command::score,
    },
    Reward {
        name: "luck",
        weight: |rewards| (rewards.luck != 0.0).then_some(rewards.luck),
        // As if it were an answer: this is what makes groups differ.
        decides: |_| true,
        problems: |_| Vec::new(),
        score: |asked| Ok(asked.each(luck::luck)),
    },
];

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(weight: &f64) -> bool {
    *weight == 0.0
}

fn settled<T>(settings: Option<&T>, problems: impl Fn(&T) -> Vec<Problem>) -> Vec<Problem> {
    settings.map(problems).unwrap_or_default()
}

fn with<T>(asked: &Asked<'_>, settings: Option<&T>, score: impl Fn(&T, &Answered<'_>) -> f32) -> Vec<f32> {
    asked.each(|answered| settings.map_or(0.0, |settings| score(settings, answered)))
}

impl Rewards {
    /// The lines of the table that this recipe asks for, and their weights.
    pub fn asked_for(&self) -> impl Iterator<Item = (&'static Reward, f64)> + '_ {
        REWARDS.iter().filter_map(|reward| Some((reward, (reward.weight)(self)?)))
    }

    /// Is there a weight on a reward that says whether an answer is right?
    pub fn weighs_answers(&self) -> bool {
        self.asked_for().any(|(reward, weight)| weight > 0.0 && (reward.decides)(self))
    }

    /// [`Scored::correct`] of a right answer.
    pub fn full_marks(&self) -> f64 {
        if !self.weighs_answers() {
            return 1.0;
        }
        self.asked_for().filter(|(reward, _)| (reward.decides)(self)).map(|(_, weight)| weight).sum()
    }

    /// Says what is wrong with weights and settings.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (reward, weight) in self.asked_for() {
            if weight < 0.0 {
                problems.push((reward.name.into(), "must not be negative".into(), ""));
            }
            let below = (reward.problems)(self).into_iter();
            problems.extend(below.map(|(path, message, help)| (format!("{}.{path}", reward.name), message, help)));
        }
        if self.asked_for().all(|(_, weight)| weight == 0.0) {
            let message = "every weight is 0: nothing is rewarded";
            problems.push((String::new(), message.into(), "set `accuracy = 1.0`"));
        }
        problems
    }
}

/// The rewards of one completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Weighted sum: what advantages are made of.
    pub total: f32,
    /// Weighted sum of the rewards that say whether the answer is right: what selection looks at. Where none has a weight
    /// it is the accuracy.
    pub correct: f32,
    /// Each reward unweighted, in the order of [`Rewards::asked_for`].
    pub each: Vec<f32>,
}

/// Scores completions by every reward that is asked for.
///
/// # Errors
/// Where the program of `command` fails.
pub fn score(asked: &Asked<'_>) -> Result<Vec<Scored>, RewardError> {
    let rewards = asked.rewards;
    let lines: Vec<(&Reward, f64)> = rewards.asked_for().collect();
    let columns = lines.iter().map(|(reward, _)| (reward.score)(asked)).collect::<Result<Vec<_>, _>>()?;
    let weighs_answers = rewards.weighs_answers();
    let scored = |i: usize| {
        let each: Vec<f32> = columns.iter().map(|column| column[i]).collect();
        let sum = |counts: &dyn Fn(&Reward) -> bool| {
            let counted = lines.iter().zip(&each).filter(|((reward, _), _)| counts(reward));
            counted.map(|((_, weight), &value)| weight * f64::from(value)).sum::<f64>() as f32
        };
        let total = sum(&|_| true);
        let correct = if weighs_answers { sum(&|reward| (reward.decides)(rewards)) } else { each[0] };
        Scored { total, correct, each }
    };
    Ok((0..asked.answered.len()).map(scored).collect())
}

#[cfg(test)]
mod tests;
