//! Mistakes of one stage as its kind sees them, before the engine gives them places in the recipe. Knows no recipe.

use super::fact::{Fact, Said};
use crate::diagnostic::Severity;

/// A mistake in the parameters or inputs of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What the mistake is about.
    pub at: ProblemAt,
    /// Lowercase fragment that says what is wrong and why.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
    /// Is it one, or does it only look like one?
    pub severity: Severity,
    /// The other end, or ends: what it does not fit, with a few words about it.
    pub others: Vec<(ProblemAt, String)>,
}

/// What a [`Problem`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemAt {
    /// A parameter, as a dotted path below `params`: `select.low`.
    Param(String),
    /// An input port by name.
    Input(String),
    /// The stage as a whole.
    Stage,
    /// Who said something that does not fit.
    Said(Said),
}

impl Problem {
    /// What it is about, and the message: `` `select.low` must be above 0 ``.
    pub fn about(&self) -> String {
        match &self.at {
            ProblemAt::Param(path) => format!("`{path}` {}", self.message),
            ProblemAt::Input(port) => format!("input `{port}` {}", self.message),
            ProblemAt::Stage | ProblemAt::Said(_) => self.message.clone(),
        }
    }
}

/// Collects every [`Problem`] of one stage.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Reports a bad parameter at a dotted path below `params`.
    pub fn param(&mut self, path: impl Into<String>, message: impl Into<String>, help: impl Into<String>) {
        self.push(ProblemAt::Param(path.into()), message, help);
    }

    /// Reports an input that does not fit.
    pub fn input(&mut self, port: impl Into<String>, message: impl Into<String>, help: impl Into<String>) {
        self.push(ProblemAt::Input(port.into()), message, help);
    }

    /// Reports a problem of the whole stage.
    pub fn stage(&mut self, message: impl Into<String>, help: impl Into<String>) {
        self.push(ProblemAt::Stage, message, help);
    }

    /// Warns of a parameter that can be meant as it is, but seldom is.
    pub fn warn(&mut self, path: impl Into<String>, message: impl Into<String>, help: impl Into<String>) {
        self.param(path, message, help);
        self.only(Severity::Warning);
    }

    /// Makes the last problem a warning or a note.
    pub fn only(&mut self, severity: Severity) {
        if let Some(last) = self.0.last_mut() {
            last.severity = severity;
        }
    }

    /// Adds to the last problem where the other end was said, and a few words about it.
    pub fn see<T>(&mut self, fact: &Fact<T>, text: impl Into<String>) {
        self.see_said(fact.said(), text);
    }

    /// As [`Self::see`], for something that is no fact.
    pub fn see_said(&mut self, said: &Said, text: impl Into<String>) {
        self.other(ProblemAt::Said(said.clone()), text);
    }

    /// Adds to the last problem a parameter of this stage that it has to do with.
    pub fn see_param(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.other(ProblemAt::Param(path.into()), text);
    }

    /// Adds to the last problem an input of this stage that it has to do with.
    pub fn see_input(&mut self, port: impl Into<String>, text: impl Into<String>) {
        self.other(ProblemAt::Input(port.into()), text);
    }

    /// Every problem, in the order reported.
    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    fn other(&mut self, at: ProblemAt, text: impl Into<String>) {
        if let Some(last) = self.0.last_mut() {
            last.others.push((at, text.into()));
        }
    }

    fn push(&mut self, at: ProblemAt, message: impl Into<String>, help: impl Into<String>) {
        let help = help.into();
        let help = (!help.is_empty()).then_some(help);
        self.0.push(Problem { at, message: message.into(), help, severity: Severity::Error, others: Vec::new() });
    }
}
