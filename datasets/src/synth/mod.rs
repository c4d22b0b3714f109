//! A seed → questions with checkable answers and written-out reasoning, as text and as drawings. Knows nothing of files'
//! layout, tokens or models.
//!
//! A task is one function from a level (1 to 5) and a random stream to an [`Item`]; [`TASKS`] is the list of them. Words
//! are few and short, so that a tiny model can learn them all.

mod arithmetic;
mod bars;
mod canvas;
mod compare;
mod figure;
mod generate;
mod grid;
mod item;
mod word;

pub use canvas::Canvas;
pub use generate::{Entry, Made, Spec, SynthError, generate, write};
pub use item::{Item, LEVELS, Scene, Task, task};

#[cfg(test)]
mod tests;

/// Every task, text first.
pub const TASKS: &[Task] = &[
    Task { name: "arithmetic", images: false, answers: true, make: arithmetic::make },
    Task { name: "compare", images: false, answers: true, make: compare::make },
    Task { name: "word", images: false, answers: true, make: word::make },
    Task { name: "caption", images: true, answers: false, make: grid::caption },
    Task { name: "count", images: true, answers: true, make: grid::count },
    Task { name: "more", images: true, answers: true, make: grid::more },
    Task { name: "relate", images: true, answers: true, make: grid::relate },
    Task { name: "caption-bars", images: true, answers: false, make: bars::caption },
    Task { name: "bar-value", images: true, answers: true, make: bars::value },
    Task { name: "bar-tallest", images: true, answers: true, make: bars::tallest },
    Task { name: "bar-difference", images: true, answers: true, make: bars::difference },
    Task { name: "caption-figure", images: true, answers: false, make: figure::caption },
    Task { name: "perimeter", images: true, answers: true, make: figure::perimeter },
    Task { name: "area", images: true, answers: true, make: figure::area },
];
