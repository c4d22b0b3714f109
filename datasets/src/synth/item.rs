//! What a task makes. Knows no task.

use std::ops::RangeInclusive;

use rand_chacha::ChaCha8Rng;

use super::bars::Bars;
use super::canvas::Canvas;
use super::figure::Figure;
use super::grid::Grid;

/// Levels of difficulty.
pub const LEVELS: RangeInclusive<u8> = 1..=5;

/// One line of the table of tasks.
#[derive(Debug)]
pub struct Task {
    /// Name in a recipe.
    pub name: &'static str,
    /// Are its questions about a drawing?
    pub images: bool,
    /// Do its items have a checkable answer? A description has none.
    pub answers: bool,
    /// Makes an item of a level.
    pub make: fn(u8, &mut ChaCha8Rng) -> Item,
}

/// A task by name.
pub fn task(name: &str) -> Option<&'static Task> {
    super::TASKS.iter().find(|task| task.name == name)
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What is asked.
    pub prompt: String,
    /// What is shown.
    pub scene: Option<Scene>,
    /// What is to be said.
    pub says: Says,
}

/// What is to be said to an [`Item`].
#[derive(Debug, Clone, PartialEq)]
pub enum Says {
    /// An answer that can be checked, and how to get to it.
    Answer {
        /// The steps, in few words.
        reasoning: String,
        /// The answer.
        answer: String,
    },
    /// A description, word for word.
    Text(String),
}

/// What a drawing shows; the drawing follows from it and a size alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Scene {
    /// Coloured shapes on a grid.
    Grid(Grid),
    /// A bar chart.
    Bars(Bars),
    /// A figure with labelled lengths.
    Figure(Figure),
}

impl Item {
    /// An item with an answer.
    pub(super) fn answer(
        prompt: String,
        scene: Option<Scene>,
        reasoning: String,
        answer: &dyn std::fmt::Display,
    ) -> Self {
        Self { prompt, scene, says: Says::Answer { reasoning, answer: answer.to_string() } }
    }

    /// Names everything that makes two items the same question: what is asked and what is shown.
    pub fn key(&self) -> String {
        format!("{} {}", self.prompt, self.scene.as_ref().map(Scene::key).unwrap_or_default())
    }
}

impl Scene {
    /// Names what is shown: equal keys mean equal drawings.
    pub fn key(&self) -> String {
        match self {
            Self::Grid(grid) => format!("grid: {}", grid.words()),
            Self::Bars(bars) => format!("bars: {}", bars.words()),
            Self::Figure(figure) => format!("figure: {}", figure.words()),
        }
    }

    /// Draws it on a square of `size` pixels a side.
    pub fn draw(&self, size: usize) -> Canvas {
        let mut canvas = Canvas::new(size);
        match self {
            Self::Grid(grid) => grid.draw(&mut canvas),
            Self::Bars(bars) => bars.draw(&mut canvas),
            Self::Figure(figure) => figure.draw(&mut canvas),
        }
        canvas
    }
}
